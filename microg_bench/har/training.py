"""Trains a network on the boxes of key frames, as its recipe says, on one to many devices.

After each epoch the folder holds what is needed to go on; on a CPU, a killed training ends with the weights
of an undisturbed one.
"""

import csv
import io
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.har.checkpoints import RANDOM, build, fill, find_checkpoint, read_weights, save_weights
from microg_bench.har.recipe import MAX_SEED, Recipe, read_recipe
from microg_bench.har.runs import TRAINING, claim
from microg_bench.har.trainer import SCORES, Curve, Trainer, unreadable
from microg_bench.persons.keyframes import KeyFrames, load_key_frames, load_splits
from microg_bench.progress import Progress
from microg_bench.records import Record, first_fault
from microg_bench.storage import FolderLock, cause, file_sha256, write_text
from microg_bench.text import listed, many
from microg_bench.video.pool import DecodePool

STATE, BEST, CURVES = "state.pt", "best.safetensors", "curves.csv"
COLUMNS = ("epoch", "loss", "rate", "seconds", "batch", "failed", *SCORES, "val_failed")


class TrainOptions(Record):
    """The options of a training.

    Attributes:
        recipe: "fixed" or "paper".
        train_boxes: boxes with actions to train on, a table, in place of the published split.
        val_boxes: the same for evaluation; where only `train_boxes` are given, nothing is evaluated.
        checkpoint: the weights to start from, a file or a name of the zoo; None takes those of the recipe,
            "none" random ones.
        epochs: how many; None takes those of the recipe.
        batch: clips of a step that a device is given at a time; None takes those of the recipe.
        precision: "no", "fp16" or "bf16"; None takes that of the recipe, and "no" without a GPU.
        weigh_actions: whether a true action counts more the rarer it is; None takes what the recipe says.
        seed: None takes that of the recipe.
        cpu: whether to leave GPUs alone.
        workers: processes that decode, for each process that trains.
    """

    recipe: str = "fixed"
    train_boxes: Path | None = None
    val_boxes: Path | None = None
    checkpoint: str | None = None
    epochs: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    precision: Literal["no", "fp16", "bf16"] | None = None
    weigh_actions: bool | None = None
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    cpu: bool = False
    workers: int = Field(default=2, ge=1)


class TrainSettings(Record):
    """What moves a weight of a training; `batch` are the clips that a device is given at a time."""

    schema_: Literal["microg-bench/training/1"] = Field(default="microg-bench/training/1", alias="schema")
    recipe: Recipe
    batch: int
    start: str
    sha256: str
    train: str
    val: str
    labels: str


@dataclass(frozen=True, eq=False)
class Trained:
    """A training that has ended: its folder, the curves, and the best epoch with its mAP in %."""

    folder: Path
    curves: tuple[Curve, ...]
    best_epoch: int
    best_map: float | None

    @property
    def weights(self) -> Path:
        """The weights of the best epoch."""
        return self.folder / BEST

    @property
    def fault(self) -> str:
        """How many key frames could not be read, in which epochs; empty for none."""
        counts = {int(one["epoch"] or 0): _failed(one) for one in self.curves if _failed(one)}
        if not counts:
            return ""
        epochs = f"epoch{'s' if len(counts) > 1 else ''} {listed(list(map(str, counts)), shown=8)}"
        return f"{many(sum(counts.values()), 'key frame')} could not be read, in {epochs}"


@dataclass(frozen=True)
class TrainEstimate:
    """What a training would take: of one step, measured, and of all."""

    clips: int
    boxes: int
    steps: int
    epochs: int
    seconds: float
    memory: int

    @property
    def total(self) -> float:
        """Seconds of all steps."""
        return self.seconds * self.steps * self.epochs


