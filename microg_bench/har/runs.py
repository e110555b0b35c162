"""A folder of predictions of actions, as `har run` leaves it: what it was made with, and its detections."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import DataError, RunError
from microg_bench.har.recipe import MODELS
from microg_bench.har.scoring import evaluate
from microg_bench.persons.boxes import Detections, read_detections
from microg_bench.persons.keyframes import GONE, KeyFrames
from microg_bench.records import Record, first_fault, validated
from microg_bench.runs.frames import clip_sha256
from microg_bench.scorecard import ModelEntry, Scorecard
from microg_bench.storage import file_sha256, read_journal, read_json, write_json
from microg_bench.text import first_line

SETTINGS, TRAINING = FILES = ("settings.json", "training.json")  # of a prediction, of a training
JOURNALS = "journal*.jsonl"  # one a process
Place = tuple[str, int, float, float, float, float]  # of a box: clip, frame, corners
Logits = dict[tuple[str, int], NDArray[np.float64]]  # of each key frame, shape (boxes, outputs)
FREE = ("checkpoint", "trained_on")  # the same weights may lie in a file of another name
AVA_ACTIONS = tuple(range(1, 81))  # the outputs of weights that were trained on AVA


def _other_evaluation(old: str, new: str) -> str:
    if old and new:
        return "was evaluated on other key frames than those given"
    return "nothing was evaluated there" if new else "key frames were evaluated there, and none are given"


# What is said where fields differ that are SHA-256 of data, by what they were and are.
OTHER_DATA: Mapping[str, Callable[[str, str], str]] = {
    "key_frames": lambda _old, _new: "looked at other key frames than those given",
    "train": lambda _old, _new: "was trained on other key frames than those given",
    "val": _other_evaluation,
    "labels": lambda _old, _new: "was made with another label map",
}


class PredictSettings(Record):
    """What moves a logit of a run: the model, its weights, what it was shown."""

    schema_: Literal["microg-bench/actions/1"] = Field(default="microg-bench/actions/1", alias="schema")
    model: str
    recipe: str
    checkpoint: str
    sha256: str
    trained_on: str
    split: str = Field(pattern=r"^[^/\\]{1,200}$")
    key_frames: str
    actions: tuple[int, ...]
    shard: str | None = None


class Predicted(Record):
    """A line of the journal: the logits of each box of a key frame, and of which file, as in `Answer`."""

    video_id: str
    frame: int
    logits: tuple[tuple[float, ...], ...]
    clip_sha256: str | None = None


@dataclass(frozen=True, eq=False)
class ActionRun:
    """A run of a model on key frames.

    Where it was `asked` in words, it has the scorecard of the answers, and why boxes have none.
    """

    folder: Path
    settings: PredictSettings
    detections: Detections
    asked: bool = False
    card: Scorecard | None = None
    failures: Mapping[Place, str] = field(default_factory=dict)


def claim(folder: Path, file: str, settings: Record, free: Collection[str] = ()) -> None:
    """Write what a folder is made with into it, or check that it was made with the same, `free` fields apart.

    Raises:
        RunError: it was made with others, which are named, or holds a run of the other kind.
    """
    if other := next((name for name in FILES if name != file and (folder / name).is_file()), None):
        raise RunError(f"is the folder of another run: it holds {other}; give another --run", path=folder)
    path, given = folder / file, settings.model_dump(mode="json", by_alias=True)
    if not path.is_file():
        write_json(path, given)
        return
    for place, old, new in differences(read_json(path), given):
        if place[0] in free:
            continue
        if place[0] in OTHER_DATA:
            raise RunError(f"{OTHER_DATA[place[0]](old, new)}: give another folder as --run", path=folder)
        said = f"is {first_line(old, 60)} there and {first_line(new, 60)} here: give another folder as --run"
        raise RunError(said, path=folder, item=".".join(place))


def differences(
    old: Any, new: Any, place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two contents of a settings file differ, and how."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*new, *old]):
            yield from differences(old.get(name), new.get(name), (*place, name))
    elif old != new:
        yield place, old, new


def detections_file(folder: Path, settings: PredictSettings) -> Path:
    """The file of the detections in the folder of a run."""
    # Tables know what was not trained on MicroG-4M by its name.
    name = f"{settings.model}-zero-shot" if settings.actions == AVA_ACTIONS else settings.model
    return folder / f"{name}.{settings.split}.csv"


def read_settings(folder: Path) -> PredictSettings:
    """What the run in a folder was made with; see `read_run`."""
    path = folder / SETTINGS
    if not path.is_file():
        reason = f"holds no {SETTINGS}: give a folder that `microg-bench har run` wrote"
        raise RunError(reason, path=folder)
    try:
        settings = validated(PredictSettings, read_json(path))
    except ValidationError as error:
        raise RunError(first_fault(error), path=path) from None
    if settings.model not in MODELS:  # its name is part of that of a file
        raise RunError("is none of the models that `microg-bench har models` lists", path=path, item="model")
    return settings


def read_run(folder: Path, labels: LabelMap) -> ActionRun:
    """Read the settings and the detections of a run.

    Raises:
        RunError: the folder holds no run, a shard, or one of another label map, or its settings are none of
            ours.
        DataError: its settings are no JSON; see `read_detections` for the others.
    """
    settings = read_settings(folder)
    if settings.shard is not None:
        reason = f"is shard {settings.shard} of a run: `microg-bench runs merge` joins the shards"
        raise RunError(reason, path=folder)
    file = detections_file(folder, settings)
    if not file.is_file():
        raise RunError(f"holds no {file.name}: the run has not ended; start it again", path=folder)
    if settings.actions not in (labels.ids, AVA_ACTIONS):
        raise RunError("has the actions of another label map: give it as --label-map", path=folder)
    return ActionRun(folder, settings, read_detections(file, labels))


def journal_name(process: int) -> str:
    """The journal of one of several processes, from 0."""
    return JOURNALS.replace("*", f"-{process}" if process else "")


def read_logits(folder: Path, key_frames: KeyFrames) -> tuple[Logits, list[str]]:
    """The logits that the journals of a folder keep, by clip and frame.

    Args:
        folder: of a run.
        key_frames: lines of another video file than theirs do not count.

    Returns:
        The logits, and the clips of lines that do not count.

    Raises:
        RunError: a line is none of ours.
    """
    found: Logits = {}
    changed: dict[str, None] = {}
    videos = {item.video_id: item.video for item in key_frames.items if item.video != GONE}
    digest = cache(clip_sha256)
    for path in sorted(folder.glob(JOURNALS)):
        for number, line in read_journal(path):
            try:
                kept = validated(Predicted, line)
            except ValidationError as error:
                raise RunError(first_fault(error), path=path, item=f"line {number}") from None
            if kept.clip_sha256 and digest(videos.get(kept.video_id)) not in (None, kept.clip_sha256):
                changed[kept.video_id] = None
            else:
                found[kept.video_id, kept.frame] = np.array(kept.logits)
    return found, list(changed)


def detections_of(
    key_frames: KeyFrames,
    logits: Logits,
    actions: Sequence[int],
    labels: LabelMap,
    name: str,
) -> Detections:
    """The boxes that have logits, with those of the actions of the label map.

    Raises:
        DataError: no box has any, or no output is an action of the label map.
    """
    columns = labels.positions(np.array(actions))
    if (columns < 0).all():
        raise DataError("no output of the model is an action of the label map", path=name)
    seen = [one for one in key_frames.items if one.key in logits]
    if not seen:
        raise DataError("no key frame could be looked at", path=name)
    scores = np.full((sum(len(one.boxes) for one in seen), len(labels)), -np.inf)
    scores[:, columns[columns >= 0]] = np.concatenate([logits[one.key] for one in seen])[:, columns >= 0]
    rows = [(one.video_id, one.frame) for one in seen for _ in one.boxes]
    return Detections(
        np.array([row[0] for row in rows], dtype=object),
        np.array([row[1] for row in rows]),
        np.concatenate([one.boxes for one in seen]),
        scores,
        name=name,
    )


@dataclass(frozen=True, eq=False)
class Recognition:
    """What `recognise` found: where it is, the detections, and how many of the key frames have none."""

    folder: Path
    path: Path
    detections: Detections
    key_frames: KeyFrames
    labels: LabelMap
    settings: PredictSettings
    failed: int

    def scorecard(self, **options: Any) -> Scorecard:
        """Their scores, with the model, its recipe and its checkpoint; `options` are those of `evaluate`.

        Raises:
            DataError: no box has an action.
        """
        truth = self.key_frames.known_truth()
        detections = replace(self.detections, sha256=file_sha256(self.path))
        card = evaluate(detections, truth, self.labels, **options)
        if card.har is None:
            raise AssertionError("a scorecard of actions has facts of actions")
        weights = {"checkpoint": self.settings.checkpoint, "checkpoint_sha256": self.settings.sha256}
        update: dict[str, Any] = {
            "model": ModelEntry(name=self.settings.model, title=self.settings.model),
            "recipe": self.settings.recipe,
            "har": card.har.model_copy(update=weights),
        }
        if self.failed:
            update["status"] = (
                f"{self.failed:,} of {len(self.key_frames):,} key frames could not be looked at"
            )
        return card.model_copy(update=update)


def recognition(
    folder: Path, settings: PredictSettings, key_frames: KeyFrames, logits: Logits, labels: LabelMap
) -> Recognition:
    """What the logits of a folder come to; of a shard, its part of the key frames."""
    path, asked = detections_file(folder, settings), key_frames.shard(settings.shard)
    detections = detections_of(key_frames, logits, settings.actions, labels, path.name)
    failed = sum(one.key not in logits for one in asked)
    return Recognition(folder, path, detections, key_frames, labels, settings, failed)
