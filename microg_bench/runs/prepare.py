"""Turns options into everything that a run needs, and finds every mistake before a model is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from microg_bench.adapters import Adapter, find_adapter
from microg_bench.adapters.registry import source_sha256
from microg_bench.dataset import Dataset, load, select
from microg_bench.engines import ENGINES, EngineOptions, engine_class
from microg_bench.errors import DataError, UsageError
from microg_bench.prompts import Template, find_template
from microg_bench.records import Clip, TaskName
from microg_bench.runs.evaluate import check_protocol, task_metrics
from microg_bench.runs.settings import Options, Settings, difference
from microg_bench.suggest import unknown
from microg_bench.tasks import TASKS, Item, items_of
from microg_bench.video import FrameSpec

RUNS_FOLDER = Path("runs")
# Options that move no answer: a run goes on in its folder when only these change.
NOT_IN_HASH = {
    "tasks",
    "data",
    "batch_size",
    "device_map",
    "decoders",
    "metrics",
    "protocol",
    "sentence_model",
    "bertscore_model",
    "bertscore_layers",
    "bertscore_idf",
    "bertscore_rescale",
    "bf16",
}


@dataclass(frozen=True)
class Prepared:
    """A run, or several that share model, engine and frames, ready to be asked."""

    options: Options
    adapter: Adapter
    dataset: Dataset
    clips: tuple[Clip, ...]
    templates: dict[TaskName, Template]
    engine: str
    spec: FrameSpec | None

    @property
    def tasks(self) -> tuple[TaskName, ...]:
        """The tasks, in the order of asking."""
        return self.options.tasks

    def items(self, task: TaskName) -> tuple[Item, ...]:
        """All items of `task` that this run asks."""
        return items_of(TASKS[task], self.clips)

    @cached_property
    def engine_options(self) -> EngineOptions:
        """What the engine is started with."""
        options = self.options
        own_weights = options.checkpoint is not None and options.checkpoint != self.adapter.checkpoint
        return EngineOptions(
            checkpoint=options.checkpoint or self.adapter.checkpoint,
            revision=options.revision or (None if own_weights else self.adapter.revision),
            dtype=options.dtype,
            attention=options.attention,
            device_map=options.device_map,
            batch_size=options.batch_size,
            trust_remote_code=options.trust_remote_code,
        )

    def settings(self, task: TaskName) -> Settings:
        """Everything that moves the answers of `task`."""
        whole = not self.options.clips and self.options.limit is None
        return Settings(
            task=task,
            model=self.adapter.name,
            title=self.adapter.title,
            adapter_sha256=source_sha256(self.adapter),
            checkpoint=self.engine_options.checkpoint,
            revision=self.engine_options.revision,
            engine=self.engine,
            dtype=self.engine_options.dtype,
            attention=self.engine_options.attention,
            frames=str(self.spec) if self.spec else "none",
            prompt=self.templates[task].label if self.spec or self.engine != "function" else "none",
            generation=self.adapter.generation[task].model_copy(update={"seed": self.options.seed}),
            dataset=self.dataset.name,
            fingerprint=self.dataset.fingerprint,
            clips=None if whole else tuple(clip.video_id for clip in self.clips),
        )

    @cached_property
    def default_folder(self) -> Path:
        """`runs/MODEL-DATASET-HASH`: the same options lead to the same folder, other ones to another."""
        chosen = self.options.model_dump(mode="json", exclude=NOT_IN_HASH)
        digest = hashlib.sha256(json.dumps([chosen, self.dataset.fingerprint]).encode()).hexdigest()
        return RUNS_FOLDER / f"{self.adapter.name}-{self.dataset.name}-{digest[:6]}"


def prepare(options: Options, repeat: dict[str, Any] | None = None) -> Prepared:
    """Check `options` against what is there.

    Args:
        options: what the user asked for.
        repeat: the settings of the run that is to be repeated, if it is one.

    Raises:
        UsageError: an unknown or unfitting name, or settings other than those of the run to be repeated.
        DataError: a dataset or prompt that cannot be read, or that has nothing to ask.
        MissingExtraError: the engine's packages are not installed.
    """
    if options.model is None:
        raise UsageError("give a model: --model NAME (`microg-bench models` lists them)")
    if not options.tasks:
        raise UsageError("give at least one task: --tasks caption,vqa")
    adapter = find_adapter(options.model)
    for task in options.tasks:
        task_metrics(task, options.metrics)
    check_protocol(options.protocol)
    templates = {task: find_template(task, options.prompt) for task in options.tasks}
    spec = _frame_spec(adapter, options)
    engine = _engine(adapter, options)
    dataset = load(options.data)
    prepared = Prepared(
        options, adapter, dataset, select(dataset, options.clips, options.limit), templates, engine, spec
    )
    _check_work(prepared)
    if repeat and (changed := difference(repeat, prepared.settings(repeat["task"]).model_dump(mode="json"))):
        raise UsageError(f"--config: this would not repeat that run ({changed})")
    return prepared


def _frame_spec(adapter: Adapter, options: Options) -> FrameSpec | None:
    if adapter.sees_video:
        count = adapter.frames if options.frames is None else options.frames
        spec = FrameSpec.parse(count, options.sampling or adapter.sampling)
        if options.frames is not None and spec.count is None:
            raise UsageError(f"--sampling {spec} sets the number of frames itself: leave --frames out")
        return spec
    if options.frames is not None or options.sampling is not None:
        raise UsageError(f"model {adapter.name} sees no video: --frames and --sampling do not apply")
    return None


def _engine(adapter: Adapter, options: Options) -> str:
    """The engine asked for, or the first of the adapter's that is installed."""
    if adapter.checkpoint is None and options.checkpoint is not None:
        raise UsageError(f"model {adapter.name} has no weights: --checkpoint does not apply")
    if options.engine is not None:
        if options.engine not in ENGINES:
            raise UsageError(unknown("engine", options.engine, ENGINES))
        if options.engine not in adapter.engines:
            raise UsageError(
                f"model {adapter.name} runs on {' or '.join(adapter.engines)}, not on {options.engine}"
            )
        engine_class(options.engine)
        return options.engine
    usable = [name for name in adapter.engines if name in ENGINES and not ENGINES[name].missing()]
    if not usable:
        engine_class(next(name for name in adapter.engines if name in ENGINES))
    return usable[0]


def _check_work(prepared: Prepared) -> None:
    for task in prepared.tasks:
        if not prepared.items(task):
            raise DataError(f"{prepared.dataset.name}: none of the chosen clips has a reference for {task}")
    if prepared.spec and not any(clip.video for clip in prepared.clips):
        raise DataError(
            f"{prepared.dataset.name}: none of the chosen clips has a video, and model "
            f"{prepared.adapter.name} needs to see them; give a dataset folder as --data"
        )
