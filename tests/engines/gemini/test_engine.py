import base64
import io
import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from microg_bench.engines.gemini.client import MOST_BYTES
from microg_bench.engines.gemini.engine import GeminiEngine
from microg_bench.engines.http.pool import RetryPolicy
from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options
from microg_bench.records import (
    Failure,
    Generation,
    Image,
    Message,
    Prompt,
    Response,
    Text,
    ThinkingLevel,
    Video,
)
from tests.engines.conftest import AnswerAll, grey_frames, job_of
from tests.helpers.fault_server import FaultServer, GeminiWire
from tests.helpers.gemini_messages import ThinkingConfig
from tests.helpers.odd_answers import ANSWERED
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow

KEY = "AIzaSy0123456789abcdef"
QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.001)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with FaultServer(GeminiWire) as running:
        yield running


def make(server: FaultServer, **options: Any) -> GeminiEngine:
    wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0, **options}
    return GeminiEngine(Options(**wanted), policy=QUICK)


def started(server: FaultServer, **options: Any) -> GeminiEngine:
    engine = make(server, **options)
    engine.start()
    return engine


def refusal(engine: GeminiEngine) -> str:
    with pytest.raises(EngineError) as caught:
        engine.start()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def one(server: FaultServer, answer_all: AnswerAll, fault: str) -> Response | Failure:
    server.script = lambda question, attempt: fault
    return answer_all(started(server), [job_of(0)])[0]


def content(piece: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64decode(piece["inlineData"]["data"])


def test_each_part_of_a_prompt_is_in_its_place(server: FaultServer, answer_all: AnswerAll) -> None:
    prompt = Prompt(
        messages=(
            Message(role="system", parts=(Text(text="Be "), Text(text="brief."))),
            Message(role="user", parts=(Text(text="Look:"), Video(), Image(frame=1))),
            Message(role="assistant", parts=(Text(text="I see."),)),
            Message(role="user", parts=(Text(text="Who?"),)),
        )
    )
    generation = Generation(max_tokens=33, temperature=0.7, top_p=0.9, seed=5)
    job = job_of(0, frames=grey_frames([10, 120, 240]), generation=generation)
    answer_all(started(server), [replace(job, prompt=prompt)])
    (body,) = server.bodies
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    text, *frames = body["contents"][0]["parts"]
    assert text == {"text": "Look:"}
    assert {frame["inlineData"]["mime_type"] for frame in frames} == {"image/jpeg"}
    levels = [int(np.asarray(PIL.Image.open(io.BytesIO(content(frame)))).mean().round()) for frame in frames]
    assert levels == [10, 120, 240, 120]
    assert body["generationConfig"] == {"temperature": 0.7, "topP": 0.9, "maxOutputTokens": 33, "seed": 5}


def test_a_clip_travels_as_its_own_file(server: FaultServer, answer_all: AnswerAll, tmp_path: Path) -> None:
    file, large = write_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "large.mp4"
    free = MOST_BYTES * 3 // 4  # bytes of a box that readers pass over
    large.write_bytes(file.read_bytes() + free.to_bytes(4, "big") + b"free" + bytes(free - 8))
    jobs = [replace(job_of(k), frames=None, video=video) for k, video in enumerate((file, large))]
    answered, refused = answer_all(started(server, media="clip"), jobs)
    assert isinstance(answered, Response)
    (body,) = server.bodies
    piece = body["contents"][0]["parts"][0]
    assert (piece["inlineData"]["mime_type"], content(piece)) == ("video/mp4", file.read_bytes())
    assert isinstance(refused, Failure)
    assert refused.stage == "prompt"
    assert "Gemini takes 20 MB" in refused.reason


@pytest.mark.parametrize(
    ("fault", "finish_reason", "text"),
    [
        ("", "stop", "text: is fixing the cable?"),
        ("length", "length", "text: is fixing the cable?"),
        ("filter", "content_filter", ""),
        ("blocked", "content_filter", ""),
        ("blank", "stop", ""),
    ],
)
def test_answers_are_told_apart_by_how_they_ended(
    server: FaultServer, answer_all: AnswerAll, fault: str, finish_reason: str, text: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Response)
    assert (outcome.finish_reason, outcome.text) == (finish_reason, text)
    assert (outcome.prompt_tokens, outcome.cached_tokens, outcome.output_tokens) == (100, 64, 7)


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"), ("RECITATION", "content_filter"),
     ("OTHER", None),
     ("MALFORMED_RESPONSE", None), ("NEVER_HEARD_OF", None)],
)  # fmt: skip
def test_finish_reasons_without_text(
    server: FaultServer, answer_all: AnswerAll, reason: str, finish_reason: str | None
) -> None:
    said = {"candidates": [{"finishReason": reason}]}
    engine = started(server)
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    if finish_reason is None:
        assert isinstance(outcome, Failure)
        assert outcome.retryable
        assert reason in outcome.reason
    else:
        assert isinstance(outcome, Response)
        assert (outcome.text, outcome.finish_reason) == ("", finish_reason)


