"""The vendors' batch APIs, with their own clients, against vendors on loopback."""

import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from microg_bench.engines.anthropic.engine import AnthropicEngine
from microg_bench.engines.base import BatchEngine, QueueFullError
from microg_bench.engines.gemini.engine import GeminiEngine
from microg_bench.engines.openai_compatible.openai import OpenAIEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Failure, Generation, Message, Prompt, Response, Text
from tests.engines.conftest import grey_frames, job_of
from tests.helpers.batch_vendors import AnthropicVendor, GeminiVendor, OpenAIVendor
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire

pytestmark = pytest.mark.slow

KEY = "sk-the-key-of-this-test"
FATES = {
    "clip0": "", "clip1": "length", "clip2": "filter", "clip3": "400", "clip4": "500", "clip5": "expired",
    "clip6": "left", "clip7": "empty", "clip8": "torn",
}  # fmt: skip
WORDS = {"openai": ("completed", "expired", "cancelled", "failed"),
         "gemini": ("SUCCEEDED", "EXPIRED", "CANCELLED", "FAILED"),
         "anthropic": ("ended", "ended", "ended", "ended")}  # fmt: skip
VENDORS: dict[str, tuple[Any, Any, type[BatchEngine]]] = {
    "openai": (OpenAIWire, OpenAIVendor, OpenAIEngine),
    "gemini": (GeminiWire, GeminiVendor, GeminiEngine),
    "anthropic": (AnthropicWire, AnthropicVendor, AnthropicEngine),
}


@pytest.fixture(params=VENDORS)
def vendor(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, BatchEngine, str]]:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    wire, vendor_class, engine_class = VENDORS[request.param]
    with FaultServer(wire) as server:
        vendor = vendor_class(server)
        engine = engine_class(Options(checkpoint="m", url=(server.url,), timeout=5.0))
        engine.start()
        vendor.server = server
        yield vendor, engine, request.param
        engine.close()


def send(engine: BatchEngine, count: int, token: str = "token-1") -> str:
    jobs = [job_of(k, frames=grey_frames([10, 200])) for k in range(count)]
    return engine.submit([(job.request.id, engine.encoded(job)) for job in jobs], token)


def test_what_is_sent_is_what_would_be_asked(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    messages = (
        Message(role="system", parts=(Text(text="Be brief."),)),
        *job_of(0, parts=(Text(text="Who?"),)).prompt.messages,
    )
    wanted = Generation(max_tokens=33, temperature=0.5, top_p=0.9, seed=5)
    job = job_of(0, generation=wanted)
    job = type(job)(job.request, Prompt(messages=messages), None, wanted)
    line = engine.encoded(job)
    assert line.count(b"\n") == line.endswith(b"\n") == (name != "anthropic")
    (sent,) = there.requests(engine.submit([(job.request.id, line)], "t"))
    if name == "openai":
        assert (sent["custom_id"], sent["method"], sent["url"]) == ("clip0", "POST", "/v1/chat/completions")
        assert sent["body"] == {
            "model": "m", "max_completion_tokens": 33, "temperature": 0.5, "top_p": 0.9, "seed": 5,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}],
        }  # fmt: skip
    elif name == "anthropic":
        assert sent["custom_id"].endswith("-clip0")
        assert sent["params"] == {
            "model": "m", "max_tokens": 33, "temperature": 0.5, "top_p": 0.9, "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}],
        }  # fmt: skip
    else:
        assert sent == {
            "key": "clip0",
            "request": {
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [{"role": "user", "parts": [{"text": "Who?"}]}],
                "generationConfig": {"temperature": 0.5, "topP": 0.9, "maxOutputTokens": 33, "seed": 5},
            },
        }


