"""Logits of a network for the boxes of key frames, journalled, and the file that `har score` reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.har.boxes import Detections, write_detections
from microg_bench.har.checkpoints import PROJECTION, build, fill, find_checkpoint, read_facts, read_weights
from microg_bench.har.keyframes import KeyFrames, load_key_frames
from microg_bench.har.logits import Logits, Machine, look, share
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import Recipe, read_recipe
from microg_bench.har.runs import AVA_ACTIONS, SETTINGS, PredictSettings, claim, detections_file
from microg_bench.har.scoring import evaluate
from microg_bench.progress import Progress
from microg_bench.records import Record, first_fault, validated
from microg_bench.scorecard import ModelEntry, Scorecard
from microg_bench.storage import (
    FolderLock,
    Journal,
    file_sha256,
    read_journal,
)
from microg_bench.text import first_line
from microg_bench.video.pool import DecodePool

JOURNALS = "journal*.jsonl"  # one a process


class PredictOptions(Record):
    """The options of a prediction.

    Attributes:
        checkpoint: a file, or a name of the zoo.
        recipe: "fixed" or "paper".
        split: "train", "val", "test" or "all" of the annotations; a recipe may crop "val".
        boxes: a table of boxes to look at in place of the annotations.
        device: a torch device; None takes a GPU where there is one.
        batch: clips at a time, from 1; halved where memory does not suffice.
        workers: processes that decode, from 1.
    """

    checkpoint: str
    recipe: str = "fixed"
    split: str = "test"
    boxes: Path | None = None
    device: str | None = None
    batch: int = Field(default=8, ge=1)
    workers: int = Field(default=2, ge=1)


class Predicted(Record):
    """A line of the journal: the logits of each box of a key frame."""

    video_id: str
    frame: int
    logits: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A network with its weights, the recipe that it follows, and the action that each output stands for."""

    network: ActionNetwork
    recipe: Recipe
    actions: tuple[int, ...]
    checkpoint: str
    sha256: str
    trained_on: str = ""


def load_recogniser(recipe: Recipe, checkpoint: str | Path, labels: LabelMap) -> Recogniser:
    """The network of a recipe with the weights of a checkpoint.

    Raises:
        UsageError: there is no such checkpoint.
        DataError: see `read_weights` and `fill`; or it has outputs for neither the label map nor AVA.
    """
    found = find_checkpoint(checkpoint)
    weights = read_weights(found.path, recipe.model)
    outputs = len(weights[PROJECTION[1]]) if PROJECTION[1] in weights else 0
    facts = read_facts(found.path)
    if facts.get("recipe", recipe.recipe) != recipe.recipe:
        raise UsageError(f"these weights were trained by the recipe {facts['recipe']}", item="--recipe")
    if outputs == len(AVA_ACTIONS):
        actions = AVA_ACTIONS
    elif facts.get("labels", labels.fingerprint) != labels.fingerprint:
        raise DataError("was trained on another label map: give that as --label-map", path=found.path)
    elif outputs == len(labels):
        actions = labels.ids
    else:
        reason = (
            f"has {outputs} outputs, neither the {len(labels)} actions of the label map nor the 80 of AVA: "
            "train it on them first (microg-bench har train)"
        )
        raise DataError(reason, path=found.path)
    network = build(recipe, outputs, found)
    if not fill(network, weights, found.path):
        raise DataError("has no last layer", path=found.path)
    trained_on = found.trained_on or facts.get("trained_on", "")
    return Recogniser(network.eval(), recipe, actions, found.name, file_sha256(found.path), trained_on)


def predict(
    recogniser: Recogniser,
    key_frames: KeyFrames,
    folder: Path,
    options: PredictOptions,
    progress: Progress | None = None,
) -> Logits:
    """The logits of each key frame; the folder keeps what was computed, and is resumed.

    Where several processes were launched by accelerate, each computes its share and returns all.

    Args:
        recogniser: the network; it is moved to the device.
        key_frames: which boxes to look at.
        folder: made if missing. One run writes at a time.
        options: of which `split`, `device`, `batch` and `workers` count.
        progress: is told of each key frame, and of those that failed.

    Returns:
        The logits by clip and frame; a key frame whose clip cannot be decoded has none.

    Raises:
        RunError: the folder holds a run of other settings, or cannot be written.
        EngineError: not even one clip fits in memory.
    """
    state = PartialState(cpu=options.device == "cpu")
    place = _usable(options.device) if options.device else state.device
    progress = progress or Progress()
    lock = FolderLock(folder) if state.is_main_process else None
    try:
        if lock is not None:
            # The same weights may lie in a file of another name.
            settings = settings_of(recogniser, key_frames, options.split)
            claim(folder, SETTINGS, settings, free=("checkpoint", "trained_on"))
        state.wait_for_everyone()
        found = read_logits(folder)
        left = share([one for one in key_frames.items if one.key not in found], state)
        progress.stage("key frames", len(found) + len(left), done=len(found))
        path = folder / JOURNALS.replace("*", f"-{state.process_index}" if state.process_index else "")
        network, given = recogniser.network.to(place), recogniser.recipe.input
        square = given.square_validation and options.split == "val"
        with Journal(path) as journal, DecodePool(options.workers) as pool:
            machine = Machine(pool, place, options.batch)
            for one, logits in look(network, given, left, machine, progress, square=square):
                line = Predicted(video_id=one.video_id, frame=one.frame, logits=logits.tolist())
                journal.append(line.model_dump())
                progress.advance()
        state.wait_for_everyone()
        return read_logits(folder)
    finally:
        if lock is not None:
            lock.release()


