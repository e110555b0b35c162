"""The engine `vllm`: a checkpoint run by vLLM, which batches requests and caches their common prefixes.

The questions about one clip begin alike, with its frames; vLLM computes that prefix once. The model runs in
a process of its own (several, where it is spread over devices), which works on while the next prompts are
prepared here. Without a GPU, vLLM runs on the CPU and in float32.
"""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from typing import Any, ClassVar

from microg_bench.engines.base import Answered, Engine, Job, Outcome, answer_concurrently
from microg_bench.engines.chat_template import (
    PromptError,
    check_context,
    delivered,
    opened_thought,
    parts,
    pictures,
    read_tokens,
    render,
)
from microg_bench.engines.checkpoint import locate
from microg_bench.engines.processor import input_facts
from microg_bench.engines.sampling import row_seed
from microg_bench.engines.vllm.arguments import check_arguments
from microg_bench.engines.vllm.setup import RunningVllm, load
from microg_bench.engines.vllm.worker import WORKER
from microg_bench.errors import EngineError
from microg_bench.hardware import Gpu
from microg_bench.options import Options, flag
from microg_bench.records import ENABLE_THINKING, Failure, Generation, Image, Response, Video
from microg_bench.text import first_line
from microg_bench.video.decode import Frames

_NO_THOUGHT = f"give {flag('thinking')} off"


