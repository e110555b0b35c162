"""The servers that closed models are proved against: a request that the vendor would refuse is refused."""

from __future__ import annotations

import base64
import copy
import io
import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire
from tests.helpers.vendor_api import AnthropicApi, GeminiApi, OpenAIApi

pytest.importorskip("openai", reason="its client's types describe the interface")
pytest.importorskip("anthropic", reason="its client's types describe the interface")

KEY = "key-0123456789abcdef"
GONE = object()
SHOWN, INLINE = "messages.1.content.0.image_url", "contents.0.parts.0.inlineData"


def jpeg() -> str:
    written = io.BytesIO()
    PIL.Image.fromarray(np.full((16, 24, 3), 77, np.uint8)).save(written, "JPEG")
    return base64.b64encode(written.getvalue()).decode()


PICTURE = {"url": f"data:image/jpeg;base64,{jpeg()}", "detail": "low"}
PARTS = [{"type": "image_url", "image_url": PICTURE}, {"type": "text", "text": "Who?"}]
CHAT: dict[str, Any] = {
    "model": "gpt-5.4",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PARTS}],
    "max_completion_tokens": 8,
    "temperature": 0,
    "top_p": 1.0,
    "seed": 0,
}
PIECES = [{"inlineData": {"mimeType": "image/jpeg", "data": jpeg()}}, {"text": "Who?"}]
GENERATE: dict[str, Any] = {
    "contents": [{"role": "user", "parts": PIECES}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"maxOutputTokens": 8, "temperature": 0.0, "topP": 1.0, "seed": 0},
}
OPENAI, GEMINI = "/v1/chat/completions", "/v1beta/models/gemini-2.5-pro:generateContent"
BLOCKS = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": jpeg()}},
    {"type": "text", "text": "Who?"},
]
MESSAGE: dict[str, Any] = {
    "model": "claude-opus-5",
    "system": "Be brief.",
    "messages": [{"role": "user", "content": BLOCKS}],
    "max_tokens": 8,
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "low"},
}
ANTHROPIC, SOURCE = "/v1/messages", "messages.0.content.0.source"
HEADERS = {
    "anthropic-version": "2023-06-01",
    "Authorization": f"Bearer {KEY}",
    "x-goog-api-key": KEY,
    "Content-Type": "application/json",
}


def post(path: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any], Any]:
    """Status and body of the response, and the server that gave it."""
    wires: dict[str, Any] = {"chat": (OpenAIWire, OpenAIApi), "messages": (AnthropicWire, AnthropicApi)}
    wire, vendor = next((one for part, one in wires.items() if part in path), (GeminiWire, GeminiApi))
    with FaultServer(wire) as server:
        server.models = ["gpt-4o", "gpt-5.4", "gemini-2.5-pro", "claude-opus-5"]
        api = vendor(server, lambda asked: ("An answer.", ""))
        place = f"http://127.0.0.1:{server.port}{path}"
        request = urllib.request.Request(place, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as said:
                return said.status, json.load(said), api
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), api


