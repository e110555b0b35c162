"""Packing: the same bytes each time, whole, and nothing private."""

import gzip
import shutil
from pathlib import Path

import pytest

from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.errors import RunError
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.load import find_submissions, load
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather
from tests.helpers.datasets import bench
from tests.submissions.conftest import FAST, check


def test_a_run_packs_to_three_files_that_are_the_same_each_time(run: Path, tmp_path: Path) -> None:
    one, other = (pack(RunRecord.read(run), tmp_path / name) for name in ("1", "2"))
    assert one.name == other.name
    assert one.name.startswith("nearest-clip-vqa-")
    assert sorted(path.name for path in one.iterdir()) == ["journal.jsonl.gz", "run.json", "scorecard.json"]
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_what_was_packed_is_the_run(run: Path, packed: Path) -> None:
    one, other = RunRecord.read(run), load(packed).record
    assert (other.settings, other.answers, other.failures) == (one.settings, one.answers, {})
    assert other.scorecard == one.scorecard
    assert find_submissions(packed) == find_submissions(packed.parent) == [packed]


def test_nothing_private_is_packed(run: Path, packed: Path, data: Path) -> None:
    assert str(data) in (run / "run.json").read_text()
    for path in packed.iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert str(data).encode() not in content
        assert str(run.parent).encode() not in content


def test_an_unscored_incomplete_or_partial_run_is_not_packed(data: Path, tmp_path: Path) -> None:
    bench("vqa", "--model", "blind", "--data", data, "--limit", "2", "--run", "part", *FAST, cwd=tmp_path)
    with pytest.raises(RunError, match="asks 2 clips only"):
        pack(RunRecord.read(tmp_path / "part"), tmp_path)
    (tmp_path / "part" / "scorecard.json").unlink()
    with pytest.raises(RunError, match="has not been scored"):
        pack(RunRecord.read(tmp_path / "part"), tmp_path)


def test_a_dataset_is_named_by_its_references(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(SAMPLE_FOLDER, tmp_path / "my copy"))
    done = bench("caption", "--model", "blind", "--data", copy, "--run", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = pack(RunRecord.read(tmp_path / "r"), tmp_path / "packed")
    record = load(folder).record
    assert (record.settings.dataset, record.scorecard.dataset) == ("sample", "sample")
    found = check(folder, copy)
    assert found.problems == []
    records, _, errors = gather([tmp_path / "r"], [folder])
    assert ([one.path for one in records], errors) == ([tmp_path / "r"], [])  # one row, not two
