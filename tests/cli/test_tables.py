"""`microg-bench tables`: what is printed, what is written, and what is left out by name."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.datasets import bench

pytestmark = pytest.mark.slow

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
        assert done.stdout == f"wrote 4 tables to {name}\n"
    names = {path.name for path in (tmp_path / "one").iterdir()}
    numbered = {f"table{n}.{ending}" for n in range(1, 5) for ending in ("md", "tex", "csv", "json")}
    assert names == numbered | {"tables.md", "tables.tex"}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    rows = json.loads((tmp_path / "one" / "table3.json").read_text())["rows"]
    constant = [row for row in rows if row["labels"]["model"] == "Baseline: constant"]
    submitted, ran = constant
    assert submitted["comparable"] == ran["comparable"] == []  # not verified; on references of its own
    assert any(note.startswith("claimed and not verified: CIDEr, BLEU-4") for note in submitted["notes"])
    text = (tmp_path / "one" / "table3.md").read_text()
    assert "3 items (fingerprint" in text
    assert "claimed and not verified" in text


def test_submissions_are_verified_where_the_dataset_is_given(
    forged: tuple[Path, Path, str], tmp_path: Path
) -> None:
    caption, vqa, data = forged
    done = bench("tables", "--submissions", "subs", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert "## Table 4" in done.stdout and "## Table 3" not in done.stdout
    assert "not verified" not in done.stdout
    assert f"left out: subs/{caption.name}: scorecard.json claims scores.CIDEr.value" in done.stderr
    checked = bench(
        "submit", "check", "subs/" + caption.name, "subs/" + vqa.name, "--data", data, cwd=tmp_path
    )
    verdicts = [line.split()[0] for line in checked.stdout.splitlines() if not line.startswith("   ")]
    assert verdicts == ["REFUSED", "ok"]


def test_a_scorecard_that_cannot_be_read_is_named_and_the_others_are_shown(
    scored: Path, tmp_path: Path
) -> None:
    card = scored / "vqa" / "scorecard.json"
    card.write_text(card.read_text().replace("microg-bench/scorecard/2", "microg-bench/scorecard/0"))
    done = bench("tables", "--runs", str(scored), cwd=tmp_path)
    assert done.returncode == 1
    assert "## Table 3" in done.stdout
    assert "## Table 4" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out: ")
    assert "scorecard.json" in line
    assert "microg-bench/scorecard/0" in line


def test_the_formats_that_are_named_are_written(tmp_path: Path) -> None:
    done = bench("tables", "--paper", "--format", "csv,latex", "--out", "t", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    endings = {path.suffix for path in (tmp_path / "t").iterdir()}
    assert endings == {".csv", ".tex"}


def test_scored_detections_are_in_the_table_of_actions(tmp_path: Path) -> None:
    report = REPOSITORY / "results" / "actions" / "SLOWONLY_4x16_R50.test.json"
    done = bench("tables", "--har", str(report), "--format", "csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["origin"], row["architecture"], row["test_F1"]) == ("ours", "Slow", "28.72")


def test_a_name_is_printed_as_it_is(scored: Path, tmp_path: Path) -> None:
    card = scored / "vqa" / "scorecard.json"
    content = json.loads(card.read_text())
    content["model"]["title"] = ":smile: [bold]x"
    card.write_text(json.dumps(content))
    done = bench("tables", "--runs", str(scored / "vqa"), "--format", "csv", cwd=tmp_path)
    assert ":smile: [bold]x" in done.stdout


def test_a_run_that_was_packed_too_is_told_to_be_shown(scored: Path, tmp_path: Path) -> None:
    for command in (
        ("submit", "pack", "r/vqa", "--into", "s"),
        ("tables", "--runs", "r", "--submissions", "s"),
    ):
        done = bench(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (packed,) = (tmp_path / "s").iterdir()
    assert done.stderr == f"note: given twice and shown once: r/vqa (not s/{packed.name})\n"
    options = ("--submissions", "s", "--out", "site", "--no-pictures")
    built = bench("leaderboard", "build", "--runs", "r", *options, cwd=tmp_path)
    assert (built.returncode, done.stderr in built.stderr) == (0, True)


def test_a_run_that_was_not_scored_is_named(scored: Path, tmp_path: Path) -> None:
    (scored / "caption" / "scorecard.json").unlink()
    done = bench("tables", "--runs", str(scored), cwd=tmp_path)
    assert done.returncode == 1
    assert "left out: r/caption" in done.stderr.replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to show: give --runs, --submissions or --har, or --paper"),
        (("--paper", "--format", "html"), "unknown format 'html'"),
        (("--runs", "nowhere"), "nowhere: no such folder"),
        (("--paper", "--har", "nowhere.json"), "nowhere.json: no such file"),
        (("--paper", "--har", "other.json"), "not a scorecard of `microg-bench har score`"),
        (("--paper", "--runs", "empty"), "empty: not a run folder (there is no run.json in it or below)"),
        (("--paper", "--runs", "there", "--har", "other.json"), "there: no such folder"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "other.json").write_text('{"schema": "microg-bench/scorecard/1"}')
    (tmp_path / "empty").mkdir()
    done = bench("tables", *arguments, "--out", "t", cwd=tmp_path)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "t").exists()
