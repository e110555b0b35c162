"""The folder of a curation: footage, clips, and journals of what each stage found of each clip.

- `curation.json`: the recipe, the detector and the footage.
- `verdicts.jsonl`: a line each time that a stage judged a clip; the last one of a stage counts.
- `boxes.jsonl`: the detected persons of clips, and those of their tracks.
- `videos/real/NAME/NAME_000.mp4`, `videos/movie/…`: all clips, whatever was found of them.
- `annotation_files/bounding_boxes.csv`: the boxes of persons in clips that passed all stages.
- `annotation_files/key_frames.csv`: the box of each in its key frame, with the confidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from microg_bench.curation.detectors.base import DetectorFacts
from microg_bench.curation.recipe import STAGES, CurationRecipe, StageName
from microg_bench.dataset.annotations import safe_id
from microg_bench.errors import DataError, RunError
from microg_bench.records import Record, first_fault, validated
from microg_bench.storage import Journal, file_sha256, read_journal, read_strict_json, write_json

FACTS_FILE = "curation.json"
VERDICTS_FILE = "verdicts.jsonl"
BOXES_FILE = "boxes.jsonl"
CLIPS_FOLDER = "videos"
CHANGED = "is gone, or has changed since it was cut"
_CURATE_AGAIN = "run `microg-bench curate` again with its footage"
_CLIP = re.compile(r".+_[0-9]{3,8}")
Kind = Literal["real", "movie"]


class Footage(Record):
    """One video that clips are cut from.

    Attributes:
        name: its file name without ending, which the ids of its clips begin with.
        file: its file name.
        kind: real footage, or a movie.
        size: of the file, in bytes.
        modified: of the file, in nanoseconds since 1970.
        origin, licence, mission: as the manifest says; "" where nothing is said.
        more: what else the manifest says of it, by column.
        key: of its clips by the settings of the last start; those of another key are of earlier settings.
        cut: the key under which it was cut to its end; "" where it was not.
        fault: why nothing more could be cut; "" where all could.
    """

    name: str
    file: str
    kind: Kind = "real"
    size: int = Field(ge=0)
    modified: int
    origin: str = ""
    licence: str = ""
    mission: str = ""
    more: dict[str, str] = Field(default_factory=dict)
    key: str = ""
    cut: str = ""
    fault: str = ""


class Verdict(Record):
    """What a stage found of a clip.

    Attributes:
        clip: its id.
        stage: the stage.
        key: of the parameters, the code and the input of the stage; see `stages.keys`.
        passed: whether the clip goes on.
        reason: why not; "" where it passed.
        numbers: what was measured.
    """

    clip: str
    stage: StageName
    key: str
    passed: bool
    reason: str = ""
    numbers: dict[str, int | float | str | list[int]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tells_its_file(self) -> Verdict:
        if self.stage == "trim" and self.passed and not isinstance(self.numbers.get("sha256"), str):
            raise ValueError("a clip that was cut has a sha256")
        return self


class Box(Record):
    """A person in a frame: `frame` from 1, corners in pixels; `person` is 0 before persons are told apart."""

    frame: int = Field(ge=1)
    person: int = Field(default=0, ge=0)
    xmin: float = Field(ge=0)
    ymin: float = Field(ge=0)
    xmax: float
    ymax: float
    confidence: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _has_an_area(self) -> Box:
        if self.xmax <= self.xmin or self.ymax <= self.ymin:
            raise ValueError(f"the box in frame {self.frame} has no area")
        return self


class ClipBoxes(Record):
    """The boxes of a clip, as detected or as tracked; `key` as in `Verdict`."""

    clip: str
    of: Literal["detector", "tracks"]
    key: str
    boxes: tuple[Box, ...]

    @model_validator(mode="after")
    def _has_each_person_once_a_frame(self) -> ClipBoxes:
        known: set[tuple[int, int]] = set()
        for box in self.boxes:
            if (box.person > 0) != (self.of == "tracks"):
                raise ValueError(f"{self.of} cannot have person {box.person}")
            if box.person and (box.frame, box.person) in known:
                raise ValueError(f"person {box.person} is in frame {box.frame} twice")
            known.add((box.frame, box.person))
        return self


class CurationFacts(Record):
    """What `curation.json` holds: the recipe, what detects persons, and the footage by name.

    `detector` is None where no stage has needed one yet.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    recipe: CurationRecipe
    detector: DetectorFacts | None = None
    footage: dict[str, Footage]


