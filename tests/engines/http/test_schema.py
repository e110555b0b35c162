"""Answers in a schema, from servers and vendors on loopback, through the real clients and a whole execution.

All requests here are text alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.anthropic.engine import AnthropicEngine
from microg_bench.engines.base import BatchEngine, Job
from microg_bench.engines.gemini.engine import GeminiEngine
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.pool import HttpEngine, RetryPolicy
from microg_bench.engines.openai_compatible.openai import OpenAIEngine
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip, FinishReason, Generation, Request
from microg_bench.runs.execute import Asked, Execution
from microg_bench.runs.record import RunRecord
from tests.helpers.batch_vendors import AnthropicVendor, GeminiVendor, OpenAIVendor
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire
from tests.helpers.runs import execute, make_configuration, opened, read
from tests.helpers.schemas import FITS, MISFITS, VERDICT, Judge

pytestmark = pytest.mark.slow

ENGINES: dict[str, type[HttpEngine]] = {
    "openai": OpenAIEngine,
    "server": ServerEngine,
    "gemini": GeminiEngine,
    "anthropic": AnthropicEngine,
}
WIRES: dict[str, Any] = {
    "openai": OpenAIWire,
    "server": OpenAIWire,
    "gemini": GeminiWire,
    "anthropic": AnthropicWire,
}
VENDORS: dict[str, Any] = {
    "openai": OpenAIVendor,
    "gemini": GeminiVendor,
    "anthropic": AnthropicVendor,
}
FAULTS: dict[FinishReason, str] = {
    "stop": "",
    "length": "length",
    "content_filter": "filter",
    "refusal": "refusal",
}
CLIPS = [Clip(video_id=f"c{n}", source="s", caption="c") for n in range(3)]


@pytest.fixture(params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for key in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(key, "sk-the-key-of-this-test")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with FaultServer(WIRES[name]) as running:
        yield running


def started(name: str, server: FaultServer) -> HttpEngine:
    quick = RetryPolicy(max_attempts=2, initial_backoff=0.001)
    engine = ENGINES[name](Options(checkpoint="m", url=(server.url,), timeout=5.0), policy=quick)
    engine.start()
    return engine


def judged(root: Path, name: str, server: FaultServer) -> RunRecord:
    one = make_configuration(CLIPS, adapter=Judge(), engine=ENGINES[name])
    return execute(root, one, started(name, server))["caption"]


def sent_schema(name: str, body: dict[str, Any]) -> Any:
    """The schema in a request, whose fields around it are as the vendor documents them."""
    if name == "gemini":
        settings = body["generationConfig"]
        assert settings["responseMimeType"] == "application/json"
        return settings["responseJsonSchema"]
    if name == "anthropic":
        assert body["output_config"]["format"]["type"] == "json_schema"
        return body["output_config"]["format"]["schema"]
    kind = body["response_format"]
    assert (kind["type"], kind["json_schema"]["strict"], kind["json_schema"]["name"]) == (
        "json_schema", True, "answer",
    )  # fmt: skip
    return kind["json_schema"]["schema"]


def test_the_schema_is_sent_as_it_is_written(name: str, server: FaultServer, tmp_path: Path) -> None:
    server.says = lambda question: FITS
    record = judged(tmp_path, name, server)
    assert [answer.answer for answer in record.answers.values()] == [FITS] * 3
    assert len(server.bodies) == 3
    for body in server.bodies:
        assert json.dumps(sent_schema(name, body)) == written(name), "in the order of its properties"


def written(name: str) -> str:
    """The schema as the engine sends it: Anthropic refuses bounds, which go into descriptions."""
    if name != "anthropic":
        return VERDICT
    schema = json.loads(VERDICT)
    facts = schema["properties"]["facts"]
    del facts["maxItems"]
    facts["description"] = '{"maxItems": 2}'
    facts["items"]["properties"]["n"] = {
        "type": "integer", "description": '{"minimum": 1, "maximum": 3}',
    }  # fmt: skip
    return json.dumps(schema)


def test_nothing_is_sent_of_a_schema_where_there_is_none(
    name: str, server: FaultServer, tmp_path: Path
) -> None:
    plain = Judge()
    plain.generation = {"caption": Generation(max_tokens=64)}  # type: ignore[misc]
    one = make_configuration(CLIPS, adapter=plain, engine=ENGINES[name])
    assert len(execute(tmp_path, one, started(name, server))["caption"].answers) == 3
    assert not any(
        "schema" in json.dumps(body).lower() or "response_" in json.dumps(body) for body in server.bodies
    )


# Gemini ends no answer as a refusal, and Anthropic none as filtered.
NEVER = {("gemini", "refusal"), ("anthropic", "content_filter")}
PAIRS = [(name, case) for name in ENGINES for case in MISFITS if (name, MISFITS[case][1]) not in NEVER]


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_a_misfit_fails_alone_with_its_reason(
    name: str, server: FaultServer, tmp_path: Path, case: str
) -> None:
    text, ended, word = MISFITS[case]
    server.says = lambda question: text if question == "c1" else FITS
    server.script = lambda question, attempt: FAULTS[ended] if question == "c1" else ""
    record = judged(tmp_path, name, server)
    assert sorted(record.answers) == ["c0", "c2"]
    failure = record.failures["c1"]
    # The wires of Gemini and Anthropic count thoughts beside the answer.
    only_thoughts = case == "nothing" and name in ("gemini", "anthropic")
    assert (failure.stage, server.asked["c1"]) == ("thinking" if only_thoughts else "parse", 1)
    assert only_thoughts or word in failure.reason
    assert failure.response is not None
    assert failure.response.prompt_tokens == 100, "it is paid for"


REFUSING = {
    "openai": OpenAIWire.error(
        400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        param="response_format",
    ),
    "server": OpenAIWire.error(400, "This response_format type is unavailable now"),
    "gemini": GeminiWire.error(400, 'Unknown name "responseJsonSchema" at generation_config: no such field.'),
    "anthropic": AnthropicWire.error(400, "output_config.format: structured outputs are not supported on m"),
}  # fmt: skip


def test_a_server_without_schemas_ends_the_run_in_one_line(
    name: str, server: FaultServer, tmp_path: Path
) -> None:
    asks = {"gemini": "/v1beta/models/m:generateContent", "anthropic": "/v1/messages"}
    asked = []

    def refuse(call: tuple[str, bytes, Any]) -> tuple[int, Any]:
        asked.append(call)
        return 400, REFUSING[name]

    server.routes["POST", asks.get(name, "/v1/chat/completions")] = refuse
    with pytest.raises(EngineError) as caught:
        judged(tmp_path, name, server)
    assert f"engine {name} gets no structured answers (JSON schema) from m" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(asked) <= len(CLIPS)


@pytest.mark.parametrize(
    "said",
    [
        "Invalid schema for response_format 'answer': In context=(), 'x' is not permitted.",
        "JSON mode is not enabled for this model",
        "Structured outputs are not supported by this endpoint",
        "guided_json is not supported with this backend",
    ],
)
def test_other_words_for_schemas_are_known(said: str) -> None:
    assert Fault.of(400, OpenAIWire.error(400, said)).of_schemas
    assert not Fault.of(500, OpenAIWire.error(500, said)).of_schemas


@pytest.mark.parametrize("said", ["temperature is not supported", "The prompt is too long", "thinking"])
def test_what_is_about_something_else_is_not_taken_for_it(said: str) -> None:
    assert not Fault.of(400, OpenAIWire.error(400, said)).of_schemas


@pytest.mark.parametrize("name", VENDORS, indirect=True)
def test_a_batch_carries_the_schema_and_its_answers_are_checked(
    name: str, server: FaultServer, tmp_path: Path
) -> None:
    vendor = VENDORS[name](server)
    engine = started(name, server)
    assert isinstance(engine, BatchEngine)
    one = make_configuration(CLIPS, adapter=Judge(), engine=ENGINES[name])
    batch = engine.submit([(job.request.id, engine.encoded(job)) for job in jobs()], "token")
    for sent in vendor.requests(batch):
        body = next(sent[field] for field in ("body", "request", "params") if field in sent)
        assert json.dumps(sent_schema(name, body)) == written(name)
    vendor.says = lambda key: FITS if key == "c0" else f"Sure! {FITS}"
    vendor.end(batch, lambda key: "length" if key == "c2" else "")
    record = collected(tmp_path, one, engine, batch)
    assert list(record.answers) == ["c0"]
    reasons = {key: failure.reason for key, failure in record.failures.items()}
    assert "around" in reasons["c1"]
    assert "cut" in reasons["c2"]


def jobs() -> list[Job]:
    one = make_configuration(CLIPS, adapter=Judge())
    requests = [
        Request(id=clip.video_id, task="caption", video_id=clip.video_id, source="s") for clip in CLIPS
    ]
    instruction = one.templates["caption"].render(requests[0])
    return [
        Job(request, one.adapter.prompt(request, instruction, None), None, one.generation("caption"))
        for request in requests
    ]


def collected(root: Path, one: Any, engine: BatchEngine, batch: str) -> RunRecord:
    """What a run holds when the batch was collected into it."""
    with opened(root, one) as variant:
        execution = Execution(engine, Progress())
        requests = {request.id: request for clip in CLIPS for request in variant.open_requests(clip)}
        for outcome in engine.collect(batch):
            execution.record([(Asked(variant, requests[outcome.id], ()), None, outcome)])
    return read(root, one)["caption"]
