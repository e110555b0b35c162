"""Answers in a schema, through a whole execution: what fits is an answer, what does not is a failure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from microg_bench.engines.base import FunctionEngine, Job
from microg_bench.errors import RunError, UsageError
from microg_bench.records import Clip, FinishReason, Generation, Message, Prompt, Response, Text
from microg_bench.runs.budget import Price, estimate
from microg_bench.runs.cache import open_cache
from microg_bench.runs.record import RunRecord
from tests.helpers.runs import OneByOne, execute, make_configuration
from tests.helpers.schemas import FITS, MISFITS, VERDICT, Judge, closed

CLIPS = [Clip(video_id=f"a_{n}", source="a", caption="c") for n in range(25)]


class Saying(OneByOne):
    """Gives responses with a way to end, in place of texts."""

    structured = True

    async def answer(self, jobs):  # type: ignore[no-untyped-def]
        async for job in jobs:
            text, ended = json.loads(self.function(job))
            yield [(job, Response(id=job.request.id, text=text, finish_reason=ended))]


def judged(
    root: Path, says: Callable[[Job], tuple[str, FinishReason]], clips: list[Clip], cache: bool = False
) -> RunRecord:
    one = make_configuration(clips, adapter=Judge())
    engine = Saying(function=lambda job: json.dumps(says(job)))
    kept = open_cache(root.parent / "cache", {"model": "m"}) if cache else None
    return execute(root, one, engine, cache=kept)["caption"]


def test_fitting_answers_are_answers_and_thoughts_are_no_part_of_them(tmp_path: Path) -> None:
    record = judged(tmp_path / "r", lambda job: (f"<think>{{so}}</think>\n{FITS}", "stop"), CLIPS[:2])
    assert [answer.answer for answer in record.answers.values()] == [FITS] * 2
    assert {answer.reasoning for answer in record.answers.values()} == {"{so}"}
    assert record.settings.generation.answer_schema == VERDICT


@pytest.mark.parametrize(
    "quoted", ["</think>", "<think>", "<|channel|>analysis<|message|>", "<think>a</think>"]
)
def test_marks_of_thoughts_that_an_answer_quotes_are_part_of_it(tmp_path: Path, quoted: str) -> None:
    said = json.dumps({"reason": f"The candidate says {quoted}."})
    schema = json.dumps(closed(reason={"type": "string"}))
    adapter = type("Reasoning", (Judge,), {"generation": {"caption": Generation(answer_schema=schema)}})()
    one = make_configuration(CLIPS[:2], adapter=adapter)
    thought = {"a_0": said, "a_1": f"<think>Hm.</think>{said}"}
    engine = Saying(function=lambda job: json.dumps([thought[job.request.id], "stop"]))
    record = execute(tmp_path, one, engine)["caption"]
    assert record.answers["a_0"].answer == said
    # Where a thought stands before it, the marks inside cannot be told from those around it.
    assert "a_1" in record.answers or record.failures["a_1"].stage in ("parse", "thinking")


@pytest.mark.parametrize(("text", "ended", "word"), MISFITS.values(), ids=MISFITS)
def test_a_misfit_is_a_failure_that_keeps_what_was_said(
    tmp_path: Path, text: str, ended: FinishReason, word: str
) -> None:
    says = {"a_0": (FITS, "stop"), "a_1": (text, ended)}
    record = judged(tmp_path / "r", lambda job: says[job.request.id], CLIPS[:2])  # type: ignore[return-value]
    assert list(record.answers) == ["a_0"]
    failure = record.failures["a_1"]
    assert failure.stage == "parse"
    assert word in failure.reason
    assert failure.response is not None
    assert failure.response.text == text


def test_a_misfit_is_asked_again_in_the_next_start_and_never_taken_from_the_cache(tmp_path: Path) -> None:
    asked: list[str] = []

    def says(job: Job) -> tuple[str, FinishReason]:
        asked.append(job.request.id)
        return ("hm" if len(asked) == 1 else FITS, "stop")

    assert list(judged(tmp_path / "r", says, CLIPS[:1], cache=True).failures) == ["a_0"]
    assert list((tmp_path / "cache").rglob("*.json")) == []
    assert list(judged(tmp_path / "r", says, CLIPS[:1], cache=True).answers) == ["a_0"]
    other = judged(tmp_path / "other", says, CLIPS[:1], cache=True)
    assert [answer.from_cache for answer in other.answers.values()] == [True]
    assert asked == ["a_0", "a_0"]


def test_a_model_that_never_keeps_to_the_schema_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no JSON.*20 requests in a row"):
        judged(tmp_path / "r", lambda job: ("hm", "stop"), CLIPS)
    once = judged(tmp_path / "once", lambda job: (FITS if job.request.id == "a_0" else "hm", "stop"), CLIPS)
    assert (len(once.answers), len(once.failures)) == (1, 24), "one that does so now and then goes on"


def test_an_engine_without_structured_answers_is_refused_before_anything_is_asked() -> None:
    wanted = Generation(answer_schema=VERDICT)
    with pytest.raises(UsageError, match="engine function has no structured answers"):
        FunctionEngine.check_generation(wanted)
    Saying.check_generation(wanted)
    with pytest.raises(UsageError, match="answer schema: cannot be used"):
        Saying.check_generation(Generation(answer_schema="{}"))
    FunctionEngine.check_generation(Generation())


def test_the_schema_counts_among_the_tokens_of_the_prompt() -> None:
    price = Price.model_validate({"date": "2026-01-01", "input": 1.0, "output": 2.0})
    asked = Prompt(messages=(Message(role="user", parts=(Text(text="Judge."),)),))
    plain, with_schema = Generation(), Generation(answer_schema=VERDICT)
    tokens = [estimate([(asked, one)], price, 0).prompt_tokens for one in (plain, with_schema)]
    assert abs(tokens[1] - tokens[0] - len(VERDICT) / 3) <= 1
    assert price.at_most(asked, 0, with_schema) > price.at_most(asked, 0, plain)
