"""Language models and answers in a schema, with a real vLLM."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from microg_bench.engines.base import Job
from microg_bench.engines.registry import ENGINES

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.engines.vllm.engine import VllmEngine
from microg_bench.options import Options
from microg_bench.records import Clip, Failure, Generation, Response, Text, Video
from microg_bench.structured import misfit, unfit
from tests.engines.conftest import AnswerAll, answers, grey_frames, job_of
from tests.helpers.runs import execute, make_configuration
from tests.helpers.schemas import SCORE, VERDICT, Judge, closed
from tests.helpers.tiny_text import THINKING, build_tiny_text

EITHER = json.dumps(
    closed(
        span={"anyOf": [closed(word={"type": "string", "enum": ["a", "the cable"]}), {"type": "null"}]},
        kinds={"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": ["boolean", "null"]}},
    )
)
FREE = json.dumps(closed(reason={"type": "string"}, score={"type": "integer"}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_text("qwen3", tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(Options(checkpoint=str(folder)))
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """The one event loop that an engine lives in."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def answer_all(loop: asyncio.Runner) -> AnswerAll:
    return partial(answers, run=loop.run)


def text_job(key: int, **generation: object) -> Job:
    job = job_of(key, parts=(Text(text=f"Who is fixing cable {key}?"),))
    return replace(job, frames=None, generation=Generation.model_validate({"max_tokens": 160, **generation}))


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def test_the_greedy_text_of_a_language_model_is_that_of_transformers(
    engine: VllmEngine, answer_all: AnswerAll, folder: Path
) -> None:
    yardstick = TransformersEngine(Options(checkpoint=str(folder), dtype="float32"))
    yardstick.start()
    jobs = [text_job(k, max_tokens=16) for k in range(4)]
    wanted = responses(answers(yardstick, jobs))
    assert [one.text for one in responses(answer_all(engine, jobs))] == [one.text for one in wanted]


def test_a_language_model_that_is_shown_a_clip_fails_alone(engine: VllmEngine, answer_all: AnswerAll) -> None:
    shown = job_of(0, frames=grey_frames([1, 2]), parts=(Video(), Text(text="Who?")))
    failure, response = answer_all(engine, [shown, text_job(1, max_tokens=4)])
    assert isinstance(failure, Failure)
    assert (failure.stage, "reads only text" in failure.reason) == ("prompt", True)
    assert isinstance(response, Response)


@pytest.mark.parametrize("schema", [VERDICT, SCORE, EITHER], ids=["verdict", "score", "either"])
def test_whatever_it_writes_fits_the_schema(engine: VllmEngine, answer_all: AnswerAll, schema: str) -> None:
    jobs = [text_job(k, answer_schema=schema, temperature=k % 3 * 0.8, seed=k) for k in range(24)]
    said = responses(answer_all(engine, jobs))
    assert [misfit(one.text, schema, one.finish_reason) for one in said] == [None] * 24
    assert len({one.text for one in said}) > 1


def test_free_text_in_an_answer_fits_or_is_cut(engine: VllmEngine, answer_all: AnswerAll) -> None:
    jobs = [text_job(k, answer_schema=FREE, temperature=1.0, seed=k, max_tokens=40) for k in range(12)]
    for one in responses(answer_all(engine, jobs)):
        assert one.text.startswith('{"reason":')
        cut = one.finish_reason == "length"
        assert (unfit(one, FREE) is None) is not cut


def test_requests_with_and_without_a_schema_go_side_by_side(
    engine: VllmEngine, answer_all: AnswerAll
) -> None:
    plain = [text_job(k, max_tokens=16) for k in range(3)]
    mixed = [job for k in range(3) for job in (plain[k], text_job(k + 9, answer_schema=SCORE))]
    together = responses(answer_all(engine, mixed))
    assert [one.text for one in together[::2]] == [one.text for one in responses(answer_all(engine, plain))]
    assert all(unfit(one, SCORE) is None for one in together[1::2])


def test_a_run_of_verdicts_has_an_answer_for_each(tmp_path: Path, folder: Path) -> None:
    clips = [Clip(video_id=f"c{n}", source="s", caption="c") for n in range(3)]
    one = make_configuration(clips, adapter=Judge(), engine=VllmEngine, max_tokens=160)
    engine = VllmEngine(Options(checkpoint=str(folder)))
    engine.start()
    record = execute(tmp_path, one, engine)["caption"]
    engine.close()
    assert sorted(record.answers) == ["c0", "c1", "c2"]
    assert all(misfit(answer.answer, VERDICT) is None for answer in record.answers.values())


def test_a_thought_that_the_template_opens_is_not_put_in_the_schema(
    tmp_path: Path, loop: asyncio.Runner
) -> None:
    engine = VllmEngine(Options(checkpoint=str(build_tiny_text("qwen3", tmp_path, template=THINKING))))
    engine.start()
    (failure,) = answers(engine, [text_job(0, answer_schema=SCORE)], loop.run)
    engine.close()
    assert isinstance(failure, Failure)
    assert (failure.stage, "--thinking off" in failure.reason) == ("prompt", True)
