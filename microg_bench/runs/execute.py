"""Asks what is left to ask: frames flow from the decoders through the adapter to the engine and the journals.

Several run variants that differ in prompt and frames alone share one engine and one decoding of each clip. A
job is the key under which its outcome comes back, so that variants may ask the same request at the same time.
An answer is written down first of all. What goes wrong with a clip or a request is its failure alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microg_bench.adapters.base import (
    Baseline,
    blamed,
    made_prompt,
    only_thoughts,
    read_answer,
    split_thoughts,
)
from microg_bench.adapters.references import References
from microg_bench.engines.base import Answered, BatchEngine, Engine, FunctionEngine, Job, Outcome
from microg_bench.errors import DecodeError, RunError
from microg_bench.progress import ASKING, Progress
from microg_bench.records import Answer, Clip, Failure, Prompt, Request, Response, TaskName, Withdrawal
from microg_bench.runs.batches import BATCHES_FILE, Batches
from microg_bench.runs.budget import Budget, confirm, open_budget
from microg_bench.runs.cache import ResponseCache
from microg_bench.runs.configure import Configuration
from microg_bench.runs.frames import (
    FrameStream,
    Shown,
    decoded,
    describe_clips,
    described,
    descriptors_of,
    open_pool,
    own_frames,
    shown_alike,
    whole_clips,
)
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import Outcomes, Usage, note_rejected, note_started, prompted, rejected_of
from microg_bench.text import listed, many
from microg_bench.video.sampling import FrameSpec, FrameUnion, union

if TYPE_CHECKING:
    from microg_bench.video.decode import Frames
    from microg_bench.video.pool import DecodePool

FAULTS_IN_A_ROW = 20  # exceptions of an adapter after which a run stops
DESCRIPTORS_FILE = "descriptors.jsonl"

Source = Callable[[Iterable["Work"]], "FrameStream[Work]"]


@dataclass(frozen=True, eq=False)
class Variant:
    """A run variant: its configuration, its runs by task, and what this start of them took.

    `changed` says why answers no longer count; they are withdrawn before anything is asked.
    """

    configuration: Configuration
    records: Mapping[TaskName, RunRecord]
    usage: Usage = field(default_factory=Usage)
    changed: dict[str, str] = field(default_factory=dict)

    def open_requests(self, clip: Clip, settled: AbstractSet[str] = frozenset()) -> tuple[Request, ...]:
        """What has no answer yet and is not among `settled`, the caption before the questions."""
        return tuple(
            request
            for request in self.configuration.requests[clip.video_id]
            if (request.id not in self.records[request.task].answers or request.id in self.changed)
            and request.id not in settled
        )

    def withdraw(self) -> None:
        """Record that the answers that have `changed` no longer count.

        Raises:
            RunError: a journal cannot be written.
        """
        for record in self.records.values():
            if names := sorted(self.changed.keys() & record.answers.keys()):
                record.add(*(Withdrawal(id=name, reason=self.changed[name]) for name in names))
        self.changed.clear()


@dataclass(frozen=True)
class Work:
    """The open requests of one clip, by variant; they are asked of one decoding. `donor`: see `Shown`."""

    clip: Clip
    requests: tuple[tuple[Variant, tuple[Request, ...]], ...]
    donor: Clip | None = None

    def __len__(self) -> int:
        return sum(len(requests) for _, requests in self.requests)


def open_work(variants: Sequence[Variant], settled: AbstractSet[str] = frozenset()) -> Iterator[Work]:
    """The work left of all variants, clip by clip in dataset order."""
    for clip in variants[0].configuration.clips:
        found = tuple((variant, variant.open_requests(clip, settled)) for variant in variants)
        if requests := tuple(pair for pair in found if pair[1]):
            donors = (variant.configuration.donors.get(clip.video_id) for variant, _ in requests)
            yield Work(clip, requests, next(filter(None, donors), None))


@dataclass(frozen=True)
class Asked:
    """Where the outcome of a job belongs: its run, the frames it shows, and its key in the response cache.

    `clip_sha256` tells the file of which the frames are; see `Answer`.
    """

    variant: Variant
    request: Request
    indices: tuple[int, ...]
    cache_key: str | None = None
    clip_sha256: str | None = None

    @property
    def record(self) -> RunRecord:
        """The run."""
        return self.variant.records[self.request.task]

    @property
    def shown_clip(self) -> str | None:
        """The clip that was shown in place of the request's, if one was."""
        donor = self.variant.configuration.donors.get(self.request.video_id)
        return donor.video_id if donor else None

    @property
    def structured(self) -> bool:
        """Whether the answer must fit a schema."""
        return bool(self.variant.configuration.generations[self.request.task].answer_schema)