@dataclass
class CurationFolder:
    """A folder of a curation; one process at a time adds to it.

    Attributes:
        path: the folder.
        facts: what `curation.json` says; None in a new one.
        verdicts: the last of each stage, by clip; on clips of earlier settings as well.
        boxes: those that were detected and those of tracks, by clip.
    """

    path: Path
    facts: CurationFacts | None = None
    verdicts: dict[str, dict[StageName, Verdict]] = field(default_factory=dict)
    boxes: dict[tuple[str, str], ClipBoxes] = field(default_factory=dict)
    _journals: dict[str, Journal] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> CurationFolder:
        """Read a folder, which may be new.

        Raises:
            RunError: a file in it is damaged, or of a later version; the line is named.
            DataError: `curation.json` cannot be read, or an id is no plain file name.
        """
        folder = cls(path, read_facts(path))
        for verdict in _records(Verdict, path / VERDICTS_FILE):
            folder._take(verdict)
        for found in _records(ClipBoxes, path / BOXES_FILE):
            folder.boxes[found.clip, found.of] = found
        return folder

    @property
    def clips(self) -> list[str]:
        """The ids of all clips that were cut by the settings of the last start, in order."""
        return [clip for clip in self._cut() if self.is_current(clip)]

    @property
    def pieces(self) -> list[str]:
        """The ids of `clips` and of those that could not be cut by these settings, in order."""
        return sorted(filter(self.is_current, self.verdicts))

    @property
    def earlier(self) -> list[str]:
        """The ids of the clips that are there, but of earlier settings or another file, in order."""
        return [clip for clip in self._cut() if not self.is_current(clip)]

    def _cut(self) -> list[str]:
        return sorted(
            clip for clip, found in self.verdicts.items() if "trim" in found and found["trim"].passed
        )

    def is_current(self, clip: str) -> bool:
        """Whether a clip was cut, or could not be cut, by the settings of the last start."""
        footage = self.facts.footage.get(_footage_name(clip)) if self.facts else None
        trimmed = self.verdicts[clip].get("trim")
        return footage is not None and trimmed is not None and trimmed.key == footage.key

    def accepted(self) -> list[str]:
        """The ids of the clips that passed all stages, the last one included."""
        return [
            clip
            for clip in self.clips
            if "key frames" in self.verdicts[clip] and all(one.passed for one in self.verdicts[clip].values())
        ]

    def boxes_of(self, clip: str) -> tuple[ClipBoxes, ...]:
        """What the detector found in a clip, and its tracks, as far as they are known and in its frames."""
        found = (self.boxes.get((clip, of)) for of in ("detector", "tracks"))
        return tuple(one for one in found if one and self._lie_in_clip(one))

    def _lie_in_clip(self, found: ClipBoxes) -> bool:
        frames = self.facts.recipe.trim.frames if self.facts else 0
        return all(box.frame <= frames for box in found.boxes)

    def lacks_boxes(self, clip: str) -> bool:
        """Whether the boxes that a clip passed with are not in `boxes.jsonl`, or not in its frames."""
        verdict = self.verdicts[clip].get("tracks")
        return verdict is not None and verdict.passed and not self.persons(clip)

    def check_boxes(self) -> None:
        """Refuse a folder without the boxes of a clip: tables would lack it.

        Raises:
            RunError: the boxes of a clip are not there; it is named.
        """
        for clip in filter(self.lacks_boxes, self.clips):
            reason = f"lacks the boxes of its tracks, or has them in frames that it has not: {_CURATE_AGAIN}"
            raise RunError(reason, path=self.path / BOXES_FILE, item=clip)

    def changed_files(self, clips: Sequence[str]) -> list[str]:
        """Those of the clips whose file is not there, or is not the one that was cut."""
        return [clip for clip in clips if sha256_of(self.video(clip)) != self.sha256(clip)]

    def sha256(self, clip: str) -> str:
        """That of the file of a clip when it was cut; "" of one that could not be cut."""
        return str(self.verdicts[clip]["trim"].numbers.get("sha256", ""))

    def check_files(self, clips: Sequence[str]) -> None:
        """Refuse clips whose files are not those that were cut.

        Raises:
            RunError: one is gone or has changed; the first is named.
        """
        if changed := self.changed_files(clips):
            others = f" (and {len(changed) - 1} more)" if changed[1:] else ""
            raise RunError(f"{CHANGED}{others}: {_CURATE_AGAIN}", path=self.video(changed[0]))

    def is_judged(self, clip: str) -> bool:
        """Whether a clip passed all stages, or was rejected by one."""
        found = self.verdicts[clip]
        is_done = "key frames" in found or not all(one.passed for one in found.values())
        return is_done and not self.lacks_boxes(clip)

    def footage_of(self, clip: str) -> Footage:
        """The footage of a clip."""
        if self.facts is None:
            raise RunError("holds no curation", path=self.path)
        return self.facts.footage[_footage_name(clip)]

    def video(self, clip: str) -> Path:
        """The file of a clip."""
        return self.path / clip_file(self.footage_of(clip).kind, clip)

    def persons(self, clip: str) -> tuple[Box, ...]:
        """The boxes of the tracks of a clip; none where it has no tracks."""
        found, verdict = self.boxes.get((clip, "tracks")), self.verdicts[clip].get("tracks")
        counts = found and verdict and found.key == verdict.key and self._lie_in_clip(found)
        return found.boxes if found and counts else ()

    def note_footage(self, name: str, **changes: str) -> None:
        """Write down what became of footage: `cut` and `fault`."""
        if self.facts is None:
            raise RunError("holds no curation", path=self.path)
        changed = self.facts.footage[name].model_copy(update=changes)
        footage = {**self.facts.footage, name: changed}
        self.write_facts(self.facts.model_copy(update={"footage": footage}))

    def write_facts(self, facts: CurationFacts) -> None:
        """Write `curation.json`."""
        self.facts = facts
        write_json(self.path / FACTS_FILE, facts.model_dump(mode="json", by_alias=True))

    def add(self, *found: Verdict | ClipBoxes) -> None:
        """Write down what was found; when this returns, it counts. Boxes go before the verdicts on them."""
        for one in found:
            name = VERDICTS_FILE if isinstance(one, Verdict) else BOXES_FILE
            if name not in self._journals:
                self._journals[name] = Journal(self.path / name)
            self._journals[name].append(one.model_dump(mode="json", exclude_defaults=True))
            if isinstance(one, Verdict):
                self._take(one)
            else:
                self.boxes[one.clip, one.of] = one

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    def _take(self, verdict: Verdict) -> None:
        known = self.verdicts.setdefault(verdict.clip, {})
        if verdict.stage == "trim" and "trim" in known and known["trim"].numbers != verdict.numbers:
            known.clear()  # what was found of another clip
        known[verdict.stage] = verdict
        if not verdict.passed:  # a clip that is rejected goes no further, whatever was found of it before
            for later in STAGES[STAGES.index(verdict.stage) + 1 :]:
                known.pop(later, None)


