"""Packing: the same bytes each time, whole, and nothing private."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.cli.options import read_config
from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.errors import RunError
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.load import find_submissions, load
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather
from tests.helpers.datasets import bench
from tests.helpers.fault_server import FaultServer
from tests.submissions.conftest import FAST, check

pytestmark = pytest.mark.heavy


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


MINE = """
from microg_bench.adapters.base import Baseline

class Mine(Baseline):
    name, title = "mine", "Mine"

    def answer(self, request, descriptor, others):
        return "A man, and/or 1/2 of a crew at 10:30 km/h."
"""


def everything(folder: Path) -> str:
    files = (path.read_bytes() for path in folder.iterdir())
    return "\n".join((gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one).decode() for one in files)


def test_of_an_adapters_file_its_name_alone_is_packed(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "clients" / "acme_secret" / "my.py"
    file.parent.mkdir(parents=True)
    file.write_text(MINE)
    relative = file.relative_to(tmp_path)
    done = bench("vqa", "--model", relative, "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = pack(RunRecord.read(tmp_path / "r"), tmp_path / "packed")
    assert "acme" not in everything(folder)
    assert load(folder).record.options["model"] == "my.py"
    assert {one.text for one in load(folder).record.answers.values()} == {
        "A man, and/or 1/2 of a crew at 10:30 km/h."
    }
    assert check(folder, data).problems == []


@pytest.mark.parametrize(
    "name",
    [
        *("data/jdoe/secret/m", "/data/jdoe/secret/m", "C:\\Users\\jdoe\\secret\\m", "C:jdoe\\m", "~jdoe/m"),
        *("$HOME/jdoe/m", "S3://bucket/jdoe/m", "jdoe@gpu1", "nas:jdoe/m", "/home/o'jdoe/secret/m"),
    ],
)
def test_the_name_of_a_model_at_a_server_is_packed_without_places(
    data: Path, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    with FaultServer() as server:
        server.models = [name]
        options = {"url": server.url, "frames": 2, "metrics": "ROUGE-L", "progress": None}
        mb.evaluate(f"server:{name}", str(data), "vqa", run=tmp_path / "r", **options)
        mb.evaluate("qwen2.5-vl", str(data), "vqa", run=tmp_path / "s", **options)
    for run in ("r", "s"):
        folder = pack(RunRecord.read(tmp_path / run / "vqa"), tmp_path / "packed")
        assert "jdoe" not in everything(folder)
        assert "jdoe" not in folder.name
        assert check(folder, data).problems == []


@pytest.mark.parametrize(
    "command",
    [
        ("score", "SUBMISSION"),
        ("score", "SUBMISSION", "--reparse"),
        ("compare", "SUBMISSION", "RUN"),
        ("submit", "pack", "SUBMISSION"),
        ("report", "SUBMISSION"),
        ("drift", "SUBMISSION", "--yes"),
        ("vqa", "--model", "nearest-clip", "--run", "SUBMISSION"),
    ],
)
def test_a_submission_is_no_run_and_is_left_as_it_is(
    command: tuple[str, ...], run: Path, packed: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in packed.iterdir()}
    places = {"SUBMISSION": packed, "RUN": run}
    done = bench(*(places.get(word, word) for word in command), cwd=tmp_path)
    assert done.returncode == 1
    reason = "is a submission, a packed run: use `microg-bench submit check`"
    assert done.stderr.splitlines()[-1].endswith(f"{packed}: {reason}")
    assert {path: path.read_bytes() for path in packed.iterdir()} == before
    assert list(tmp_path.iterdir()) == [packed]


def test_a_run_beside_whose_journal_is_a_packed_copy_is_a_run(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    (copy / "journal.jsonl.gz").write_bytes(gzip.compress((copy / "journal.jsonl").read_bytes()))
    assert RunRecord.read(copy).answers == RunRecord.read(run).answers


def test_the_options_of_a_submission_can_be_repeated(packed: Path) -> None:
    options, settings = read_config(packed / "run.json")
    assert options["model"] == "nearest-clip"
    assert settings == load(packed).record.settings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<script>alert(1)</script>", "1 answers hold markup that a browser runs: "),
        ("word " * 30_000, "1 answers are longer than 100,000 characters: "),
    ],
)
def test_what_the_check_refuses_is_told_and_not_packed(
    run: Path, tmp_path: Path, text: str, problem: str
) -> None:
    run = Path(shutil.copytree(run, tmp_path / "r"))
    journal = run / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    answer = next(line for line in lines if line["type"] == "response")
    answer |= {"answer": text, "text": text}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = bench("submit", "pack", "r", "--into", "subs", cwd=tmp_path)
    assert done.returncode == 1
    told = f"error: r: cannot be submitted: {problem}{answer['id']}"
    assert done.stderr.startswith(told) and done.stderr.count("\n") == 1
    assert list((tmp_path / "subs").iterdir()) == []