async def ask(
    variants: Sequence[Variant],
    root: Path,
    progress: Progress,
    yes: bool = False,
    engine: Engine | None = None,
) -> Outcomes:
    """Ask everything that is not answered yet; returns when each request has its answer or its failure.

    Args:
        variants: they share model, engine, clips and cost limit; the options of the first count.
        root: the folder of what they share.
        progress: the callback; it is asked before money is spent.
        yes: whether money may be spent without a question.
        engine: one that other askings share, and the caller closes; None takes one for this asking alone.

    Raises:
        RunError: requests are pending in a batch, or a file is damaged or cannot be written.
        EngineError: the engine cannot be started, or cannot go on; what it answered is recorded.
        UsageError: the cost is not confirmed.
    """
    first = variants[0].configuration
    batches = _batches(root, first)
    if batches and batches.pending and not first.options.batch:
        raise RunError(
            f"{many(batches.pending, 'request')} pending in a batch; add --batch to collect them", path=root
        )
    if any(record.answers for record in _records(variants)):
        from microg_bench.runs.changes import find_changes

        find_changes(variants, root, progress)
    left = sum(map(len, open_work(variants)))
    if not left:
        return _outcomes(variants)
    for warning in first.warnings(date.today()):
        progress.note(warning)
    budget = open_budget(first, _records(variants)) if first.price else None
    if budget and not (batches and batches.pending):
        confirm(budget, open_work(variants), progress, yes)
    for variant in variants:
        variant.withdraw()
    total = sum(len(items) for variant in variants for items in variant.configuration.items.values())
    if first.options.replicas > 1 or first.options.ray_address:
        from microg_bench.runs.replicas.driver import ask_replicas

        progress.stage(ASKING, total, total - left)
        await ask_replicas(variants, progress)
    else:
        await _ask_engine(variants, root, progress, (total, total - left), batches, budget, engine)
    return _outcomes(
        variants,
        asked=True,
        pending=batches.pending if batches else 0,
        dollars=budget.spent if budget else None,
        exhausted=bool(budget and budget.exhausted),
    )


async def _ask_engine(
    variants: Sequence[Variant],
    root: Path,
    progress: Progress,
    steps: tuple[int, int],
    batches: Batches | None,
    budget: Budget | None,
    shared: Engine | None,
) -> None:
    """Ask what is open of an engine in this process; `steps` are those of all and those that are done."""
    first = variants[0].configuration
    with ExitStack() as stack:
        needed = [one for variant in variants if (one := variant.configuration.decoded)]
        spec = union(needed) if needed else None
        pool = stack.enter_context(open_pool(first.decoders)) if spec else None
        engine, source = await _engine(first, spec, pool, root, progress, shared)
        if engine is not shared:
            stack.callback(engine.close)
        engine.rejected.update(name for one in _records(variants) for name in one.rejected)
        engine.start_once(any(one.answers for one in _records(variants)))
        provenance = engine.provenance()
        execution = Execution(engine, progress, first.open_cache(provenance), budget)
        if provenance:
            await note_started(tuple(_records(variants)), engine, provenance, alone=len(variants) == 1)
        progress.stage(ASKING, *steps)
        for variant in variants:
            variant.usage.begin()
        try:
            if batches and isinstance(engine, BatchEngine):
                batches.collect(execution, engine, variants[0])
                work = batches.fitting(open_work(variants, batches.settled))
                await batches.send(execution, engine, source(work))
            else:
                await execution.run(source(open_work(variants)))
        except BaseException:
            with suppress(RunError):  # which says less than what ended the start
                _note_usage(variants, engine, pool)
            raise
        _note_usage(variants, engine, pool)


