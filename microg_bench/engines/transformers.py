"""The engine `transformers`: a checkpoint in this process, answered in padded batches.

It runs wherever torch runs, a CPU included, and takes any checkpoint whose processor has a chat template;
it is the yardstick for faster engines, and the only one for models that those do not know.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from microg_bench.engines._chat import PromptError, check_room, model_inputs, parts
from microg_bench.engines._checkpoint import first_line
from microg_bench.engines._loading import Loaded, devices, load
from microg_bench.engines._noise import sampling
from microg_bench.engines.base import WEIGHTS, Engine, Job
from microg_bench.records import Failure, Image, Response, Text, Video

log = logging.getLogger(__name__)

_BATCHES = 4  # that may wait


@dataclass
class TransformersEngine(Engine):
    """Batches jobs of equal settings and similar length; halves the batch for good where memory runs out."""

    name: ClassVar[str] = "transformers"
    takes: ClassVar[frozenset[str]] = WEIGHTS | {"loader", "attention", "device_map", "batch_size"}
    _loaded: Loaded | None = field(default=None, init=False)
    _room: int = field(default=0, init=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Load processor and model; a hub id is downloaded where the cache lacks it."""
        self._loaded = load(self.options)
        self._room = self.options.batch_size

    @property
    def _ready(self) -> Loaded:
        if self._loaded is None:
            raise RuntimeError("the engine is not started")
        return self._loaded

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """Answer in batches of equal settings and similar length; at most four batches wait to be sorted out.

        A batch that cannot be filled yet waits until one can, or until no more jobs come.
        """
        waiting: list[Job] = []
        async for job in jobs:
            waiting.append(job)
            if len(waiting) >= _BATCHES * self._room:
                for outcome in await self._in_thread(_batch(waiting, self._room)):
                    yield outcome
        while waiting:
            for outcome in await self._in_thread(_batch(waiting, self._room)):
                yield outcome

    async def _in_thread(self, jobs: list[Job]) -> list[Response | Failure]:
        try:
            return await asyncio.to_thread(self._outcomes, jobs)
        except asyncio.CancelledError:
            self._cancelled.set()  # the thread cannot be cancelled: it stops at its next token
            raise

    def _outcomes(self, jobs: list[Job]) -> list[Response | Failure]:
        """One outcome a job. A batch that fails is halved, so that one bad prompt fails alone."""
        try:
            return list(self._responses(jobs))
        except Exception as error:  # whatever model code raises: it is classified, not swallowed
            failure = _failure(jobs[0], error)
            exhausted = _out_of_memory(error)
        # Only here, with the exception and the tensors that its traceback held gone, memory can come back.
        if exhausted:
            _release_memory()
        if len(jobs) == 1:
            return [failure]
        half = (len(jobs) + 1) // 2
        if exhausted and half < self._room:
            log.warning("out of memory with %d prompts at once: going on with %d", len(jobs), half)
            self._room = half
        return self._outcomes(jobs[:half]) + self._outcomes(jobs[half:])

    def _responses(self, jobs: Sequence[Job]) -> list[Response]:
        import torch

        started = time.perf_counter()
        generation = jobs[0].generation
        self._check_room(jobs, [1] * len(jobs))
        inputs = model_inputs(self._ready.processor, jobs)
        prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        self._check_room(jobs, prompt_tokens)
        with torch.inference_mode():
            rows = self._ready.model.generate(
                **self._placed(inputs),
                max_new_tokens=generation.max_tokens,
                do_sample=False,
                logits_processor=sampling(generation, [job.request.id for job in jobs]),
                stopping_criteria=[self._stop_if_cancelled],
            )
        written = rows[:, inputs["input_ids"].shape[1] :].tolist()
        share = (time.perf_counter() - started) / len(jobs)
        return [
            self._response(job, row, count, share)
            for job, row, count in zip(jobs, written, prompt_tokens, strict=True)
        ]

    def _response(self, job: Job, row: list[int], prompt_tokens: int, seconds: float) -> Response:
        # Behind its stop token a row is padded to the length of the longest answer.
        end = next((k for k, token in enumerate(row) if token in self._ready.stops), None)
        text = self._ready.processor.tokenizer.decode(
            row[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Response(
            id=job.request.id,
            text=text,
            stop="length" if end is None else "end",
            prompt_tokens=prompt_tokens,
            output_tokens=len(row) if end is None else end + 1,
            seconds=seconds,
        )

    def _check_room(self, jobs: Sequence[Job], prompt_tokens: Sequence[int]) -> None:
        context = getattr(self._ready.model.config.get_text_config(), "max_position_embeddings", None)
        if context:
            for job, count in zip(jobs, prompt_tokens, strict=True):
                check_room(job, count, context)

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

    def close(self) -> None:
        """Let go of the model, and of the memory of the device."""
        if self._loaded is not None:
            self._loaded = None
            _release_memory()

    def provenance(self) -> dict[str, str]:
        """Where and in which arithmetic the model runs; commits only of checkpoints from the hub."""
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
        return known | {name: commit for name, commit in commits.items() if commit}


def _batch(waiting: list[Job], room: int) -> list[Job]:
    """Take up to `room` jobs with equal settings from `waiting`: the oldest, and those nearest to its length.

    Of several settings, one whose jobs fill a batch goes first.
    """
    settings = Counter(job.generation for job in waiting)
    oldest = next((job for job in waiting if settings[job.generation] >= room), waiting[0])
    alike = [job for job in waiting if job.generation == oldest.generation]
    near = sorted(alike, key=lambda job: abs(_length(job) - _length(oldest)))[:room]
    chosen = {job.request.id for job in near}
    batch = [job for job in waiting if job.request.id in chosen]
    waiting[:] = [job for job in waiting if job.request.id not in chosen]
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


def _failure(job: Job, error: Exception) -> Failure:
    """What to record where `job`, asked alone, met `error`."""
    if isinstance(error, PromptError):
        return Failure(id=job.request.id, stage="prompt", reason=str(error))
    reason = f"{type(error).__name__}: {first_line(error)}"
    if _out_of_memory(error):
        reason = f"out of memory with a single prompt: show fewer frames or use a larger device ({reason})"
    return Failure(id=job.request.id, stage="engine", reason=reason)


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _release_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
