"""Runs the stages over footage: plans what is open, gives it to workers, and writes down what they find."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from microg_bench.curation.detectors.base import DetectorFacts, find_detector
from microg_bench.curation.folder import (
    BOXES_FILE,
    CHANGED,
    Box,
    ClipBoxes,
    CurationFacts,
    CurationFolder,
    Footage,
    Verdict,
    clip_file,
)
from microg_bench.curation.key_frames import choose_key_frames
from microg_bench.curation.recipe import STAGES, CurationRecipe, StageName
from microg_bench.curation.stages import ClipTask, judged_otherwise, open_stages, trim_key
from microg_bench.curation.tables import table_text
from microg_bench.curation.worker import FootageTask, Worker, WorkerLostError
from microg_bench.errors import DecodeError, EngineError, UsageError
from microg_bench.progress import Progress
from microg_bench.storage import FolderLock, write_text
from microg_bench.video.source import probe

ATTEMPTS = 2  # at a task whose process ends
BOXES_TABLE = Path("annotation_files", "bounding_boxes.csv")
KEY_FRAMES_TABLE = Path("annotation_files", "key_frames.csv")
COLUMNS = ("video_id", "frame_id", "person_id", "xmin", "ymin", "xmax", "ymax")
_NEEDS: dict[StageName, StageName] = {"key frames": "tracks"}


def processors() -> int:
    """The processors that this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class CurationPlan:
    """What a curation would do.

    Attributes:
        footage: videos.
        seconds: their length together.
        clips: those that they give, as their headers say.
        cut: those that are there.
        judged: those that passed all stages, or were rejected by one, trim included, by this recipe and by
            the detector of this name.
        earlier: those that are there, but of earlier settings.
        short: the files of footage that gives no clip, since it is shorter than one.
        faults: what is wrong with footage, by file.
        left: seconds that the rest takes, by one clip that was tried; None where nothing was tried.
        untried: why the detector cannot be loaded from this machine, so that nothing was tried.
    """

    footage: int
    seconds: float
    clips: int
    cut: int
    judged: int
    earlier: int
    short: tuple[str, ...]
    faults: dict[str, str]
    left: float | None = None
    untried: str = ""


