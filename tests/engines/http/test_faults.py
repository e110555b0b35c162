"""Thousands of requests through the real clients, to servers on loopback that go wrong in every way."""

import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.base import Engine
from microg_bench.engines.registry import engine_class
from microg_bench.options import Options
from microg_bench.runs.record import RunRecord
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire
from tests.helpers.odd_answers import ANSWERED, REFUSED, RETRIED
from tests.helpers.remote_runs import SHORT, clips, run_all

pytestmark = pytest.mark.slow

CLIPS = clips(286)  # with a caption and 6 questions each: 2,002 requests
PASSING = (
    "429",
    "429 after",
    "500",
    "503",
    "reset",
    "slow",
    "malformed",
    "empty",
    "html",
    "502 page",
    "trickle",
)
KEY = "sk-the-key-of-this-test"
KINDS = [("openai", OpenAIWire), ("gemini", GeminiWire), ("anthropic", AnthropicWire)]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)


def faults(name: str) -> Callable[[str, int], str]:
    """A script: of 200 requests one meets each passing fault, once or twice; a few meet one that stays."""
    passing = (*PASSING, *RETRIED[name], *ANSWERED[name])
    lasting = LASTING | {request: fault for fault, request in refused(name).items()}

    def script(question: str, attempt: int) -> str:
        if question in lasting:
            return lasting[question]
        if question in ("clip31#1", "clip63"):
            return {"clip31#1": "silent", "clip63": "429 date"}[question] if attempt == 1 else ""
        draw = zlib.crc32(question.encode())
        return passing[draw % 200] if draw % 200 < len(passing) and attempt <= 1 + draw % 7 // 5 else ""

    return script


def refused(name: str) -> dict[str, str]:
    """The requests that are refused for good, by the fault that they meet."""
    return {fault: f"clip{200 + place}#2" for place, fault in enumerate((*REFUSED[name], "endless"))}


LASTING = {
    "clip5#1": "500", "clip50#2": "503", "clip99": "reset", "clip120#6": "malformed", "clip121#6": "empty",
    "clip7": "400", "clip8#3": "413", "clip11#1": "filter", "clip12": "length",
}  # fmt: skip
DENIED = {"clip7", "clip8#3"}
RETRYABLE = {"clip5#1", "clip50#2", "clip99", "clip120#6", "clip121#6"}


def make(name: str, server: FaultServer, timeout: float = 60.0) -> Engine:
    """An engine that asks `server`; a request that a busy machine answers after `timeout` is asked twice."""
    kind: Any = engine_class(name)
    engine: Engine = kind(Options(checkpoint="m", url=(server.url,), timeout=timeout), policy=SHORT)
    return engine


def answers(states: dict[Any, RunRecord]) -> dict[str, Any]:
    return {name: answer for state in states.values() for name, answer in state.answers.items()}


def failures(states: dict[Any, RunRecord]) -> dict[str, Any]:
    return {name: failure for state in states.values() for name, failure in state.failures.items()}


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "wire"), KINDS)
def test_every_request_ends_once_and_a_second_start_asks_the_rest_again(
    tmp_path: Path, name: str, wire: Any
) -> None:
    with FaultServer(wire, faults(name)) as server:
        server.keep_bodies = False
        states, ended = run_all(tmp_path, make(name, server, timeout=2.0), CLIPS)
        assert ended == ""
        failed = failures(states)
        assert set(failed) == {*DENIED, *RETRYABLE, *refused(name).values()}
        assert {request for request, failure in failed.items() if failure.retryable} == RETRYABLE | {
            refused(name)["403 page"]
        }
        assert len(answers(states)) == 7 * len(CLIPS) - len(failed)
        assert Counter(answer.finish_reason for answer in answers(states).values()) == {
            "stop": 7 * len(CLIPS) - len(failed) - 2,
            "refusal" if name == "anthropic" else "content_filter": 1,
            "length": 1,
        }
        assert set(server.answered.values()) == {1}
        assert all(answer.text.startswith(f"text: {request}") for request, answer in answers(states).items()
                   if answer.finish_reason not in ("content_filter", "refusal"))  # fmt: skip
        asked = {request: server.asked[request] for request in answers(states)}

        server.script = lambda question, attempt: ""
        states, ended = run_all(tmp_path, make(name, server), CLIPS)
        assert (ended, failures(states)) == ("", {})
        assert len(answers(states)) == 7 * len(CLIPS)
        assert set(server.answered.values()) == {1}
        assert asked == {request: server.asked[request] for request in asked}


