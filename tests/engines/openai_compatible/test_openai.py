import base64
import io
import json
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from microg_bench.engines.http.pool import RetryPolicy
from microg_bench.engines.http.secrets import Secrets, base_url
from microg_bench.engines.openai_compatible.openai import OpenAIEngine
from microg_bench.engines.registry import engine_class
from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options
from microg_bench.records import Failure, Generation, Image, Message, Prompt, Response, Text, Video
from tests.engines.conftest import AnswerAll, grey_frames, job_of
from tests.helpers.fault_server import FaultServer
from tests.helpers.odd_answers import ANSWERED, REFUSED, RETRIED

pytestmark = pytest.mark.slow

KEY = "sk-proj-0123456789abcdef"
QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.001)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with FaultServer() as running:
        yield running


def make(server: FaultServer, **options: Any) -> OpenAIEngine:
    wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0, **options}
    return OpenAIEngine(Options(**wanted), policy=QUICK)


def started(server: FaultServer, **options: Any) -> OpenAIEngine:
    engine = make(server, **options)
    engine.start()
    return engine


def refusal(engine: OpenAIEngine) -> str:
    """The line with which the engine refuses to start; no traceback of it holds the key."""
    with pytest.raises(EngineError) as caught:
        engine.start()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def one(server: FaultServer, answer_all: AnswerAll, fault: str) -> Response | Failure:
    server.script = lambda question, attempt: fault
    return answer_all(started(server), [job_of(0)])[0]