def read_facts(path: Path) -> CurationFacts | None:
    """What `curation.json` in a folder says; None where there is none.

    Raises:
        RunError: it is damaged, or of a later version.
        DataError: it cannot be read, or the name of footage is no plain file name.
    """
    file = path / FACTS_FILE
    if not file.exists():
        return None
    facts: CurationFacts = _record(CurationFacts, read_strict_json(file), file, "")
    for name, footage in facts.footage.items():
        if safe_id(name, file, "footage") != footage.name:
            raise RunError(f"is named {footage.name!r} as well", path=file, item=name)
    return facts


def read_curation(path: Path) -> CurationFolder:
    """The folder of a curation that is there.

    Raises:
        DataError: there is none.
        RunError: see `CurationFolder.read` and `CurationFolder.check_boxes`.
    """
    if not (path / FACTS_FILE).is_file():
        raise DataError(f"is no folder of a curation: it has no {FACTS_FILE}", path=path)
    folder = CurationFolder.read(path)
    folder.check_boxes()
    return folder


def sha256_of(clip: Path) -> str:
    """The SHA-256 of the file of a clip; "" where it cannot be read."""
    try:
        return file_sha256(clip)
    except OSError:
        return ""


def clip_id(name: str, number: int) -> str:
    """The id of a clip, which tells its footage and, in units of a clip, where it begins."""
    return f"{name}_{number:03d}"


def clip_file(kind: Kind, clip: str) -> Path:
    """Where the file of a clip is in a folder, as in the published layout."""
    return Path(CLIPS_FOLDER, kind, _footage_name(clip), f"{clip}.mp4")


def _footage_name(clip: str) -> str:
    return clip.rpartition("_")[0]


def _records(kind: type[Any], path: Path) -> Iterator[Any]:
    for number, content in read_journal(path):
        found = _record(kind, content, path, f"line {number}")
        if not _CLIP.fullmatch(safe_id(found.clip, path, f"line {number}")):
            raise RunError(f"{found.clip!r} is no id of a clip", path=path, item=f"line {number}")
        yield found


def _record(kind: type[Any], content: Any, path: Path, item: str) -> Any:
    try:
        return validated(kind, content)
    except ValidationError as error:
        raise RunError(first_fault(error), path=path, item=item) from None
