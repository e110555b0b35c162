"""Worker processes: each cuts footage or judges clips, one at a time.

`python -m microg_bench.curation.worker DETECTOR DEVICE [--offline]` reads a `FootageTask` or `ClipTask` a
line from standard input, and writes what it finds to standard output, a line of JSON each. DEVICE may be "".
Footage is read in a process of its own, since native code that reads what anybody made may crash.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, cast

from microg_bench.children import python_path
from microg_bench.curation.detectors.base import DetectorFacts, PersonDetector, find_detector
from microg_bench.curation.folder import ClipBoxes, Kind, Verdict, clip_file, clip_id
from microg_bench.curation.recipe import Trim
from microg_bench.curation.stages import ClipTask, judge
from microg_bench.curation.trim import cut_clips
from microg_bench.errors import DecodeError, EngineError, MicrogError
from microg_bench.records import Record
from microg_bench.text import first_line

MODULE = "microg_bench.curation.worker"
OFFLINE = "--offline"


class FootageTask(Record):
    """Footage that is to be cut.

    Attributes:
        path: its file.
        name: its name.
        kind: real footage, or a movie.
        folder: that of the curation.
        key: of its clips.
        settings: how it is cut.
        known: the clips that are there.
        most: clips to cut; None for all.
    """

    path: Path
    name: str
    kind: Kind
    folder: Path
    key: str
    settings: Trim
    known: tuple[int, ...] = ()
    most: int | None = None


class Found(Record):
    """What a worker says, any of it: a verdict, boxes, the facts of its detector, or why it stopped.

    `fault` says what is wrong with the footage or clip, `error` why nothing can go on; `done` ends a task.
    """

    verdict: Verdict | None = None
    boxes: ClipBoxes | None = None
    facts: DetectorFacts | None = None
    fault: str = ""
    error: str = ""
    done: bool = False


class WorkerLostError(Exception):
    """A worker has ended; the text says how."""


class Worker:
    """A process that does one task at a time; `offline`, it takes weights that are on this machine only."""

    def __init__(self, detector: str, device: str | None, *, offline: bool = False) -> None:
        self._command = [
            sys.executable,
            "-m",
            MODULE,
            detector,
            device or "",
            *([OFFLINE] if offline else []),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, task: FootageTask | ClipTask | None) -> Iterator[Verdict | ClipBoxes | DetectorFacts | str]:
        """What it finds, as it finds it; a text is what is wrong with the footage or clip.

        Without a task, the facts of its detector.

        Raises:
            EngineError: nothing can go on, such as without a library.
            WorkerLostError: the process has ended.
        """
        process = self._started()
        name = type(task).__name__
        line = json.dumps({name: task.model_dump(mode="json") if task else None})
        try:
            cast(IO[bytes], process.stdin).write(line.encode() + b"\n")
            cast(IO[bytes], process.stdin).flush()
        except (OSError, ValueError):  # it has ended, or was closed
            raise WorkerLostError(self._end()) from None
        for said in cast(IO[bytes], process.stdout):
            found = Found.model_validate_json(said)
            if found.error:
                raise EngineError(found.error)
            if found.done:
                return
            yield found.verdict or found.boxes or found.facts or found.fault
        raise WorkerLostError(self._end())

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": python_path()} | threads,
                start_new_session=True,  # Ctrl-C is for the process that started it
            )
        return self._process

    def _end(self) -> str:
        process, self._process = self._process, None
        if process is None:
            return "it was closed"
        code = process.wait()
        _close(process)
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return f"the process that read it ended ({how})"

    def close(self) -> None:
        """End the process; safe to call twice, and from another thread."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe to a process that has ended; what it did not read is lost."""
    with suppress(OSError):
        cast(IO[bytes], process.stdin).close()


class _Served:
    """What a worker process does; the detector is made when it is needed."""

    def __init__(self, detector: str, device: str | None) -> None:
        self._name, self._device = detector, device

    @cached_property
    def detector(self) -> PersonDetector:
        return find_detector(self._name)(self._device)

    @cached_property
    def facts(self) -> DetectorFacts:
        one = self.detector
        return DetectorFacts(name=self._name, facts=one.facts(), thresholds=one.thresholds)

    def answer(self, kind: str, content: Any) -> Iterator[Found]:
        try:
            if kind == "FootageTask":
                yield from (Found(verdict=one) for one in _cut(FootageTask.model_validate(content)))
            elif kind == "ClipTask":
                for one in judge(ClipTask.model_validate(content), self.detector, self.facts):
                    yield Found(boxes=one) if isinstance(one, ClipBoxes) else Found(verdict=one)
            else:
                yield Found(facts=self.facts)
        except DecodeError as error:
            yield Found(fault=error.reason)
        except MicrogError as error:
            yield Found(error=str(error))
        except Exception as error:  # a detector is somebody else's code
            yield Found(error=f"detector {self._name}: {type(error).__name__}: {first_line(error)}")


def _cut(task: FootageTask) -> Iterator[Verdict]:
    def out(number: int) -> Path:
        return task.folder / clip_file(task.kind, clip_id(task.name, number))

    for piece in islice(cut_clips(task.path, task.settings, out, task.known), task.most):
        if piece.sha256 or piece.reason:
            yield Verdict(
                clip=clip_id(task.name, piece.number),
                stage="trim",
                key=task.key,
                passed=not piece.reason,
                reason=piece.reason,
                numbers={"sha256": piece.sha256} if piece.sha256 else {},
            )


def main(arguments: Sequence[str]) -> None:
    """Serve the process that started this one until its pipe closes."""
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the reports
    if OFFLINE in arguments:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when a library that loads weights is imported
    served = _Served(arguments[0], arguments[1] or None)
    try:
        for line in sys.stdin.buffer:
            ((kind, content),) = json.loads(line).items()
            for found in chain(served.answer(kind, content), [Found(done=True)]):
                reports.write(found.model_dump_json(exclude_defaults=True).encode() + b"\n")
                reports.flush()
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
