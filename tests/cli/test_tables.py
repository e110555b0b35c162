"""`microg-bench tables`: what is printed, what is written, and what is left out by name."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.datasets import bench

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_paper_is_printed_in_markdown(tmp_path: Path) -> None:
    done = bench("tables", "--paper", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    titles = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("## ")]
    assert titles == ["## Table 1", "## Table 2", "## Table 3", "## Table 4"]
    assert "| GPT-4o | 6 |" in done.stdout


def test_all_formats_are_written_and_repeat_byte_for_byte(scored: Path, tmp_path: Path) -> None:
    command = ["tables", "--paper", "--runs", str(scored), "--submissions", "submissions"]
    shutil.copytree(REPOSITORY / "results" / "submissions", tmp_path / "submissions")
    for name in ("one", "two"):
        done = bench(*command, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"4 tables lie in {name}\n"
    names = {path.name for path in (tmp_path / "one").iterdir()}
    numbered = {f"table{n}.{ending}" for n in range(1, 5) for ending in ("md", "tex", "csv", "json")}
    assert names == numbered | {"tables.md", "tables.tex"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    rows = json.loads((tmp_path / "one" / "table3.json").read_text())["rows"]
    constant = [row for row in rows if row["labels"]["model"] == "Floor: constant"]
    assert [bool(row["comparable"]) for row in constant] == [True, False]  # of the submission; of the run
    text = (tmp_path / "one" / "table3.md").read_text()
    assert "3 items (fingerprint" in text  # of the run, on references of its own


def test_a_scorecard_that_cannot_be_read_is_named_and_the_others_are_shown(
    scored: Path, tmp_path: Path
) -> None:
    card = scored / "vqa" / "scorecard.json"
    card.write_text(card.read_text().replace("microg-bench/scorecard/1", "microg-bench/scorecard/0"))
    done = bench("tables", "--runs", str(scored), cwd=tmp_path)
    assert done.returncode == 1
    assert "## Table 3" in done.stdout
    assert "## Table 4" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out: ")
    assert "scorecard.json" in line
    assert "microg-bench/scorecard/0" in line


def test_a_run_that_was_not_scored_is_named(scored: Path, tmp_path: Path) -> None:
    (scored / "caption" / "scorecard.json").unlink()
    done = bench("tables", "--runs", str(scored), cwd=tmp_path)
    assert done.returncode == 1
    assert "left out: r/caption" in done.stderr.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to show: give --runs, --submissions or --actions, or --paper"),
        (("--paper", "--format", "html"), "unknown format 'html'"),
        (("--runs", "nowhere"), "nowhere: no such folder"),
        (("--paper", "--actions", "nowhere.json"), "nowhere.json: cannot be read"),
        (("--paper", "--actions", "other.json"), "not a report of `microg-bench har score`"),
        (("--paper", "--actions", "nan.json"), "NaN is not a number"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "other.json").write_text('{"schema": "microg-bench/scorecard/1"}')
    (tmp_path / "nan.json").write_text('{"schema": "microg-bench/actions/1", "mAP_over_ties": [NaN, 1]}')
    done = bench("tables", *arguments, cwd=tmp_path)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
