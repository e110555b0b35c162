"""The response cache: shared where everything is the same, and only there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.engines.base import Job
from microg_bench.errors import UsageError
from microg_bench.records import Clip, Generation, Message, Prompt, Request, Response, Text
from microg_bench.runs.cache import ResponseCache, open_cache
from microg_bench.storage import read_journal
from microg_bench.video.decode import Frames
from tests.helpers.runs import OneByOne, execute, make_configuration

CLIPS = [Clip(video_id=f"a_{n}", source="a", caption="c") for n in range(3)]


def frames(value: int = 0, **changed: Any) -> Frames:
    made = Frames(np.full((2, 4, 4, 3), value, np.uint8), (0, 5), (0.0, 0.5), 10.0, 30, 3.0)
    return replace(made, **changed)


def job(
    text: str = "What?", shown: Frames | None = None, video: Path | None = None, **generation: Any
) -> Job:
    prompt = Prompt(messages=(Message(role="user", parts=(Text(text=text),)),))
    request = Request(id="a", task="caption", video_id="a", source="s")
    return Job(request, prompt, shown, Generation(**generation), video)


def cache(tmp_path: Path, **model: Any) -> ResponseCache:
    return open_cache(tmp_path / "cache", {"checkpoint": "m", **model})


def test_the_same_question_has_one_key_and_any_difference_another(tmp_path: Path) -> None:
    one = cache(tmp_path)
    key = one.key(job(shown=frames()))
    assert key == one.key(job(shown=frames())), "other arrays with the same pixels"
    assert key == one.key(job(shown=frames(), seed=7)), "greedy decoding has no seed"
    file = tmp_path / "v.mp4"
    file.write_bytes(b"video")
    others = [
        one.key(job("Who?", frames())),
        one.key(job(shown=frames(1))),
        one.key(job(shown=frames(indices=(0, 6)))),
        one.key(job(shown=frames(fps=11.0))),
        one.key(job()),
        one.key(job(video=file)),
        one.key(job(shown=frames(), max_tokens=3)),
        cache(tmp_path, dtype="bfloat16").key(job(shown=frames())),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_answers_that_were_kept_before_there_were_schemas_are_found() -> None:
    # As version 0.1.0 names it.
    known = "2245c740646cbc8c5353fe70d7ca797f661beb9772146d03c14384e94422ff7e"
    kept = ResponseCache(Path("none"), {"checkpoint": "m"})
    assert kept.key(job()) == known


def test_each_schema_has_answers_of_its_own(tmp_path: Path) -> None:
    one = cache(tmp_path)
    both = '{"properties": {"a": {}, "b": {}}}', '{"properties": {"b": {}, "a": {}}}'
    assert len({one.key(job()), *(one.key(job(answer_schema=schema)) for schema in both)}) == 3


def test_sampling_is_never_shared(tmp_path: Path) -> None:
    assert cache(tmp_path).key(job(temperature=0.1)) is None


def test_an_answer_is_kept_and_comes_back_for_another_request(tmp_path: Path) -> None:
    one = cache(tmp_path)
    said = Response(
        id="a", text="\u2028x\ud83d", finish_reason="length", prompt_tokens=9, output_tokens=2, seconds=3.0
    )
    key = one.key(job())
    assert key is not None
    assert one.get(key, "b") is None
    one.put(key, said.model_copy(update={"text": "\u2028x"}))
    kept = one.get(key, "b")
    assert kept == Response(
        id="b", text="\u2028x", finish_reason="length", prompt_tokens=9, output_tokens=2, from_cache=True
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"text": 3}', b"\xff", b'{"text": "x", "extra": 1}'])
def test_a_damaged_file_is_no_answer_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    one = cache(tmp_path)
    key = one.key(job())
    assert key is not None
    one.put(key, Response(id="a", text="x"))
    (file,) = (tmp_path / "cache").rglob("*.json")
    file.write_bytes(content)
    assert one.get(key, "b") is None
    one.put(key, Response(id="a", text="y"))
    kept = one.get(key, "b")
    assert kept is not None
    assert kept.text == "y"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: --cache: cannot be used"):
        open_cache(tmp_path / "file", {})


def test_other_weights_have_other_answers() -> None:
    one = make_configuration(CLIPS, checkpoint="weights")
    assert one.cached_under({"device": "cpu"}) == one.cached_under({"device": "cpu"})
    changed = [replace(one, checkpoint_sha256=digest) for digest in ("a" * 64, "b" * 64)]
    models = [{}, *(other.cached_under({"device": "cpu"}) for other in (one, *changed))]
    assert len({json.dumps(model) for model in models}) == 4


def test_a_second_run_asks_nothing_that_the_first_was_answered(tmp_path: Path) -> None:
    asked: list[str] = []

    def function(job: Job) -> str:
        asked.append(job.request.id)
        return f"about {job.request.id}"

    one, engine = make_configuration(CLIPS), OneByOne(function=function)
    for run in ("first", "second"):
        execute(tmp_path / run, one, engine, cache=cache(tmp_path))
        found = [line for _, line in read_journal(tmp_path / run / "caption" / "journal.jsonl")]
        # All three prompts are alike, no clip being shown: the first answer serves them all.
        assert [line["text"] for line in found] == ["about a_0"] * 3
        assert [line["from_cache"] for line in found] == [run == "second", True, True]
    assert asked == ["a_0"]


def test_what_a_model_answers_without_a_temperature_is_not_shared(tmp_path: Path) -> None:
    one, engine = make_configuration(CLIPS), OneByOne(function=lambda job: job.request.id)
    engine.rejected.add("temperature")
    records = execute(tmp_path / "run", one, engine, cache=cache(tmp_path))
    assert [answer.text for answer in records["caption"].answers.values()] == ["a_0", "a_1", "a_2"]
    assert list((tmp_path / "cache").rglob("*.json")) == []
    assert records["caption"].rejected == ("temperature",)
