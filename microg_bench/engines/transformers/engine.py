"""The engine `transformers`: a checkpoint in this process, answered in padded batches.

It runs wherever torch runs, a CPU included, and takes any checkpoint whose processor has a chat template;
it is the reference for faster engines, and the only one for models that those do not know. It cannot have a
model keep to a schema: an answer that misses it is told what is wrong, and asked for again.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from microg_bench.adapters.base import split_thoughts
from microg_bench.engines.base import BATCHES_WAITING, Answered, Engine, Job, Outcome
from microg_bench.engines.chat_template import (
    PromptError,
    check_context,
    model_inputs,
    opened_thought,
    parts,
    read_tokens,
)
from microg_bench.engines.processor import input_facts
from microg_bench.engines.sampling import WrittenLogprobs, sampling
from microg_bench.engines.transformers.loading import LoadedModel, devices, load
from microg_bench.hardware import Gpu, torch_gpu
from microg_bench.memory import halving, out_of_memory, release_memory
from microg_bench.records import ENABLE_THINKING, Failure, Image, Response, Text, Thinking, Video
from microg_bench.structured import asked_again, misfit
from microg_bench.text import first_line

log = logging.getLogger(__name__)

ASKED_AGAIN = 2  # times, at most, for an answer that fits its schema


@dataclass
class TransformersEngine(Engine):
    """Batches jobs of equal settings and similar length; halves the batch for good where memory runs out."""

    name: ClassVar[str] = "transformers"
    structured: ClassVar[bool] = True
    thinking_switches = ENABLE_THINKING
    _ready: LoadedModel = field(init=False, repr=False)
    _opened: str = field(default="", init=False)
    _batch_size: int = field(default=0, init=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Load processor and model; a hub id is downloaded where the cache lacks it."""
        self._ready = load(self.options, self.loader)
        self._opened = opened_thought(self._ready.processor, self.thinking, self.marks)
        self._batch_size = self.options.batch_size

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer in batches of equal settings and similar length; at most four batches wait to be sorted.

        A batch that cannot be filled yet waits until one can, or until no more jobs come.
        """
        waiting: list[Job] = []
        async for job in jobs:
            waiting.append(job)
            if len(waiting) >= BATCHES_WAITING * self._batch_size:
                yield await self._answer_batch(waiting)
        while waiting:
            yield await self._answer_batch(waiting)

    async def _answer_batch(self, waiting: list[Job]) -> Answered:
        """Take a batch out of `waiting` and answer it in a thread."""
        batch = _take_batch(waiting, self._batch_size)
        try:
            outcomes = await asyncio.to_thread(self._fitting, batch)
        except asyncio.CancelledError:
            self._cancelled.set()  # the thread cannot be cancelled: it stops at its next token
            raise
        return list(zip(batch, outcomes, strict=True))

    def _fitting(self, jobs: list[Job]) -> list[Outcome]:
        """One outcome a job. What misses its schema is asked for again; of several answers the last counts.

        The tokens of a response are those of its answer, its seconds those of all.
        """
        outcomes = self._outcomes(jobs)
        open_jobs = dict(enumerate(jobs)) if jobs[0].generation.answer_schema else {}
        for _ in range(ASKED_AGAIN):
            again = {place: self._again(job, outcomes[place]) for place, job in open_jobs.items()}
            open_jobs = {place: job for place, job in again.items() if job is not None}
            if not open_jobs or self._cancelled.is_set():
                break
            answered = zip(open_jobs, self._outcomes(list(open_jobs.values())), strict=True)
            for place, outcome in answered:
                outcomes[place] = _later(outcomes[place], outcome)
        return outcomes

    def _again(self, job: Job, outcome: Outcome) -> Job | None:
        """`job` with its answer and what is wrong with it; None where that fits, or there is no answer."""
        schema = job.generation.answer_schema
        if isinstance(outcome, Failure) or not schema:
            return None
        _, text = split_thoughts(outcome.text, Thinking(marks=self.marks), schema)
        if text is None or (why := misfit(text, schema, outcome.finish_reason)) is None:
            return None
        return replace(job, prompt=asked_again(job.prompt, text, why, schema))

    def _outcomes(self, jobs: list[Job]) -> list[Outcome]:
        """One outcome a job; where memory runs out, batches are smaller from then on."""
        outcomes, size = halving(self._isolate_failures, jobs, self._batch_size, _too_large)
        if size < self._batch_size:
            log.warning("out of memory with %d prompts at once: continuing with %d", len(jobs), size)
            self._batch_size = size
        return outcomes

    def _isolate_failures(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome a job. A batch that fails is halved, so that one bad prompt fails alone."""
        name = jobs[0].request.id
        try:
            return self._responses(jobs)
        except PromptError as error:
            failure = Failure(id=name, stage="prompt", reason=str(error))
        except Exception as error:  # whatever model code raises: it is classified, not swallowed
            if out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {first_line(error)}"
            failure = Failure(id=name, stage="engine", reason=reason)
        if len(jobs) == 1:
            return [failure]
        half = (len(jobs) + 1) // 2
        return self._isolate_failures(jobs[:half]) + self._isolate_failures(jobs[half:])

    def _responses(self, jobs: Sequence[Job]) -> list[Outcome]:
        import torch

        started = time.perf_counter()
        generation = jobs[0].generation
        self._check_context(jobs, [1] * len(jobs))
        stated = self.options.processor_kwargs()
        inputs = model_inputs(self._ready.processor, jobs, self.thinking, stated)
        prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        self._check_context(jobs, prompt_tokens)
        logprobs = WrittenLogprobs() if self.options.logprobs else None
        watching = [] if self.first_tokens is None else [partial(_note_first, jobs, self.first_tokens)]
        with torch.inference_mode():
            rows = self._ready.model.generate(
                **self._placed(inputs),
                max_new_tokens=generation.max_tokens,
                do_sample=False,
                logits_processor=sampling(generation, [job.request.id for job in jobs], logprobs),
                stopping_criteria=[self._stop_if_cancelled, *watching],
            )
        rows = rows[:, inputs["input_ids"].shape[1] :]
        probable = logprobs.of(rows) if logprobs else [None] * len(jobs)
        share = (time.perf_counter() - started) / len(jobs)
        return [
            self._response(job, row, count, share, own)
            for job, row, count, own in zip(jobs, rows.tolist(), prompt_tokens, probable, strict=True)
        ]

    def _response(
        self, job: Job, row: list[int], prompt_tokens: int, seconds: float, logprobs: list[float] | None
    ) -> Response:
        # Behind its stop token a row is padded to the length of the longest answer.
        end = next((k for k, token in enumerate(row) if token in self._ready.stops), None)
        written = len(row) if end is None else end + 1
        return Response(
            id=job.request.id,
            text=self._opened + read_tokens(self._ready.processor.tokenizer, row[:end], self.marks),
            finish_reason="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            output_tokens=written,
            seconds=seconds,
            logprob=sum(logprobs[:written]) if logprobs else None,
        )

    def _check_context(self, jobs: Sequence[Job], prompt_tokens: Sequence[int]) -> None:
        context = getattr(self._ready.model.config.get_text_config(), "max_position_embeddings", None)
        if context:
            for job, count in zip(jobs, prompt_tokens, strict=True):
                check_context(job, count, context)

    def _placed(self, inputs: Any) -> dict[str, Any]:
        """The tensors where the model is. Only pixels take its dtype: half a second must not be rounded."""
        model = self._ready.model
        return {
            name: value.to(model.device, model.dtype if name.startswith("pixel_values") else None)
            for name, value in inputs.items()
        }

    def _stop_if_cancelled(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        return torch.full(input_ids.shape[:1], self._cancelled.is_set(), device=input_ids.device)

    async def gpus(self) -> Sequence[Gpu] | None:
        """See `Engine.gpus`; None where the weights are on another kind of device, or on disk."""
        held = [device for device in devices(self._ready.model) if device != "cpu"]
        return [torch_gpu(device) for device in held] if all(map(_is_cuda, held)) else None

    def close(self) -> None:
        """Let go of the model, and of the memory of the device."""
        if hasattr(self, "_ready"):
            del self._ready
            release_memory()

    def provenance(self) -> dict[str, str]:
        """Where and in which arithmetic the model runs, and how large its input is made; see `input_facts`.

        Commits are told of checkpoints from the hub only.
        """
        import torch
        import transformers

        model = self._ready.model
        known = {
            "device": ", ".join(devices(model)),
            "dtype": str(model.dtype).removeprefix("torch."),
            "attention": str(model.config._attn_implementation),
            "model_class": type(model).__name__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        commits = {"commit": self._ready.commit}
        commits |= {f"commit of {name}": commit for name, commit in getattr(model, "commits", {}).items()}
        known |= input_facts(self._ready.processor, self.options.processor_kwargs())
        return known | {name: commit for name, commit in commits.items() if commit}


def _note_first(jobs: Sequence[Job], noted: dict[Job, float], input_ids: Any, scores: Any, **_: Any) -> Any:
    """A criterion of stopping that never stops: it notes when the first token of each job is there."""
    import torch

    if noted.keys().isdisjoint(jobs):
        if input_ids.is_cuda:
            torch.cuda.synchronize(input_ids.device)  # the GPU works on while Python reads its clock
        noted |= dict.fromkeys(jobs, time.perf_counter())
    return torch.zeros(input_ids.shape[:1], dtype=torch.bool, device=input_ids.device)


def _is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def _later(before: Outcome, outcome: Outcome) -> Outcome:
    """What counts of two answers: the later, unless it is none, as where a prompt has become too long."""
    if isinstance(before, Failure) or isinstance(outcome, Failure):
        return before
    return outcome.model_copy(update={"seconds": before.seconds + outcome.seconds})


def _take_batch(waiting: list[Job], size: int) -> list[Job]:
    """Take up to `size` jobs with equal settings from `waiting`: the oldest, and those nearest to its length.

    Of several settings, one whose jobs fill a batch goes first.
    """
    settings = Counter(job.generation for job in waiting)
    oldest = next((job for job in waiting if settings[job.generation] >= size), waiting[0])
    alike = [job for job in waiting if job.generation == oldest.generation]
    chosen = set(sorted(alike, key=lambda job: abs(_length(job) - _length(oldest)))[:size])
    batch = [job for job in waiting if job in chosen]
    waiting[:] = [job for job in waiting if job not in chosen]
    return batch


def _length(job: Job) -> float:
    """Roughly the tokens of a prompt: one for four characters, or for a square of 28 pixels in two frames."""
    shown = parts(job.prompt)
    letters = sum(len(part.text) for part in shown if isinstance(part, Text))
    if job.frames is None:
        return letters / 4
    videos = sum(isinstance(part, Video) for part in shown)
    stills = sum(isinstance(part, Image) for part in shown)
    count, height, width, _ = job.frames.pixels.shape
    return float(letters / 4 + (videos * count / 2 + stills) * height * width / 28**2)


def _too_large(job: Job, error: str) -> Failure:
    """What to record where memory does not suffice for `job` alone."""
    reason = f"out of memory with a single prompt: show fewer frames or use a larger device ({error})"
    return Failure(id=job.request.id, stage="engine", reason=reason)