def _batches(root: Path, first: Configuration) -> Batches | None:
    """None where the batch API is and was not used."""
    path = root / BATCHES_FILE
    return Batches.read(path) if first.options.batch or path.is_file() else None


def _outcomes(variants: Sequence[Variant], **more: Any) -> Outcomes:
    records = list(_records(variants))
    recorded = tuple(record for record in records if record.has_lines)
    return Outcomes(recorded, failed=sum(len(record.failures) for record in records), **more)


def _records(variants: Sequence[Variant]) -> Iterator[RunRecord]:
    return (record for variant in variants for record in variant.records.values())


def _note_usage(variants: Sequence[Variant], engine: Engine, pool: DecodePool | None) -> None:
    for variant in variants:
        variant.usage.decoding, variant.usage.decoders = (pool.seconds, pool.workers) if pool else (0.0, 0)
        for record in variant.records.values():
            record.note(usage=variant.usage.to_json(), rejected=rejected_of(engine))


async def _engine(
    one: Configuration,
    spec: FrameSpec | FrameUnion | None,
    pool: DecodePool | None,
    root: Path,
    progress: Progress,
    shared: Engine | None,
) -> tuple[Engine, Source]:
    """The engine, started only where an asking before has, and where the frames of its clips come from."""
    if isinstance(one.adapter, Baseline):
        return await _baseline_engine(one, one.adapter, pool, root, progress)
    engine = shared or one.new_engine()
    if not engine.started:
        progress.note(f"starting engine {one.engine.name} with {one.engine_options.checkpoint}")
    if one.sends_clips:
        return engine, whole_clips
    if pool is None or spec is None:
        return engine, nothing_shown
    return engine, partial(decoded, pool=pool, spec=spec)


async def _baseline_engine(
    one: Configuration, baseline: Baseline, pool: DecodePool | None, root: Path, progress: Progress
) -> tuple[Engine, Source]:
    clips, file = one.dataset.examples or one.dataset.clips, root / DESCRIPTORS_FILE
    if pool is None:
        return FunctionEngine(function=References(clips).answering(baseline)), nothing_shown
    plain = await describe_clips(replace(one, transforms=()), clips, baseline, pool, file, progress)
    shown = plain
    if one.transforms:
        shown = await describe_clips(one, one.clips, baseline, pool, file, progress)
    references = References(clips, descriptors_of(plain), descriptors_of(shown))
    return FunctionEngine(function=references.answering(baseline)), partial(described, descriptions=shown)


async def nothing_shown(work: Iterable[Work]) -> FrameStream[Work]:
    """For models that see no video."""
    for one in work:
        yield one, Shown()


