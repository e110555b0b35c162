"""The targets of the Makefile: what is said of them, and which tests they run."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.helpers.datasets import bench

ROOT = Path(__file__).resolve().parents[1]


def make(*arguments: str) -> list[str]:
    command = ["make", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_help_has_one_line_a_target_and_nothing_else() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    told = [re.fullmatch(r"make (\S+) +([A-Z].+)", line) for line in make("help")]
    assert [found[1] if found else None for found in told] == targets.split()


@pytest.mark.parametrize(
    ("target", "marker"),
    [
        ("test", "not heavy"),
        ("test-heavy", "heavy"),
        ("test-fast", "not heavy and not slow"),
        ("test-lowest", "not heavy and not slow"),
    ],
)
def test_a_target_runs_the_tests_of_its_marker_by_itself(target: str, marker: str) -> None:
    (command,) = [shlex.split(line) for line in make("--dry-run", target) if "-m pytest" in line]
    assert command[command.index("-m", 3) + 1] == marker


def test_ci_runs_the_targets_as_they_are() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    runs = [shlex.split(line) for line in lines if line.startswith("tests ")]
    assert {words[1] for words in runs} == {"test", "test-heavy", "test-lowest", "test-vllm"}
    assert {len(words) for words in runs} == {3}, "a target and the skips that are allowed"


@pytest.mark.heavy
def test_the_demo_starts_no_java(tmp_path: Path) -> None:
    """The Java that is found tells that it was started; METEOR needs none, protocol coco does."""
    pytest.importorskip("pycocoevalcap", reason="it has the data of METEOR")
    (line,) = [one for one in make("--dry-run", "demo") if "microg-bench run" in one]
    run = shlex.split(line.partition("microg-bench ")[2])
    java, started = tmp_path / "bin" / "java", tmp_path / "started"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\ntouch '{started}'\nexit 1\n")
    java.chmod(0o755)
    places = {"JAVA_HOME": str(tmp_path), "PATH": f"{java.parent}{os.pathsep}{os.environ['PATH']}"}
    done = bench(*run, cwd=tmp_path, env=places)
    assert done.returncode == 0, done.stderr
    cards = [
        json.loads(file.read_text(encoding="utf-8")) for file in tmp_path.glob("runs/*/*/scorecard.json")
    ]
    assert sorted(card["task"] for card in cards) == ["caption", "vqa"]
    assert all(card["protocol"] == "paper" and card["scores"]["METEOR"]["value"] > 0 for card in cards)
    assert not started.exists()
    bench(*run, "--protocol", "coco", "--metrics", "ROUGE-L", cwd=tmp_path, env=places)
    assert started.exists()
