"""Trains a network on the boxes of key frames, as its recipe says, on one to many devices.

After each epoch the folder holds what is needed to go on; a killed training ends with the weights of an
undisturbed one. The order of the clips, their crops and what is dropped follow from the seed, the epoch and
the clip alone.
"""

import csv
import io
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from pydantic import Field, ValidationError
from torch import Tensor, nn

from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.errors import DataError, DecodeError, EngineError, RunError, UsageError
from microg_bench.har.checkpoints import build, fill, find_checkpoint, read_weights, save_weights
from microg_bench.har.clips import Shown, decoded, shown_in_training, stacked
from microg_bench.har.keyframes import KeyFrame, KeyFrames, load_key_frames
from microg_bench.har.logits import Machine, look, share
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.predict import detections_of
from microg_bench.har.recipe import Recipe, Training, read_recipe
from microg_bench.har.scoring import evaluate
from microg_bench.memory import out_of_memory, release_memory
from microg_bench.progress import Progress
from microg_bench.records import Failure, Record, first_fault
from microg_bench.storage import FolderLock, cause, file_sha256, read_json, write_json, write_text
from microg_bench.video.pool import DecodePool

SETTINGS, STATE, BEST, CURVES = "training.json", "state.pt", "best.safetensors", "curves.csv"
SCORES = ("mAP", "F1", "recall", "AUROC")
MAX_WEIGHT = 100.0  # of a true action, where actions are weighed
Curve = dict[str, float | None]  # of an epoch: loss, rate, seconds, and the scores where it was evaluated


