"""In which words vendors and gateways refuse a setting, and what is none of these."""

import logging
from typing import Any

import pytest

from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.rejections import Rejections
from microg_bench.engines.http.secrets import Access, Secrets

SENT = ("repetition_penalty", "top_k", "min_p", "top_p", "seed", "temperature")
ACCESS = Access("http://server/v1", "EMPTY", "KEY", Secrets())


def error(message: str, **more: Any) -> dict[str, Any]:
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
    }


def violation(field: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.BadRequest"
    return {"details": [{"@type": kind, "fieldViolations": [{"field": field, "description": "no"}]}]}


REJECTING: list[tuple[Any, str]] = [
    (error("no", param="temperature", code="unsupported_value"), "temperature"),
    (error("no", param="body.seed"), "seed"),
    (error("Unsupported parameter: 'seed'. Supported parameters are: top_p, temperature."), "seed"),
    (error("'temperature' does not support 0 with this model. Only the default (1) is."), "temperature"),
    (error("invalid temperature: only 1 is allowed for this model"), "temperature"),
    (error("`temperature` and `top_p` cannot both be specified for this model."), "top_p"),
    (error("You may send only one of temperature and top_p."), "top_p"),
    (error('Invalid JSON payload received. Unknown name "seed": Cannot find field.'), "seed"),
    (error("Unknown name \"topK\" at 'generation_config': Cannot find field."), "top_k"),
    (error("x.UnsupportedParamsError: bedrock does not support parameters: ['seed'], for model=y"), "seed"),
    (error("Unrecognized request argument supplied: min_p"), "min_p"),
    (error("`repetition_penalty` isn't available with this model"), "repetition_penalty"),
    (error("top p is deprecated for this model and must be left out"), "top_p"),
    (error("temperature must be strictly positive"), "temperature"),
    (error("no", code="invalid_temperature"), "temperature"),
    ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, "seed"),
    ({"detail": "seed: unexpected field"}, "seed"),
    ({"message": "Unknown field: top_k", "code": 20015}, "top_k"),
    ({"error": "Input validation error: `top_p` must be > 0.0 and < 1.0", "error_type": "x"}, "top_p"),
    ([error("Request contains an invalid argument.", **violation("generation_config.topP"))], "top_p"),
    (error('{"error": {"message": "seed is not supported", "code": 400}}'), "seed"),
]  # fmt: skip
OTHER: list[Any] = [
    error("This model's maximum context length is 4096 tokens. However, your request has 9876 input tokens."),
    error("max_tokens is too large: 4096. The model supports at most 2048.", param="max_tokens"),
    error("Invalid max_tokens value, the valid range of max_tokens is [1, 2048]"),
    error("This model does not support image input."),
    error("At most 1 image(s) may be provided in one prompt."),
    error("Request contains an invalid argument."),
    {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
    {"detail": None},
    [],
    "temperature",
    b"<html><title>413 Request Entity Too Large</title></html>",
]  # fmt: skip


@pytest.mark.parametrize(("said", "name"), REJECTING)
def test_the_setting_that_is_rejected_is_found(said: Any, name: str) -> None:
    assert Fault.of(400, said).rejects(SENT) == name
    assert Fault.of(500, said).rejects(SENT) is None


@pytest.mark.parametrize("said", OTHER)
def test_what_rejects_no_setting_is_not_taken_for_it(said: Any) -> None:
    fault = Fault.of(400, said)
    assert fault.rejects(SENT) is None
    assert not fault.rejects_limit("max_tokens")


@pytest.mark.parametrize(
    "said",
    [
        error("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
        error("Unsupported parameter", param="max_tokens", code="unsupported_parameter"),
        {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]},
    ],
)
def test_a_limit_under_another_name_is_found(said: Any) -> None:
    assert Fault.of(400, said).rejects_limit("max_tokens")
    assert not Fault.of(400, said).rejects_limit("max_new_tokens")


def test_what_is_rejected_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rejections = Rejections("m", set(), {})
    fault = Fault.of(400, REJECTING[0][0])
    assert rejections.leave_out(fault, SENT, ACCESS)
    assert rejections.leave_out(fault, SENT, ACCESS), "of requests that were under way"
    assert not rejections.leave_out(Fault.of(400, OTHER[0]), SENT, ACCESS)
    assert rejections.without(dict.fromkeys(SENT, 0)) == dict.fromkeys(SENT[:-1], 0)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "m rejects temperature" in caplog.text


@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        ({"reasoning_effort": "none"}, error("Unsupported value", param="reasoning.effort")),
        ({"reasoning_effort": "high"}, error("Unrecognized request argument supplied: reasoning_effort")),
        ({"chat_template_kwargs": {"enable_thinking": False}}, error("extra field: chat_template_kwargs")),
        ({"thinking_budget": 0}, error("Budget 0 is invalid. This model only works in thinking mode.")),
        ({"thinking_budget": 0}, error("Thinking can't be disabled for this model.")),
        ({"thinking_level": "medium"}, error("Thinking level MEDIUM is not supported for this model.")),
    ],
)
def test_a_level_of_thinking_is_never_left_out(thinking: dict[str, Any], said: Any) -> None:
    with pytest.raises(RequestError, match="level of thinking .* is not known there") as caught:
        Rejections("m", set(), thinking).leave_out(Fault.of(400, said), SENT, ACCESS)
    assert caught.value.kind == "fatal"
    assert not Rejections("m", set(), {}).leave_out(Fault.of(400, said), SENT, ACCESS)


