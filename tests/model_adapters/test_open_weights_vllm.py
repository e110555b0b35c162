"""The adapters that vLLM can run, with the same tiny checkpoints: same frames, same prompt, same answers."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from microg_bench.engines.registry import ENGINES
from microg_bench.options import Options

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.engines.vllm.engine import VllmEngine
from microg_bench.records import Failure, Response
from tests.engines.conftest import answers
from tests.model_adapters.cases import CASES, LEVELS, job_for, levels_of, switches
from tests.model_adapters.conftest import Tiny

QUESTIONS = ("Who is fixing the cable?", "What drifts between them?", "Where?")
# Why the two part after so many words is not known; up to there, frames and prompts are the same.
SAME_WORDS = {"qwen3-vl": 1, "glm-4.6v-flash": 0}
# vLLM has their linear attention on CPUs in this arithmetic alone, so that only prompts can be compared.
BFLOAT16 = ("qwen3.5", "qwen3.6", "qwen3.8", "minicpm-v-4.6")


@pytest.fixture(scope="module", params=[name for name, case in CASES.items() if case.vllm])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """The one event loop that an engine lives in."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(name: str, tiny: Tiny) -> Iterator[VllmEngine]:
    dtype: Any = "bfloat16" if name in BFLOAT16 else "auto"
    engine = VllmEngine(Options(checkpoint=str(tiny(name)), dtype=dtype), thinking=switches(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")  # for `watch`
        engine.start()
        yield engine
        engine.close()


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def watch(worker: Any, tower: str) -> None:
    """In the process of the model: keep what enters the vision tower."""
    model = worker.model_runner.model
    part = next(part for path, part in model.named_modules() if path.split(".")[-1] == tower)
    model.entered = []
    part.register_forward_pre_hook(
        lambda module, args, kwargs: model.entered.append([*args, *kwargs.values()][0]), with_kwargs=True
    )


def entered(worker: Any) -> Any:
    import torch

    return torch.cat(worker.model_runner.model.entered).float().tolist()


def test_its_frames_reach_the_vision_tower_in_order(
    name: str, tiny: Tiny, engine: VllmEngine, loop: asyncio.Runner
) -> None:
    import torch
    from transformers import AutoProcessor

    case, adapter = CASES[name], CASES[name].adapter()
    loop.run(engine._llm.collective_rpc(partial(watch, tower=case.vllm_tower or case.tower)))
    responses(answers(engine, [job_for(adapter)], loop.run))
    (pixels,) = loop.run(engine._llm.collective_rpc(entered))
    shown = levels_of(torch.tensor(pixels), adapter.frames)
    if max(shown) < 10:  # else bytes, which the tower itself normalises
        processor = AutoProcessor.from_pretrained(tiny(name))
        reader = getattr(processor, "video_processor", None) or processor.image_processor
        shown = [(level * reader.image_std[0] + reader.image_mean[0]) * 255 for level in shown]
    assert [round(level) for level in shown] == LEVELS[: adapter.frames]


def test_its_answers_are_those_of_transformers(
    name: str, tiny: Tiny, engine: VllmEngine, loop: asyncio.Runner
) -> None:
    words = 0 if name in BFLOAT16 else SAME_WORDS.get(name, 16)
    jobs = [job_for(CASES[name].adapter(), question, max(words, 1)) for question in QUESTIONS]
    options = Options(checkpoint=str(tiny(name)), dtype="float32")
    yardstick = TransformersEngine(options, thinking=switches(name))
    yardstick.start()
    wanted = responses(answers(yardstick, jobs))
    got = responses(answers(engine, jobs, loop.run))
    assert [outcome.prompt_tokens for outcome in got] == [outcome.prompt_tokens for outcome in wanted]
    if words:
        assert [outcome.text for outcome in got] == [outcome.text for outcome in wanted]
