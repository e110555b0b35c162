"""`microg-bench leaderboard build`: what is written, and what is refused or left out by name."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.datasets import bench

pytestmark = pytest.mark.heavy

MUTE = """
from microg_bench.adapters.base import Baseline

class Mute(Baseline):
    name, title = "mute", "Mute"
    def answer(self, request, descriptor, others):
        raise ValueError("nothing to say")
"""
SUBMISSIONS = Path(__file__).resolve().parents[2] / "results" / "submissions"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_rows_give_the_same_bytes_wherever_they_are_stored(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(SUBMISSIONS, tmp_path / "subs")
    done = bench(
        "leaderboard", "build", "--submissions", "subs", "--runs", scored, "--out", "a", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "a/index.html: 6 rows" in done.stdout
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "subs").rename(tmp_path / "elsewhere" / "subs")
    options = ("--submissions", "elsewhere/subs", "--runs", scored, "--runs", scored)
    done = bench("leaderboard", "build", *options, "--out", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_empty_leaderboard_says_how_to_add_the_first_row(tmp_path: Path) -> None:
    done = bench("leaderboard", "build", "--out", "site", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "site" / "index.html").read_text()
    assert "No row yet" in text
    assert "microg-bench submit pack" in text


def test_what_cannot_be_read_is_named_and_the_rest_is_built(scored: Path, tmp_path: Path) -> None:
    shutil.copytree(SUBMISSIONS, tmp_path / "subs")
    first, second, third, _ = sorted(path for path in (tmp_path / "subs").iterdir() if path.is_dir())
    card = json.loads((first / "scorecard.json").read_text()) | {"schema": "microg-bench/scorecard/0"}
    (first / "scorecard.json").write_text(json.dumps(card))
    (second / "extra.html").write_text("<script>")
    (third / "journal.jsonl.gz").write_bytes(b"no gzip")
    (scored / "vqa" / "journal.jsonl").unlink()
    done = bench(
        "leaderboard", "build", "--submissions", "subs", "--runs", "r", "--out", "site", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "site/index.html: 2 rows" in done.stdout
    said = done.stderr.splitlines()
    for folder, why in (
        (first.name, "microg-bench/scorecard/0"),
        (second.name, "extra.html"),
        (third.name, "is no gzip file"),
        ("r/vqa", "holds no journal.jsonl"),
    ):
        assert any(line.startswith("left out:") and folder in line and why in line for line in said), folder


def test_a_run_that_was_answered_nothing_does_not_stop_the_rest(scored: Path, tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text(MUTE)
    asked = ("caption", "--model", "mute.py", "--data", "sample", "--run", scored / "mute")
    assert bench(*asked, "--metrics", "ROUGE-L", cwd=tmp_path).returncode == 1
    done = bench("leaderboard", "build", "--runs", "r", "--out", "site", cwd=tmp_path)
    assert done.returncode == 1
    assert "site/index.html: 2 rows" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("left out:")]
    assert "r/mute" in line


def test_submissions_are_scored_again_where_the_dataset_is_given(
    forged: tuple[Path, Path, str], tmp_path: Path
) -> None:
    caption, vqa, data = forged
    options = ("--submissions", "subs", "--data", data)
    done = bench("leaderboard", "build", *options, "--out", "site", cwd=tmp_path)
    assert done.returncode == 1
    assert f"left out: subs/{caption.name}: scorecard.json claims scores.CIDEr.value" in done.stderr
    (page,) = (tmp_path / "site" / "runs").iterdir()
    assert page.name.startswith("vqa-")
    assert vqa.name.startswith("blind-vqa")
    items = json.loads((page / "index.html").read_text().split('id="data">')[1].split("</script>")[0])[
        "items"
    ]
    assert all(score is not None for item in items for score in item["scores"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runs", "nowhere"), "nowhere: no such folder"),
        (("--out", "mine"), "holds files that are not of these pages (notes.txt)"),
        (("--data", "nowhere.json"), "nowhere.json"),
        (("--har", "nowhere.json"), "nowhere.json: no such file"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    out = () if "--out" in arguments else ("--out", "site")
    done = bench("leaderboard", "build", *arguments, *out, cwd=tmp_path)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "site").exists()