def fit(
    trainer: Trainer,
    folder: Path,
    facts: Mapping[str, str],
    after: Callable[[Sequence[Curve]], None] | None = None,
) -> Trained:
    """Train all epochs that the folder does not have yet, evaluate where the recipe says, keep the best.

    Args:
        trainer: what to train.
        folder: holds the state after each epoch, the curves, and the best weights.
        facts: are written into the file of the best weights.
        after: is called with the curves after each epoch, in one process.
    """
    training, main = trainer.training, trainer.accelerator.is_main_process
    if (folder / STATE).is_file():
        trainer.restore(_state(folder / STATE))
    total = training.epochs * trainer.steps
    trainer.progress.stage("training", total, done=trainer.epoch * trainer.steps)
    with DecodePool(trainer.workers) as pool:
        while trainer.epoch < training.epochs:
            curve = trainer.run_epoch(pool)
            if trainer.epoch % training.evaluate_every == 0 or trainer.epoch == training.epochs:
                curve |= trainer.evaluate(pool)
            trainer.curves.append(curve)
            if main:
                _keep(trainer, folder, facts)
                trainer.progress.note(_said(curve, training.epochs))
                if after is not None:
                    after(trainer.curves)
            trainer.accelerator.wait_for_everyone()
    best = best_of(trainer.curves)
    return Trained(folder, tuple(trainer.curves), int(best["epoch"] or 0), best.get("mAP"))


def _state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, ValueError, UnpicklingError):
        raise RunError("is damaged: delete it, and the training starts again", path=path) from None
    return state


def _keep(trainer: Trainer, folder: Path, facts: Mapping[str, str]) -> None:
    """Write the weights if they are the best, then the state, which tells that the epoch is done."""
    newest = trainer.curves[-1]
    if newest is best_of(trainer.curves):
        own = {"epoch": str(trainer.epoch), **facts}
        save_weights(folder / BEST, trainer.accelerator.unwrap_model(trainer.network), own)
    write_curves(folder / CURVES, trainer.curves)
    part = folder / f"{STATE}.part"
    try:
        with part.open("wb") as file:
            torch.save(trainer.state(), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / STATE)
    except OSError as error:
        raise RunError(f"cannot be written: {cause(error)}", path=folder / STATE) from error


def _said(curve: Curve, epochs: int) -> str:
    """An epoch in a line."""
    said = [f"epoch {curve['epoch']} of {epochs}: loss {curve['loss']:.4f}"]
    said += [f"{name} {curve[name]:.2f}" for name in SCORES if curve.get(name) is not None]
    if failed := _failed(curve):
        said.append(f"{many(failed, 'key frame')} could not be read")
    if "val_failed" in curve and "mAP" not in curve:
        said.append("no mAP, as no key frame of the validation split could be read")
    return ", ".join(said)


def _failed(curve: Curve) -> int:
    """Key frames of an epoch that could not be read, in training and in evaluation."""
    return int((curve.get("failed") or 0) + (curve.get("val_failed") or 0))


def best_of(curves: Sequence[Curve]) -> Curve:
    """The epoch with the highest validation mAP, the first of equal ones; the last where none has one."""
    evaluated = [curve for curve in curves if curve.get("mAP") is not None]
    return max(evaluated, key=lambda curve: curve["mAP"] or 0.0) if evaluated else curves[-1]


def write_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Write the curves as CSV: a row an epoch; scores stand where the epoch was evaluated."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(curves)
    write_text(path, text.getvalue())


def train(
    model: str,
    data: str | Path | None = None,
    *,
    run: str | Path,
    labels: LabelMap | None = None,
    progress: Progress | None = None,
    after: Callable[[Sequence[Curve]], None] | None = None,
    **options: Any,
) -> Trained:
    """Train a model on the training split of a dataset; the same call resumes what was interrupted.

    Args:
        model: as `har models` lists it.
        data: as `--data` takes it, with boxes and actions.
        run: the folder.
        labels: the actions; None takes the 50 of MicroG-4M.
        progress: is told of each step.
        after: see `fit`.
        options: any field of `TrainOptions`.

    Raises:
        MicrogError: see `read_recipe`, `load_key_frames`, `find_checkpoint`, `fill` and `Trainer.step`; or
            the folder holds a training of other settings.
    """
    trainer, settings = prepare(model, data, labels=labels, progress=progress, **options)
    main, run = trainer.accelerator.is_main_process, Path(run)
    lock = FolderLock(run) if main else None
    try:
        if main:
            claim(run, TRAINING, settings)
        trainer.accelerator.wait_for_everyone()
        return fit(trainer, run, _facts(settings), after)
    finally:
        if lock is not None:
            lock.release()