@pytest.mark.parametrize(("name", "wire"), KINDS)
def test_a_key_that_expires_on_the_way_ends_the_run_at_once(
    tmp_path: Path, name: str, wire: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = clips(60)
    with FaultServer(wire) as server:
        server.script = lambda question, attempt: _expire(server) if len(server.answered) >= 100 else ""
        states, ended = run_all(tmp_path, make(name, server), wanted)
        assert "401" in ended
        assert "_API_KEY" in ended
        assert KEY not in ended + repr(failures(states)) + "".join(capfd.readouterr())
        assert all(failure.retryable for failure in failures(states).values())
        assert set(answers(states)) == set(server.answered)
        assert sum(server.asked.values()) < 250

        server.keys, server.script = None, lambda question, attempt: ""
        states, ended = run_all(tmp_path, make(name, server), wanted)
        assert (ended, failures(states)) == ("", {})
        assert len(answers(states)) == 7 * 60
        assert set(server.answered.values()) == {1}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written


def _expire(server: FaultServer) -> str:
    server.keys = {"another"}
    return "401"


@pytest.mark.parametrize(("name", "wire"), KINDS)
@pytest.mark.parametrize(("fault", "told"), [("quota", "used up"), ("404", "404"), ("402 inside", "credit")])
def test_what_no_request_can_get_past_ends_the_run_in_one_line(
    tmp_path: Path, name: str, wire: Any, fault: str, told: str
) -> None:
    with FaultServer(wire, lambda question, attempt: fault) as server:
        states, ended = run_all(tmp_path, make(name, server), clips(50))
        assert told in ended
        assert "\n" not in ended
        assert sum(server.asked.values()) <= 8
        assert all(failure.retryable for failure in failures(states).values())


@pytest.mark.parametrize(("name", "wire"), KINDS)
def test_a_server_that_is_gone_ends_the_run(tmp_path: Path, name: str, wire: Any) -> None:
    with FaultServer(wire) as server:
        engine = make(name, server)
        engine.start()
    engine.start = lambda: None  # type: ignore[method-assign]
    states, ended = run_all(tmp_path, engine, clips(50))
    assert "cannot be reached" in ended
    assert answers(states) == {}


@pytest.mark.parametrize(("name", "wire"), KINDS)
@pytest.mark.parametrize("fault", ["400", "403", "denied", "negative", "redirect", "endless"])
def test_a_run_of_which_every_request_is_refused_alike_ends_soon(
    tmp_path: Path, name: str, wire: Any, fault: str
) -> None:
    with FaultServer(wire, lambda question, attempt: fault) as server:
        states, ended = run_all(tmp_path, make(name, server), clips(50))
        assert ended.startswith("the first 20 requests were refused alike, the last because ")
        assert "\n" not in ended
        assert 20 <= sum(server.asked.values()) < 30
        assert answers(states) == {}


@pytest.mark.parametrize(("name", "wire"), KINDS)
def test_a_key_that_is_denied_on_the_way_ends_the_run(tmp_path: Path, name: str, wire: Any) -> None:
    with FaultServer(wire) as server:
        server.script = lambda question, attempt: "denied" if len(server.answered) >= 30 else ""
        states, ended = run_all(tmp_path, make(name, server), clips(60))
        assert "requests were refused alike" in ended
        assert "403: this model is not for you" in ended
        assert len(answers(states)) == len(server.answered)
        assert sum(server.asked.values()) < 200