def _usable(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(first_line(error), item="--device") from None


def settings_of(recogniser: Recogniser, key_frames: KeyFrames, split: str) -> PredictSettings:
    """What the folder of these predictions must have been made with."""
    return PredictSettings(
        model=recogniser.recipe.model,
        recipe=recogniser.recipe.recipe,
        checkpoint=recogniser.checkpoint,
        sha256=recogniser.sha256,
        trained_on=recogniser.trained_on,
        split=split,
        key_frames=key_frames.fingerprint,
        actions=recogniser.actions,
    )


def read_logits(folder: Path) -> Logits:
    """The logits that the journals of a folder keep, by clip and frame.

    Raises:
        RunError: a line is none of ours.
    """
    found: Logits = {}
    for path in sorted(folder.glob(JOURNALS)):
        for number, line in read_journal(path):
            try:
                kept = validated(Predicted, line)
            except ValidationError as error:
                raise RunError(first_fault(error), path=path, item=f"line {number}") from None
            found[kept.video_id, kept.frame] = np.array(kept.logits)
    return found


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
        if self.key_frames.truth is None:
            raise DataError(
                "no box has an action: there is nothing to score against", path=self.key_frames.name
            )
        card = evaluate(self.detections, self.key_frames.truth, self.labels, **options)
        if card.har is None:
            raise AssertionError("a scorecard of actions has facts of actions")
        update: dict[str, Any] = {
            "model": ModelEntry(name=self.settings.model, title=self.settings.model),
            "recipe": self.settings.recipe,
            "har": card.har.model_copy(update={"checkpoint": self.settings.checkpoint}),
        }
        if self.failed:
            update["status"] = (
                f"{self.failed:,} of {len(self.key_frames):,} key frames could not be looked at"
            )
        return card.model_copy(update=update)


def recognise(
    model: str,
    data: str | Path | None = None,
    *,
    run: str | Path | None = None,
    labels: LabelMap | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Recognition:
    """Look at the key frames of a dataset with a model, and write the detections into a folder.

    Args:
        model: as `har models` lists it.
        data: as `--data` takes it.
        run: the folder; None names one by the model, the recipe and the split, below `actions/`.
        labels: the actions; None takes the 50 of MicroG-4M.
        progress: is told of each key frame.
        options: any field of `PredictOptions`.

    Raises:
        MicrogError: see `read_recipe`, `load_key_frames`, `load_recogniser`, `predict` and `detections_of`.
    """
    try:
        given = PredictOptions.model_validate(options)
    except ValidationError as error:
        raise UsageError(first_fault(error)) from None
    if given.boxes is not None:
        if "split" in options:
            raise UsageError("boxes of a file are taken whole: leave one of --boxes and --split out")
        given = given.model_copy(update={"split": given.boxes.name.partition(".")[0] or "boxes"})
    labels, recipe = labels or read_label_map(), read_recipe(model, given.recipe)
    key_frames = load_key_frames(data, labels, split=given.split, boxes=given.boxes)
    recogniser = load_recogniser(recipe, given.checkpoint, labels)
    folder = Path(run) if run else Path("actions") / f"{model}.{given.recipe}.{given.split}"
    logits = predict(recogniser, key_frames, folder, given, progress)
    settings = settings_of(recogniser, key_frames, given.split)
    path = detections_file(folder, settings)
    detections = detections_of(key_frames, logits, recogniser.actions, labels, path.name)
    if PartialState().is_main_process:
        write_detections(path, detections, labels)
    failed = sum(one.key not in logits for one in key_frames.items)
    return Recognition(folder, path, detections, key_frames, labels, settings, failed)
