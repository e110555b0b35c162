"""Turns options into everything that a run needs, and finds every mistake before a model is loaded."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microg_bench.adapters.base import Adapter, generation_of, without_media
from microg_bench.adapters.registry import adapters_of, source_sha256, usable_adapter
from microg_bench.dataset.clip_labels import read_clip_labels
from microg_bench.dataset.load import SAMPLE, SAMPLE_FOLDER, Dataset, load, locate, select
from microg_bench.engines.base import BatchEngine, Engine
from microg_bench.engines.registry import CLOSED, asked_of_servers, choose_engine
from microg_bench.engines.vendors import announced_end, check_address
from microg_bench.errors import DataError, UsageError
from microg_bench.options import CLIENTS, OF_PERSONS, WEIGHTS, Options, flag, takes
from microg_bench.privacy import SECRET, outgoing, secrets_in
from microg_bench.prompts import Wording, find_template
from microg_bench.records import Clip, Generation, Prompt, Request, TaskName, Thinking, ThinkingLevel
from microg_bench.runs.budget import Price, find_price
from microg_bench.runs.cache import ResponseCache, open_cache
from microg_bench.runs.start import model_title, package_sha256
from microg_bench.settings import Media, Settings
from microg_bench.tasks import HAR, TASKS, Item, items_of
from microg_bench.video.sampling import FrameSpec

if TYPE_CHECKING:
    from microg_bench.video.transforms import Transform

RUNS_FOLDER = Path("runs")
ARGUMENTS = ("engine_args", "processor_args")
LEAST_DECODERS, MOST_DECODERS = 2, 8  # where none are asked for


@dataclass(frozen=True)
class Configuration:
    """One run variant, resolved and checked: its runs, one a task, share model, engine, clips and frames.

    `given` are the `options` that differ from their defaults, as JSON; `engine_options` are the options with
    the weights that are to be asked. `thinking` is the level that is asked for, None where it is left to the
    engine, or the model does not think. `only` are the ids of the requests that are asked, None for all of
    the clips'. `paraphrases` are asked in place of questions; see `Settings`. `checkpoint_sha256` identifies
    the weights in a local folder. `texts` is what the task "text" asks; each is the item of a clip without
    video. `generations` tell how the model writes in each task.
    """

    options: Options
    given: dict[str, Any]
    adapter: Adapter
    dataset: Dataset
    clips: tuple[Clip, ...]
    templates: Mapping[TaskName, Wording]
    engine: type[Engine]
    engine_options: Options
    frames: FrameSpec | None
    transforms: "tuple[Transform, ...]" = ()
    thinking: ThinkingLevel | None = None
    only: frozenset[str] | None = None
    paraphrases: Mapping[str, str] = field(default_factory=dict)
    checkpoint_sha256: str | None = None
    texts: tuple[Item, ...] = ()
    generations: Mapping[TaskName, Generation] = field(default_factory=dict)

    @cached_property
    def title(self) -> str:
        """What tables call the model."""
        weights = self.engine_options
        return model_title(self.adapter, weights.checkpoint, weights.revision, self.checkpoint_sha256)

    @property
    def tasks(self) -> tuple[TaskName, ...]:
        """The tasks, in the order of asking."""
        return tuple(self.templates)

    @property
    def decoded(self) -> FrameSpec | None:
        """The frames to decode; None where none are shown."""
        return None if any(one.name == "no-frames" for one in self.transforms) else self.frames

    def asked(self, prompt: Prompt) -> Prompt:
        """An adapter's prompt as it is asked: without its frames, where none are shown."""
        return prompt if self.frames is None or self.decoded else without_media(prompt)

    @cached_property
    def donors(self) -> Mapping[str, Clip]:
        """The clips that are shown in place of others, by the ids of these; see `choose_donors`."""
        if not self.transforms:
            return {}
        from microg_bench.runs.transforms import choose_donors

        return choose_donors(self)

    @property
    def sends_clips(self) -> bool:
        """Whether the model is sent the file of a clip, not frames of it."""
        return self.engine_options.media == "clip"

    @cached_property
    def items(self) -> dict[TaskName, tuple[Item, ...]]:
        """All items that are asked, by task."""
        return {
            task: self.texts
            if task == "text"
            else items_of(TASKS[task], self.clips, self.only, self.paraphrases)
            for task in self.tasks
        }

    @cached_property
    def requests(self) -> dict[str, tuple[Request, ...]]:
        """All requests by the id of their clip, the caption before the questions."""
        found: dict[str, list[Request]] = {clip.video_id: [] for clip in self.clips}
        for items in self.items.values():
            for item in items:
                found[item.request.video_id].append(item.request)
        return {clip: tuple(requests) for clip, requests in found.items()}

    def generation(self, task: TaskName) -> Generation:
        """How the model writes: as its adapter says, and as the options change it."""
        changed = self.options.model_dump(include={"max_tokens", "temperature", "top_p"}, exclude_none=True)
        own = self.generations[task]
        if self.thinking not in (None, "off") and self.adapter.thinking:
            longest = max(own.max_tokens, self.adapter.thinking.max_tokens)
            own = own.model_copy(update={"max_tokens": longest})
        return own.model_copy(update={**changed, "seed": self.options.seed})

    @cached_property
    def thinks_unmarked(self) -> bool:
        """Whether text without marks may be a thought that does not end: a server writes no opening mark."""
        return self.engine.name == "server" and self.thinking not in (None, "off")

    @property
    def switches(self) -> Mapping[str, Any]:
        """What is sent so that the model thinks as it should."""
        if self.thinking is None or self.adapter.thinking is None:
            return {}
        return _levels(self.adapter.thinking, self.engine)[self.thinking]

    @property
    def decoders(self) -> int:
        """Processes that decode, for each replica: as many as are asked for, else as processors allow."""
        cores = len(os.sched_getaffinity(0)) // (2 * self.options.replicas)
        return self.options.num_workers or min(MOST_DECODERS, max(LEAST_DECODERS, cores))

    def new_engine(self) -> Engine:
        """The engine of a model with weights or behind an API, not started."""
        adapter, marks = self.adapter, (self.adapter.thinking or Thinking()).marks
        return self.engine(self.engine_options, loader=adapter.loader, thinking=self.switches, marks=marks)

    @cached_property
    def adapter_sha256(self) -> str:
        """What the adapter is made of."""
        return source_sha256(self.adapter)

    @property
    def identity(self) -> dict[str, str | None]:
        """The hashes of what is read from files before a clip is, by what it is."""
        prompts = {f"prompt for {task}": str(one.identity) for task, one in self.templates.items()}
        own = {"source of microg-bench": package_sha256(), "checkpoint": self.checkpoint_sha256}
        return {**own, "adapter": self.adapter_sha256, **prompts}

    @property
    def described_with(self) -> str:
        """What a description of a clip depends on beside the clip."""
        changed = [*map(str, self.transforms), f"seed {self.options.seed}"] if self.transforms else []
        return " ".join([str(self.frames), self.adapter_sha256[:16], *changed])

    def warnings(self, today: date) -> list[str]:
        """What the user must know before the model is asked, a line each."""
        found = []
        chosen = self.options.data is not None or self.texts
        if not chosen and self.dataset.name == SAMPLE and locate(None) == SAMPLE_FOLDER:
            found.append(
                f"MicroG-4M was not fetched: this is the sample set of {len(self.dataset.clips)} clips, "
                "which is no benchmark; `microg-bench data fetch` downloads the dataset"
            )
        if self.engine_options.checkpoint != (self.options.checkpoint or self.adapter.checkpoint):
            asked = f"asks {self.engine_options.checkpoint}, the one model that the server has"
            found.append(f"{asked}, not {self.adapter.checkpoint}; --checkpoint names another")
        if ":" in (name := self.adapter.name):
            own = adapters_of(self.adapter.checkpoint)
            found += [f"{name} is asked in the plain form; --model {one} is made for it" for one in own]
        closed = self.engine.name in CLOSED
        if closed and (end := announced_end(self.engine.name, self.engine_options.checkpoint)):
            found.append(end.words(today))
        return found

    def settings(self, task: TaskName) -> Settings:
        """Everything that moves the answers of `task`."""
        options, given = self.engine_options, self.options
        every = not given.clips and given.limit is None and given.shard is None
        same = ("checkpoint", "revision", "dtype", "attn_implementation", "quantization", *ARGUMENTS)
        prompted = self.engine.name != "function" or self.adapter.sees_video
        return Settings(
            task=task,
            model=self.adapter.name,
            title=self.title,
            adapter_sha256=self.adapter_sha256,
            checkpoint_sha256=self.checkpoint_sha256,
            engine=self.engine.name,
            frames=self.frames,
            media=self._media,
            prompt=self.templates[task].identity if prompted else None,
            generation=self.generation(task),
            thinking=(self.thinking or "engine default") if self.adapter.thinking else None,
            transforms=tuple(map(str, self.transforms)),
            boxes=given.boxes if task == HAR else None,
            dataset=self.dataset.name,
            fingerprint=self.dataset.fingerprints.get(task, self.dataset.fingerprint),
            clips=None if every else tuple(clip.video_id for clip in self.clips),
            requests=None if self.only is None else tuple(one.request.id for one in self.items[task]),
            paraphrases=dict(self.paraphrases),
            shard=given.shard,
            **{name: getattr(options, name) for name in same},
        )

    @property
    def _media(self) -> Media | None:
        """How frames are sent to a server; None for an engine in this process, which gets the arrays."""
        engine, options = self.engine.name, self.options
        if engine not in CLIENTS:
            return None
        if self.sends_clips:
            return Media(kind="clip")
        detail = options.detail if takes(engine, "detail") else None
        kind = self.engine_options.media or "images"
        return Media(kind=kind, jpeg_quality=options.jpeg_quality, detail=detail)

    @cached_property
    def price(self) -> Price | None:
        """What tokens cost; None where it is not known, or nothing is paid for."""
        if self.engine.name not in CLOSED and not self.options.prices:
            return None
        file = Path(self.options.prices) if self.options.prices else None
        return find_price(self.engine.name, self.engine_options.checkpoint, file)

    @cached_property
    def default_folder(self) -> Path:
        """`runs/MODEL-DATASET-HASH`: other options, references or local weights lead to another folder."""
        weights = [self.checkpoint_sha256] if self.checkpoint_sha256 else []
        moved_by = json.dumps([self.options.answer_options(), self.dataset.fingerprint, *weights])
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", outgoing(self.adapter.name))
        dataset = re.sub(r"[\[\]]", "", outgoing(self.dataset.name))
        digest = hashlib.sha256(moved_by.encode()).hexdigest()[:6]
        return RUNS_FOLDER / f"{name}-{dataset}-{digest}"

    def shard_folder(self, root: Path) -> Path:
        """The folder of the runs: `root`, or below it that of this shard."""
        if self.options.shard is None:
            return root
        from microg_bench.dataset.shards import folder_name

        return root / folder_name(self.options.shard)

    def cached_under(self, provenance: Mapping[str, str]) -> dict[str, Any]:
        """Everything but the request that moves an answer, for the response cache."""
        names = {"model", "checkpoint", "revision", "engine", "dtype", "attn_implementation", "quantization"}
        names |= {"checkpoint_sha256", "media", *ARGUMENTS}
        known = self.settings(self.tasks[0]).model_dump(mode="json", include=names)
        return {**known, "provenance": dict(provenance)}

    def open_cache(self, provenance: Mapping[str, str]) -> ResponseCache | None:
        """The response cache, where one is asked for; `provenance` is what the engine tells of itself.

        Raises:
            UsageError: its folder cannot be made.
        """
        folder = self.options.cache
        return open_cache(Path(folder), self.cached_under(provenance)) if folder else None


