import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microg_bench.cli import main
from tests.helpers.datasets import bench, make_dataset, record, write_annotations

pytestmark = pytest.mark.slow

Refused = Callable[..., str]
FAST = ("--metrics", "CIDEr")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_annotations(folder / "refs.json", [record("a_001", 1), record("a_002", 2), record("b_001", 3)])
    done = bench("run", "--model", "blind", "--data", "refs.json", "--run", "r", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A folder with a run of its own, `r`, that a test may damage."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Call `microg-bench report` in `folder`: it writes nothing, fails and says why in one line."""

    def call(*arguments: str) -> str:
        before = sorted(folder.rglob("*"))
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["microg-bench", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 1 and said.out == ""
        assert sorted(folder.rglob("*")) == before
        [line] = said.err.splitlines()
        return line

    return call


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_both_tasks_share_a_page_beside_the_run(folder: Path) -> None:
    done = bench("report", "r", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "r/report/index.html\n")
    page = (folder / "r" / "report" / "index.html").read_text()
    assert "Captioning" in page and "Question answering" in page


def test_the_same_run_gives_the_same_bytes(folder: Path) -> None:
    for out in ("one", "two", "one"):
        assert bench("report", "r/vqa", "--out", out, cwd=folder).returncode == 0
    pages = [(folder / out / "index.html").read_bytes() for out in ("one", "two")]
    assert pages[0] == pages[1] and b"Captioning, " not in pages[0]


def test_pictures_can_be_left_out(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", ["a_001", "b_001", "c_001"])
    bench("caption", "--model", "nearest-clip", "--data", "data", "--run", "r", *FAST, cwd=tmp_path)
    for options, pictures in (((), 12), (("--no-pictures",), 0)):
        assert bench("report", "r", *options, cwd=tmp_path).returncode == 0
        assert len(list((tmp_path / "r" / "report").rglob("*.jpg"))) == pictures
    assert "were left out" in (tmp_path / "r" / "report" / "index.html").read_text()


def test_runs_are_shown_side_by_side_in_the_first(folder: Path) -> None:
    shutil.copytree(folder / "r", folder / "other")
    done = bench("report", "r", "other", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "r/side-by-side/index.html\n"), done.stderr
    page = (folder / "r" / "side-by-side" / "index.html").read_text()
    assert "A − B" in page and "Captioning" in page and "Question answering" in page
    assert bench("report", "r/vqa", "other/vqa", "--out", "both", cwd=folder).returncode == 0
    assert "Captioning" not in (folder / "both" / "index.html").read_text()


def test_runs_that_cannot_stand_side_by_side_are_refused(folder: Path, refused: Refused) -> None:
    write_annotations(folder / "more.json", [record("a_001", 1), record("c_001", 3)])
    done = bench("vqa", "--model", "blind", "--data", "more.json", "--run", "more", *FAST, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "the runs have no task in common" in refused("r/caption", "r/vqa")
    assert "they answer about other references (refs and more)" in refused("r/vqa", "more")
    assert "give two or more different runs" in refused("r", "r")
    (folder / "more" / "scorecard.json").unlink()
    assert "has not been scored" in refused("r/vqa", "more")


def test_clips_are_linked_copied_or_left_out(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", ["a_001", "b_001", "c_001"])
    bench("caption", "--model", "constant", "--data", "data", "--run", "r", *FAST, cwd=tmp_path)
    report = tmp_path / "r" / "report"
    for options, linked, copies in ((), 3, 0), (("--videos", "copy"), 3, 3), (("--videos", "none"), 0, 0):
        assert bench("report", "r", *options, cwd=tmp_path).returncode == 0
        page = (report / "index.html").read_text()
        assert page.count('"video":') == linked
        assert len(list((report / "videos").glob("*.mp4"))) == copies
        assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("journal.jsonl", "holds no journal.jsonl"),
        ("scorecard.json", "has not been scored"),
        ("run.json", "not a run"),
    ],
)
def test_a_run_that_lacks_a_file_is_refused(folder: Path, refused: Refused, name: str, said: str) -> None:
    (folder / "r" / "vqa" / name).unlink()
    found = refused("r/vqa")
    assert said in found and "r/vqa" in found


def test_files_of_another_version_or_damaged_ones_are_refused(folder: Path, refused: Refused) -> None:
    run = folder / "r" / "vqa"
    whole = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for name, values, said in [
        ("scorecard.json", {"schema": "microg-bench/scorecard/9"}, "version"),
        ("run.json", {"schema": "microg-bench/run/9"}, "version"),
        ("run.json", {"settings": {"task": "vqa"}}, "run.json: damaged: settings.model: Field required"),
        ("run.json", {"options": 3}, "run.json: damaged: "),
        ("run.json", {"starts": [3]}, "run.json: damaged: "),
    ]:
        change(run / name, **values)
        found = refused("r/vqa")
        assert said in found and "r/vqa" in found
        (run / name).write_bytes(whole[name])


def test_an_answer_that_is_no_text_is_refused_by_its_id(folder: Path, refused: Refused) -> None:
    journal = folder / "r" / "vqa" / "journal.jsonl"
    first = json.loads(journal.read_text().splitlines()[0]) | {"answer": ["x"]}
    journal.write_text(json.dumps(first) + "\n")
    assert "journal.jsonl: line 1: damaged: answer: " in refused("r/vqa")


def test_statistics_that_are_damaged_are_refused(folder: Path, refused: Refused) -> None:
    file = folder / "r" / "vqa" / "statistics.npz"
    file.write_bytes(b"no archive")
    assert "statistics.npz: damaged" in refused("r/vqa")
    np.savez(file, ids=np.array(["a"]), sources=np.array(["a"]), CIDEr=np.zeros((2, 1)))
    assert "differ in length" in refused("r/vqa")


def test_another_dataset_is_refused(folder: Path, refused: Refused) -> None:
    write_annotations(folder / "other.json", [record("a_001", 5)])
    assert "give the right dataset with --data" in refused("r/vqa", "--data", "other.json")


def test_runs_that_do_not_belong_on_one_page_are_refused(folder: Path, refused: Refused) -> None:
    shutil.copytree(folder / "r" / "vqa", folder / "r" / "again")
    assert "of the same task" in refused("r")
    shutil.rmtree(folder / "r" / "again")
    run = folder / "r" / "vqa" / "run.json"
    change(run, settings=json.loads(run.read_text())["settings"] | {"model": "another"})
    assert "differ in model (blind, another)" in refused("r")


def test_a_foreign_folder_is_left_alone(folder: Path, refused: Refused) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("x")
    assert "thesis.tex" in refused("r", "--out", "mine")
    assert "r: holds files that are not of these pages" in refused("r", "--out", "r")
    assert ".: give a folder with a name of its own" in refused("r", "--out", ".")


def test_what_is_no_folder_at_all_is_refused(folder: Path, refused: Refused) -> None:
    assert "nowhere: no such folder" in refused("nowhere")


def test_a_run_whose_journal_is_lost_is_refused(folder: Path, refused: Refused) -> None:
    journal = folder / "r" / "vqa" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:100])
    assert "microg-bench score r/vqa" in refused("r/vqa")


def test_missing_statistics_are_told(folder: Path) -> None:
    (folder / "r" / "vqa" / "statistics.npz").unlink()
    done = bench("report", "r", cwd=folder)
    assert done.returncode == 0 and "statistics.npz is missing" in done.stderr


def test_a_run_that_is_not_shown_is_named(folder: Path) -> None:
    shutil.copytree(folder / "r", folder / "other")
    done = bench("report", "r/caption", "other", cwd=folder)
    assert done.returncode == 0 and "other/vqa is not shown" in done.stderr
