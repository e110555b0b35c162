"""Replicas of a real checkpoint from the command line: the same numbers, whatever is killed."""

import os
import random
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from microg_bench.storage import read_journal
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.heavy
IDS = [f"{source}_{k:03}" for source in "ab" for k in range(4)]
RESULTS = ("scorecard.json", "predictions.json", "statistics.npz", "table.md")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture(scope="module")
def command(data: Path, tiny_qwen: Path) -> list[str]:
    given = {"--model": "qwen2.5-vl", "--engine": "transformers", "--data": data, "--checkpoint": tiny_qwen}
    given |= {"--metrics": "ROUGE-L", "--max-tokens": 12, "--batch-size": 1, "--num-workers": 1}
    return ["run", *(str(part) for pair in given.items() for part in pair)]


@pytest.fixture(scope="module")
def whole(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("whole")
    done = bench(*command, "--run", "r", cwd=folder, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return folder / "r"


def journalled(run: Path) -> list[str]:
    """The ids of all that the journals of a run hold."""
    return [line["id"] for file in run.glob("*/journal.jsonl") for _, line in read_journal(file)]


def same(run: Path, whole: Path) -> bool:
    return all(
        (run / task / name).read_bytes() == (whole / task / name).read_bytes()
        for task in ("caption", "vqa")
        for name in RESULTS
    )


def replicas(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The replicas of a running program."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [one for one in children if "microg_bench.runs.replicas.worker" in one.cmdline()]


def test_two_replicas_give_the_bytes_of_one_process(command: list[str], whole: Path, tmp_path: Path) -> None:
    done = bench(*command, "--run", "r", "--replicas", "2", cwd=tmp_path, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "r", whole)
    assert sorted(journalled(tmp_path / "r")) == sorted(journalled(whole))


def test_a_killed_replica_changes_nothing(command: list[str], whole: Path, tmp_path: Path) -> None:
    env = {**os.environ, **ONE_THREAD}
    process = start_bench(*command, "--run", "r", "--replicas", "2", cwd=tmp_path, env=env)
    wait_until(lambda: len(journalled(tmp_path / "r")) >= 3, process)
    random.Random(0).choice(replicas(process)).kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "its process ended (SIGKILL)" in errors, "lost, or never started where the other was faster"
    assert same(tmp_path / "r", whole)
    assert sorted(journalled(tmp_path / "r")) == sorted(journalled(whole)), "nothing is recorded twice"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_takes_its_replicas_along_and_is_resumed(
    command: list[str], whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    env = {**os.environ, **ONE_THREAD}
    process = start_bench(*command, "--run", "r", "--replicas", "2", cwd=tmp_path, env=env)
    wait_until(lambda: len(journalled(tmp_path / "r")) >= 5, process)
    own = replicas(process)
    assert len(own) == 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(own, timeout=30)
    assert alive == []
    kept = journalled(tmp_path / "r")
    done = bench(*command, "--run", "r", "--replicas", "2", cwd=tmp_path, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    assert same(tmp_path / "r", whole)
    assert set(kept) <= set(journalled(tmp_path / "r"))
    assert len(journalled(tmp_path / "r")) == len(set(journalled(tmp_path / "r")))


def test_replicas_are_refused_where_they_do_not_apply(command: list[str], tmp_path: Path) -> None:
    cases = [
        (("run", "--model", "blind", "--data", "sample", "--replicas", "2"), "--replicas"),
        ((*command, "--replicas", "0"), "--replicas"),
        ((*command, "--replicas", "2", "--ray-address", "127.0.0.1:1"), "--ray-address"),
        (("run", "--model", "server:m", "--url", "http://127.0.0.1:9", "--replicas", "2"), "--replicas"),
    ]
    for arguments, item in cases:
        done = bench(*arguments, "--run", "r", cwd=tmp_path)
        assert done.returncode != 0
        assert item in done.stderr.strip().splitlines()[-1], done.stderr
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.rglob("journal.jsonl"))
