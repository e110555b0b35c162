import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from microg_bench.engines.anthropic import client
from microg_bench.engines.anthropic.engine import AnthropicEngine
from microg_bench.engines.base import Outcome
from microg_bench.engines.chat_template import PromptError
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
from tests.helpers.batch_vendors import AnthropicVendor
from tests.helpers.fault_server import AnthropicWire, FaultServer
from tests.helpers.odd_answers import ANSWERED

pytestmark = pytest.mark.slow

KEY = "sk-ant-api03-0123456789abcdef"
OTHERS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_PROFILE")
QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.001)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    for name in OTHERS:
        monkeypatch.delenv(name, raising=False)
    with FaultServer(AnthropicWire) as running:
        yield running


def make(server: FaultServer, thinking: ThinkingLevel | None = None, **options: Any) -> AnthropicEngine:
    wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0, **options}
    switches = AnthropicEngine.thinking_switches[thinking] if thinking else {}
    return AnthropicEngine(Options(**wanted), policy=QUICK, thinking=switches)


def started(server: FaultServer, thinking: ThinkingLevel | None = None, **options: Any) -> AnthropicEngine:
    engine = make(server, thinking, **options)
    engine.start()
    return engine


def one(server: FaultServer, answer_all: AnswerAll, fault: str) -> Outcome:
    server.script = lambda question, attempt: fault
    return answer_all(started(server), [job_of(0)])[0]


def level(block: dict[str, Any]) -> int:
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(block["source"]["data"])))
    return int(np.asarray(picture).mean().round())


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
    assert body["system"] == "Be brief."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    text, *frames = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "Look:"}
    assert {(frame["type"], frame["source"]["media_type"]) for frame in frames} == {("image", "image/jpeg")}
    assert list(map(level, frames)) == [10, 120, 240, 120]
    settings = {name: body[name] for name in body.keys() - {"system", "messages"}}
    assert settings == {"model": "m", "max_tokens": 33, "temperature": 0.7, "top_p": 0.9}


def test_a_request_that_is_too_large_is_not_sent(
    server: FaultServer, answer_all: AnswerAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1000)
    (refused,) = answer_all(started(server), [job_of(0)])
    assert isinstance(refused, Failure)
    assert (refused.stage, server.bodies) == ("prompt", [])
    assert "send fewer or smaller frames" in refused.reason


@pytest.mark.parametrize(
    ("fault", "finish_reason", "text"),
    [
        ("", "stop", "text: is fixing the cable?"),
        ("length", "length", "text: is fixing the cable?"),
        ("refusal", "refusal", "text: is fixing the cable?"),
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
    [("stop_sequence", "stop"), ("model_context_window_exceeded", "length"), ("refusal", "refusal")],
)
def test_an_answer_may_have_no_text(
    server: FaultServer, answer_all: AnswerAll, reason: str, finish_reason: str
) -> None:
    engine = started(server)
    said = server.wire.answer("x") | {"content": [], "stop_reason": reason}
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.finish_reason) == ("", finish_reason)