def configure(
    options: Options,
    dataset: Dataset | None = None,
    note: Callable[[str], None] = lambda text: None,
    named_by_file: Sequence[str] = (),
) -> Configuration:
    """Check `options` against what is there.

    Args:
        options: what the user asked for.
        dataset: the dataset, where it has been loaded already.
        note: is told what takes long.
        named_by_file: the addresses of servers that a file gave, not the user; no key of a vendor goes there.

    Raises:
        UsageError: an unknown or unfitting name or option, or a key would go where a file says.
        DataError: a dataset, prompt or table that cannot be read, or that has nothing to ask.
        MissingExtraError: the engine's packages are not installed.
        EngineError: the weights in a local folder cannot be read.
    """
    one = resolve(options, named_by_file)
    if HAR in options.tasks or one.given.keys() & OF_PERSONS:
        from microg_bench.runs.persons import load_persons

        dataset = load_persons(one, dataset, note)
    dataset = dataset or load(options.data)
    one = replace(one, dataset=dataset, clips=select(dataset, options.clips, options.limit))
    _check_work(one)
    if options.actions and one.tasks != (HAR,):
        read_clip_labels(Path(options.actions))
    check_cost(one)
    if options.shard:
        from microg_bench.dataset.shards import divide_clips, numbers

        number, count = numbers(options.shard)
        one = replace(one, clips=divide_clips(one.clips, count)[number - 1])
    return identified(one, note)


