"""The engine `vllm`: a checkpoint run by vLLM, which batches what is under way and shares what prompts share.

The questions about one clip begin alike, with its frames; vLLM computes that prefix once. Without a GPU,
vLLM runs in this process and in float32; it is then slow, but real.

It is vLLM's synchronous engine that is driven here, one step at a time in a thread: it starts before any
event loop runs, and jobs join between two steps. With a GPU the model is a process of its own, which works
on while the next prompts are prepared here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

from microg_bench.engines._chat import PromptError, delivered, parts, pictures, render
from microg_bench.engines._checkpoint import first_line, locate
from microg_bench.engines._intake import Intake
from microg_bench.engines._noise import row_seed
from microg_bench.engines._vllm_setup import check_options, leave_process_groups, load
from microg_bench.engines.base import Engine, Job
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Image, Response, Video
from microg_bench.video import Frames

_LIVENESS_S = 5.0  # a step that takes longer is asked whether its process still lives


@dataclass
class VllmEngine(Engine):
    """Keeps up to `at_once` prompts under way, and takes the next job when one is answered."""

    name: ClassVar[str] = "vllm"
    at_once: ClassVar[int] = 64
    _llm: Any = field(default=None, init=False)
    _processor: Any = field(default=None, init=False)
    _commit: str | None = field(default=None, init=False)
    _open: dict[str, float] = field(default_factory=dict, init=False)  # id → when it was taken

    def start(self) -> None:
        """Load processor and model; a hub id is downloaded where the cache lacks it."""
        check_options(self.options)
        checkpoint = locate(self.options.checkpoint, self.options.revision)
        self._commit = checkpoint.commit
        self._processor, self._llm = load(checkpoint, self.options, self.at_once)

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Response | Failure, None]:
        """Answer in the order of finishing; a prompt that vLLM refuses fails alone.

        `seconds` of a response is the time from taking the job to its last token, while others are under
        way too.

        Raises:
            EngineError: vLLM died; what was under way has been given back as retryable failures.
        """
        intake = Intake(jobs)
        try:
            while True:
                fresh = await intake.take(self.at_once - len(self._open), wait=not self._open)
                if not fresh and not self._open:
                    return
                self._open |= {job.request.id: time.perf_counter() for job in fresh}
                try:
                    outcomes = await self._step(fresh)
                except Exception as error:  # whatever ended vLLM: nothing that it had will come back
                    died = f"vLLM died: {type(error).__name__}: {first_line(error)}"
                    while self._open:
                        name, _ = self._open.popitem()
                        yield Failure(id=name, stage="engine", reason=died, retryable=True)
                    raise EngineError(f"{died}; start the same command again to go on") from error
                for outcome in outcomes:
                    del self._open[outcome.id]
                    yield outcome
        finally:
            await intake.close()

    async def _step(self, fresh: list[Job]) -> list[Response | Failure]:
        """`_advance` in a thread, woken where the process that it waits for was killed."""
        step = asyncio.create_task(asyncio.to_thread(self._advance, fresh))
        while not (await asyncio.wait({step}, timeout=_LIVENESS_S))[0]:
            client = self._llm.engine_core
            if getattr(getattr(client, "resources", None), "engine_dead", False):
                # vLLM's own wait for this process has no end.
                client.outputs_queue.put_nowait(RuntimeError("its process ended"))
        return step.result()

    def _advance(self, fresh: list[Job]) -> list[Response | Failure]:
        """Add `fresh`, let the model take one step, and return what is refused or finished."""
        done: list[Response | Failure] = [failure for job in fresh if (failure := self._add(job))]
        if len(self._open) > len(done):
            done += [self._outcome(output) for output in self._llm.step() if output.finished]
        return done

    def _add(self, job: Job) -> Failure | None:
        dead: Any = import_module("vllm.v1.engine.exceptions").EngineDeadError
        prompt = None
        try:
            prompt = self._prompt(job)
            self._check_context(len(prompt["prompt_token_ids"]), job.generation.max_tokens)
            self._llm.add_request(job.request.id, prompt, _sampling(job))
        except dead:
            raise
        except PromptError as error:
            self._forget(prompt)
            return Failure(id=job.request.id, stage="prompt", reason=str(error))
        except Exception as error:  # model code reads the prompt here: its errors concern this job alone
            self._forget(prompt)
            reason = f"{type(error).__name__}: {first_line(error)}"
            return Failure(id=job.request.id, stage="engine", reason=reason)
        return None

    def _prompt(self, job: Job) -> Any:
        """The tokens of `job` with its frames in place, as vLLM's renderer makes them, of any length."""
        text, tokenizer = render(self._processor, job.prompt), self._processor.tokenizer
        # A template that writes the first token itself must not get it twice.
        twice = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
        tokens = tokenizer(text, add_special_tokens=not twice)["input_ids"]
        unlimited = import_module("vllm.renderers").TokenizeParams(max_total_tokens=None)
        (rendered,) = self._llm.renderer.render_cmpl([{"prompt_token_ids": tokens, **_media(job)}], unlimited)
        return rendered

    def _forget(self, prompt: Any) -> None:
        """Let the renderer send the frames of a refused prompt again: it believes that the model has them."""
        cache = self._llm.renderer.mm_processor_cache
        for names in (prompt or {}).get("mm_hashes", {}).values():
            for name in names:
                cache.invalidate(name)

    def _check_context(self, prompt_tokens: int, max_tokens: int) -> None:
        context = self._llm.model_config.max_model_len
        if (beyond := prompt_tokens + max_tokens - context) > 0:
            raise PromptError(
                f"{prompt_tokens} prompt tokens and up to {max_tokens} new ones"
                f" exceed the model's context of {context} by {beyond}"
            )

    def _outcome(self, output: Any) -> Response | Failure:
        written = output.outputs[0]
        if written.finish_reason not in ("stop", "length"):
            reason = f"vLLM ended the request ({written.finish_reason})"
            return Failure(id=output.request_id, stage="engine", reason=reason, retryable=True)
        tokens = list(written.token_ids)
        ended = written.finish_reason == "stop"  # then the last token is the one that stopped it
        text = self._processor.tokenizer.decode(
            tokens[:-1] if ended else tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Response(
            id=output.request_id,
            text=text,
            stop="end" if ended else "length",
            prompt_tokens=len(output.prompt_token_ids),
            cached_tokens=output.num_cached_tokens,
            output_tokens=len(tokens),
            seconds=time.perf_counter() - self._open[output.request_id],
        )

    def close(self) -> None:
        """End the model and its process."""
        if self._llm is not None:
            self._llm.renderer.shutdown()
            self._llm.engine_core.shutdown()
            self._llm = None
            leave_process_groups()

    def provenance(self) -> dict[str, str]:
        """Where and in which arithmetic the model runs, and how long a prompt with its answer may be."""
        config = self._llm.vllm_config
        known = {
            "device": str(config.device_config.device_type),
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "model_class": str(config.model_config.architecture),
            "context": str(config.model_config.max_model_len),
            "vllm": str(import_module("vllm").__version__),
        }
        return known | ({"commit": self._commit} if self._commit else {})


def _media(job: Job) -> dict[str, Any]:
    """The frames that the prompt shows, and names by which vLLM knows them again in the next prompt."""
    videos = [_video(delivered(job)) for part in parts(job.prompt) if isinstance(part, Video)]
    stills = [part.frame for part in parts(job.prompt) if isinstance(part, Image)]
    data = {"video": videos, "image": pictures(job)}
    clip = f"{job.request.video_id}@{','.join(map(str, job.frames.indices))}" if job.frames else ""
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


def _sampling(job: Job) -> Any:
    parameters: Any = import_module("vllm.sampling_params")
    wanted = job.generation
    return parameters.SamplingParams(
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        seed=row_seed(wanted.seed, job.request.id),
        detokenize=False,
        output_kind=parameters.RequestOutputKind.FINAL_ONLY,
    )