def test_the_model_that_the_server_names_is_recorded(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = started(server)
    said = server.wire.answer("x") | {"model": "claude-haiku-4-5-20251001"}
    server.routes["POST", "/"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.served_model == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("fault", ANSWERED["anthropic"])
def test_an_answer_is_read_in_every_form(server: FaultServer, answer_all: AnswerAll, fault: str) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Response)
    assert outcome.text.startswith("text: is fixing the cable?")
    assert outcome.reasoning == ("Let me see." if fault == "thoughts beside" else None)
    assert (outcome.prompt_tokens, outcome.output_tokens, outcome.reasoning_tokens) == (100, 7, 2)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("tool_use", "the answer ended with finish reason tool_use"),
        ("unfinished", "the answer ended without a finish reason"),
        ("picture", "the response holds a block of type 'image'"),
        ("no content", "the content of the response is no list of blocks"),
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


def test_the_address_may_end_in_the_version_of_the_interface(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    (outcome,) = answer_all(started(server, url=(f"{server.url}/v1",)), [job_of(0)])
    assert isinstance(outcome, Response)


def test_no_key_but_the_one_is_sent(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, answer_all: AnswerAll
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another-0123456789")
    seen: list[str] = []
    engine = started(server)
    server.routes["POST", "/"] = lambda call: (200, seen.append(str(call[2])) or AnthropicWire.answer("x"))
    answer_all(engine, [job_of(0)])
    assert KEY in seen[0]
    assert "another-0123456789" not in seen[0]


def test_headers_of_the_environment_are_refused(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Authorization: Bearer another-0123456789")
    with pytest.raises(EngineError, match="ANTHROPIC_CUSTOM_HEADERS: unset it") as caught:
        make(server).start()
    assert "another" not in str(caught.value)


def test_options_of_other_engines_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="--detail: engine anthropic does not take it"):
        AnthropicEngine.check(Options(detail="low"))
    for media in ("video", "clip"):
        with pytest.raises(UsageError, match=f"--media: engine anthropic has no {media}"):
            AnthropicEngine.check(Options(media=media))
    AnthropicEngine.check(Options(media="images", max_concurrency=3))


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_a_setting_that_the_model_rejects_is_left_out_from_then_on(
    server: FaultServer, answer_all: AnswerAll, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = lambda question, attempt: name
    engine = started(server)
    jobs = [job_of(k, generation=Generation(max_tokens=16, top_p=0.5)) for k in range(20)]
    assert all(isinstance(outcome, Response) for outcome in answer_all(engine, jobs))
    assert engine.rejected == {"seed", name}
    assert caplog.text.count(f"m rejects {name}") == 1
    assert server.bodies[-1].keys() == {"model", "messages", "max_tokens", "temperature", "top_p"} - {name}


@pytest.mark.parametrize(
    ("model", "sampled"),
    [
        ("claude-sonnet-4-6", True),
        ("claude-opus-4-5-20251101", True),
        ("claude-haiku-4-5", True),
        ("claude-3-7-sonnet-20250219", True),
        ("claude-opus-4-20250514", True),
        ("m", True),
        ("claude-opus-4-7", False),
        ("claude-opus-5", False),
        ("claude-sonnet-5-5", False),
        ("claude-fable-5-1", False),
        ("claude-mythos-preview", False),
    ],
)
def test_a_model_that_knows_no_temperature_is_sent_none(
    server: FaultServer, answer_all: AnswerAll, model: str, sampled: bool
) -> None:
    server.models = [model]
    engine = started(server, checkpoint=model)
    answer_all(engine, [job_of(0)])
    (body,) = server.bodies
    assert ("temperature" in body) == sampled
    assert engine.rejected == ({"seed"} if sampled else {"seed", "temperature", "top_p"})


@pytest.mark.parametrize("wanted", ["on", "off", "low"])
def test_how_the_model_thinks_is_set_in_each_request_and_in_batches(
    server: FaultServer, answer_all: AnswerAll, wanted: ThinkingLevel
) -> None:
    engine = started(server, wanted)
    answer_all(engine, [job_of(0)])
    (sent,), batched = server.bodies, json.loads(engine.encoded(job_of(0)))
    assert sent == batched
    adaptive = {"type": "adaptive", "display": "summarized"}
    assert (sent["thinking"], sent.get("output_config")) == {
        "on": (adaptive, None),
        "off": ({"type": "disabled"}, None),
        "low": (adaptive, {"effort": "low"}),
    }[wanted]


def test_a_budget_of_thoughts_is_sent_where_a_model_has_one(server: FaultServer) -> None:
    engine = make(server)
    engine.thinking = {"thinking": "enabled", "budget_tokens": 2048}
    engine.start()
    sent = json.loads(engine.encoded(job_of(0)))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2048}


@pytest.mark.parametrize(
    "said",
    [
        "thinking.type.disabled is not supported for this model",
        "adaptive thinking is not supported on this model",
        "This model does not support the effort parameter.",
    ],
)
def test_a_level_of_thinking_that_is_not_known_ends_the_run(
    server: FaultServer, answer_all: AnswerAll, said: str
) -> None:
    engine = started(server, "low")
    server.routes["POST", "/"] = lambda call: (400, AnthropicWire.error(400, said))
    with pytest.raises(EngineError, match="level of thinking that is asked for is not known there"):
        answer_all(engine, [job_of(0)])


def test_any_id_of_a_request_comes_back_from_a_batch(server: FaultServer) -> None:
    vendor, engine = AnthropicVendor(server), started(server)
    jobs = [replace(job_of(0), request=job_of(0).request.model_copy(update={"id": one}))
            for one in ("a_b.c-d#1", "é", "_23", "#", "TheWanderingEarthII_055#12")]  # fmt: skip
    batch = engine.submit([(job.request.id, engine.encoded(job)) for job in jobs], "t")
    vendor.end(batch, lambda request: "")
    assert [found.id for found in engine.collect(batch)] == [job.request.id for job in jobs]
    long = replace(jobs[0], request=jobs[0].request.model_copy(update={"id": "x" * 60}))
    with pytest.raises(PromptError, match="too long for a batch"):
        engine.encoded(long)


def test_whether_a_batch_arrived_is_told_when_those_under_way_have_ended(server: FaultServer) -> None:
    vendor, engine = AnthropicVendor(server), started(server)
    sent = [("clip0", engine.encoded(job_of(0)))]
    first, second = engine.submit(sent, "one"), engine.submit(sent, "two")
    vendor.end(first, lambda request: "")
    assert engine.find("one") == first
    with pytest.raises(EngineError, match=f"batch {second} may be the one .* when that batch has ended"):
        engine.find("two")
    vendor.end(second, lambda request: "")
    assert (engine.find("two"), engine.find("three")) == (second, None)