@dataclass
class Execution:
    """One pass over the open work of variants; `cache` and `budget` are None where there is none.

    `open` holds the jobs that the engine has been given and has not come back with.
    """

    engine: Engine
    progress: Progress
    cache: ResponseCache | None = None
    budget: Budget | None = None
    open: dict[Job, Asked] = field(default_factory=dict)
    _faults: int = 0
    _fault: str = ""
    _answered: bool = False

    async def run(self, frames: FrameStream[Work]) -> None:
        """Ask everything in `frames`, or as much as the budget pays for.

        Raises:
            RunError: a journal cannot be written, or the adapter fails again and again; everything recorded
                before is safe.
            EngineError: the engine cannot go on; everything recorded before is safe.
        """
        async with aclosing(self.jobs(frames)) as jobs, aclosing(self.engine.answer(jobs)) as outcomes:
            async for answered in outcomes:
                self.take(answered)
        reason = "the engine ended without an answer"
        for job in list(self.open):
            self.take([(job, Failure(id=job.request.id, stage="engine", reason=reason, retryable=True))])

    async def jobs(self, frames: FrameStream[Work]) -> AsyncGenerator[Job, None]:
        """What the engine is to be asked of all clips, as far as the budget goes."""
        async for work, shown in frames:
            for variant, requests in work.requests:
                variant.usage.clips += 1
                asks_of_persons = any(request.person for request in requests)
                for alike in shown_alike(requests) if asks_of_persons else [requests]:
                    async for job in self._jobs(variant, alike, shown):
                        yield job
            if self.budget and self.budget.exhausted:
                return

    async def _jobs(
        self, variant: Variant, requests: Sequence[Request], shown: Shown | DecodeError
    ) -> AsyncGenerator[Job, None]:
        """What it is to be asked of one clip; what fails before or is in the cache is recorded."""
        configuration = variant.configuration
        own = await own_frames(configuration, requests[0], shown) if configuration.frames else shown
        if isinstance(own, DecodeError):
            reason = str(own)
            failures = [Failure(id=one.id, stage="decode", reason=reason) for one in requests]
            asked_of = (Asked(variant, request, ()) for request in requests)
            self.record([(one, None, failure) for one, failure in zip(asked_of, failures, strict=True)])
            return
        for request, prompt in self._prompts(variant, requests, own):
            job = Job(request, prompt, own.frames, configuration.generation(request.task), own.video)
            key = self.cache.key(job) if self.cache else None
            asked = Asked(variant, request, own.indices, key, own.clip_sha256)
            if self.cache and key and (kept := self.cache.get(key, request.id)):
                self.record([(asked, None, kept)])
            elif self.budget and not await self.budget.reserve(job):
                return
            else:
                self.open[job] = asked
                variant.usage.opened()
                yield job

    def _prompts(
        self, variant: Variant, requests: Sequence[Request], shown: Shown
    ) -> list[tuple[Request, Prompt]]:
        """The prompts of one clip's requests; one that the adapter fails to make is recorded as failed."""
        one = variant.configuration
        instructions = [one.templates[request.task].render(request) for request in requests]
        found: list[tuple[Request, Prompt]] = []
        for request, instruction in zip(requests, instructions, strict=True):
            try:
                prompt = made_prompt(one.adapter, request, instruction, shown.frames)
                found.append((request, one.asked(prompt) if one.transforms else prompt))
            except Exception as error:  # an adapter is somebody else's code
                failure = blamed(one.adapter, request, "prompt", error)
                self.record([(Asked(variant, request, ()), None, failure)])
        for request, prompt in found:
            self.note_prompt(variant, request, prompt, shown.frames)
        return found

    def note_prompt(self, variant: Variant, request: Request, prompt: Prompt, frames: Frames | None) -> None:
        """Note the first prompt of each run; it is written when the engine has ended."""
        start = variant.records[request.task].starts[-1]
        if "prompted" not in start:
            start["prompted"] = prompted(request, prompt, frames)

    def take(self, answered: Answered) -> None:
        """Record what the engine made of jobs that it was given.

        Raises:
            RunError: as `record`.
        """
        asked = [(self.open.pop(job), job, outcome) for job, outcome in answered]
        for one, _, _ in asked:
            one.variant.usage.closed()
        self.record(asked)

    def record(self, asked: Sequence[tuple[Asked, Job | None, Outcome]]) -> None:
        """Write down what became of requests; the job is None where this start has not asked it.

        Raises:
            RunError: the journal cannot be written, or the adapter fails again and again.
        """
        found = self._parsed(asked)
        unrecorded = [read.id for _, read in found if isinstance(read, Answer)]
        for record in dict.fromkeys(one.record for one, _ in found):
            own = [read for one, read in found if one.record is record]
            try:
                record.add(*own)
            except RunError as error:
                raise _not_recorded(error, unrecorded) from error
            unrecorded = [name for name in unrecorded if name not in record.answers]
            note_rejected(record, self.engine)
        for (one, job, outcome), (_, read) in zip(asked, found, strict=True):
            self._settle(one, job, outcome, read)
        for one, read in found:
            one.variant.usage.count(read)
        for _, read in found:
            if isinstance(read, Failure):
                self.progress.failure(read)
            else:
                self.progress.advance()
        if self._faults >= FAULTS_IN_A_ROW:
            raise RunError(f"stopped: {self._fault}, {many(self._faults, 'request')} in a row")

    def _parsed(
        self, asked: Sequence[tuple[Asked, Job | None, Outcome]]
    ) -> list[tuple[Asked, Answer | Failure]]:
        """The answers that the adapter finds in responses, without the thoughts before them."""
        found: list[tuple[Asked, Answer | Failure]] = []
        for one, _, outcome in asked:
            if isinstance(outcome, Failure):
                if outcome.stage == "prompt":
                    self._blame(outcome)
                found.append((one, outcome))
                continue
            configuration = one.variant.configuration
            adapter, unmarked = configuration.adapter, configuration.thinks_unmarked
            schema = configuration.generations[one.request.task].answer_schema
            thoughts, text = split_thoughts(outcome.text, adapter.thinking, schema)
            reasoning = "\n\n".join(filter(None, (outcome.reasoning, thoughts))) or None
            thought = reasoning or outcome.reasoning_tokens
            ended = outcome.finish_reason in ("stop", "length")  # not by a filter, nor declined
            cut = unmarked and not thought and outcome.finish_reason == "length"
            if text is None or cut or (ended and thought and not text.strip()):
                found.append((one, self._only_thoughts(one, outcome)))
                continue
            without = {"logprob": None} if thought else {}  # that of the thoughts cannot be told apart
            said = outcome.model_copy(update={"text": text, "reasoning": reasoning, **without})
            shown = one.indices, one.clip_sha256, one.shown_clip if one.indices else None
            read = read_answer(adapter, one.request, said, *shown)
            if isinstance(read, Answer):
                self._faults, self._answered = 0, True
            elif not (one.structured and (self._answered or one.record.answers)):
                self._blame(read)  # a model that does not keep to its schema ends the run if it never does
            found.append((one, read))
        return found

    def _blame(self, failure: Failure) -> None:
        """Count what the adapter failed to do."""
        self._fault, self._faults = f"{failure.reason} ({failure.stage})", self._faults + 1

    def _only_thoughts(self, one: Asked, said: Response) -> Failure:
        """The failure of a model that thought and did not answer; if it never does, the run stops."""
        failure = only_thoughts(said, one.variant.configuration.generation(one.request.task).max_tokens)
        if not self._answered:
            self._fault, self._faults = failure.reason, self._faults + 1
        return failure

    def _settle(self, asked: Asked, job: Job | None, outcome: Outcome, read: Answer | Failure) -> None:
        """Keep a greedy answer for other runs, but not one that misses its schema; count what it cost."""
        # A model that takes no temperature is not asked for its greedy answer: chance is not shared.
        greedy = "temperature" not in self.engine.rejected
        fresh = outcome if isinstance(outcome, Response) and not outcome.from_cache else None
        unfit = isinstance(read, Failure) and asked.structured
        if self.cache and asked.cache_key and greedy and fresh and not unfit:
            self.cache.put(asked.cache_key, fresh)
        if self.budget:
            self.budget.settle(job, outcome)


def _not_recorded(error: RunError, names: Sequence[str]) -> RunError:
    """The error of a journal, with the answers that it does not hold."""
    told = f"; {many(len(names), 'answer')} not recorded and to be asked again: {listed(names)}"
    return RunError(error.reason + told * bool(names), path=error.path)