class Options(Record):
    """The options of a training.

    Attributes:
        recipe: "fixed" or "paper".
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
    checkpoint: str | None = None
    epochs: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    precision: Literal["no", "fp16", "bf16"] | None = None
    weigh_actions: bool | None = None
    seed: int | None = Field(default=None, ge=0)
    cpu: bool = False
    workers: int = Field(default=2, ge=1)


class Settings(Record):
    """What moves a weight of a training."""

    schema_: Literal["microg-bench/training/1"] = Field(default="microg-bench/training/1", alias="schema")
    recipe: Recipe
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


@dataclass(frozen=True)
class Estimate:
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


class Trainer:
    """Steps, epochs and evaluations of one network; `train` makes one.

    `train` and `val` are the key frames, all of them with actions; `labels` are the actions of the outputs.
    """

    def __init__(
        self,
        network: ActionNetwork,
        recipe: Recipe,
        train: KeyFrames,
        val: KeyFrames,
        labels: LabelMap,
        options: Options,
        progress: Progress | None = None,
    ) -> None:
        self.recipe, self.training = recipe, recipe.training
        self.items, self.val, self.labels = train.items, val, labels
        self.progress = progress or Progress()
        gpu = torch.cuda.is_available() and not options.cpu
        precision = self.training.precision if gpu else "no"
        self.accelerator = Accelerator(mixed_precision=precision, cpu=options.cpu)
        world = self.accelerator.num_processes
        self.clips = min(self.training.clips, len(self.items))
        self.part = min(
            options.batch or -(-self.training.clips // self.training.devices), -(-self.clips // world)
        )
        self.workers = options.workers
        self.positive = _weights(self.items, labels) if self.training.weigh_actions else None
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer_of(network, self.training))
        self.epoch = 0
        self.curves: list[Curve] = []

    @property
    def steps(self) -> int:
        """Steps of an epoch; clips that do not fill a last one are left for another epoch."""
        return len(self.items) // self.clips

    def run_epoch(self, pool: DecodePool) -> Curve:
        """Train one epoch; return its mean loss and its last rate."""
        epoch, began = self.epoch, time.monotonic()
        torch.manual_seed(_seed(self.training.seed, epoch, self.accelerator.process_index))
        self.network.train()
        losses = []
        ready = self._shown(epoch, pool)
        for step in range(self.steps):
            rate = rate_at(self.training, epoch + step / self.steps)
            own = [one for one in (next(ready) for _ in range(self._own)) if one is not None]
            losses.append(self.step(own, rate))
            self.progress.advance()
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "loss": sum(losses) / len(losses),
            "rate": rate,
            "seconds": time.monotonic() - began,
        }

    @property
    def _own(self) -> int:
        """Clips of a step that this process takes."""
        return len(range(self.clips)[self.accelerator.process_index :: self.accelerator.num_processes])

    def _shown(self, epoch: int, pool: DecodePool) -> Iterator[Shown | None]:
        """The clips of this process in the order of the epoch; None for one that cannot be decoded."""
        order = np.random.default_rng((self.training.seed, epoch)).permutation(len(self.items))
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        chosen = [
            int(index)
            for step in range(self.steps)
            for index in order[step * self.clips : (step + 1) * self.clips][rank::world]
        ]
        flat = self.recipe.recipe == "paper"
        frames = decoded([self.items[index] for index in chosen], self.recipe.input, pool)
        for index, (item, pixels) in zip(chosen, frames, strict=True):
            if isinstance(pixels, DecodeError):
                self.progress.failure(
                    Failure(id=f"{item.video_id}#{item.frame}", stage="decode", reason=pixels.reason)
                )
                yield None
            else:
                random = np.random.default_rng((self.training.seed, epoch, index))
                yield shown_in_training(item, pixels, self.training, random, flat=flat)

    def step(self, own: Sequence[Shown], rate: float) -> float:
        """One step over the clips of this process; where memory does not suffice, again in smaller parts.

        The loss is the mean over the boxes and actions of all processes, however the clips are divided.

        Raises:
            EngineError: not even one clip fits in memory.
        """
        count = torch.tensor(float(sum(len(one.boxes) for one in own)), device=self.accelerator.device)
        boxes = float(self.accelerator.reduce(count, "sum"))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        while True:
            said = self._attempt(own, boxes)
            if isinstance(said, float):
                break
            if self.part == 1:
                raise EngineError(f"not even one clip fits in memory ({said})")
            release_memory()
            self.part = -(-self.part // 2)
            self.progress.note(f"memory is short: {self.part} clips at a time, from here on")
        if self.training.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.training.clip_norm)
        self.optimizer.step()
        total = self.accelerator.reduce(torch.tensor(said, device=self.accelerator.device), "sum")
        return float(total)

    def _attempt(self, own: Sequence[Shown], boxes: float) -> float | str:
        """Gradients of the loss, and this process's share of it; or why memory does not suffice."""
        self.optimizer.zero_grad()
        loss = 0.0
        parts = [own[k : k + self.part] for k in range(0, len(own), self.part)]
        try:
            for k, part in enumerate(parts):
                with _together(self.accelerator, self.network, last=k == len(parts) - 1):
                    value = self._loss(part, boxes)
                    self.accelerator.backward(value * self.accelerator.num_processes)
                    loss += float(value.detach())
        except RuntimeError as error:
            if not out_of_memory(error) or self.accelerator.num_processes > 1:
                raise
            return str(error).partition("\n")[0]
        return loss

    def _loss(self, part: Sequence[Shown], boxes: float) -> Tensor:
        frames, corners = stacked(part)
        device = self.accelerator.device
        with self.accelerator.autocast():
            logits = self.network(frames.to(device), corners.to(device))
        truth = torch.cat([_truth(one, self.labels) for one in part]).to(device)
        positive = None if self.positive is None else self.positive.to(device)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), truth, pos_weight=positive, reduction="sum"
        )
        return loss / (max(boxes, 1.0) * len(self.labels))

    def evaluate(self, pool: DecodePool) -> Curve:
        """The scores of the validation split in %, by the rules of `har score`."""
        network = self.accelerator.unwrap_model(self.network).eval()
        own = share(self.val.items, self.accelerator.state)
        machine = Machine(pool, self.accelerator.device, self.part)
        square = self.recipe.input.square_validation
        found = [
            (one.key, logits)
            for one, logits in look(network, self.recipe.input, own, machine, self.progress, square=square)
        ]
        logits = dict(gather_object(found))
        if not logits or self.val.truth is None:
            return {}
        detections = detections_of(self.val, logits, self.labels.ids, self.labels, self.val.name)
        card = evaluate(detections, self.val.truth, self.labels, resamples=0)
        return {name: card.scores[name].value for name in SCORES}

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        scaler = self.accelerator.scaler
        return {
            "epoch": self.epoch,
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "curves": self.curves,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.curves = state["epoch"], list(state["curves"])
        self.accelerator.unwrap_model(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def _together(accelerator: Accelerator, network: nn.Module, *, last: bool) -> Any:
    """Gradients of several processes are exchanged after the last part of a step."""
    from contextlib import nullcontext

    return nullcontext() if last else accelerator.no_sync(network)


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
        trainer.restore(torch.load(folder / STATE, map_location="cpu", weights_only=True))
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
                if after is not None:
                    after(trainer.curves)
            trainer.accelerator.wait_for_everyone()
    best = best_of(trainer.curves)
    return Trained(folder, tuple(trainer.curves), int(best["epoch"] or 0), best.get("mAP"))


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


def best_of(curves: Sequence[Curve]) -> Curve:
    """The epoch with the highest validation mAP, the first of equal ones; the last where none has one."""
    evaluated = [curve for curve in curves if curve.get("mAP") is not None]
    return max(evaluated, key=lambda curve: curve["mAP"] or 0.0) if evaluated else curves[-1]


def write_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Write the curves as CSV: a row an epoch; scores stand where the epoch was evaluated."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", "loss", "rate", "seconds", *SCORES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(curves)
    write_text(path, text.getvalue())


def rate_at(training: Training, epoch: float) -> float:
    """The rate at a time in epochs, a fraction of one included."""
    if epoch < training.warmup_epochs:
        end = _stepped(training, training.warmup_epochs)
        return training.warmup_rate + (end - training.warmup_rate) * epoch / training.warmup_epochs
    return _stepped(training, epoch)


def _stepped(training: Training, epoch: float) -> float:
    passed = [factor for step, factor in zip(training.steps, training.factors, strict=True) if step <= epoch]
    return training.rate * passed[-1]


def optimizer_of(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The optimiser of a recipe; batch normalisation has no weight decay."""
    norms = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for parameter in module.parameters()
    }
    kinds = (False, True)
    groups = [
        {
            "params": [one for one in network.parameters() if (id(one) in norms) == norm],
            "weight_decay": 0.0 if norm else training.weight_decay,
        }
        for norm in kinds
    ]
    groups = [group for group in groups if group["params"]]
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=training.rate)
    return torch.optim.SGD(groups, lr=training.rate, momentum=training.momentum or 0.0, nesterov=True)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _truth(one: Shown, labels: LabelMap) -> Tensor:
    """Which actions each box shows, shape (boxes, actions)."""
    truth = torch.zeros(len(one.kept), len(labels))
    for row, box in enumerate(one.kept):
        truth[row, labels.positions(np.array(one.key_frame.actions[box], dtype=np.int64))] = 1.0
    return truth


def _weights(items: Sequence[KeyFrame], labels: LabelMap) -> Tensor:
    """How much a true action counts: boxes without it over boxes with it, from 1 to 100."""
    counts, boxes = np.zeros(len(labels)), 0
    for item in items:
        for actions in item.actions:
            boxes += 1
            counts[labels.positions(np.array(actions, dtype=np.int64))] += 1
    return torch.from_numpy(((boxes - counts) / counts.clip(min=1)).clip(1, MAX_WEIGHT)).float()


def train(
    model: str,
    data: str | Path | None = None,
    *,
    run: Path,
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
        options: any field of `Options`.

    Raises:
        MicrogError: see `read_recipe`, `load_key_frames`, `find_checkpoint`, `fill` and `Trainer.step`; or
            the folder holds a training of other settings.
    """
    trainer, settings = prepare(model, data, labels=labels, progress=progress, **options)
    main = trainer.accelerator.is_main_process
    lock = FolderLock(run) if main else None
    try:
        if main:
            _claim(run, settings)
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
) -> tuple[Trainer, Settings]:
    """What `train` trains, and its settings."""
    try:
        given = Options.model_validate(options)
    except ValidationError as error:
        raise UsageError(first_fault(error)) from None
    labels, recipe = labels or read_label_map(), _with(read_recipe(model, given.recipe), given)
    parts = [load_key_frames(data, labels, split=split) for split in ("train", "val")]
    for part in parts:
        if part.truth is None:
            raise DataError("no box has an action of the label map", path=part.name)
    found = None if given.checkpoint == "none" else find_checkpoint(given.checkpoint or recipe.pretrained)
    torch.manual_seed(recipe.training.seed)
    network = build(recipe, len(labels), found, dropout=recipe.training.dropout)
    if found is not None:
        fill(
            network,
            read_weights(found.path),
            found.path,
            recipe.random if found.name == recipe.pretrained else (),
        )
    settings = Settings(
        recipe=recipe,
        start=found.name if found else "none",
        sha256=file_sha256(found.path) if found else "",
        train=parts[0].fingerprint,
        val=parts[1].fingerprint,
        labels=labels.fingerprint,
    )
    return Trainer(network, recipe, parts[0], parts[1], labels, given, progress), settings


def _with(recipe: Recipe, options: Options) -> Recipe:
    """The recipe with what the options change."""
    changes = {
        name: value
        for name in ("epochs", "precision", "weigh_actions", "seed")
        if (value := getattr(options, name)) is not None
    }
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _facts(settings: Settings) -> dict[str, str]:
    """What the file of the weights says of itself."""
    recipe = settings.recipe
    return {
        "model": recipe.model,
        "recipe": recipe.recipe,
        "labels": settings.labels,
        "trained_on": f"{settings.start}, then {settings.train[:12]}",
    }


def _claim(folder: Path, settings: Settings) -> None:
    path = folder / SETTINGS
    if not path.is_file():
        write_json(path, settings.model_dump(mode="json", by_alias=True))
        return
    kept = Settings.model_validate(read_json(path))
    for name in Settings.model_fields:
        if getattr(kept, name) != getattr(settings, name):
            reason = "holds a training of another one: give another folder as --run"
            raise RunError(reason, path=folder, item=name.rstrip("_"))


def estimate(trainer: Trainer) -> Estimate:
    """Take one step, and measure it; nothing is written. Memory is the peak of the device in bytes."""
    training = trainer.training
    with DecodePool(trainer.workers) as pool:
        ready = trainer._shown(0, pool)
        own = [one for one in (next(ready) for _ in range(trainer._own)) if one is not None]
    device = trainer.accelerator.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.monotonic()
    trainer.network.train()
    trainer.step(own, 0.0)
    seconds = time.monotonic() - began
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    boxes = sum(len(item.boxes) for item in trainer.items)
    return Estimate(len(trainer.items), boxes, trainer.steps, training.epochs, seconds, memory)
