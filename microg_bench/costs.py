"""Cost of running on board: a few clips of a run are asked about again, one request at a time, and timed.

A computer on board answers one request at a time. In a run many are answered together, some come from a
cache, and some were answered on another machine, so that its times say little. Answers of a measurement are
not kept.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from microg_bench.adapters.base import blamed, made_prompt
from microg_bench.api import in_loop
from microg_bench.dataset.load import Dataset
from microg_bench.engines.base import Engine, Job, Outcome
from microg_bench.engines.checkpoint import weight_bytes
from microg_bench.errors import DataError, EngineError, MicrogError, RunError, UsageError
from microg_bench.hardware import Gpu, hardware, peak_memory, reset_peaks
from microg_bench.progress import Progress, Show, shown
from microg_bench.records import Clip, Failure, Response
from microg_bench.runs.again import TRUST, check_names, check_same, configured_again
from microg_bench.runs.configure import Configuration
from microg_bench.runs.cost import CostReport, Delay, Measurement, PeakMemory, add_measurement
from microg_bench.runs.preview import shown_frames
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.runs.start import provenance
from microg_bench.tasks import HAR, shuffled

CLIPS = 20
LOCAL = ("transformers", "vllm")  # engines that hold the weights on this machine, and can tell of them
# What may be given: where a model runs and its adapter, which move no answer.
OPTIONS = (
    *("data", "device_map", "tensor_parallel_size", "pipeline_parallel_size", "gpu_memory_utilization"),
    *("max_model_len", TRUST, "model"),
)
_ALONE = {"batch_size": 1, "max_concurrency": 1}
_NO_GPU_MEMORY = "the engine does not tell how much memory of its GPUs it took"
_ASKED_AGAIN = "an answer that misses its schema is asked for again"


@dataclass(frozen=True)
class Timed:
    """A request that was answered: seconds until its end and until its first token, where that is known.

    `opens` tells whether it was the first request about its clip.
    """

    response: Response
    seconds: float
    first: float | None
    opens: bool


@dataclass
class Timings:
    """What was answered, by clip, and what failed."""

    answered: dict[str, list[Timed]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def all(self) -> list[Timed]:
        """The requests of all clips."""
        return [one for own in self.answered.values() for one in own]

    def check(self, record: RunRecord) -> None:
        """Accept that something was answered.

        Raises:
            EngineError: nothing was; the first failure is told.
        """
        if not self.answered:
            raise EngineError(f"answered nothing: {self.failures[0].reason}", item=record.settings.title)

    def first_token(self) -> Delay | None:
        """The time to the first token of the first request about each clip."""
        seconds = [one.first for one in self.all if one.opens and one.first is not None]
        if not seconds:
            return None
        median, p95 = (float(np.quantile(seconds, share)) for share in (0.5, 0.95))
        return Delay(median=_rounded(median), p95=_rounded(p95), requests=len(seconds))

    def tokens_per_second(self) -> float | None:
        """Tokens after the first by the time that they took."""
        told = [
            (one.response.output_tokens - 1, one.seconds - one.first)
            for one in self.all
            if one.first is not None and one.response.output_tokens and one.response.output_tokens > 1
        ]
        tokens, seconds = (sum(part) for part in zip(*told, strict=True)) if told else (0, 0.0)
        return _rounded(tokens / seconds) if seconds else None

    def seconds_per_clip(self) -> float | None:
        """The time of the engine by the clips of which all requests were answered."""
        failed = {one.id.partition("#")[0] for one in self.failures}
        whole = [own for name, own in self.answered.items() if name not in failed]
        return _rounded(sum(one.seconds for own in whole for one in own) / len(whole)) if whole else None


def measure(
    source: str | Path,
    sample: int = CLIPS,
    *,
    data: str | Path | Dataset | None = None,
    progress: Show = "rich",
    left_out: Callable[[MicrogError], object] | None = None,
    **options: Any,
) -> dict[Path, CostReport]:
    """Measure what a run's model takes on this machine, asked one request at a time.

    Everything that moves an answer is as in the run. The answers are not kept.

    Args:
        source: a run folder, or a folder of runs at any depth; the engine is started for each.
        sample: about how many clips is asked, one more to warm up; all where there are fewer.
        data: where the dataset is; None takes the place that the run was started with.
        progress: as in `evaluate`.
        left_out: is called with the error of each run that cannot be measured, which names the run, while the
            others are measured; None raises the first, and skips runs about persons where there are others.
        options: options that move no answer, over those of the run; see `OPTIONS`.

    Returns:
        What each run's cost.json holds now, by its folder.

    Raises:
        UsageError: the model does not run on this machine, or an option does not apply.
        RunError: there is no run, it cannot be asked again as it was, or cost.json cannot be written.
        DataError: the dataset cannot be read, or has too few clips.
        EngineError: the engine cannot be started, or answers nothing.
    """
    check_names(options, OPTIONS)
    if sample < 1:
        raise UsageError(f"must be at least 1, not {sample}", item="--sample")
    runs, found = [], {}
    paths = find_runs(Path(source))
    if left_out is None:
        paths = [path for path in paths if RunRecord.read(path).settings.task != HAR] or paths
    for path in paths:
        with _skipped(path, left_out):
            runs.append(_measurable(path))
    with shown(progress) as callback:
        for record in runs:
            with _skipped(record.path, left_out):
                one = _configured(record, sample, data, options)
                found[record.path] = add_measurement(record, in_loop(_measured(one, record, callback)))
    return found


@contextmanager
def _skipped(path: Path, left_out: Callable[[MicrogError], object] | None) -> Iterator[None]:
    """Give an error to `left_out`, where there is one, with the path of the run that it ends."""
    try:
        yield
    except MicrogError as error:
        if left_out is None:
            raise
        named = error.path is not None and Path(error.path).is_relative_to(path)
        left_out(error if named else RunError(str(error), path=path))


def _measurable(path: Path) -> RunRecord:
    """The scored run at `path`, whose engine holds its weights on the machine that it runs on.

    Raises:
        RunError: it is damaged, or has not been scored.
        UsageError: it is about persons, or its model runs elsewhere or has no weights.
    """
    record = RunRecord.read(path)
    if record.settings.task == HAR:
        raise UsageError(f"a run of {HAR} is not measured", path=path)
    engine, _ = record.settings.engine, record.scorecard
    if engine in LOCAL:
        return record
    reason = "has no weights" if engine == "function" else "runs where its hardware is not known"
    local = " or ".join(LOCAL)
    raise UsageError(
        f"its model {reason}: cost on board is of engine {local}, not {engine}", path=record.path
    )


def _configured(
    record: RunRecord, sample: int, data: str | Path | Dataset | None, options: Mapping[str, Any]
) -> Configuration:
    """How the sample is asked: as in the run, one request at a time, about clips that the run answered.

    Raises:
        DataError: there are fewer than two.
        RunError: the run cannot be asked again as it was.
    """
    dataset, task = record.dataset(data), record.settings.task
    asked: dict[str, list[str]] = {}
    for item in record.items(dataset):
        asked.setdefault(item.request.video_id, []).append(item.request.id)
    whole = [clip for clip, ids in asked.items() if record.answers.keys() >= set(ids)]
    chosen = shuffled(whole, 0)[: sample + 1]
    if len(chosen) < 2:
        reason = f"has answers about {len(chosen)} clip: two are needed, one of them to warm up"
        raise DataError(reason, path=record.path)
    place = None if isinstance(data, Dataset) else data
    one = configured_again(record, dataset, options, {"data": place, "clips": chosen, "tasks": [task]})
    check_same(record, one.settings(task))
    return replace(one, engine_options=one.engine_options.model_copy(update=_ALONE))


async def _measured(one: Configuration, record: RunRecord, progress: Progress) -> Measurement:
    """Start the engine, ask and time.

    Raises:
        EngineError: it cannot be started, nothing was answered, or its hardware is not known.
    """
    warm_up, *clips = shuffled([clip.video_id for clip in one.clips], 0)
    by_id = {clip.video_id: clip for clip in one.clips}
    reset_peaks()
    engine = one.new_engine()
    engine.first_tokens = {}
    progress.note(f"starting engine {engine.name} with {one.engine_options.checkpoint}")
    made_with = provenance()
    try:
        engine.start()
        progress.stage("measuring", len(clips))
        warming, timings = Timings(), Timings()
        await _ask_about(one, engine, by_id[warm_up], warming)
        warming.check(record)
        for name in clips:
            await _ask_about(one, engine, by_id[name], timings)
            progress.advance()
        timings.check(record)
        gpus, process = await engine.gpus(), peak_memory()
        if gpus is None:
            raise EngineError("runs on devices of which nothing is known", item=record.settings.title)
        return _measurement(one, engine, timings, gpus, process, made_with)
    finally:
        engine.close()


def _measurement(
    one: Configuration,
    engine: Engine,
    timings: Timings,
    gpus: Sequence[Gpu],
    process: int | None,
    made_with: Mapping[str, Any],
) -> Measurement:
    memory = PeakMemory(
        process=process,
        allocated=_together([gpu.allocated for gpu in gpus]),
        reserved=_together([gpu.reserved for gpu in gpus]),
    )
    told = engine.provenance()
    weights, why = _weights(one, told.get("commit"))
    found = Measurement(
        hardware=hardware(gpus),
        measured=made_with["started"],
        versions=made_with["versions"],
        engine=told,
        clips=len(timings.answered),
        requests=len(timings.all),
        failed=len(timings.failures),
        first_token=timings.first_token(),
        tokens_per_second=None if _asks_again(one) else timings.tokens_per_second(),
        seconds_per_clip=timings.seconds_per_clip(),
        memory=memory,
        weights=weights,
    )
    whys = {
        "first_token": "no first request about a clip was answered",
        "tokens_per_second": _ASKED_AGAIN if _asks_again(one) else "no answer is longer than one token",
        "seconds_per_clip": "requests about each clip failed",
        "memory": _NO_GPU_MEMORY if gpus else "this system does not tell it",
        "weights": why,
    }
    known = {**found.model_dump(include=set(whys)), "memory": found.peak}
    return found.model_copy(update={"unknown": {name: whys[name] for name in whys if known[name] is None}})


def _asks_again(one: Configuration) -> bool:
    """Whether an answer may have been asked for several times, of which the last counts."""
    schemas = (one.adapter.generation[task].answer_schema for task in one.tasks)
    return one.engine.name == "transformers" and any(schemas)


def _weights(one: Configuration, commit: str | None) -> tuple[int | None, str]:
    """The size of the weights, or why it is not known."""
    if one.adapter.loader:
        return None, "the checkpoint has a layout of its own"
    try:
        size = weight_bytes(one.engine_options.checkpoint or "", commit)
    except MicrogError as error:
        return None, error.reason
    return size, "the checkpoint holds no safetensors"


async def _ask_about(one: Configuration, engine: Engine, clip: Clip, timings: Timings) -> None:
    """Ask all requests about a clip, one after the other; its frames are held only as long."""
    frames, _ = shown_frames(one, clip, None)
    for place, request in enumerate(one.requests[clip.video_id]):
        instruction = one.templates[request.task].render(request)
        try:
            prompt = one.asked(made_prompt(one.adapter, request, instruction, frames))
        except Exception as error:  # an adapter is somebody else's code
            timings.failures.append(blamed(one.adapter, request, "prompt", error))
            continue
        job = Job(request, prompt, frames, one.generation(request.task))
        started = time.perf_counter()
        outcome = await _answered(engine, job)
        seconds = time.perf_counter() - started
        if isinstance(outcome, Failure):
            timings.failures.append(outcome)
            continue
        noted = (engine.first_tokens or {}).pop(job, None)
        first = None if noted is None else noted - started
        timings.answered.setdefault(clip.video_id, []).append(Timed(outcome, seconds, first, place == 0))


async def _answered(engine: Engine, job: Job) -> Outcome:
    async def alone() -> AsyncIterator[Job]:
        yield job

    async with aclosing(engine.answer(alone())) as answers:
        outcomes = [outcome async for answered in answers for _, outcome in answered]
    return outcomes[0]


def _together(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
