"""Answers in a schema from the engine transformers: checked, and asked for again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.base import Job, Outcome
from microg_bench.engines.registry import ENGINES

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

from microg_bench.engines.transformers.engine import ASKED_AGAIN, TransformersEngine
from microg_bench.options import Options
from microg_bench.records import Clip, Failure, Generation, Response, Text
from microg_bench.structured import unfit
from tests.engines.conftest import AnswerAll, job_of
from tests.helpers.runs import execute, make_configuration
from tests.helpers.schemas import FITS, VERDICT, Judge
from tests.helpers.tiny_text import build_tiny_text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_text("qwen3", tmp_path_factory.mktemp("checkpoints"))


def started(folder: Path, **options: Any) -> TransformersEngine:
    engine = TransformersEngine(Options(checkpoint=str(folder), dtype="float32", batch_size=4, **options))
    engine.start()
    return engine


def asking(key: int, schema: str | None = VERDICT, max_tokens: int = 8) -> Job:
    job = job_of(key, parts=(Text(text="Judge."),))
    return replace(job, frames=None, generation=Generation(max_tokens=max_tokens, answer_schema=schema))


class Scripted(TransformersEngine):
    """Says what a script holds for each request, one text after the other, and keeps what it was asked."""

    def say(self, **script: list[str | None]) -> list[list[Job]]:
        self.script = {name: list(texts) for name, texts in script.items()}
        self.asked: list[list[Job]] = []
        self._batch_size = 4
        return self.asked

    def _responses(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.asked.append(list(jobs))
        return [self._next(job) for job in jobs]

    def _next(self, job: Job) -> Outcome:
        name, text = job.request.id, self.script[job.request.id].pop(0)
        if text is None:
            return Failure(id=name, stage="prompt", reason="too long")
        ended = "length" if text.endswith("…") else "stop"
        return Response(id=name, text=text, finish_reason=ended, output_tokens=len(text), seconds=1.0)


def words(job: Job) -> list[str]:
    return [
        "".join(part.text for part in turn.parts if isinstance(part, Text)) for turn in job.prompt.messages
    ]


def test_only_what_misses_the_schema_is_asked_for_again(answer_all: AnswerAll) -> None:
    engine = Scripted(Options())
    asked = engine.say(
        clip0=[FITS], clip1=["Right!", FITS], clip2=[f"<think>hm</think>Sure: {FITS}", "{}", FITS]
    )
    said = answer_all(engine, [asking(k) for k in range(3)])
    assert [one.text for one in said if isinstance(one, Response)] == [FITS] * 3
    assert [one.seconds for one in said if isinstance(one, Response)] == [1.0, 2.0, 3.0]
    assert [[job.request.id for job in batch] for batch in asked] == [
        ["clip0", "clip1", "clip2"], ["clip1", "clip2"], ["clip2"],
    ]  # fmt: skip


def test_the_model_is_told_what_was_wrong_each_time(answer_all: AnswerAll) -> None:
    engine = Scripted(Options())
    asked = engine.say(clip0=[f"<think>hm</think>Sure: {FITS}", FITS.replace("right", "<|im_end|>"), FITS])
    answer_all(engine, [asking(0)])
    (first,), (second,), (third,) = asked
    assert words(first) == ["Judge."]
    assert words(second)[:2] == ["Judge.", f"Sure: {FITS}"], "its thoughts are not shown again"
    assert "around" in words(second)[2] and VERDICT in words(second)[2]
    assert words(third)[:3] == words(second)
    assert "$.verdict" in words(third)[4]


def test_it_is_asked_a_bounded_number_of_times_and_the_last_word_is_kept(answer_all: AnswerAll) -> None:
    engine = Scripted(Options())
    asked = engine.say(clip0=[f"no {k}" for k in range(9)], clip1=["cut…"] * 9)
    said = answer_all(engine, [asking(k) for k in range(2)])
    assert len(asked) == 1 + ASKED_AGAIN
    assert isinstance(said[0], Response)
    assert said[0].text == f"no {ASKED_AGAIN}"
    assert all(isinstance(one, Response) and unfit(one, VERDICT) for one in said)


def test_an_answer_that_cannot_be_asked_for_again_is_kept(answer_all: AnswerAll) -> None:
    engine = Scripted(Options())
    engine.say(clip0=["no", None, None], clip1=[None, FITS])
    kept, failed = answer_all(engine, [asking(0), asking(1)])
    assert isinstance(kept, Response) and kept.text == "no"
    assert isinstance(failed, Failure)


def test_nothing_is_asked_again_where_there_is_no_schema(answer_all: AnswerAll) -> None:
    engine = Scripted(Options())
    asked = engine.say(clip0=["no", FITS])
    answer_all(engine, [asking(0, None)])
    assert len(asked) == 1


def test_a_real_model_is_given_the_whole_exchange(folder: Path, answer_all: AnswerAll) -> None:
    engine = started(folder)
    (once,) = answer_all(engine, [asking(0, None)])
    (again,) = answer_all(engine, [asking(0)])
    assert isinstance(once, Response) and isinstance(again, Response)
    assert again.prompt_tokens is not None and once.prompt_tokens is not None
    assert again.prompt_tokens > once.prompt_tokens + len(VERDICT) / 10
    assert again.text != once.text, "another prompt has another greedy text"


def test_a_real_run_counts_what_never_fits_as_failures(folder: Path, tmp_path: Path) -> None:
    clips = [Clip(video_id=f"c{n}", source="s", caption="c") for n in range(3)]
    one = make_configuration(clips, adapter=Judge(), engine=TransformersEngine)
    record = execute(tmp_path, one, started(folder))["caption"]
    assert record.answers == {}
    assert sorted(record.failures) == ["c0", "c1", "c2"]
    for failure in record.failures.values():
        assert failure.stage == "parse"
        assert failure.response is not None
    assert (
        json.loads((tmp_path / "caption" / "run.json").read_text())["settings"]["generation"]["answer_schema"]
        == VERDICT
    )
