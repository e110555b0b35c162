"""Steps, epochs and evaluations of one network, on one to many devices.

The order of the clips, their crops and what is dropped follow from the seed, the epoch and the clip alone. A
clip that cannot be read is left out and counted.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import DataError, DecodeError, EngineError
from microg_bench.har.clips import ClipTensors, decoded, shown_in_training, stacked
from microg_bench.har.logits import Machine, look, share
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import Recipe, Training
from microg_bench.har.runs import detections_of
from microg_bench.har.scoring import evaluate
from microg_bench.memory import out_of_memory, release_memory
from microg_bench.persons.keyframes import KeyFrame, KeyFrames
from microg_bench.progress import Progress
from microg_bench.records import Failure
from microg_bench.text import many
from microg_bench.video.pool import DecodePool

SCORES = ("mAP", "F1", "recall", "AUROC")
MAX_WEIGHT = 100.0  # of a true action, where actions are weighed
# Of an epoch: what `run_epoch` gives, and where it was evaluated, what `evaluate` gives.
Curve = dict[str, float | None]


class Trainer:
    """Steps, epochs and evaluations of one network; `train` makes one.

    `train` and `val` are key frames with their actions; without `val` nothing is evaluated. `labels` are the
    actions of the outputs. A device is given `batch` clips of a step at a time, by default as many as in the
    recipe.
    """

    def __init__(  # noqa: PLR0913 - all that a training is made of
        self,
        network: ActionNetwork,
        recipe: Recipe,
        train: KeyFrames,
        val: KeyFrames | None,
        labels: LabelMap,
        progress: Progress | None = None,
        *,
        batch: int | None = None,
        cpu: bool = False,
        workers: int = 2,
    ) -> None:
        self.recipe, self.training = recipe, recipe.training
        self.items, self.val, self.labels = train.items, val, labels
        self.progress = progress or Progress()
        gpu = torch.cuda.is_available() and not cpu
        self.accelerator = Accelerator(mixed_precision=self.training.precision if gpu else "no", cpu=cpu)
        self.clips = min(self.training.clips, len(self.items))
        of_device = -(-self.clips // self.accelerator.num_processes)
        self.part = min(batch or -(-self.training.clips // self.training.devices), of_device)
        self.workers = workers
        self.positive = _weights(self.items, labels) if self.training.weigh_actions else None
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer_of(network, self.training))
        self.epoch = 0
        self.curves: list[Curve] = []

    @property
    def steps(self) -> int:
        """Steps of an epoch; clips that do not fill a last one are left for another epoch."""
        return len(self.items) // self.clips

    def run_epoch(self, pool: DecodePool) -> Curve:
        """Train one epoch.

        Returns:
            Its number, mean loss, last rate, seconds, how many key frames could not be read (`failed`), and
            how many clips a device was given at a time (`batch`).

        Raises:
            DataError: no key frame could be read.
            EngineError: the loss is not finite; see `step` for the others.
        """
        epoch, began = self.epoch, time.monotonic()
        torch.manual_seed(_seed(self.training.seed, epoch, self.accelerator.process_index))
        self.network.train()
        losses, failed = [], 0
        ready = self.shown(epoch, pool)
        for step in range(self.steps):
            rate = rate_at(self.training, epoch + step / self.steps)
            own = [one for one in (next(ready) for _ in range(self.own)) if one is not None]
            failed += self.own - len(own)
            if (loss := self.step(own, rate)) is not None:
                losses.append(loss)
            self.progress.advance()
        if not losses:
            raise unreadable(self.steps * self.clips)
        if not math.isfinite(sum(losses)):
            raise EngineError(
                f"the loss of epoch {epoch + 1} is not finite: start from other weights, or at a lower rate"
            )
        self.epoch += 1
        return {
            "epoch": self.epoch,
            "loss": sum(losses) / len(losses),
            "rate": rate,
            "seconds": time.monotonic() - began,
            "failed": self._sum(failed)[0],
            "batch": self.part,
        }

    @property
    def own(self) -> int:
        """The number of clips of a step that this process takes."""
        return len(range(self.clips)[self.accelerator.process_index :: self.accelerator.num_processes])

    def shown(self, epoch: int, pool: DecodePool) -> Iterator[ClipTensors | None]:
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
                self.progress.failure(Failure(id=item.id, stage="decode", reason=pixels.reason))
                yield None
            else:
                random = np.random.default_rng((self.training.seed, epoch, index))
                yield shown_in_training(item, pixels, self.training, random, flat=flat)

    def step(self, own: Sequence[ClipTensors], rate: float) -> float | None:
        """One step over the clips of this process; where memory does not suffice, again in smaller parts.

        The loss is the mean over the boxes and actions of all processes, however the clips are divided. None
        where a process has no clip, for whose gradients the others would wait: the weights stay as they are.

        Raises:
            EngineError: not even one clip fits in memory.
        """
        boxes, idle = self._sum(sum(len(one.boxes) for one in own), int(not own))
        if idle:
            return None
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

    def _sum(self, *own: int) -> list[int]:
        """Each number of this process, added to those of the others."""
        numbers = torch.tensor(own, device=self.accelerator.device)
        total: list[int] = self.accelerator.reduce(numbers, "sum").tolist()
        return total

    def _attempt(self, own: Sequence[ClipTensors], boxes: int) -> float | str:
        """Gradients of the loss, and this process's share of it; or why memory does not suffice."""
        self.optimizer.zero_grad()
        loss = 0.0
        parts = [own[k : k + self.part] for k in range(0, len(own), self.part)]
        try:
            for k, part in enumerate(parts):
                last = k == len(parts) - 1  # after which gradients of several processes are exchanged
                with nullcontext() if last else self.accelerator.no_sync(self.network):
                    value = self._loss(part, boxes)
                    self.accelerator.backward(value * self.accelerator.num_processes)
                    loss += float(value.detach())
        except RuntimeError as error:
            if not out_of_memory(error) or self.accelerator.num_processes > 1:
                raise
            return str(error).partition("\n")[0]
        return loss

    def _loss(self, part: Sequence[ClipTensors], boxes: int) -> Tensor:
        frames, corners = stacked(part)
        device = self.accelerator.device
        with self.accelerator.autocast():
            logits = self.network(frames.to(device), corners.to(device))
        truth = torch.cat([_truth(one, self.labels) for one in part]).to(device)
        positive = None if self.positive is None else self.positive.to(device)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), truth, pos_weight=positive, reduction="sum"
        )
        return loss / (max(boxes, 1) * len(self.labels))

    def evaluate(self, pool: DecodePool) -> Curve:
        """The scores of the validation split in %, by the rules of `har score`; none without a split.

        `val_failed` is how many key frames could not be looked at; where it is all, there are no scores.
        """
        if self.val is None or self.val.truth is None:
            return {}
        network = self.accelerator.unwrap_model(self.network).eval()
        own = share(self.val.items, self.accelerator.state)
        machine = Machine(pool, self.accelerator.device, self.part)
        square = self.recipe.input.square_validation
        found = [
            (one.key, logits)
            for one, logits in look(network, self.recipe.input, own, machine, self.progress, square=square)
        ]
        logits = dict(gather_object(found))
        failed: Curve = {"val_failed": len(self.val) - len(logits)}
        if not logits:
            return failed
        detections = detections_of(self.val, logits, self.labels.ids, self.labels, self.val.name)
        card = evaluate(detections, self.val.truth, self.labels, resamples=0)
        return {name: card.scores[name].value for name in SCORES} | failed

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        scaler = self.accelerator.scaler
        return {
            "epoch": self.epoch,
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "curves": self.curves,
            "part": self.part,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.epoch, self.curves, self.part = state["epoch"], list(state["curves"]), state["part"]
        self.accelerator.unwrap_model(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])


def unreadable(count: int) -> DataError:
    """Why there is nothing to train on."""
    return DataError(f"none of {many(count, 'key frame')} could be read: nothing was trained on")


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


def _truth(one: ClipTensors, labels: LabelMap) -> Tensor:
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