def resolve(
    options: Options,
    named_by_file: Sequence[str] = (),
    engine: type[Engine] | None = None,
    texts: tuple[Adapter, Wording] | None = None,
) -> Configuration:
    """Model, prompts, frames and engine of `options`, without a dataset; see `configure`.

    Args:
        options: what the user asked for.
        named_by_file: see `configure`.
        engine: the engine, where it has been chosen already.
        texts: what reads texts, and in which words it is asked about them; None for the tasks of `options`.
    """
    if options.model is None:
        raise UsageError("give a model: --model NAME (`microg-bench models` lists them)")
    _check_secrets(options)
    if named_by_file:
        check_address(named_by_file)
    if not options.tasks:
        raise UsageError("give at least one task: --tasks caption,vqa")
    adapter = texts[0] if texts else usable_adapter(options.model)
    templates: dict[TaskName, Wording] = {"text": texts[1]} if texts else {}
    templates |= {} if texts else {task: find_template(task, options.prompt) for task in options.tasks}
    frames = _frames(adapter, options)
    if adapter.checkpoint is None and options.checkpoint is not None:
        raise UsageError(f"does not apply: model {adapter.name} has no weights", item="--checkpoint")
    engine = engine or choose_engine(adapter.name, adapter.engines, adapter.architecture, options)
    thinking = _thinking(adapter, options, engine)
    engine_options = _engine_options(adapter, options, engine)
    if named_by_file:
        check_address(named_by_file, engine.name)
    own = adapter.generation
    generations = {task: generation_of(adapter, task) if task == HAR else own[task] for task in templates}
    engine.check(engine_options)
    for wanted in generations.values():
        if wanted.answer_schema:
            engine.check_generation(wanted)
    if engine.name in CLIENTS:
        engine_options = asked_of_servers(adapter, options, engine_options, engine)
    return Configuration(
        options,
        options.given(),
        adapter,
        Dataset("", (), ""),
        (),
        templates,
        engine,
        engine_options,
        frames,
        _transforms(options) if options.transforms else (),
        thinking,
        generations=generations,
    )