def changed(body: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy of `body` with `value` at the dotted `place`, or without what is there."""
    own = copy.deepcopy(body)
    *above, name = place.split(".")
    found: Any = own
    for step in above:
        found = found[int(step) if step.isdigit() else step]
    if value is GONE:
        del found[name]
    else:
        found[name] = value
    return own


@pytest.mark.parametrize(("path", "body"), [(OPENAI, CHAT), (GEMINI, GENERATE), (ANTHROPIC, MESSAGE)])
def test_what_the_vendor_describes_is_answered(path: str, body: dict[str, Any]) -> None:
    status, said, api = post(path, body, HEADERS)
    assert status == 200
    assert "An answer." in json.dumps(said)
    (asked,) = api.asked
    assert (asked.question, len(asked.pictures), asked.pictures[0].shape) == ("Who?", 1, (16, 24, 3))
    assert api.refused == []


@pytest.mark.parametrize(
    ("place", "value", "code", "param"),
    [
        ("media_io_kwargs", {}, None, None),
        ("messages.0.mood", "good", None, None),
        ("messages", GONE, "missing_required_parameter", "messages"),
        ("messages.1.role", "human", "invalid_value", "messages[1].role"),
        ("messages.1.content.0.type", "video_url", "invalid_value", "messages[1].content[0].type"),
        ("messages.1.content.1.text", GONE, "missing_required_parameter", "messages[1].content[1].text"),
        (f"{SHOWN}.detail", "max", "invalid_value", "messages[1].content[0].image_url.detail"),
        (f"{SHOWN}.url", jpeg(), "invalid_image_url", None),
        (f"{SHOWN}.url", f"data:image/png;base64,{jpeg()}", "invalid_image_format", None),
        (f"{SHOWN}.url", "data:image/jpeg;base64,QUJD", "invalid_image", None),
        ("max_tokens", 8, "unsupported_parameter", "max_tokens"),
        ("max_completion_tokens", 0, "integer_below_min_value", "max_completion_tokens"),
        ("temperature", 2.1, "decimal_above_max_value", "temperature"),
        ("seed", "0", "invalid_value", "seed"),
    ],
)
def test_openai_refuses_a_wrong_request(place: str, value: Any, code: str | None, param: str | None) -> None:
    status, said, api = post(OPENAI, changed(CHAT, place, value), HEADERS)
    assert (status, said["error"]["code"], said["error"]["param"]) == (400, code, param)
    assert api.refused == [said["error"]["message"]]
    assert api.asked == []


def test_openai_takes_the_old_name_of_the_limit_for_a_model_that_does_not_think() -> None:
    body = {**changed(CHAT, "max_completion_tokens", GONE), "model": "gpt-4o", "max_tokens": 8}
    assert post(OPENAI, body, HEADERS)[0] == 200


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("generation_settings", {}, 'Unknown name "generation_settings"'),
        ("generationConfig.maxTokens", 8, "Unknown name \"maxTokens\" at 'generationConfig'"),
        ("generationConfig.temperature", 2.5, "generationConfig.temperature"),
        ("generationConfig.seed", 2**31, "generationConfig.seed"),
        ("contents.0.role", "assistant", "contents.0.role"),
        ("contents.0.role", "model", "the last turn is the user's"),
        ("contents", [], "contents"),
        ("contents.0.parts.0.text", "Look:", "must be set once"),
        ("contents.0.parts.0.image_url", {"url": "u"}, 'Unknown name "image_url"'),
        ("contents.0.parts.0.videoMetadata", {"fps": 25.0}, "contents.0.parts.0.videoMetadata.fps"),
        (f"{INLINE}.mimeType", "image/jpg", f"{INLINE}.mimeType"),
        (f"{INLINE}.mimeType", "image/png", "the image is no image/png"),
        (f"{INLINE}.data", "QUJD", "Unable to process input image"),
    ],
)
def test_gemini_refuses_a_wrong_request(place: str, value: Any, told: str) -> None:
    status, said, api = post(GEMINI, changed(GENERATE, place, value), HEADERS)
    assert (status, said["error"]["code"], said["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert told in said["error"]["message"]
    assert api.asked == []


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("seed", 0, "seed: Extra inputs are not permitted"),
        ("temperature", 0.0, "temperature: Extra inputs are not permitted"),
        ("max_tokens", GONE, "max_tokens"),
        ("messages.0.role", "human", "messages[0].role"),
        ("messages.0.content.0.type", "image_url", "messages[0].content[0]"),
        ("messages.0.content.1.text", GONE, "messages[0].content[1].text"),
        ("thinking.type", "on", "thinking"),
        ("output_config.effort", "lowest", "output_config.effort"),
        (f"{SOURCE}.media_type", "image/jpg", "media_type"),
        (f"{SOURCE}.media_type", "image/png", "the image is no image/png"),
        (f"{SOURCE}.data", "QUJD", "Unable to process input image"),
    ],
)
def test_anthropic_refuses_a_wrong_request(place: str, value: Any, told: str) -> None:
    status, said, api = post(ANTHROPIC, changed(MESSAGE, place, value), HEADERS)
    assert (status, said["error"]["type"]) == (400, "invalid_request_error")
    assert told in said["error"]["message"]
    assert api.asked == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (OPENAI, {"Authorization": KEY}, 401),
        (OPENAI, {"Content-Type": "text/plain"}, 400),
        ("/v2/chat/completions", {}, 404),
        (GEMINI, {"x-goog-api-key": ""}, 403),
        (GEMINI, {"Content-Type": "text/plain"}, 400),
        (GEMINI.replace("v1beta", "v2"), {}, 404),
        (GEMINI.replace("gemini-2.5", "gemini-0.1"), {}, 404),
        (ANTHROPIC, {"Authorization": KEY}, 401),
        (ANTHROPIC, {"anthropic-version": ""}, 400),
        ("/v2/messages", {}, 404),
    ],
)
def test_headers_and_address_count(path: str, headers: dict[str, str], status: int) -> None:
    bodies = {"chat": CHAT, "messages": MESSAGE}
    body = next((one for part, one in bodies.items() if part in path), GENERATE)
    got, _, api = post(path, body, {**HEADERS, **headers})
    assert (got, api.asked) == (status, [])
