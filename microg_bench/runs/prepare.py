"""Turns options into everything that a run needs, and finds every mistake before a model is loaded."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from microg_bench.adapters import Adapter, find_adapter
from microg_bench.adapters.registry import source_sha256
from microg_bench.dataset import Dataset, load, select
from microg_bench.engines import ENGINES, EngineOptions, Job, engine_class
from microg_bench.engines.architectures import unsupported
from microg_bench.engines.batch import BatchEngine
from microg_bench.errors import DataError, UsageError
from microg_bench.prompts import Template, find_template
from microg_bench.records import Clip, Generation, TaskName
from microg_bench.runs.cache import files_state
from microg_bench.runs.cost import Estimate, Price, estimate, find_price
from microg_bench.runs.evaluate import check_protocol, task_metrics
from microg_bench.runs.plan import Work
from microg_bench.runs.settings import AnswerOptions, Options, Settings, difference
from microg_bench.suggest import unknown
from microg_bench.tasks import TASKS, Item, items_of
from microg_bench.video import FrameSpec

RUNS_FOLDER = Path("runs")
_CLIP_S, _CLIP_FPS = 3.0, 30.0  # of MicroG-4M, for estimates


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
        return _engine_options(self.adapter, self.options, self.engine)

    @property
    def whole(self) -> bool:
        """Whether the model is sent the file of a clip, not frames of it."""
        return self.options.media == "clip"

    def generation(self, task: TaskName) -> Generation:
        """How the model writes: as its adapter says, and as the options change it."""
        changed = self.options.model_dump(include={"max_tokens", "temperature", "top_p"}, exclude_none=True)
        return self.adapter.generation[task].model_copy(update={**changed, "seed": self.options.seed})

    def settings(self, task: TaskName) -> Settings:
        """Everything that moves the answers of `task`."""
        every = not self.options.clips and self.options.limit is None
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
            quantization=self.engine_options.quantization,
            engine_args=self.engine_options.engine_args,
            frames="clip" if self.whole else str(self.spec) if self.spec else "none",
            media=self._media,
            prompt=self.templates[task].label if self.adapter.sees_video or self._asks else "none",
            generation=self.generation(task),
            dataset=self.dataset.name,
            fingerprint=self.dataset.fingerprint,
            clips=None if every else tuple(clip.video_id for clip in self.clips),
        )

    @cached_property
    def price(self) -> Price | None:
        """What tokens cost; None where it is not known, or nothing is paid for."""
        file = Path(self.options.prices) if self.options.prices else None
        return find_price(self.engine, self.engine_options.checkpoint, file)

    def estimate(self, work: Iterable[Work], price: Price) -> Estimate:
        """What asking `work` would take."""
        spec = self.spec
        frames = 0
        if spec:
            frames = spec.count or round(_CLIP_S * (spec.rate or _CLIP_FPS))
        jobs = (
            Job(
                request,
                self.adapter.prompt(request, self.templates[request.task].render(request), None),
                None,
                self.generation(request.task),
            )
            for one in work
            for request in one.requests
        )
        return estimate(jobs, price, frames, self.options.batch)

    def cached_under(self, provenance: Mapping[str, str]) -> dict[str, Any]:
        """Everything but the request that moves an answer, for the response cache."""
        names = {"model", "checkpoint", "revision", "engine", "dtype", "attention", "quantization"}
        settings = self.settings(self.tasks[0])
        told = settings.model_dump(mode="json", include=names | {"engine_args", "media"})
        return {**told, "engine_says": dict(provenance), "files": files_state(settings.checkpoint)}

    @property
    def _asks(self) -> bool:
        return self.engine != "function"

    @property
    def _media(self) -> str | None:
        """How frames travel to a server; None for an engine in this process, which gets them as they are."""
        if "media" not in engine_class(self.engine).takes:
            return None
        given = self.options
        if given.media == "clip":
            return "clip"
        return f"{given.media or 'images'}, jpeg {given.jpeg_quality}, detail {given.detail}"

    @cached_property
    def default_folder(self) -> Path:
        """`runs/MODEL-DATASET-HASH`: the same options lead to the same folder, other ones to another."""
        chosen = self.options.model_dump(mode="json", include=set(AnswerOptions.model_fields))
        digest = hashlib.sha256(json.dumps([chosen, self.dataset.fingerprint]).encode()).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.adapter.name)
        return RUNS_FOLDER / f"{name}-{self.dataset.name}-{digest[:6]}"


def prepare(options: Options, repeat: dict[str, Any] | None = None) -> Prepared:
    """Check `options` against what is there.

    Args:
        options: what the user asked for.
        repeat: the settings of the run that is to be repeated, if it is one.

    Raises:
        UsageError: an unknown or unfitting name or option, or settings other than those of the run that is
            to be repeated.
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
    engine_class(engine).check(_engine_options(adapter, options, engine))
    dataset = load(options.data)
    prepared = Prepared(
        options, adapter, dataset, select(dataset, options.clips, options.limit), templates, engine, spec
    )
    _check_work(prepared)
    _check_cost(prepared)
    if repeat and (changed := difference(repeat, prepared.settings(repeat["task"]).model_dump(mode="json"))):
        raise UsageError(f"--config: this would not repeat that run ({changed})")
    return prepared


