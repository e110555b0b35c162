"""A run that is killed again and again ends as one that was never disturbed."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from microg_bench.storage import read_journal
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.slow

BASELINE = Path(__file__).parents[1] / "helpers" / "slow_baseline.py"
IDS = [f"{source}_{n:03}" for source in ("a", "b", "c") for n in range(4)]
RESULTS = ("scorecard.json", "predictions.json", "table.md")
KILLS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def arguments(data: Path, run: str) -> list[str]:
    return [
        "run",
        "--model",
        str(BASELINE),
        "--data",
        str(data),
        "--run",
        run,
        "--metrics",
        "CIDEr,BLEU-4,ROUGE-L",
    ]


def answered(run: Path) -> set[str]:
    return {
        line["id"] for task in ("caption", "vqa") for _, line in read_journal(run / task / "journal.jsonl")
    }


def asked(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.heavy
def test_a_run_killed_at_random_points_ends_like_an_undisturbed_one(data: Path, tmp_path: Path) -> None:
    quiet = bench(*arguments(data, "quiet"), cwd=tmp_path)
    assert quiet.returncode == 0, quiet.stderr

    notes, run = tmp_path / "asked", tmp_path / "killed"
    env = {**os.environ, "SLOW_BASELINE_ASKED": str(notes), "SLOW_BASELINE_SECONDS": "0.03"}
    for _ in range(KILLS):
        done, notes_before = answered(run), len(asked(notes))
        enough = len(done) + random.randint(0, 4)
        process = start_bench(*arguments(data, "killed"), cwd=tmp_path, env=env)
        wait_until(lambda enough=enough: len(answered(run)) >= enough, process)
        time.sleep(random.random() * 0.05)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
        assert not done & set(asked(notes)[notes_before:]), "asked again what was answered"
    done, notes_before = answered(run), len(asked(notes))
    last = bench(*arguments(data, "killed"), cwd=tmp_path, env={"SLOW_BASELINE_ASKED": str(notes)})
    assert last.returncode == 0, last.stderr
    assert set(asked(notes)[notes_before:]) == answered(tmp_path / "quiet") - done

    for task in ("caption", "vqa"):
        for name in RESULTS:
            assert (run / task / name).read_bytes() == (tmp_path / "quiet" / task / name).read_bytes()
    described = [line["id"] for _, line in read_journal(run / "descriptors.jsonl")]
    assert sorted(described) == sorted(IDS), "each clip is described once, over all starts"


def test_ctrl_c_ends_cleanly_and_the_run_is_resumed(data: Path, tmp_path: Path) -> None:
    env = {**os.environ, "SLOW_BASELINE_SECONDS": "0.05"}
    process = start_bench(*arguments(data, "r"), cwd=tmp_path, env=env)
    wait_until(lambda: len(answered(tmp_path / "r")) >= 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again to resume" in errors
    assert "Traceback" not in errors
    kept = answered(tmp_path / "r")
    assert kept
    done = bench(*arguments(data, "r"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resuming: {len(kept)} of 36 are done" in done.stderr


def test_a_second_process_on_the_same_run_is_refused(data: Path, tmp_path: Path) -> None:
    env = {**os.environ, "SLOW_BASELINE_SECONDS": "0.2"}
    first = start_bench(*arguments(data, "r"), cwd=tmp_path, env=env)
    try:
        wait_until(lambda: bool(answered(tmp_path / "r")), first)
        second = bench(*arguments(data, "r"), cwd=tmp_path)
        assert second.returncode == 1
        assert "another process is writing to this folder" in second.stderr
    finally:
        first.kill()
        first.communicate()
