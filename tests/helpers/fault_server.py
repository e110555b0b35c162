"""A server on loopback that speaks the wire format of a vendor and goes wrong as a script says.

It runs in threads of the test's own process and counts, by question, what was asked and what was answered.
A question is the last piece of text in a prompt.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar

from tests.helpers.odd_answers import anthropic_reply, gemini_reply, openai_reply

Script = Callable[[str, int], str]  # (question, which attempt at it, from 1) → the fault; "" answers


class OpenAIWire:
    """The chat completions interface."""

    asks = "/chat/completions"
    odd = staticmethod(openai_reply)
    settings: ClassVar[dict[str, str]] = {}  # names that differ from those of `Generation`

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        content = body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[-1]["text"]

    @staticmethod
    def key(headers: Any) -> str:
        return str(headers.get("Authorization", "")).removeprefix("Bearer ")

    @staticmethod
    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 1, "owned_by": "tests"}

    @classmethod
    def models(cls, names: list[str]) -> dict[str, Any]:
        return {"object": "list", "data": [cls.model(name) for name in names]}

    @staticmethod
    def answer(text: str, ended: str = "") -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if ended == "refusal":
            message |= {"content": None, "refusal": text}
        reason = {"filter": "content_filter", "length": "length"}.get(ended, "stop")
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": []
            if ended == "empty"
            else [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 7,
                "total_tokens": 107,
                "prompt_tokens_details": {"cached_tokens": 64},
            },
        }

    @staticmethod
    def error(status: int, message: str, code: str = "", param: str = "") -> dict[str, Any]:
        kind = "insufficient_quota" if code == "insufficient_quota" else "error"
        return {"error": {"message": message, "type": kind, "param": param or None, "code": code or None}}


class GeminiWire:
    """The interface of Gemini's generateContent."""

    asks = ":generateContent"
    odd = staticmethod(gemini_reply)
    settings: ClassVar[dict[str, str]] = {"top_p": "topP"}

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        return str(body["contents"][-1]["parts"][-1]["text"])

    @staticmethod
    def key(headers: Any) -> str:
        return str(headers.get("x-goog-api-key", ""))

    @staticmethod
    def model(name: str) -> dict[str, Any]:
        return {"name": f"models/{name}", "displayName": name, "version": "1"}

    @classmethod
    def models(cls, names: list[str]) -> dict[str, Any]:
        return {"models": [cls.model(name) for name in names]}

    @staticmethod
    def answer(text: str, ended: str = "") -> dict[str, Any]:
        reason = {"filter": "SAFETY", "length": "MAX_TOKENS"}.get(ended, "STOP")
        candidate = {
            "content": {"role": "model", "parts": [{"text": text}]},
            "finishReason": reason,
            "index": 0,
        }
        usage = {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 64,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 107,
        }
        if ended == "blocked":
            return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}
        return {"candidates": [] if ended == "empty" else [candidate], "usageMetadata": usage}

    @staticmethod
    def error(status: int, message: str, code: str = "", param: str = "") -> dict[str, Any]:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        details: list[dict[str, Any]] = []
        if code == "insufficient_quota":
            violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}
            details = [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
            ]
        elif code == "key":
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        elif param:
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": param}]
        named = names.get(status, "RESOURCE_EXHAUSTED" if status == 429 else "UNAVAILABLE")
        return {"error": {"code": status, "message": message, "status": named, "details": details}}


class AnthropicWire:
    """The interface of Anthropic's messages."""

    asks = "/v1/messages"
    odd = staticmethod(anthropic_reply)
    settings: ClassVar[dict[str, str]] = {}
    errors: ClassVar[dict[int, str]] = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }

    @staticmethod
    def question(body: dict[str, Any]) -> str:
        return str(body["messages"][-1]["content"][-1]["text"])

    @staticmethod
    def key(headers: Any) -> str:
        return str(headers.get("x-api-key") or headers.get("Authorization", "")).removeprefix("Bearer ")

    @staticmethod
    def model(name: str) -> dict[str, Any]:
        made = "2026-01-01T00:00:00Z"
        return {"type": "model", "id": name, "display_name": name, "created_at": made, "lifecycle": "active"}

    @classmethod
    def models(cls, names: list[str]) -> dict[str, Any]:
        return {"data": [cls.model(name) for name in names], "has_more": False}

    @staticmethod
    def answer(text: str, ended: str = "") -> dict[str, Any]:
        reasons = {"filter": "refusal", "refusal": "refusal", "length": "max_tokens"}
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": "" if ended == "empty" else [{"type": "text", "text": text}],
            "stop_reason": reasons.get(ended, "end_turn"),
            "stop_sequence": None,
            "usage": {
                "input_tokens": 30,
                "cache_creation_input_tokens": 6,
                "cache_read_input_tokens": 64,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 2},
            },
        }

    @classmethod
    def error(cls, status: int, message: str, code: str = "", param: str = "") -> dict[str, Any]:
        kind = "billing_error" if code == "insufficient_quota" else cls.errors.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


