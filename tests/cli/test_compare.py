"""`microg-bench compare`: what is printed of two runs, and what is refused."""

import json
from pathlib import Path

import pytest

import microg_bench as mb
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.heavy

FAST = ("--metrics", "CIDEr,BLEU-4,ROUGE-L")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of two baselines, scored."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("blind", "constant"):
        done = bench("run", "--model", model, "--data", "sample", "--run", model, *FAST, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_two_runs_are_compared_metric_by_metric_and_item_by_item(runs: Path) -> None:
    done = bench("compare", "blind/vqa", "constant/vqa", "--show", "2", cwd=runs)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    cards = [
        json.loads((runs / name / "vqa" / "scorecard.json").read_text()) for name in ("blind", "constant")
    ]
    for metric in ("CIDEr", "BLEU-4", "ROUGE-L"):
        row = next(row for row in rows if row[:4] == [metric, "A", "−", "B"])
        gap = cards[0]["scores"][metric]["value"] - cards[1]["scores"][metric]["value"]
        assert float(row[4]) == pytest.approx(gap, abs=0.005)
        assert float(row[5]) <= float(row[4]) <= float(row[7])
        assert 0 < float(row[8]) <= float(row[9]) <= 1
    assert "items that differ most by ROUGE-L:" in done.stdout
    assert done.stdout.count("  B: Not mentioned.") == 2


def test_what_a_reader_must_know_of_the_answers_is_said(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", ["a_000", "a_001", "b_000"])
    asked = ("vqa", "--model", "nearest-clip", "--data", data, *FAST)
    bench(*asked, "--run", "one", cwd=tmp_path)
    (clip,) = (data / "videos").rglob("a_001.mp4")
    write_clip(clip, frames=90, fps=30, size=(128, 96))
    bench(*asked, "--run", "two", cwd=tmp_path)
    for name, tokens, changed in (("one", 9, {}), ("two", 12, {"text": "", "answer": ""})):
        journal = tmp_path / name / "journal.jsonl"
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        lines[0] |= changed
        lines[1] |= {"prompt_tokens": tokens}
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        bench("score", name, *FAST, cwd=tmp_path)
    done = bench("compare", "one", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "B: 1 of 6 answers is empty" in said
    assert "A and B were shown other files of 1 clip: a_001" in said
    other = lines[1]["id"]
    assert f"A and B have inputs of other sizes, by the tokens of the prompts of 1 request: {other}" in said


def test_a_run_is_no_better_than_its_own_repetition(runs: Path) -> None:
    bench("vqa", "--model", "blind", "--data", "sample", "--run", "again", *FAST, cwd=runs)
    done = bench("compare", "blind/vqa", "again", cwd=runs)
    assert done.stdout.count("+0.00 to +0.00") == 3
    assert done.stdout.count("1.0000") == 6


def test_what_cannot_be_compared_is_refused_by_name(runs: Path) -> None:
    done = bench("compare", "blind/vqa", "blind/caption", cwd=runs)
    assert done.returncode == 1
    assert "the runs have no task in common" in done.stderr
    bench("vqa", "--model", "blind", "--data", "sample", "--limit", "2", "--run", "few", *FAST, cwd=runs)
    done = bench("compare", "blind/vqa", "few", cwd=runs)
    assert "72 items are scored in only one of them" in done.stderr


def test_runs_without_a_metric_in_common_are_refused_in_one_line(runs: Path, tmp_path: Path) -> None:
    asked = ("vqa", "--model", "blind", "--data", "sample", "--metrics", "BLEU-1")
    bench(*asked, "--run", tmp_path / "r", cwd=runs)
    done = bench("compare", "constant/vqa", tmp_path / "r", cwd=runs)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "no metric was scored in all of them" in line


def test_scores_under_other_signatures_are_refused(runs: Path) -> None:
    pytest.importorskip("pycocoevalcap", reason="its jar tokenises under the protocol coco")
    bench(
        "vqa",
        "--model",
        "constant",
        "--data",
        "sample",
        "--protocol",
        "coco",
        "--run",
        "coco",
        *FAST,
        cwd=runs,
    )
    done = bench("compare", "blind/vqa", "coco", cwd=runs)
    assert done.returncode == 1
    assert "the signatures of CIDEr differ" in done.stderr
    assert "protocol:paper" in done.stderr
    assert "protocol:coco" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("blind/vqa",), "give two or more different runs"),
        (("blind/vqa", "blind/vqa"), "give two or more different runs"),
        (["blind/vqa"] * 27, "give at most 26 runs"),
        (("blind/vqa", "nowhere"), "nowhere: no such folder"),
        (("blind/vqa", "constant/vqa", "--by", "METEOR"), "was not scored under METEOR"),
    ],
)
def test_a_mistake_is_one_clear_line(runs: Path, arguments: tuple[str, ...], message: str) -> None:
    done = bench("compare", *arguments, cwd=runs)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["statistics.npz", "scorecard.json"])
def test_a_damaged_file_is_named(runs: Path, tmp_path: Path, name: str) -> None:
    bench("vqa", "--model", "blind", "--data", "sample", "--run", tmp_path / "r", *FAST, cwd=runs)
    (tmp_path / "r" / name).write_bytes(b"damaged")
    done = bench("compare", "constant/vqa", tmp_path / "r", cwd=runs)
    assert done.returncode == 1
    assert f"{name}: damaged" in done.stderr


def test_a_hostile_answer_cannot_steer_the_terminal(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    bench("vqa", "--model", "constant", "--data", "sample", "--run", run, *FAST, cwd=runs)
    journal = (run / "journal.jsonl").read_text().replace("Not mentioned.", "\\u001b[2J[bold]x")
    (run / "journal.jsonl").write_text(journal)
    assert bench("score", run, *FAST, cwd=runs).returncode == 0
    done = bench("compare", "blind/vqa", run, cwd=runs)
    assert "\x1b" not in done.stdout
    assert "[bold]x" in done.stdout


def test_the_rows_are_what_the_api_gives(runs: Path) -> None:
    done = bench("compare", "blind", "constant", "--show", "0", cwd=runs)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if " − " in line]
    few = "1,000 resamples of 7 source videos (fewer than 20: often too narrow)"
    assert done.stdout.count(f"intervals: symmetric bootstrap-t, {few}") == 2
    assert done.stdout.count("p: exchanges of 7 source videos, never below 0.0156") == 2
    found = mb.compare(runs / "blind", runs / "constant")
    assert len(rows) == len(found) == 6
    for row, one in zip(rows, found, strict=True):
        change = one.difference
        assert change.interval is not None
        low, high = change.interval
        numbers = [f"{change.value:+.2f}", f"{low:+.2f}", "to", f"{high:+.2f}"]
        assert row == [one.metric, "A", "−", "B", *numbers, f"{change.p:.4f}", f"{one.corrected:.4f}"]


def test_a_folder_with_two_runs_of_a_task_is_refused(runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        bench("vqa", "--model", "blind", "--data", "sample", "--run", tmp_path / name, *FAST, cwd=runs)
    done = bench("compare", tmp_path, "constant", cwd=runs)
    assert done.returncode == 1
    wanted = (
        f"{tmp_path / 'one'}: holds a run of the task vqa, and so does {tmp_path / 'two'}: give one of them"
    )
    assert wanted in done.stderr