def test_a_setting_that_thinking_forbids_is_left_out() -> None:
    rejections = Rejections("m", set(), {"reasoning_effort": "high"})
    said = error("temperature is not supported where reasoning_effort is high")
    assert rejections.leave_out(Fault.of(400, said), SENT, ACCESS)
    assert rejections.rejected == {"temperature"}


@pytest.mark.parametrize(
    ("status", "said", "kind", "told"),
    [
        (401, error("no"), "fatal", "401: no: check the key in KEY"),
        (402, error("no credit"), "fatal", "402: no credit: the quota of the key in KEY is used up"),
        (429, error("no", code="insufficient_quota"), "fatal", "the quota of the key in KEY is used up"),
        (429, error("slow down"), "rate-limited", "429: slow down"),
        (403, error("not for you"), "denied", "403: not for you: check the key in KEY"),
        (403, error("your input was flagged"), "refused", "403: your input was flagged"),
        (403, b"<title>Attention Required!</title>", "denied", "403: Attention Required!"),
        (502, b"<TITLE lang=en>Bad\n Gateway &amp; more</title>", "rate-limited", "502: Bad Gateway & more"),
        (500, b"", "rate-limited", "500: it is empty"),
        (400, {"error": {"message": ["no", 5]}}, "refused", "400: ['no', 5]"),
        (400, {"error": {}}, "refused", "400: no message"),
        (400, 5, "refused", "400: 5"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_vendors_words(status: int, said: Any, kind: str, told: str) -> None:
    failed = Fault.of(status, said).error(ACCESS)
    assert failed.kind == kind
    assert failed.reason.startswith("http://server/v1: ")
    assert failed.reason.endswith(told)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"error": {"code": 402, "message": "x"}, "choices": None}, 402),
        ({"error": {"code": "429", "message": "x"}}, 429),
        ({"error": {"code": "rate_limit_exceeded"}}, 429),
        ({"error": {"code": "insufficient_quota"}}, 429),
        ({"error": {"code": "context_length_exceeded"}}, 400),
        ({"error": {"type": "overloaded_error"}}, 500),
        ({"error": {"code": -32000}}, 500),
        ({"error": "overloaded"}, 500),
        ({"object": "error", "message": "x", "code": 400}, 400),
        ([{"error": {"code": 503, "message": "x"}}], 503),
        ({"error": None, "choices": []}, None),
        ({"choices": []}, None),
        ([], None),
        (5, None),
    ],
)
def test_an_error_in_place_of_an_answer_is_read_by_its_code(said: Any, status: int | None) -> None:
    fault = Fault.inside(said)
    assert (fault and fault.status) == status