@dataclass
class Curation:
    """A curation of footage into a folder.

    Args:
        footage: videos by file; see `find_footage`.
        out: the folder.
        recipe: the parameters of the stages.
        detector: the name of a detector.
        stages: those that are wanted.
        workers: processes.
        device: a torch device for the detector; None takes a GPU where there is one.
        progress: the callback.
        others: what is told of other footage of the curation, by name; see `find_footage`.
    """

    footage: dict[Path, Footage]
    out: Path
    recipe: CurationRecipe
    detector: str
    stages: tuple[StageName, ...] = STAGES
    workers: int = field(default_factory=processors)
    device: str | None = None
    progress: Progress = field(default_factory=Progress)
    others: dict[str, Footage] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        missing = [need for stage, need in _NEEDS.items() if stage in self.stages and need not in self.stages]
        if missing:
            raise UsageError(f"{missing[0]} is needed, too", item="--stages")
        if self._judges:
            find_detector(self.detector)  # before anything is written

    @property
    def _judges(self) -> bool:
        """Whether a stage is wanted that a detector belongs to."""
        return bool(set(self.stages) - {"trim"})

    def plan(self) -> CurationPlan:
        """What is open, and how long it takes; nothing is written, no weights are fetched. One clip is tried.

        Raises:
            UsageError: no clip is cut, and none is to be.
            EngineError: nothing can go on with the clip that is tried.
        """
        self._check_clips()
        folder = CurationFolder.read(self.out)
        seconds, clips, faults = 0.0, 0, {}
        sound: list[Path] = []
        short: list[Path] = []
        for path in self.footage:
            try:
                length = probe(path).duration
            except DecodeError as error:
                faults[path.name] = error.reason
                continue
            seconds += length
            clips += int(length // self.recipe.trim.seconds)
            (sound if length >= self.recipe.trim.seconds else short).append(path)
        facts = self._facts(folder, None)
        if self._judges and facts.detector and facts.detector.name != self.detector:
            facts = facts.model_copy(update={"detector": None})
        folder.facts = facts
        own = self._pieces(folder)
        cut = [clip for clip in own if folder.verdicts[clip]["trim"].passed]
        judged = sum(map(folder.is_judged, own)) - sum(map(folder.is_judged, judged_otherwise(folder, cut)))
        left, untried = None, ""
        if sound and judged < clips:
            tried = self._try(sound[0])
            if isinstance(tried, str):
                untried = tried
            else:
                left = (
                    max(clips - len(own), 0) * tried[0] + max(clips - judged, 0) * tried[1]
                ) / self.workers
        return CurationPlan(
            len(self.footage),
            seconds,
            clips,
            len(cut),
            judged,
            len(folder.earlier),
            tuple(path.name for path in short),
            faults,
            left,
            untried,
        )

    def _pieces(self, folder: CurationFolder) -> list[str]:
        """The clips of the footage of this start, cut or not."""
        given = {one.name for one in self.footage.values()}
        return [clip for clip in folder.pieces if folder.footage_of(clip).name in given]

    def _check_clips(self) -> None:
        """Refuse to judge clips where none is cut.

        Raises:
            UsageError: there is none of this footage by these settings, and none is to be cut.
        """
        if "trim" in self.stages:
            return
        folder = CurationFolder.read(self.out)
        folder.facts = self._facts(folder, None)
        if not self._pieces(folder):
            raise UsageError("no clip of this footage is cut by these settings: add trim", item="--stages")

    def _try(self, path: Path) -> tuple[float, float] | str:
        """The seconds that cutting a clip of footage takes, and judging it by all stages that it reaches.

        A text is why the detector cannot be loaded.
        """
        one = self.footage[path]
        with TemporaryDirectory() as scratch, _Crew(1, self.detector, self.device, offline=True) as crew:
            task = FootageTask(
                path=path.absolute(),
                name=one.name,
                kind=one.kind,
                folder=Path(scratch),
                key="",
                settings=self.recipe.trim,
                most=1,
            )
            try:
                facts = crew.facts() if self._judges else None
            except EngineError as error:
                return str(error)
            start = time.monotonic()
            found = [said for _, said in crew.do([task]) if isinstance(said, Verdict)]
            cutting = time.monotonic() - start
            if facts is None or not (found and found[0].passed):
                return cutting, 0.0
            clip = found[0]
            judged = ClipTask(
                clip=clip.clip,
                path=Path(scratch) / clip_file(one.kind, clip.clip),
                sha256=str(clip.numbers["sha256"]),
                recipe=self.recipe,
                stages=tuple(stage for stage in self.stages if stage != "trim"),
            )
            start = time.monotonic()
            list(crew.do([judged]))
            return cutting, time.monotonic() - start

    def run(self) -> CurationFolder:
        """Run the stages; what an earlier run has found is found no more.

        Raises:
            UsageError: no clip is cut, and none is to be.
            RunError: the folder cannot be written, or is written by another process; or a clip of other
                footage lacks its boxes.
            EngineError: a library is missing, or the detector cannot be loaded.
        """
        self._check_clips()
        with ExitStack() as stack:
            lock = FolderLock(self.out)
            stack.callback(lock.release)
            folder = CurationFolder.read(self.out)
            stack.callback(folder.close)
            crew = stack.enter_context(_Crew(self.workers, self.detector, self.device))
            facts = crew.facts() if self._judges else None
            folder.write_facts(self._facts(folder, facts))
            changed = folder.changed_files(folder.clips)
            if "trim" in self.stages:
                self._do(folder, crew, "cutting", list(self._footage_tasks(folder, changed)))
                changed = self._cut_again(folder, changed)
            for clip in changed:
                self._note_fault(clip, f"{CHANGED}: give its footage, and the stage trim, to cut it again")
            self._note_footage_without_clips(folder)
            if facts is not None:
                tasks = [one for one in self._clip_tasks(folder, changed) if open_stages(one, facts)]
                self._do(folder, crew, "judging", tasks)
            write_tables(folder)
        return folder

    def _cut_again(self, folder: CurationFolder, changed: Sequence[str]) -> list[str]:
        """Name the clips that were cut again since their files had changed; returns those that were not."""
        left = folder.changed_files(changed)
        for clip in changed:
            if clip not in left:
                self.progress.note(f"{clip}: its file was gone, or had changed: it was cut again")
        return left

    def _note_footage_without_clips(self, folder: CurationFolder) -> None:
        cut = {folder.footage_of(clip).name for clip in self._pieces(folder)}
        for one in self.footage.values():
            if one.name not in cut and one.file not in self.faults:
                short = f"gives no clip: it is shorter than {self.recipe.trim.seconds} s"
                why = short if "trim" in self.stages else "is not cut by these settings: add the stage trim"
                self.progress.note(f"{one.file}: {why}")

    def _facts(self, folder: CurationFolder, detector: DetectorFacts | None) -> CurationFacts:
        """What `curation.json` is to say of this start."""
        known = folder.facts
        before = known.footage if known else {}
        given = self.others | {one.name: one for one in self.footage.values()}
        footage = {name: self._noted(one, before.get(name, one)) for name, one in (before | given).items()}
        told = detector or (known.detector if known else None)
        return CurationFacts(recipe=self.recipe, detector=told, footage=footage)

    def _noted(self, footage: Footage, before: Footage) -> Footage:
        """Footage with the key of its clips; what became of it is kept where it had the same key before."""
        key = trim_key(self.recipe, footage.size, footage.modified)
        cut, fault = (before.cut, before.fault) if before.key == key else ("", "")
        return footage.model_copy(update={"key": key, "cut": cut, "fault": fault})

    def _footage_tasks(self, folder: CurationFolder, changed: Collection[str]) -> Iterator[FootageTask]:
        """The footage that is to be cut; clips whose files have changed are cut again."""
        noted = folder.facts.footage if folder.facts else {}
        pieces = self._pieces(folder)
        for path, one in self.footage.items():
            key = noted[one.name].key
            cut = {
                int(clip.rpartition("_")[2]): clip not in changed
                for clip in pieces
                if folder.footage_of(clip).name == one.name
            }
            if noted[one.name].cut == key and all(cut.values()):
                if fault := noted[one.name].fault:
                    self._note_fault(one.file, fault)
                continue
            yield FootageTask(
                path=path.absolute(),
                name=one.name,
                kind=one.kind,
                folder=self.out.absolute(),
                key=key,
                settings=self.recipe.trim,
                known=tuple(number for number, is_there in cut.items() if is_there),
            )

    def _clip_tasks(self, folder: CurationFolder, changed: Collection[str]) -> Iterator[ClipTask]:
        """The clips that may be judged: those whose files have changed are left out."""
        for clip in self._pieces(folder):
            verdicts = folder.verdicts[clip]
            if clip in changed or not verdicts["trim"].passed:
                continue
            if lacking := "tracks" in self.stages and folder.lacks_boxes(clip):
                self.progress.note(f"{clip}: {BOXES_FILE} lacks the boxes of its tracks: they are made again")
            yield ClipTask(
                clip=clip,
                path=folder.video(clip).absolute(),
                sha256=folder.sha256(clip),
                recipe=self.recipe,
                stages=tuple(stage for stage in self.stages if stage != "trim"),
                known=tuple(one for one in verdicts.values() if not (lacking and one.stage == "tracks")),
                boxes=folder.boxes_of(clip),
            )

    def _do(
        self, folder: CurationFolder, crew: _Crew, name: str, tasks: Sequence[FootageTask | ClipTask]
    ) -> None:
        self.progress.stage(name, len(tasks))
        for task, found in crew.do(tasks):
            if isinstance(found, (Verdict, ClipBoxes)):
                folder.add(found)
                if isinstance(found, Verdict) and found.stage == "trim" and not found.passed:
                    self.progress.note(f"{found.clip}: {found.reason}")
                continue
            if found.fault:
                self._note_fault(_name_of(task), found.fault)
            if isinstance(task, FootageTask) and not found.lost:
                folder.note_footage(task.name, cut=task.key, fault=found.fault)
            self.progress.advance()

    def _note_fault(self, name: str, fault: str) -> None:
        self.faults[name] = fault
        self.progress.note(f"{name}: {fault}")


def _name_of(task: FootageTask | ClipTask) -> str:
    return task.path.name if isinstance(task, FootageTask) else task.clip


def write_tables(folder: CurationFolder) -> None:
    """Write the boxes of the clips that passed all stages, and their key frames.

    Raises:
        RunError: boxes of a clip are lacking; see `CurationFolder.check_boxes`.
    """
    folder.check_boxes()
    for path, text in box_tables(folder, folder.accepted()).items():
        write_text(folder.path / path, text)


def box_tables(folder: CurationFolder, clips: Sequence[str]) -> dict[Path, str]:
    """The boxes of clips, and their key frames, in the published columns: the tables by their files."""
    boxes, chosen = [], []
    for clip in clips:
        persons = folder.persons(clip)
        boxes += [_row(clip, box) for box in persons]
        chosen += [[*_row(clip, box), f"{box.confidence:g}"] for box in choose_key_frames(persons)[1]]
    return {
        BOXES_TABLE: table_text(COLUMNS, boxes),
        KEY_FRAMES_TABLE: table_text((*COLUMNS, "confidence"), chosen),
    }


def _row(clip: str, box: Box) -> list[str]:
    corners = (box.xmin, box.ymin, box.xmax, box.ymax)
    return [clip, str(box.frame), str(box.person), *(f"{corner:g}" for corner in corners)]


@dataclass(frozen=True)
class _Ended:
    """A task has ended: what is wrong with its footage or clip, and whether its process was lost."""

    fault: str = ""
    lost: bool = False


Said = Verdict | ClipBoxes | _Ended
Task = FootageTask | ClipTask


class _Crew:
    """Worker processes, each of which a thread of this process asks; a context manager, which ends them."""

    def __init__(self, count: int, detector: str, device: str | None, *, offline: bool = False) -> None:
        self._workers = [Worker(detector, device, offline=offline) for _ in range(count)]
        self._closed = False

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        for worker in self._workers:
            worker.close()

    def facts(self) -> DetectorFacts:
        """What moves the boxes of the detector.

        Raises:
            EngineError: it cannot be loaded.
        """
        try:
            (found,) = self._workers[0].ask(None)
        except WorkerLostError as lost:
            raise EngineError(f"the detector cannot be loaded: {lost}") from None
        if not isinstance(found, DetectorFacts):
            raise AssertionError("a worker without a task tells its detector")
        return found

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Said]]:
        """What the workers find, as they find it; each task ends with an `_Ended`.

        Raises:
            EngineError: nothing can go on.
        """
        said: SimpleQueue[tuple[Task, Said | Exception] | None] = SimpleQueue()
        waiting = deque(tasks)
        threads = [Thread(target=self._work, args=(one, waiting, said), daemon=True) for one in self._workers]
        for thread in threads:
            thread.start()
        left = len(threads)
        while left:
            if (one := said.get()) is None:
                left -= 1
            elif isinstance(one[1], Exception):
                raise one[1]
            else:
                yield one[0], one[1]

    def _work(self, worker: Worker, waiting: deque[Task], said: SimpleQueue[Any]) -> None:
        with suppress(IndexError):
            while not self._closed:
                task = waiting.popleft()
                try:
                    for found in self._asked(worker, task):
                        said.put((task, found))
                except Exception as error:
                    said.put((task, error))
                    break
        said.put(None)

    def _asked(self, worker: Worker, task: Task) -> Iterator[Said]:
        """What a worker finds; where its process is lost, another one tries once more."""
        for attempt in range(ATTEMPTS):
            fault = ""
            try:
                for found in worker.ask(task):
                    if isinstance(found, str):
                        fault = found
                    elif not isinstance(found, DetectorFacts):
                        yield found
                return (yield _Ended(fault))
            except WorkerLostError as lost:
                if attempt == ATTEMPTS - 1:
                    yield _Ended(str(lost), lost=True)
