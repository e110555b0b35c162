"""The interfaces of the vendors on loopback, which answer only what their descriptions allow.

What may be asked of OpenAI and Anthropic is read from the types of their clients, which are generated
from published descriptions and which the clients themselves do not enforce. Gemini's client does enforce
its own types: its requests are held here against what the vendor publishes apart from them
(`gemini_messages.py`).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
from pydantic import ValidationError

from tests.helpers.fault_server import FaultServer
from tests.helpers.gemini_messages import GenerateContentRequest, Part
from tests.helpers.typed_dicts import NO_SUCH, NOTHING, Misfit, misfit

Call = tuple[str, bytes, Any]
PICTURES = ("image/jpeg", "image/png", "image/webp")  # that both vendors name, and Pillow can read


@dataclass(frozen=True)
class Asked:
    """A request that was answered.

    `parts` are those of its last turn: texts, and pictures of shape (height, width, 3).
    """

    model: str
    parts: tuple[str | np.ndarray, ...]
    settings: dict[str, Any]

    @property
    def question(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> list[np.ndarray]:
        return [part for part in self.parts if not isinstance(part, str)]


Reply = Callable[[Asked], tuple[str, str]]  # the answer, and how it ended as the fault server's wires name it


class Refused(Exception):
    """A request that the vendor would not answer: status, message, and what its error body says besides."""

    def __init__(self, status: int, message: str, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


class VendorApi:
    """Answers the requests that reach `server`.

    It keeps what was `asked`, and why requests were `refused`.
    """

    def __init__(self, server: FaultServer, reply: Reply) -> None:
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        self._server, self._reply = server, reply
        server.routes["POST", "/"] = self._answer

    def _answer(self, call: Call) -> tuple[int, Any]:
        path, raw, headers = call
        wire = self._server.wire
        try:
            if headers.get("Content-Type") != "application/json":
                raise Refused(400, f"unsupported content type {headers.get('Content-Type')!r}")
            asked = self.read(path, json.loads(raw), headers)
        except Refused as no:
            with self._server.lock:
                self.refused.append(no.message)
            return no.status, wire.error(no.status, no.message, no.code, no.param)
        with self._server.lock:
            self.asked.append(asked)
        text, ended = self._reply(asked)
        return 200, self.written(wire.answer(text, ended))

    def read(self, path: str, body: Any, headers: Any) -> Asked:
        """What was asked, or raises `Refused`."""
        raise NotImplementedError

    def written(self, answer: dict[str, Any]) -> dict[str, Any]:
        """`answer`, as the vendor writes it where nothing was generated."""
        raise NotImplementedError


class OpenAIApi(VendorApi):
    """`POST /v1/chat/completions`."""

    ranges: ClassVar = {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
    }
    thinks = re.compile(r"o\d|gpt-5")  # of these `max_tokens` cannot be asked

    def read(self, path: str, body: Any, headers: Any) -> Asked:
        from openai.types.chat import completion_create_params as described

        if path != "/v1/chat/completions":
            raise Refused(404, f"Invalid URL (POST {path})")
        if not re.fullmatch(r"Bearer \S+", headers.get("Authorization", "")):
            raise Refused(401, "You didn't provide an API key.")
        if (wrong := misfit(body, described.CompletionCreateParamsNonStreaming)) is not None:
            raise self._invalid(wrong)
        if body["model"] not in self._server.models:
            raise Refused(404, f"The model `{body['model']}` does not exist", "model_not_found")
        self._check_settings(body)
        last = body["messages"][-1]
        if last["role"] != "user":
            raise Refused(400, "the last turn is not the user's")
        content = last["content"]
        parts = [content] if isinstance(content, str) else [self._part(part) for part in content]
        settings = {name: value for name, value in body.items() if name not in ("model", "messages")}
        return Asked(body["model"], tuple(parts), settings)

    def _check_settings(self, body: dict[str, Any]) -> None:
        if "max_tokens" in body and self.thinks.match(body["model"]):
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model."
                " Use 'max_completion_tokens' instead."
            )
            raise Refused(400, message, "unsupported_parameter", "max_tokens")
        for name in ("max_tokens", "max_completion_tokens"):
            if body.get(name) is not None and body[name] < 1:
                raise Refused(400, f"Invalid '{name}'", "integer_below_min_value", name)
        for name, (least, most) in self.ranges.items():
            if not least <= (body.get(name) or 0) <= most:
                raise Refused(400, f"Invalid '{name}'", "decimal_above_max_value", name)

    def _part(self, part: dict[str, Any]) -> str | np.ndarray:
        if part["type"] == "text":
            return str(part["text"])
        found = re.fullmatch(r"data:([\w/]+);base64,(.+)", part.get("image_url", {}).get("url", ""))
        if not found:
            raise Refused(400, "no picture as a base64 data URL", "invalid_image_url")
        return picture(found[1], found[2])

    def _invalid(self, wrong: Misfit) -> Refused:
        if wrong.wanted == NO_SUCH:
            return Refused(400, f"Unrecognized request argument supplied: {wrong.place}")
        if wrong.found == NOTHING:
            told = f"Missing required parameter: '{wrong.place}'."
            return Refused(400, told, "missing_required_parameter", wrong.place)
        return Refused(400, str(wrong), "invalid_value", wrong.place)

    def written(self, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer["choices"]:
            choice["message"]["content"] = choice["message"]["content"] or None
        return answer


class GeminiApi(VendorApi):
    """`POST /v1beta/models/MODEL:generateContent`."""

    def read(self, path: str, body: Any, headers: Any) -> Asked:
        found = re.fullmatch(r"/v1beta/models/([\w.-]+):generateContent", path)
        if found is None or found[1] not in self._server.models:
            raise Refused(404, f"{path} is not found for API version v1beta")
        if not headers.get("x-goog-api-key"):
            raise Refused(403, "Method doesn't allow unregistered callers")
        try:
            request = GenerateContentRequest.model_validate(body)
        except ValidationError as error:
            raise self._invalid(error) from None
        last = request.contents[-1]
        if last.role == "model":
            raise Refused(400, "Please ensure that the last turn is the user's")
        parts = tuple(self._part(part) for part in last.parts)
        return Asked(found[1], parts, body.get("generationConfig", {}))

    def _part(self, part: Part) -> str | np.ndarray:
        return (
            part.text or ""
            if part.inline_data is None
            else picture(part.inline_data.mime_type, part.inline_data.data)
        )

    def _invalid(self, error: ValidationError) -> Refused:
        first = error.errors()[0]
        *above, name = map(str, first["loc"]) if first["loc"] else [""]
        if first["type"] == "extra_forbidden":
            where = ".".join(above)
            return Refused(
                400,
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.",
            )
        return Refused(400, f"Invalid value at '{'.'.join([*above, name])}': {first['msg']}")

    def written(self, answer: dict[str, Any]) -> dict[str, Any]:
        for candidate in answer.get("candidates", []):
            if not candidate["content"]["parts"][0]["text"]:
                del answer["usageMetadata"]["thoughtsTokenCount"]
            if candidate["finishReason"] == "SAFETY":
                del candidate["content"]["parts"]
        return answer


class AnthropicApi(VendorApi):
    """`POST /v1/messages`."""

    def read(self, path: str, body: Any, headers: Any) -> Asked:
        from anthropic.types import message_create_params as described

        if path != "/v1/messages":
            raise Refused(404, "Not Found")
        if not (headers.get("x-api-key") or headers.get("Authorization", "").startswith("Bearer ")):
            raise Refused(401, "x-api-key header is required")
        if not headers.get("anthropic-version"):
            raise Refused(400, "anthropic-version: header is required")
        if (wrong := misfit(body, described.MessageCreateParamsNonStreaming)) is not None:
            told = "Extra inputs are not permitted" if wrong.wanted == NO_SUCH else str(wrong)
            raise Refused(400, f"{wrong.place}: {told}")
        if body["model"] not in self._server.models:
            raise Refused(404, f"model: {body['model']}")
        last = body["messages"][-1]
        if last["role"] != "user":
            raise Refused(400, "This model does not support assistant message prefill.")
        settings = {name: value for name, value in body.items() if name not in ("model", "messages")}
        return Asked(body["model"], tuple(self._part(part) for part in last["content"]), settings)

    def _part(self, part: dict[str, Any]) -> str | np.ndarray:
        if part["type"] == "text":
            return str(part["text"])
        return picture(part["source"]["media_type"], part["source"]["data"])

    def written(self, answer: dict[str, Any]) -> dict[str, Any]:
        if not answer["content"][0]["text"]:
            answer |= {"content": [], "usage": {**answer["usage"], "output_tokens_details": None}}
        return answer


def picture(kind: str, content: str) -> np.ndarray:
    """The pixels of a picture in base64 (either alphabet), which must be of the kind that was said."""
    try:
        raw = base64.b64decode(content.replace("-", "+").replace("_", "/"), validate=True)
        image = PIL.Image.open(io.BytesIO(raw))
        image.load()
    except (binascii.Error, OSError):
        raise Refused(400, "Unable to process input image", "invalid_image") from None
    if kind not in PICTURES or image.get_format_mimetype() != kind:
        raise Refused(400, f"the image is no {kind}", "invalid_image_format")
    return np.asarray(image.convert("RGB"))