def _check_secrets(options: Options) -> None:
    """Refuse options that hold a secret, which run.json would keep; the UsageError names the option alone."""
    held = (flag(name) for name, value in options if SECRET.search(str(value)))
    arguments = secrets_in(options.engine_args) if options.engine_args else ()
    if found := next((f"{flag('engine_args')} {name}" for name in arguments), next(held, None)):
        raise UsageError("holds a key, token or login; give it in the environment instead", item=found)


def identified(one: Configuration, note: Callable[[str], None] = lambda text: None) -> Configuration:
    """With the content of the weights, where they are loaded here from a folder.

    Raises:
        EngineError: they cannot be read.
    """
    checkpoint = one.engine_options.checkpoint
    if not checkpoint or not _loads(one.engine, one.options):
        return one
    from microg_bench.engines.checkpoint import content_sha256

    return replace(one, checkpoint_sha256=content_sha256(checkpoint, note))


def _loads(engine: type[Engine], options: Options) -> bool:
    """Whether the engine loads weights on this machine."""
    return engine.name in WEIGHTS and (engine.name != "server" or options.serve)


def _engine_options(adapter: Adapter, options: Options, engine: type[Engine]) -> Options:
    """The options with the weights of the adapter, where none are given."""
    own_weights = options.checkpoint is not None and options.checkpoint != adapter.checkpoint
    loads = _loads(engine, options)
    pinned = loads and not own_weights
    stated = {**(_processor_args(adapter, pinned) if loads else {}), **options.processor_args}
    return options.model_copy(
        update={
            "checkpoint": options.checkpoint or adapter.checkpoint,
            "revision": options.revision or (adapter.revision if pinned else None),
            "processor_args": {name: value for name, value in stated.items() if value is not None},
        }
    )