def pixel(piece: dict[str, Any]) -> int:
    kind, _, content = piece["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    image = PIL.Image.open(io.BytesIO(base64.b64decode(content)))
    assert (image.format, image.size) == ("JPEG", (112, 84))
    return int(np.asarray(image).mean().round())


def test_each_part_of_a_prompt_is_in_its_place(server: FaultServer, answer_all: AnswerAll) -> None:
    prompt = Prompt(
        messages=(
            Message(role="system", parts=(Text(text="Be "), Text(text="brief."))),
            Message(role="user", parts=(Text(text="Look:"), Video(), Image(frame=1), Text(text="Who?"))),
        )
    )
    job = replace(job_of(0, frames=grey_frames([10, 120, 240])), prompt=prompt)
    answer_all(started(server, detail="low"), [job])
    (body,) = server.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    content = body["messages"][1]["content"]
    assert [piece["type"] for piece in content] == ["text", *["image_url"] * 4, "text"]
    assert (content[0]["text"], content[-1]["text"]) == ("Look:", "Who?")
    assert [pixel(piece) for piece in content[1:5]] == [10, 120, 240, 120]
    assert {piece["image_url"]["detail"] for piece in content[1:5]} == {"low"}


def test_the_settings_of_the_run_go_with_each_request(server: FaultServer, answer_all: AnswerAll) -> None:
    wanted = Generation(max_tokens=33, temperature=0.7, top_p=0.9, seed=5)
    answer_all(started(server), [job_of(0, generation=wanted)])
    (body,) = server.bodies
    settings = {name: value for name, value in body.items() if name != "messages"}
    assert settings == {
        "model": "m", "max_completion_tokens": 33, "temperature": 0.7, "top_p": 0.9, "seed": 5,
    }  # fmt: skip


def test_a_lower_quality_makes_smaller_images(server: FaultServer, answer_all: AnswerAll) -> None:
    for quality in (20, 95):
        answer_all(started(server, jpeg_quality=quality), [job_of(0)])
    small, large = (len(body["messages"][0]["content"][0]["image_url"]["url"]) for body in server.bodies)
    assert small < large / 2


def test_usage_and_time_are_told(server: FaultServer, answer_all: AnswerAll) -> None:
    outcome = one(server, answer_all, "")
    assert isinstance(outcome, Response)
    assert (outcome.prompt_tokens, outcome.cached_tokens, outcome.output_tokens) == (100, 64, 7)
    assert outcome.seconds > 0


@pytest.mark.parametrize(
    ("fault", "finish_reason", "text"),
    [
        ("", "stop", "text: is fixing the cable?"),
        ("length", "length", "text: is fixing the cable?"),
        ("refusal", "refusal", "text: is fixing the cable?"),
        ("filter", "content_filter", ""),
        ("blank", "stop", ""),
    ],
)
def test_answers_are_told_apart_by_how_they_ended(
    server: FaultServer, answer_all: AnswerAll, fault: str, finish_reason: str, text: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Response)
    assert (outcome.finish_reason, outcome.text) == (finish_reason, text)


@pytest.mark.parametrize("fault", ["empty", "malformed", "html", "500", "reset"])
def test_what_has_no_answer_in_it_is_a_failure_worth_another_start(
    server: FaultServer, answer_all: AnswerAll, fault: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert outcome.retryable
    assert outcome.reason.endswith("(asked 3 times)")
    assert server.asked.total() == 3


def test_a_bad_request_fails_alone_with_the_first_line_of_what_was_said(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    outcome = one(server, answer_all, "400")
    assert isinstance(outcome, Failure)
    assert not outcome.retryable
    assert outcome.reason == f"{server.url}: 400: fault 400"


def test_a_request_that_the_filter_stops_is_recorded_as_filtered(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    def stopped(call: Any) -> tuple[int, Any]:
        return 400, server.wire.error(400, "The prompt was filtered", "content_filter", "prompt")

    engine = started(server)
    server.routes["POST", "/v1/chat/completions"] = stopped
    (outcome,) = answer_all(engine, [job_of(0)])
    assert outcome == Response(id="clip0", text="", finish_reason="content_filter", seconds=outcome.seconds)  # type: ignore[union-attr]


def test_a_setting_that_the_model_rejects_is_left_out_from_then_on(
    server: FaultServer, answer_all: AnswerAll, caplog: pytest.LogCaptureFixture
) -> None:

    def script(question: str, attempt: int) -> str:
        sent = server.bodies[-1]
        return next((name for name in ("temperature", "top_p") if name in sent), "")

    server.script = script
    with caplog.at_level(logging.WARNING):
        outcomes = answer_all(started(server), [job_of(k) for k in range(30)])
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    warned = [record.message for record in caplog.records if record.name.startswith("microg_bench")]
    assert len(warned) == 2
    assert "temperature" in warned[0]
    last = server.bodies[-1]
    assert "temperature" not in last
    assert "top_p" not in last
    assert (last["seed"], last["max_completion_tokens"]) == (0, 16)


def test_what_the_model_rejected_before_is_not_sent_again(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = make(server)
    engine.rejected.add("temperature")
    engine.start()
    server.script = lambda question, attempt: "top_p"
    answer_all(engine, [job_of(0)])
    assert all("temperature" not in body for body in server.bodies)
    assert engine.rejected == {"temperature", "top_p"}


def test_the_limit_of_tokens_is_never_left_out(server: FaultServer, answer_all: AnswerAll) -> None:
    server.script = lambda question, attempt: "max_completion_tokens"
    answer_all(started(server), [job_of(0)])
    assert [("max_completion_tokens" in body, "max_tokens" in body) for body in server.bodies] == [
        (True, False),
        (False, True),
    ]


def test_text_that_is_no_text_is_made_fit_to_be_written(server: FaultServer, answer_all: AnswerAll) -> None:
    said = server.wire.answer("x")
    said["choices"][0]["message"]["content"] = "a\ud800b\0c"
    engine = started(server)
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.text == "a\ufffdb\ufffdc"
    assert outcome.model_dump_json()


def test_a_prompt_that_shows_what_was_not_delivered_is_never_sent(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    far = job_of(0, parts=(Image(frame=9), Text(text="?")))
    none = replace(job_of(1), frames=None)
    for outcome in answer_all(started(server), [far, none]):
        assert isinstance(outcome, Failure)
        assert (outcome.stage, outcome.retryable) == ("prompt", False)
    assert not server.asked


def test_a_missing_key_names_the_variable(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in refusal(make(server))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-with a blank")
    assert refusal(make(server)) == "OPENAI_API_KEY: does not hold a key: it has blanks or special characters"


def test_a_rejected_key_is_told_without_the_key(server: FaultServer) -> None:
    server.keys = {"another"}
    told = refusal(make(server))
    assert "401" in told
    assert "OPENAI_API_KEY" in told
    assert "[key]" in told, "the server repeats the key"


def test_an_unknown_model_is_told_with_those_that_are_near(server: FaultServer) -> None:
    server.models = ["gpt-4o", "gpt-4o-mini", "o9"]
    told = refusal(make(server, checkpoint="gpt-4-o"))
    assert "unknown model 'gpt-4-o'" in told
    assert "gpt-4o" in told
    assert not server.asked


@pytest.mark.parametrize("path", ["", "/v2", "/v1/wrong"])
def test_a_wrong_address_is_told(server: FaultServer, path: str) -> None:
    server.routes["GET", "/"] = lambda call: (404, b"<html>not here</html>")
    address = server.url.removesuffix("/v1") + path
    assert (
        refusal(make(server, url=(address,))) == f"{address}: 404: no OpenAI interface there: check the URL"
    )


def test_a_page_in_place_of_the_interface_is_told(server: FaultServer) -> None:
    server.routes["GET", "/"] = lambda call: (200, b"<html>hello</html>", {"Content-Type": "text/html"})
    assert "does not speak OpenAI's interface" in refusal(make(server))


def test_an_address_where_nobody_listens_is_told(server: FaultServer) -> None:
    with FaultServer() as gone:
        pass
    assert refusal(make(server, url=(gone.url,))) == f"{gone.url} cannot be reached: connection refused"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://host:99999/v1"])
def test_what_is_no_address_is_told(server: FaultServer, url: str) -> None:
    assert "not an address of a server" in refusal(make(server, url=(url,)))


def test_secrets_in_an_address_are_refused_and_not_repeated() -> None:
    for url in ("https://user:hunter22@host/v1", "https://host/v1?api-key=hunter22"):
        with pytest.raises(EngineError) as caught:
            base_url(url)
        assert "hunter22" not in str(caught.value)


def test_the_address_in_the_environment_counts(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, answer_all: AnswerAll
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    engine = started(server, url=())
    assert engine.provenance()["servers"] == server.url
    assert isinstance(answer_all(engine, [job_of(0)])[0], Response)


def test_the_key_appears_nowhere(
    server: FaultServer, answer_all: AnswerAll, caplog: pytest.LogCaptureFixture
) -> None:
    engine = started(server)
    echo = server.wire.error(400, f"bad header Authorization: Bearer {KEY}\nmore", "invalid")
    server.routes["POST", "/v1/chat/completions"] = lambda call: (400, echo)
    with caplog.at_level(logging.DEBUG):
        (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Failure)
    assert "Bearer [key]" in outcome.reason
    for text in (repr(outcome), repr(engine), str(engine.provenance()), caplog.text):
        assert KEY not in text


def test_keys_are_hidden_in_every_spelling() -> None:
    key = 'k"e\\y/1234'
    secrets = Secrets(key, None, "", "short")
    for spelling in (key, "k%22e%5Cy%2F1234", 'k\\"e\\\\y/1234', repr(key)):
        assert secrets.hide(f"<{spelling}>").replace("'", "") == "<[key]>"
    assert secrets.hide("short") == "short"
    assert key not in repr(secrets)


def test_options_of_other_engines_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="--serve: engine openai does not take it"):
        OpenAIEngine.check(Options(serve=True))
    with pytest.raises(UsageError, match="--media: engine openai has no clip"):
        OpenAIEngine.check(Options(media="clip"))
    OpenAIEngine.check(Options(media="images", max_concurrency=3, detail="high"))


def test_it_is_found_by_name() -> None:
    assert engine_class("openai") is OpenAIEngine


@pytest.mark.parametrize("fault", ANSWERED["openai"])
def test_an_answer_is_read_in_every_form(server: FaultServer, answer_all: AnswerAll, fault: str) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Response)
    assert outcome.text.startswith("text: is fixing the cable?")
    assert outcome.finish_reason == "stop"
    assert outcome.reasoning == ("Let me see." if fault in ("blocks", "thoughts beside") else None)
    counts = (None, None) if fault == "no counts" else (100, 7)
    assert (outcome.prompt_tokens, outcome.output_tokens) == counts


@pytest.mark.parametrize("fault", RETRIED["openai"])
def test_what_is_no_answer_is_asked_again(server: FaultServer, answer_all: AnswerAll, fault: str) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert outcome.retryable
    assert server.asked.total() == 3


@pytest.mark.parametrize("fault", (*REFUSED["openai"], "endless"))
def test_what_would_fail_again_is_not_asked_again(
    server: FaultServer, answer_all: AnswerAll, fault: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith(server.url)
    assert server.asked.total() == 1


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("error", "the answer ended with finish reason error"),
        ("odd finish", "the answer ended with finish reason [['stop']]"),
        ("unfinished", "the answer ended without a finish reason"),
        ("error beside", "502: upstream"),
        ("429 inside", "429: Provider returned error: Too Many Requests"),
        ("400 inside", "400: Provider returned error: too long a prompt"),
        ("flagged", "403: your input was flagged"),
        ("403 page", "403: Attention Required! | Cloudflare"),
        ("502 page", "502: 502 Bad Gateway"),
        ("sse", 'the response is not JSON: data: {"choices": []}'),
        ("negative", "an impossible count of tokens: output tokens: -5"),
        ("cached", "500 of 100 tokens of the prompt come from a cache"),
        ("huge", "the answer is longer than 4,096 characters, more than 16 tokens can have"),
        ("redirect", "it redirects to http://127.0.0.1:9/v1/chat/completions, where nothing is sent"),
        ("FastAPI", "422: body.messages: field required"),
    ],
)
def test_why_there_is_no_answer_is_told(
    server: FaultServer, answer_all: AnswerAll, fault: str, told: str
) -> None:
    outcome = one(server, answer_all, fault)
    assert isinstance(outcome, Failure)
    assert told in outcome.reason


def test_half_an_answer_is_kept_with_its_failure(server: FaultServer, answer_all: AnswerAll) -> None:
    outcome = one(server, answer_all, "error")
    assert isinstance(outcome, Failure)
    assert outcome.response is not None
    assert (outcome.response.text, outcome.response.output_tokens) == ("text", 7)
    failed = one(server, answer_all, "500")
    assert isinstance(failed, Failure)
    assert failed.response is None


def test_a_request_that_the_vendor_inspects_is_filtered(server: FaultServer, answer_all: AnswerAll) -> None:
    outcome = one(server, answer_all, "inspection")
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize("fault", ["402 inside", "quota"])
def test_an_account_without_credit_ends_the_run(
    server: FaultServer, answer_all: AnswerAll, fault: str
) -> None:
    with pytest.raises(EngineError, match="the quota of the key in OPENAI_API_KEY is used up"):
        one(server, answer_all, fault)
    assert server.asked.total() == 1


def test_thoughts_without_an_answer_are_told_apart(server: FaultServer, answer_all: AnswerAll) -> None:
    outcome = one(server, answer_all, "thoughts only")
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.reasoning) == ("", "Let me see.")


def test_thoughts_and_their_tokens_are_recorded(server: FaultServer, answer_all: AnswerAll) -> None:
    said = server.wire.answer("A man.")
    blocks = [{"type": "thinking", "thinking": "One."}, {"type": "reasoning", "summary": [{"text": "Two."}]}]
    said["choices"][0]["message"]["content"] = [*blocks, {"type": "text", "text": "A man."}]
    said["usage"]["completion_tokens_details"] = {"reasoning_tokens": 4}
    engine = started(server)
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.reasoning) == ("A man.", "One.\n\nTwo.")
    assert (outcome.output_tokens, outcome.reasoning_tokens) == (7, 4)


def test_thoughts_that_cannot_be_read_do_not_cost_the_answer(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    said = server.wire.answer("A man.")
    hidden = [{"type": "reasoning.encrypted", "data": "xyz"}]
    said["choices"][0]["message"] |= {"reasoning": None, "reasoning_details": hidden}
    engine = started(server)
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert (outcome.text, outcome.reasoning) == ("A man.", None)


def test_who_answered_is_recorded_on_one_line_without_the_key(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    told = {"model": f"m-2025\n{KEY}", "system_fingerprint": f"fp_{KEY}" + "x" * 999}
    engine = started(server)
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, server.wire.answer("x") | told)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.served_model == "m-2025"
    assert outcome.served_version is not None
    assert outcome.served_version.startswith("fp_[key]xxx")
    assert len(outcome.served_version) == 300


@pytest.mark.parametrize("odd", [["m"], {"name": "m"}, 5, " ", None])
def test_a_model_that_is_no_name_is_not_recorded(
    server: FaultServer, answer_all: AnswerAll, odd: Any
) -> None:
    engine = started(server)
    said = server.wire.answer("x") | {"model": odd, "system_fingerprint": odd}
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert (outcome.served_model, outcome.served_version) == (None, None)


def test_how_the_model_thinks_is_set_in_each_request_and_in_batches(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    assert OpenAIEngine.thinking_switches["off"] == {"reasoning_effort": "none"}
    assert "on" not in OpenAIEngine.thinking_switches
    wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0}
    engine = OpenAIEngine(Options(**wanted), policy=QUICK, thinking={"reasoning_effort": "low"})
    engine.start()
    answer_all(engine, [job_of(0)])
    (body,) = server.bodies
    assert body["reasoning_effort"] == "low"
    assert json.loads(engine.encoded(job_of(0)))["body"]["reasoning_effort"] == "low"


def test_a_level_of_thinking_that_is_not_known_ends_the_run(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    wanted = {"checkpoint": "m", "url": (server.url,), "timeout": 5.0}
    engine = OpenAIEngine(Options(**wanted), policy=QUICK, thinking={"reasoning_effort": "low"})
    engine.start()
    server.script = lambda question, attempt: "reasoning_effort"
    with pytest.raises(EngineError, match="level of thinking that is asked for is not known there") as caught:
        answer_all(engine, [job_of(0)])
    assert "\n" not in str(caught.value)
    assert engine.rejected == set()


def test_a_key_is_sent_over_https_or_to_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example/v1")
    for options in (Options(checkpoint="m"), Options(checkpoint="m", url=("http://10.0.0.3/v1",))):
        with pytest.raises(EngineError, match="OPENAI_API_KEY would be sent unencrypted: use https"):
            OpenAIEngine(options).start()


def with_logprobs(server: FaultServer, *found: object) -> Any:
    """Answer with these log-probabilities of the tokens."""
    reply = server.wire.answer("A pen.")
    reply["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": one} for one in found]}
    return lambda call: (200, reply)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((-0.5, -1.25), -1.75),
        ((0,), 0.0),
        ((1e-9,), 0.0),
        ((), None),
        (("no", -1.0), None),
        ((None,), None),
    ],
)
def test_the_log_probability_of_an_answer_is_the_sum_of_those_of_its_tokens(
    server: FaultServer, answer_all: AnswerAll, found: tuple[object, ...], told: float | None
) -> None:
    engine = started(server, logprobs=True)
    server.routes["POST", "/v1/chat/completions"] = with_logprobs(server, *found)
    (answered,) = answer_all(engine, [job_of(0)])
    assert isinstance(answered, Response)
    assert (answered.text, answered.logprob) == ("A pen.", told)


def test_log_probabilities_are_asked_for_only_where_they_are_wanted_and_not_rejected(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    answer_all(started(server), [job_of(0)])
    assert "logprobs" not in server.bodies[-1]
    answer_all(started(server, logprobs=True), [job_of(0)])
    assert server.bodies[-1]["logprobs"] is True
    server.script = lambda question, attempt: "logprobs" if "logprobs" in server.bodies[-1] else ""
    (answered,) = answer_all(started(server, logprobs=True), [job_of(0)])
    assert isinstance(answered, Response)
    assert answered.logprob is None
    assert "logprobs" not in server.bodies[-1]