def test_the_frames_travel_with_it(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    (sent,) = there.requests(send(engine, 1))
    written = json.dumps(sent)
    mark = "data:image/jpeg;base64," if name == "openai" else '"image/jpeg"'
    assert written.count(mark) == 2


def test_a_batch_is_found_by_its_token(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    names = [send(engine, 1, token) for token in ("one", "two")]
    if name == "anthropic":  # which tells the ids of a batch only when it has ended
        for batch in names:
            there.end(batch, lambda request: "")
    assert [engine.find(token) for token in ("one", "two", "three")] == [*names, None]


def test_a_batch_is_not_ended_before_it_is(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    batch = send(engine, 3)
    state = engine.state(batch)
    assert not state.ended
    assert state.word in ("in_progress", "running")
    there.end(batch, lambda request: "", WORDS[name][0])
    state = engine.state(batch)
    assert state.ended
    assert (state.answered, state.total) == ((None, None) if name == "gemini" else (3, 3))


def test_outcomes_are_told_apart(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    batch = send(engine, len(FATES))
    there.end(batch, FATES.__getitem__, WORDS[name][0])
    found = {outcome.id: outcome for outcome in engine.collect(batch)}
    assert set(found) == set(FATES) - {"clip6", "clip8"}
    reasons = {key: one.finish_reason for key, one in found.items() if isinstance(one, Response)}
    filtered = "refusal" if name == "anthropic" else "content_filter"
    assert reasons == {"clip0": "stop", "clip1": "length", "clip2": filtered}
    whole = found["clip0"]
    assert isinstance(whole, Response)
    assert (whole.text, whole.prompt_tokens, whole.cached_tokens, whole.output_tokens) == (
        "text: clip0", 100, 64, 7,
    )  # fmt: skip
    failed = {key: one.retryable for key, one in found.items() if isinstance(one, Failure)}
    assert failed == {"clip3": False, "clip4": True, "clip5": True, "clip7": True}
    assert "fault 400" in found["clip3"].reason  # type: ignore[union-attr]


@pytest.mark.parametrize("way", [1, 2, 3])
def test_a_batch_that_ended_badly_gives_what_it_has(vendor: tuple[Any, BatchEngine, str], way: int) -> None:
    there, engine, name = vendor
    batch = send(engine, 4)
    there.end(batch, lambda request: "" if request in ("clip0", "clip2") else "left", WORDS[name][way])
    state = engine.state(batch)
    assert state.ended
    assert state.word == WORDS[name][way].lower()
    assert sorted(outcome.id for outcome in engine.collect(batch)) == ["clip0", "clip2"]


def test_a_batch_that_left_nothing_gives_nothing(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    batch = send(engine, 2)
    there.end(batch, lambda request: "left", WORDS[name][3])
    assert list(engine.collect(batch)) == []


def test_a_vendor_that_refuses_is_told_without_the_key(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, _ = vendor
    batch = send(engine, 1)
    there.server.keys = {"another"}
    for question in (
        lambda: send(engine, 1),
        lambda: engine.find("t"),
        lambda: engine.state(batch),
        lambda: list(engine.collect(batch)),
    ):
        with pytest.raises(EngineError, match="401") as caught:
            question()
        assert KEY not in "".join(traceback.format_exception(caught.value))
        assert "\n" not in str(caught.value)
    assert len(there.batches) == 1


def test_a_batch_that_the_queue_has_no_room_for_is_told_in_the_vendors_words(
    vendor: tuple[Any, BatchEngine, str],
) -> None:
    there, engine, name = vendor
    words = "Enqueued token limit reached for m. Limit: 90,000 enqueued tokens."
    if name == "openai":  # which looks at a batch only after it has taken it
        batch = send(engine, 2)
        assert not engine.state(batch).full
        told = {"code": "token_limit_exceeded", "message": words, "line": None, "param": None}
        there.batches[batch] |= {"status": "failed", "errors": {"object": "list", "data": [told]}}
        state = engine.state(batch)
        assert (state.ended, state.full, state.word) == (True, True, f"failed: {words}")
    path = {
        "openai": "/v1/batches",
        "gemini": "/v1beta/models/m:batchGenerateContent",
        "anthropic": "/v1/messages/batches",
    }[name]
    refusal = there.server.wire.error(429, words, "token_limit_exceeded")
    there.server.routes["POST", path] = lambda call: (429, refusal)
    with pytest.raises(QueueFullError, match="429: Enqueued token limit reached for m"):
        send(engine, 2)


@pytest.mark.parametrize("fault", ["negative", "mapping", "402 inside"])
def test_odd_results_fail_alone(vendor: tuple[Any, BatchEngine, str], fault: str) -> None:
    there, engine, name = vendor
    batch = send(engine, 3)
    there.end(batch, lambda request: fault if request == "clip1" else "", WORDS[name][0])
    found = {outcome.id: outcome for outcome in engine.collect(batch)}
    assert len(found) == 3
    odd = found["clip1"]
    assert isinstance(odd, Failure)
    assert "\n" not in odd.reason
    assert (odd.response is not None) == (fault in ("negative", "mapping"))
    assert all(isinstance(found[key], Response) for key in ("clip0", "clip2"))


def test_a_level_of_thinking_that_is_not_known_is_told(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, name = vendor
    engine.thinking = {
        "openai": {"reasoning_effort": "low"},
        "gemini": {"thinking_level": "low"},
        "anthropic": {"thinking": "adaptive"},
    }[name]
    engine.start()
    batch = send(engine, 1)
    there.end(batch, lambda request: "thinking", WORDS[name][0])
    (outcome,) = engine.collect(batch)
    assert isinstance(outcome, Failure)
    assert "level of thinking that is asked for is not known there" in outcome.reason
    assert engine.rejected <= {"seed"}


def test_a_setting_that_is_rejected_in_other_words_is_left_out_of_the_next_batch(
    vendor: tuple[Any, BatchEngine, str],
) -> None:
    there, engine, name = vendor
    batch = send(engine, 1)
    setting = "temperature" if name == "anthropic" else "seed"
    assert setting in json.dumps(there.requests(batch))
    there.end(batch, lambda request: setting, WORDS[name][0])
    (outcome,) = engine.collect(batch)
    assert isinstance(outcome, Failure)
    assert engine.rejected == {"seed", setting}
    (sent,) = there.requests(send(engine, 1, "token-2"))
    assert setting not in json.dumps(sent)


def test_a_redirect_does_not_carry_the_key_to_another_server(vendor: tuple[Any, BatchEngine, str]) -> None:
    there, engine, _ = vendor
    seen: list[dict[str, str]] = []

    def elsewhere(call: Any) -> tuple[int, Any]:
        seen.append(dict(call[2]))
        return 404, {}

    with FaultServer(there.server.wire) as other:
        other.routes["GET", "/"] = elsewhere
        there.server.routes = {("GET", "/"): lambda call: (307, {}, {"Location": f"{other.url}/x"})}
        with pytest.raises(EngineError) as caught:
            engine.state("batches/one")
    assert seen, caught.value
    assert KEY not in str(seen)