def test_the_model_that_the_server_names_is_recorded(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = started(server)
    said = server.wire.answer("x") | {"modelVersion": "gemini-2.5-pro-001"}
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.served_model == "gemini-2.5-pro-001"


def test_thoughts_are_no_part_of_the_answer(server: FaultServer, answer_all: AnswerAll) -> None:
    parts = [{"text": "Hmm.", "thought": True}, {"text": "A"}, {"text": "nn\ud800\0"}]
    said = {"candidates": [{"finishReason": "STOP", "content": {"role": "model", "parts": parts}}]}
    engine = started(server)
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.text == "Ann\ufffd\ufffd"


def test_the_wait_that_the_server_asks_for_is_kept(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = started(server)
    busy = server.wire.error(429, "slow down", "", "86400s")
    server.routes["POST", "/"] = lambda call: (429, busy)
    with pytest.raises(EngineError, match="wants no requests for 86"):
        answer_all(engine, [job_of(0)])


def test_a_missing_key_names_the_variables(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    told = refusal(make(server))
    assert "GEMINI_API_KEY" in told
    assert "GOOGLE_API_KEY" in told


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_rejected_key_is_told_without_the_key(server: FaultServer, status: int) -> None:
    code = "key" if status == 400 else ""
    echo = server.wire.error(status, f"API key not valid: {KEY}", code)
    server.routes["GET", "/"] = lambda call: (status, echo)
    told = refusal(make(server))
    assert f"{status}: API key not valid: [key]: check the key in GEMINI_API_KEY" in told


def test_the_address_may_end_in_the_version_of_the_interface(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    seen = []
    server.routes["POST", "/v7beta/models/m:"] = lambda call: (
        200,
        seen.append(call[0]) or GeminiWire.answer("x"),
    )
    (outcome,) = answer_all(started(server, url=(f"{server.url}/v7beta",)), [job_of(0)])
    assert isinstance(outcome, Response)
    assert seen == ["/v7beta/models/m:generateContent"]


def test_options_of_other_engines_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="--detail: engine gemini does not take it"):
        GeminiEngine.check(Options(detail="low"))
    with pytest.raises(UsageError, match="--media: engine gemini has no video"):
        GeminiEngine.check(Options(media="video"))
    GeminiEngine.check(Options(media="clip", max_concurrency=3))


@pytest.mark.parametrize("fault", ANSWERED["gemini"])
def test_an_answer_is_read_in_every_form(server: FaultServer, answer_all: AnswerAll, fault: str) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Response)
    assert outcome.text.startswith("text: is fixing the cable?")
    assert outcome.reasoning == ("Let me see." if fault == "thoughts beside" else None)
    assert (outcome.prompt_tokens, outcome.output_tokens, outcome.reasoning_tokens) == (100, 7, 2)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("MALFORMED_FUNCTION_CALL", "the answer ended with finish reason MALFORMED_FUNCTION_CALL"),
        ("unfinished", "the answer ended without a finish reason"),
        ("no content", "the answer ended without a text"),
        ("two", "the response has 2 candidates in it, one was asked for"),
        ("picture", "400: Unable to process input image."),
        ("system", "the model takes no system text, choose a --prompt without one"),
        ("429 inside", "429: slow down"),
        ("negative", "an impossible count of tokens: output tokens: -5"),
    ],
)
def test_why_there_is_no_answer_is_told(
    server: FaultServer, answer_all: AnswerAll, fault: str, told: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert told in outcome.reason


def test_why_generation_ended_is_told_in_the_vendors_words(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    said = {"candidates": [{"finishReason": "OTHER", "finishMessage": "no luck\ntoday"}]}
    engine = started(server)
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Failure)
    assert "finish reason OTHER: no luck (asked" in outcome.reason


@pytest.mark.parametrize("name", ["temperature", "top_p", "seed"])
def test_a_setting_that_the_model_rejects_is_left_out_from_then_on(
    server: FaultServer, answer_all: AnswerAll, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = lambda question, attempt: name
    engine = started(server)
    outcomes = answer_all(engine, [job_of(k) for k in range(20)])
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert engine.rejected == {name}
    assert caplog.text.count(f"m rejects {name}") == 1
    left = {"temperature", "top_p", "seed", "max_output_tokens"} - {name}
    sent = server.bodies[-1]["generationConfig"]
    assert sent.keys() == {
        {"top_p": "topP", "max_output_tokens": "maxOutputTokens"}.get(one, one) for one in left
    }


@pytest.mark.parametrize("level", ["on", "off", "low"])
def test_how_the_model_thinks_is_set_in_each_request_and_in_batches(
    server: FaultServer, answer_all: AnswerAll, level: ThinkingLevel
) -> None:
    wanted = GeminiEngine.thinking_switches[level]
    engine = make(server)
    engine.thinking = wanted
    engine.start()
    answer_all(engine, [job_of(0)])
    sent = server.bodies[0]["generationConfig"]["thinkingConfig"]
    batched = json.loads(engine.encoded(job_of(0)))["request"]["generationConfig"]["thinkingConfig"]
    assert ThinkingConfig.model_validate(sent) == ThinkingConfig.model_validate(batched)
    assert batched == {
        "on": {"thinkingBudget": -1, "includeThoughts": True},
        "off": {"thinkingBudget": 0},
        "low": {"thinkingLevel": "LOW", "includeThoughts": True},
    }[level]  # fmt: skip


def test_a_level_of_thinking_that_is_not_known_ends_the_run(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    engine = make(server)
    engine.thinking = GeminiEngine.thinking_switches["off"]
    engine.start()
    said = server.wire.error(400, "Budget 0 is invalid. This model only works in thinking mode.")
    server.routes["POST", "/"] = lambda call: (400, said)
    with pytest.raises(EngineError, match="level of thinking that is asked for is not known there"):
        answer_all(engine, [job_of(0)])
