"""What holds for every vendor that is asked for one model, through its own client."""

import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from microg_bench.engines.anthropic.engine import AnthropicEngine
from microg_bench.engines.base import Outcome
from microg_bench.engines.gemini.engine import GeminiEngine
from microg_bench.engines.http.pool import HttpEngine, RetryPolicy
from microg_bench.engines.registry import CLOSED, engine_class
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Failure, Response
from tests.engines.conftest import AnswerAll, job_of
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire
from tests.helpers.odd_answers import REFUSED, RETRIED

pytestmark = pytest.mark.slow

KEY = "sk-key-0123456789abcdef"
QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.001)


@dataclass(frozen=True)
class Vendor:
    """An engine, what its vendor speaks, and the variables that hold key and address."""

    engine: type[HttpEngine]
    wire: Any
    key: str
    address: str
    half: str  # the fault with half an answer

    def make(self, server: FaultServer, **options: Any) -> HttpEngine:
        wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0, **options}
        return self.engine(Options(**wanted), policy=QUICK)

    def started(self, server: FaultServer, **options: Any) -> HttpEngine:
        engine = self.make(server, **options)
        engine.start()
        return engine


VENDORS = {
    "gemini": Vendor(
        GeminiEngine, GeminiWire, "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "MALFORMED_FUNCTION_CALL"
    ),
    "anthropic": Vendor(
        AnthropicEngine, AnthropicWire, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "pause_turn"
    ),
}


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    found = VENDORS[request.param]
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv(found.address, raising=False)
    monkeypatch.setenv(found.key, KEY)
    return found


@pytest.fixture
def server(vendor: Vendor) -> Iterator[FaultServer]:
    with FaultServer(vendor.wire) as running:
        yield running


def one(vendor: Vendor, server: FaultServer, answer_all: AnswerAll, fault: str) -> Outcome:
    server.script = lambda question, attempt: fault
    return answer_all(vendor.started(server), [job_of(0)])[0]


def refusal(engine: HttpEngine) -> str:
    with pytest.raises(EngineError) as caught:
        engine.start()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


AGAIN = ("empty", "malformed", "html", "500", "reset")


@pytest.mark.parametrize(
    ("vendor", "fault"),
    [(name, fault) for name in VENDORS for fault in (*RETRIED[name], *AGAIN)],
    indirect=["vendor"],
)
def test_what_is_no_answer_is_asked_again(
    vendor: Vendor, server: FaultServer, answer_all: AnswerAll, fault: str
) -> None:
    outcome = one(vendor, server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert outcome.retryable
    assert outcome.reason.endswith("(asked 3 times)")
    assert server.asked.total() == 3, "the client's own retries are off"


@pytest.mark.parametrize(
    ("vendor", "fault"),
    [(name, fault) for name in VENDORS for fault in (*REFUSED[name], "endless")],
    indirect=["vendor"],
)
def test_what_would_fail_again_is_not_asked_again(
    vendor: Vendor, server: FaultServer, answer_all: AnswerAll, fault: str
) -> None:
    assert isinstance(one(vendor, server, answer_all, fault), Failure)
    assert server.asked.total() == 1


def test_half_an_answer_is_kept_with_its_failure(
    vendor: Vendor, server: FaultServer, answer_all: AnswerAll
) -> None:
    outcome = one(vendor, server, answer_all, vendor.half)
    assert isinstance(outcome, Failure)
    assert outcome.response is not None
    assert (outcome.response.text, outcome.response.output_tokens) == ("text:", 7)


def test_the_wait_that_the_server_asks_for_is_kept(
    vendor: Vendor, server: FaultServer, answer_all: AnswerAll
) -> None:
    engine = vendor.started(server)
    busy = server.wire.error(429, "slow down")
    server.routes["POST", "/"] = lambda call: (429, busy, {"retry-after": "86400"})
    with pytest.raises(EngineError, match="wants no requests for 86"):
        answer_all(engine, [job_of(0)])


def test_a_missing_key_names_the_variable(
    vendor: Vendor, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(vendor.key)
    assert vendor.key in refusal(vendor.make(server))


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_key_is_told_without_the_key(vendor: Vendor, server: FaultServer, status: int) -> None:
    echo = server.wire.error(status, f"API key not valid: {KEY}")
    server.routes["GET", "/"] = lambda call: (status, echo)
    told = refusal(vendor.make(server))
    assert f"{status}: API key not valid: [key]: check the key in {vendor.key}" in told


def test_an_unknown_model_is_told_with_those_that_are_near(vendor: Vendor, server: FaultServer) -> None:
    server.models = ["large-vision-5", "small-vision-5"]
    told = refusal(vendor.make(server, checkpoint="large-vison-5"))
    assert "unknown model 'large-vison-5': did you mean large-vision-5" in told


def test_a_wrong_address_is_told(vendor: Vendor, server: FaultServer) -> None:
    server.routes["GET", "/"] = lambda call: (404, b"<html>not here</html>")
    assert "404" in refusal(vendor.make(server))
    with FaultServer(vendor.wire) as gone:
        pass
    told = refusal(vendor.make(server, url=(gone.url,)))
    assert told == f"{gone.url} cannot be reached: connection refused"


def test_the_address_in_the_environment_counts(
    vendor: Vendor, server: FaultServer, monkeypatch: pytest.MonkeyPatch, answer_all: AnswerAll
) -> None:
    monkeypatch.setenv(vendor.address, server.url)
    engine = vendor.started(server, url=())
    assert engine.provenance()["servers"] == server.url
    assert isinstance(answer_all(engine, [job_of(0)])[0], Response)


def test_a_key_is_sent_over_https_or_to_this_machine_only(
    vendor: Vendor, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vendor.address, "http://gateway.example")
    for url in ((), ("http://10.0.0.3/v1",)):
        assert f"{vendor.key} would be sent unencrypted: use https" in refusal(vendor.make(server, url=url))


def test_the_key_appears_nowhere(
    vendor: Vendor, server: FaultServer, answer_all: AnswerAll, caplog: pytest.LogCaptureFixture
) -> None:
    engine = vendor.started(server)
    echo = server.wire.error(400, f"bad header: {KEY}")
    server.routes["POST", "/"] = lambda call: (400, echo)
    with caplog.at_level(logging.DEBUG):
        (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Failure)
    assert "[key]" in outcome.reason
    for text in (repr(outcome), repr(engine), str(engine.provenance()), caplog.text):
        assert KEY not in text


def test_it_is_found_by_name(vendor: Vendor) -> None:
    assert engine_class(vendor.engine.name) is vendor.engine
    assert vendor.engine.name in CLOSED