class FaultServer:
    """Answers `wire` requests with what it `says`, or `text: QUESTION`, unless `script` names a fault.

    Faults: an HTTP status ("500"); "429 after" (to be left alone for 50 ms), "429 date" (until the next
    second); "reset" (in the middle of the body), "silent" (no answer at all), "slow" (a late answer),
    "malformed", "html", and answers that are "empty", "filter", "length", "refusal", "blocked" or "blank";
    "quota" (used up), "temperature" (or another setting: not supported); "trickle" (a byte now and then),
    "endless"; those of `odd_answers.py`.
    """

    def __init__(self, wire: Any = OpenAIWire, script: Script = lambda question, attempt: "") -> None:
        self.wire, self.script = wire, script
        self.models = ["m"]
        self.keys: set[str] | None = None  # those let in; None lets everybody in
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keep_bodies = True
        self.says: Callable[[str], str] = "text: {}".format
        self.checks = ""  # the fault with which the question at the start is answered
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.routes: dict[tuple[str, str], Callable[[Any], Any]] = {}
        self._server = _Threads(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base of the interface as its clients want it."""
        root = f"http://127.0.0.1:{self.port}"
        return f"{root}/v1" if self.wire is OpenAIWire else root

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news."""


def _handler(server: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        faults = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    faults: FaultServer

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.faults.checks:
            self._reply("", self.faults.checks, {})
            return
        if self._refused() or self._routed("GET", path):
            return
        models, wire = self.faults.models, self.faults.wire
        name = path.rpartition("/models/")[2]
        if path.endswith("/models"):
            self._send(200, wire.models(models))
        elif name in models:
            self._send(200, wire.model(name))
        else:
            self._send(404, wire.error(404, f"The model `{name}` does not exist", "model_not_found"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if self._refused() or self._routed("POST", path, raw):
            return
        if not path.endswith(self.faults.wire.asks):
            self._send(404, self.faults.wire.error(404, "Not Found"))
            return
        faults, body = self.faults, json.loads(raw)
        question = faults.wire.question(body)
        with faults.lock:
            faults.asked[question] += 1
            attempt = faults.asked[question]
            if faults.keep_bodies:
                faults.bodies.append(body)
            faults.under_way += 1
            faults.most_under_way = max(faults.most_under_way, faults.under_way)
        try:
            self._reply(question, faults.script(question, attempt), body)
        finally:
            with faults.lock:
                faults.under_way -= 1

    def _routed(self, method: str, path: str, raw: bytes = b"") -> bool:
        """Let a test answer a path of its own: the route gets the body and returns (status, content)."""
        for (wanted, start), route in self.faults.routes.items():
            if method == wanted and path.startswith(start):
                status, content, *headers = route((path, raw, self.headers))
                self._send(status, content, *headers)
                return True
        return False

    def _refused(self) -> bool:
        keys, given = self.faults.keys, self.faults.wire.key(self.headers)
        if keys is None or given in keys:
            return False
        told = self.faults.wire.error(401, f"Incorrect API key provided: {given}.", "key")
        self._send(401, told, {"WWW-Authenticate": f"Bearer {given}"})
        return True

    def _reply(self, question: str, fault: str, body: dict[str, Any]) -> None:
        wire, faults = self.faults.wire, self.faults
        if fault == "slow":
            faults.closing.wait(0.05)
        if fault in ("", "slow", "filter", "length", "refusal", "blocked", "blank"):
            with faults.lock:
                faults.answered[question] += 1
            self._send(200, wire.answer("" if fault in ("blank", "filter") else faults.says(question), fault))
        elif fault == "empty":
            self._send(200, wire.answer("", "empty"))
        elif fault == "reset":
            self._reset(json.dumps(wire.answer("cut off")).encode())
        elif fault == "silent":
            faults.closing.wait(5)
            self.close_connection = True
        elif fault in ("malformed", "html"):
            kind = "application/json" if fault == "malformed" else "text/html"
            self._write(200, b'{"choices": [{"mess', {"Content-Type": kind})
        elif fault == "quota":
            self._send(429, wire.error(429, "You exceeded your current quota", "insufficient_quota"))
        elif fault == "429 after":
            self._send(429, wire.error(429, "slow down"), {"Retry-After": "0.05"})
        elif fault == "429 date":
            self._send(
                429, wire.error(429, "slow down"), {"Retry-After": formatdate(time.time() + 1, usegmt=True)}
            )
        elif fault in ("trickle", "endless"):
            self._go_on(b" " if fault == "trickle" else b" " * 65536, 0.1 if fault == "trickle" else 0)
        elif (odd := wire.odd(wire.answer(f"text: {question}"), fault)) is not None:
            self._send(*odd)
        elif fault.isdigit():
            self._send(int(fault), wire.error(int(fault), f"fault {fault}\nits second line"))
        else:
            self._setting(question, fault, body)

    def _go_on(self, chunk: bytes, pause: float) -> None:
        """Send a body that does not end."""
        self._write(200, b"", {"Content-Type": "application/json"}, length=10**12)
        while not self.faults.closing.wait(pause):
            self.wfile.write(chunk)
            self.wfile.flush()

    def _setting(self, question: str, name: str, body: dict[str, Any]) -> None:
        sent = body.get("generationConfig", body)
        if self.faults.wire.settings.get(name, name) not in sent:
            self._reply(question, "", body)
            return
        message = f"Unsupported parameter: '{name}' is not supported with this model."
        self._send(400, self.faults.wire.error(400, message, "unsupported_parameter", name))

    def _reset(self, body: bytes) -> None:
        self._write(200, body, {"Content-Type": "application/json"}, cut=len(body) // 2)
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def _send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self._write(status, raw, {"Content-Type": "application/json", **(headers or {})})

    def _write(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        cut: int | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length or len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