def _engine_options(adapter: Adapter, options: Options, engine: str) -> EngineOptions:
    """The options that the engine has, with the weights of the adapter where no others are given."""
    common = set(EngineOptions.model_fields) & set(Options.model_fields)
    own_weights = options.checkpoint is not None and options.checkpoint != adapter.checkpoint
    pinned = "revision" in engine_class(engine).takes and not own_weights
    weights = {
        "checkpoint": options.checkpoint or adapter.checkpoint,
        "revision": options.revision or (adapter.revision if pinned else None),
        "loader": adapter.loader if "loader" in engine_class(engine).takes else None,
    }
    return EngineOptions(**{**options.model_dump(include=common), **weights})


def _frame_spec(adapter: Adapter, options: Options) -> FrameSpec | None:
    if options.media == "clip":
        if options.frames is not None or options.sampling is not None:
            raise UsageError("--media clip sends the whole file: --frames and --sampling do not apply")
        return None
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
    """The engine asked for, `server` where one is named, or the first of the adapter's that is installed."""
    if adapter.checkpoint is None and options.checkpoint is not None:
        raise UsageError(f"model {adapter.name} has no weights: --checkpoint does not apply")
    if options.engine is not None:
        if options.engine not in ENGINES:
            raise UsageError(unknown("engine", options.engine, ENGINES))
        if options.engine not in adapter.engines:
            raise UsageError(
                f"model {adapter.name} runs on {' or '.join(adapter.engines)}, not on {options.engine}"
            )
        return _able(adapter, options.engine)
    if "server" in adapter.engines and (options.urls or options.serve):
        return "server"
    known = [name for name in adapter.engines if name in ENGINES and name != "server"] or ["server"]
    here = [name for name in known if not ENGINES[name].missing()]
    usable = [name for name in here if not unsupported(name, adapter.architecture)]
    return _able(adapter, next(iter(usable + here), known[0]))


def _able(adapter: Adapter, engine: str) -> str:
    if problem := unsupported(engine, adapter.architecture):
        raise UsageError(f"model {adapter.name} cannot run on engine {engine} here: {problem}")
    return engine


def _check_work(prepared: Prepared) -> None:
    for task in prepared.tasks:
        if not prepared.items(task):
            raise DataError(f"{prepared.dataset.name}: none of the chosen clips has a reference for {task}")
    if (prepared.spec or prepared.whole) and not any(clip.video for clip in prepared.clips):
        raise DataError(
            f"{prepared.dataset.name}: none of the chosen clips has a video, and model "
            f"{prepared.adapter.name} needs to see them; give a dataset folder as --data"
        )


def _check_cost(prepared: Prepared) -> None:
    options = prepared.options
    if prepared.price is None and options.max_cost is not None:
        raise UsageError(
            f"--max-cost: no price is known for {prepared.adapter.name} on engine {prepared.engine}; "
            "give one with --prices FILE.toml"
        )
    if options.batch and not issubclass(engine_class(prepared.engine), BatchEngine):
        raise UsageError(f"engine {prepared.engine} has no --batch")
