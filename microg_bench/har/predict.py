"""Logits of a network for the boxes of key frames, journalled, and the file that `har score` reads."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.dataset.shards import folder_name
from microg_bench.errors import DataError, UsageError
from microg_bench.har.checkpoints import PROJECTION, build, fill, find_checkpoint, read_facts, read_weights
from microg_bench.har.logits import Machine, look, share
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import Recipe, read_recipe
from microg_bench.har.runs import (
    AVA_ACTIONS,
    FREE,
    SETTINGS,
    Logits,
    Predicted,
    PredictSettings,
    Recognition,
    claim,
    journal_name,
    read_logits,
    recognition,
)
from microg_bench.options import Shard
from microg_bench.persons.boxes import write_detections
from microg_bench.persons.keyframes import KeyFrames, load_key_frames
from microg_bench.progress import Progress
from microg_bench.records import Record, first_fault
from microg_bench.runs.frames import clip_sha256
from microg_bench.storage import (
    FolderLock,
    Journal,
    file_sha256,
)
from microg_bench.text import first_line, listed
from microg_bench.video.pool import DecodePool


class PredictOptions(Record):
    """The options of a prediction.

    Attributes:
        checkpoint: a file, or a name of the zoo.
        recipe: "fixed" or "paper".
        split: "train", "val", "test" or "all" of the annotations; a recipe may crop "val".
        boxes: a table of boxes to look at in place of the annotations.
        shard: which part of the clips to look at, as "3/8"; None takes all.
        device: a torch device; None takes a GPU where there is one.
        batch: clips at a time, from 1; halved where memory does not suffice.
        workers: processes that decode, from 1.
    """

    checkpoint: str
    recipe: str = "fixed"
    split: str = "test"
    boxes: Path | None = None
    shard: Shard = None
    device: str | None = None
    batch: int = Field(default=8, ge=1)
    workers: int = Field(default=2, ge=1)


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
        key_frames: which boxes to look at; of these, a shard its part.
        folder: made if missing. One run writes at a time.
        options: of which `split`, `shard`, `device`, `batch` and `workers` count.
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
            settings = settings_of(recogniser, key_frames, options)
            claim(folder, SETTINGS, settings, free=FREE)
        state.wait_for_everyone()
        found, changed = read_logits(folder, key_frames)
        if changed and state.is_main_process:
            progress.note(f"the video files of {listed(changed)} have changed since they were looked at")
        asked = key_frames.shard(options.shard)
        left = share([one for one in asked if one.key not in found], state)
        progress.stage("key frames", len(found) + len(left), done=len(found))
        path = folder / journal_name(state.process_index)
        network, given = recogniser.network.to(place), recogniser.recipe.input
        digest = cache(clip_sha256)
        square = given.square_validation and options.split == "val"
        with Journal(path) as journal, DecodePool(options.workers) as pool:
            machine = Machine(pool, place, options.batch)
            for one, logits in look(network, given, left, machine, progress, square=square):
                line = Predicted(
                    video_id=one.video_id,
                    frame=one.frame,
                    logits=logits.tolist(),
                    clip_sha256=digest(one.video),
                )
                journal.append(line.model_dump())
                progress.advance()
        state.wait_for_everyone()
        return read_logits(folder, key_frames)[0]
    finally:
        if lock is not None:
            lock.release()


def _usable(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(first_line(error), item="--device") from None


def settings_of(recogniser: Recogniser, key_frames: KeyFrames, options: PredictOptions) -> PredictSettings:
    """What the folder of these predictions must have been made with."""
    return PredictSettings(
        model=recogniser.recipe.model,
        recipe=recogniser.recipe.recipe,
        checkpoint=recogniser.checkpoint,
        sha256=recogniser.sha256,
        trained_on=recogniser.trained_on,
        split=options.split,
        key_frames=key_frames.fingerprint,
        actions=recogniser.actions,
        shard=options.shard,
    )


def recognise(
    model: str,
    data: str | Path | None = None,
    *,
    run: str | Path | None = None,
    labels: LabelMap | None = None,
    progress: Progress | None = None,
    scored: bool = False,
    **options: Any,
) -> Recognition:
    """Look at the key frames of a dataset with a model, and write the detections into a folder.

    Args:
        model: as `har models` lists it.
        data: as `--data` takes it.
        run: the folder; None names one by the model, the recipe and the split, below `actions/`.
        labels: the actions; None takes the 50 of MicroG-4M.
        progress: is told of each key frame.
        scored: whether boxes without any action are refused.
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
    if scored:
        key_frames.known_truth()
    recogniser = load_recogniser(recipe, given.checkpoint, labels)
    folder = Path(run) if run else Path("actions") / f"{model}.{given.recipe}.{given.split}"
    if given.shard:
        folder /= folder_name(given.shard)
    logits = predict(recogniser, key_frames, folder, given, progress)
    settings = settings_of(recogniser, key_frames, given)
    found = recognition(folder, settings, key_frames, logits, labels)
    if PartialState().is_main_process:
        write_detections(found.path, found.detections, labels)
    PartialState().wait_for_everyone()
    return found
