"""A folder is written whole, whenever a process is killed; what is left is removed, what is in use is not."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microg_bench.folders import whole_folder
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.slow

KILLS = 12
WRITER = """
import sys, time
from pathlib import Path
from microg_bench.folders import whole_folder
with whole_folder(Path(sys.argv[1]), lambda out: None) as new:
    (new / "a").write_text("x")
    print("writing", flush=True)
    time.sleep(60)
"""


def accept(out: Path) -> None:
    """Anything may be replaced."""


def write(out: Path, text: str) -> None:
    with whole_folder(out, accept) as new:
        (new / "a").write_text(text)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def writing(out: Path) -> subprocess.Popen[str]:
    """A process that is writing a folder."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    own = tmp_path / ".microg-bench-of-mine.txt"
    own.write_text("mine")
    killed, alive = writing(tmp_path / "one"), writing(tmp_path / "other")
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.glob(".microg-bench-*.part"))) == 2
    write(tmp_path / "third", "x")
    (left,) = tmp_path.glob(".microg-bench-*.part")
    assert files(left) == ["new", "new/other", "new/other/a", "old"]
    alive.kill()
    alive.communicate()
    write(tmp_path / "third", "y")
    assert files(tmp_path) == [own.name, "third", "third/a"]
    assert (tmp_path / "third" / "a").read_text() == "y"


def test_what_was_moved_away_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".microg-bench-x.part" / "old" / "site").mkdir(parents=True)
    (tmp_path / ".microg-bench-x.part" / "new" / "site").mkdir(parents=True)
    write(tmp_path / "other", "x")
    assert files(tmp_path) == ["other", "other/a", "site"]


def test_a_link_with_such_a_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / ".microg-bench-x.part").symlink_to(tmp_path / "kept")
    write(tmp_path / "other", "x")
    assert (tmp_path / "kept" / "file").read_text() == "x"


def test_several_processes_write_the_same_folder(tmp_path: Path) -> None:
    code = WRITER.replace("time.sleep(60)", "time.sleep(0.01)")
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    assert files(tmp_path) == ["out", "out/a"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    data = make_dataset(folder / "set", ["a_000", "a_001", "b_000", "b_001"])
    done = bench(
        "vqa", "--model", "nearest-clip", "--data", data, "--run", "r", "--metrics", "CIDEr", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "r"


@pytest.mark.parametrize(
    "command",
    [
        ("submit", "pack", "{run}", "--into", "out"),
        ("leaderboard", "build", "--runs", "{run}", "--out", "out/site"),
    ],
)
def test_a_command_that_is_killed_again_and_again_leaves_nothing(
    command: tuple[str, ...], run: Path, tmp_path: Path
) -> None:
    arguments = [part.format(run=run) for part in command]
    out = tmp_path / "out"
    for _ in range(KILLS):
        process = start_bench(*arguments, cwd=tmp_path, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        wait_until(lambda: any(out.glob(".microg-bench-*")), process, pause=0.0005)
        time.sleep(random.random() * 0.01)
        process.kill()
        process.communicate()
        for path in out.glob("[!.]*"):
            assert len(files(path)) >= 2, "it appeared before it was whole"
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert not list(out.rglob("*.part"))
    assert len(list(out.iterdir())) == 1