@dataclass
class VllmEngine(Engine):
    """Has `max_concurrency` prompts answered at a time; as many again wait in vLLM to keep it busy."""

    name: ClassVar[str] = "vllm"
    structured: ClassVar[bool] = True
    thinking_switches = ENABLE_THINKING
    _ready: RunningVllm = field(init=False, repr=False)
    _opened: str = field(default="", init=False)
    _commit: str | None = field(default=None, init=False)
    _numbers: Iterator[int] = field(default_factory=count, init=False)  # vLLM's ids of requests
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _died: str | None = field(default=None, init=False)

    @classmethod
    def check(cls, options: Options) -> None:
        """Refuse also engine arguments that vLLM must not get or does not have."""
        super().check(options)
        check_arguments(options)

    def start(self) -> None:
        """Load processor and model; a hub id is downloaded where the cache lacks it."""
        checkpoint = locate(self.options.checkpoint, self.options.revision)
        self._commit = checkpoint.commit
        self._ready = load(checkpoint, self.options, WORKER if self.first_tokens is not None else {})
        self._opened = opened_thought(self._ready.processor, self.thinking, self.marks)

    @property
    def _llm(self) -> Any:
        return self._ready.llm

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer in the order of finishing; a prompt that vLLM refuses fails alone.

        `seconds` of a response is the time from taking the job to its last token, while others are in flight
        too.

        Raises:
            EngineError: vLLM died; the jobs in flight have been returned as retryable failures.
        """
        limit = 2 * self.options.max_concurrency
        answering = answer_concurrently(jobs, self._respond, limit, lambda: self._died is not None)
        async with aclosing(answering) as answers:
            async for answered in answers:
                yield answered
        if self._died:
            raise EngineError(f"{self._died}: run the same command again to resume")

    async def _respond(self, job: Job) -> Outcome:
        taken = time.perf_counter()
        if job.generation.answer_schema and self._opened:
            reason = (
                f"vLLM would have the thought fit the schema, which the chat template opens: {_NO_THOUGHT}"
            )
            return Failure(id=job.request.id, stage="prompt", reason=reason)
        dead: Any = import_module("vllm.v1.engine.exceptions").EngineDeadError
        try:
            prompt = await self._prompt(job)
            number = str(next(self._numbers))
            told = self.first_tokens is not None
            answering = self._llm.generate(prompt, _sampling(job, self.options.logprobs, told), number)
            output = await self._last(job, answering)
        except PromptError as error:
            return Failure(id=job.request.id, stage="prompt", reason=str(error))
        except dead:
            self._died = f"vLLM died: {self._ready.stderr.error() or 'its process ended'}"
            return Failure(id=job.request.id, stage="engine", reason=self._died, retryable=True)
        except Exception as error:  # model code reads the prompt: its errors concern this job alone
            cause = error.__cause__ or error
            reason = f"{type(cause).__name__}: {first_line(cause)}"
            return Failure(id=job.request.id, stage="engine", reason=reason)
        return self._outcome(job, output, time.perf_counter() - taken)

    async def _last(self, job: Job, answering: AsyncIterator[Any]) -> Any:
        """The last of what vLLM tells of `job`; the first, where each step is told, has its first token."""
        output = None
        async for output in answering:  # noqa: B007 - the last one counts
            if self.first_tokens is not None:
                self.first_tokens.setdefault(job, time.perf_counter())
        return output

    async def _prompt(self, job: Job) -> Any:
        """The tokens of `job` with its frames in place, as vLLM's renderer makes them.

        One at a time: the renderer leaves frames out that it has sent before, so what it makes must be
        sent, or forgotten, before it makes the next.
        """
        context = self._llm.model_config.max_model_len
        check_context(job, 1, context)
        unlimited = import_module("vllm.renderers").TokenizeParams(max_total_tokens=None)
        async with self._turn:
            tokens = {"prompt_token_ids": self._tokens(job), **_media(job)}
            (prompt,) = await self._llm.renderer.render_cmpl_async([tokens], unlimited)
            try:
                check_context(job, len(prompt["prompt_token_ids"]), context)
            except PromptError:
                self._forget(prompt)
                raise
        return prompt

    def _tokens(self, job: Job) -> list[int]:
        text, tokenizer = (
            render(self._ready.processor, job.prompt, self.thinking),
            self._ready.processor.tokenizer,
        )
        # A template that writes the first token itself must not get it twice.
        twice = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
        tokens: list[int] = tokenizer([text], add_special_tokens=not twice)["input_ids"][0]
        return tokens

    def _forget(self, prompt: Any) -> None:
        """Let the renderer send the frames of a refused prompt again: it believes that the model has them."""
        if (cache := self._llm.renderer.mm_processor_cache) is not None:
            for names in prompt.get("mm_hashes", {}).values():
                for name in names:
                    cache.invalidate(name)

    def _outcome(self, job: Job, output: Any, seconds: float) -> Outcome:
        written = output.outputs[0]
        if written.finish_reason not in ("stop", "length"):
            reason = f"vLLM ended the request ({written.finish_reason})"
            return Failure(id=job.request.id, stage="engine", reason=reason, retryable=True)
        tokens = list(written.token_ids)
        ended = written.finish_reason == "stop"  # then the last token is the one that stopped it
        written_by_model = tokens[:-1] if ended else tokens
        return Response(
            id=job.request.id,
            text=self._opened + read_tokens(self._ready.processor.tokenizer, written_by_model, self.marks),
            finish_reason=written.finish_reason,
            prompt_tokens=len(output.prompt_token_ids),
            cached_tokens=output.num_cached_tokens,
            output_tokens=len(tokens),
            seconds=seconds,
            logprob=None if written.cumulative_logprob is None else min(0.0, written.cumulative_logprob),
        )

    async def gpus(self) -> Sequence[Gpu] | None:
        """See `Engine.gpus`."""
        config = self._llm.vllm_config
        if config.device_config.device_type == "cpu":
            return []
        if self.first_tokens is not None:
            return [Gpu(*told) for told in await self._llm.collective_rpc("told_gpu")]
        platform: Any = import_module("vllm.platforms").current_platform
        try:
            return [Gpu(platform.get_device_name(k)) for k in range(config.parallel_config.world_size)]
        except Exception:  # as of GPUs in other machines: a name is not worth a run
            return None

    def close(self) -> None:
        """End the model and its process."""
        if hasattr(self, "_ready"):
            self._llm.shutdown()
            del self._ready
            gc.collect()  # it refers to itself, and would be ended once more while the interpreter ends

    def provenance(self) -> dict[str, str]:
        """Where and in which arithmetic the model runs, how long a prompt with its answer may be.

        And how large the input is made; see `input_facts`.
        """
        config = self._llm.vllm_config
        known = {
            "device": str(config.device_config.device_type),
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "model_class": str(config.model_config.architecture),
            "context": str(config.model_config.max_model_len),
            "vllm": str(import_module("vllm").__version__),
        }
        known |= input_facts(self._ready.processor, self.options.processor_kwargs())
        return known | ({"commit": self._commit} if self._commit else {})


def _media(job: Job) -> dict[str, Any]:
    """The frames that the prompt shows, and names by which vLLM knows them again in the next prompt."""
    videos = [_video(delivered(job)) for part in parts(job.prompt) if isinstance(part, Video)]
    stills = [part.frame for part in parts(job.prompt) if isinstance(part, Image)]
    data = {"video": videos, "image": pictures(job)}
    clip = ""
    if job.frames:
        told = ",".join(map(str, job.frames.indices))
        clip = f"{job.request.video_id}@{told}" + (f"!{job.frames.changed}" if job.frames.changed else "")
    names = {"video": [clip] * len(videos), "image": [f"{clip}#{frame}" for frame in stills]}
    shown = [kind for kind in data if data[kind]]
    if not shown:
        return {}
    return {
        "multi_modal_data": {kind: data[kind] for kind in shown},
        "multi_modal_uuids": {kind: names[kind] for kind in shown},
    }


def _video(frames: Frames) -> Any:
    metadata = {
        "fps": frames.fps,
        "duration": frames.duration,
        "total_num_frames": frames.total,
        "frames_indices": list(frames.indices),
        "video_backend": "pyav",
        "do_sample_frames": False,
    }
    return frames.pixels, metadata


def _sampling(job: Job, logprobs: bool, each: bool) -> Any:
    """How `job` is written; `each` step is told, with all tokens so far, or only the last."""
    parameters: Any = import_module("vllm.sampling_params")
    wanted, kinds = job.generation, parameters.RequestOutputKind
    return parameters.SamplingParams(
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        seed=row_seed(wanted.seed, job.request.id),
        structured_outputs=_structured_outputs(wanted),
        logprobs=0 if logprobs else None,  # of the tokens that are written, and of no others
        detokenize=False,
        output_kind=kinds.CUMULATIVE if each else kinds.FINAL_ONLY,
    )


def _structured_outputs(wanted: Generation) -> Any:
    """What has the model keep to the schema of its answer; None where there is none."""
    if not wanted.answer_schema:
        return None
    parameters: Any = import_module("vllm.sampling_params")
    return parameters.StructuredOutputsParams(json=wanted.answer_schema)