def _processor_args(adapter: Adapter, pinned: bool) -> dict[str, Any]:
    """What the adapter states; sizes belong to its checkpoint, and other weights bring their own."""
    return {name: value for name, value in adapter.processor_args.items() if pinned or "size" not in name}


def _thinking(adapter: Adapter, options: Options, engine: type[Engine]) -> ThinkingLevel | None:
    """The level that is asked for.

    Raises:
        UsageError: the model does not think, or the engine does not know the level.
    """
    asked, declared = options.thinking, adapter.thinking
    if declared is None:
        if asked is not None:
            reason = f"does not apply: the adapter of {adapter.name} declares no thinking"
            raise UsageError(reason, item=flag("thinking"))
        return None
    level = asked or declared.default
    known = _levels(declared, engine)
    if level is not None and level not in known:
        reason = f"{level} is not known for {adapter.name} on engine {engine.name}"
        raise UsageError(f"{reason} (known: {', '.join(known) or 'none'})", item=flag("thinking"))
    return level


def _levels(declared: Thinking, engine: type[Engine]) -> Mapping[ThinkingLevel, Mapping[str, Any]]:
    """How each level is asked for: as the adapter declares, or as the engine does by itself."""
    return declared.switches.get(engine.name, {}) if declared.switches else engine.thinking_switches


def _frames(adapter: Adapter, options: Options) -> FrameSpec | None:
    given = next((name for name in ("frames", "sampling") if getattr(options, name) is not None), None)
    if options.media == "clip":
        if given:
            raise UsageError("does not apply: --media clip sends the whole file", item=flag(given))
        return None
    if adapter.sees_video:
        count = adapter.frames if options.frames is None else options.frames
        spec = FrameSpec.parse(count, options.sampling or adapter.sampling)
        if options.frames is not None and spec.count is None:
            raise UsageError(f"--sampling {spec} sets the number of frames itself: leave --frames out")
        return spec
    if given:
        raise UsageError(f"does not apply: model {adapter.name} sees no video", item=flag(given))
    return None


def _transforms(options: Options) -> "tuple[Transform, ...]":
    from microg_bench.runs.transforms import read_transforms

    return read_transforms(options)


def _check_work(one: Configuration) -> None:
    for task in one.tasks:
        if not _asks(one, task):
            raise DataError(f"none of the chosen clips has a reference for {task}", item=one.dataset.name)
    if (one.decoded or one.sends_clips) and not any(clip.video for clip in one.clips):
        raise DataError(
            f"none of the chosen clips has a video, and model {one.adapter.name} needs to see them; "
            "give a dataset folder as --data (`microg-bench data check` names videos that are not used)",
            item=one.dataset.name,
        )


def _asks(one: Configuration, task: TaskName) -> bool:
    """Whether there is anything to ask. Items of clips that are yet to be divided are not kept."""
    if one.options.shard is None:
        return bool(one.items[task])
    return any(items_of(TASKS[task], [clip], one.only) for clip in one.clips)


def check_cost(one: Configuration) -> None:
    """Refuse a limit of cost that cannot be kept, and a batch API that is not there (UsageError)."""
    if one.price is None and one.options.max_cost is not None:  # in this order: --prices is always read
        raise UsageError(
            f"no price is known for {one.adapter.name} on engine {one.engine.name}; "
            "give one with --prices FILE.toml",
            item="--max-cost",
        )
    if one.options.max_cost is not None and (one.options.replicas > 1 or one.options.ray_address):
        raise UsageError("does not apply to replicas, which run weights of your own", item="--max-cost")
    if one.options.batch and not issubclass(one.engine, BatchEngine):
        raise UsageError(f"engine {one.engine.name} has no batch API", item="--batch")