def prepare(
    model: str,
    data: str | Path | None,
    *,
    labels: LabelMap | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[Trainer, TrainSettings]:
    """What `train` trains, and its settings."""
    try:
        given = TrainOptions.model_validate(options)
    except ValidationError as error:
        raise UsageError(first_fault(error)) from None
    labels, recipe = labels or read_label_map(), _with(read_recipe(model, given.recipe), given)
    parts = _parts(data, labels, given)
    found = None if given.checkpoint == RANDOM else find_checkpoint(given.checkpoint or recipe.pretrained)
    torch.manual_seed(recipe.training.seed)
    network = build(recipe, len(labels), found, dropout=recipe.training.dropout)
    if found is not None:
        fill(network, read_weights(found.path), found.path, recipe.random)
    machine: dict[str, Any] = given.model_dump(include={"batch", "cpu", "workers"})
    trainer = Trainer(network, recipe, *parts, labels, progress, **machine)
    settings = TrainSettings(
        recipe=recipe,
        batch=trainer.part,
        start=found.name if found else RANDOM,
        sha256=file_sha256(found.path) if found else "",
        train=parts[0].fingerprint,
        val=parts[1].fingerprint if parts[1] else "",
        labels=labels.fingerprint,
    )
    if trainer.accelerator.is_main_process:
        for line in _notes(*parts):
            trainer.progress.note(line)
    return trainer, settings


def _notes(train: KeyFrames, val: KeyFrames | None) -> Iterator[str]:
    """What of the annotations is left out, each line once, and whether the two parts share clips."""
    yield from dict.fromkeys([*train.notes, *(val.notes if val else ())])
    if val is None:
        return
    if shared := len({one.video_id for one in train.items} & {one.video_id for one in val.items}):
        yield f"{many(shared, 'clip')} {'is' if shared == 1 else 'are'} in both {train.name} and {val.name}"


def _parts(
    data: str | Path | None, labels: LabelMap, given: TrainOptions
) -> tuple[KeyFrames, KeyFrames | None]:
    """What is trained on, and what is evaluated.

    Raises:
        UsageError: only boxes for evaluation are given.
        DataError: no box has an action of the label map; see `load_key_frames` for the others.
    """
    train, *val = _read_parts(data, labels, given)
    for part in (train, *val):
        if part.truth is None:
            raise DataError("no box has an action of the label map", path=part.name)
    return train, val[0] if val else None


def _read_parts(data: str | Path | None, labels: LabelMap, given: TrainOptions) -> list[KeyFrames]:
    files = [path for path in (given.train_boxes, given.val_boxes) if path is not None]
    if not files:
        return load_splits(data, labels, ("train", "val"))
    if given.train_boxes is None:
        raise UsageError("give --train-boxes too", item="--val-boxes")
    return [load_key_frames(data, labels, boxes=path) for path in files]


def _with(recipe: Recipe, options: TrainOptions) -> Recipe:
    """The recipe with what the options change."""
    changes = {
        name: value
        for name in ("epochs", "precision", "weigh_actions", "seed")
        if (value := getattr(options, name)) is not None
    }
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _facts(settings: TrainSettings) -> dict[str, str]:
    """What the file of the weights says of itself."""
    recipe = settings.recipe
    return {
        "model": recipe.model,
        "recipe": recipe.recipe,
        "labels": settings.labels,
        "trained_on": f"{settings.start}, then {settings.train[:12]}",
    }


def estimate(trainer: Trainer) -> TrainEstimate:
    """Take one step, and measure it; nothing is written. Memory is the peak of the device in bytes.

    Raises:
        DataError: no key frame can be read; see `Trainer.step` for the others.
    """
    training = trainer.training
    with DecodePool(trainer.workers) as pool:
        ready = trainer.shown(0, pool)
        own = list(islice((one for one in ready if one is not None), trainer.own))
    device = trainer.accelerator.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.monotonic()
    trainer.network.train()
    if trainer.step(own, 0.0) is None:
        raise unreadable(trainer.steps * trainer.clips)
    seconds = time.monotonic() - began
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    boxes = sum(len(item.boxes) for item in trainer.items)
    return TrainEstimate(len(trainer.items), boxes, trainer.steps, training.epochs, seconds, memory)
