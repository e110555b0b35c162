"""What servers have been seen to send in place of an answer, or around one, in the formats of both vendors.

Each function returns status, body and headers of the response with the name `fault`; the body is JSON, or
bytes that are no JSON. What must become of a request that gets it: `ANSWERED` (its text is read), `RETRIED`
(it is asked again), `REFUSED` (it fails at once, and others go on).
"""

from __future__ import annotations

import json
from typing import Any

Reply = tuple[int, Any, dict[str, str]]

ANSWERED = {
    "openai": (
        "finish object", "blocks", "thoughts beside", "no counts", "written counts", "text/plain", "nul",
    ),
    "gemini": ("thoughts beside", "written counts", "text/plain", "nul"),
    "anthropic": ("thoughts beside", "encrypted", "blocks", "written counts", "text/plain", "nul"),
}  # fmt: skip
RETRIED = {
    "openai": (
        "unfinished", "error", "abort", "tool call", "error beside", "odd finish", "429 inside", "500 inside",
        "words inside", "mapping", "two", "odd text", "picture", "no message", "number", "deep", "latin1",
        "sse", "nothing",
    ),
    "gemini": (
        "unfinished", "OTHER", "MALFORMED_FUNCTION_CALL", "NEVER_HEARD_OF", "odd finish", "429 inside",
        "500 inside", "mapping", "two", "odd text", "odd parts", "no content", "number", "deep", "latin1",
        "sse", "nothing",
    ),
    "anthropic": (
        "unfinished", "tool_use", "pause_turn", "odd finish", "429 inside", "500 inside", "mapping",
        "odd text", "odd parts", "no content", "picture", "number", "deep", "latin1", "sse", "nothing",
    ),
}  # fmt: skip
REFUSED = {
    "openai": (
        "negative", "cached", "fraction", "big integer", "list of counts", "huge", "400 inside", "flagged",
        "403 page", "context", "redirect", "compressed", "FastAPI",
    ),
    "gemini": (
        "negative", "cached", "fraction", "big integer", "list of counts", "huge", "400 inside", "403 page",
        "redirect", "compressed", "picture",
    ),
    "anthropic": (
        "negative", "fraction", "big integer", "list of counts", "huge", "400 inside", "403 page", "redirect",
        "compressed", "large",
    ),
}  # fmt: skip
BIG = 5000  # digits
PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body/></html>"


def openai_reply(said: dict[str, Any], fault: str) -> Reply | None:
    """The reply with which `said`, an answer, goes wrong; None where that is not among these faults."""
    choice = (said["choices"] or [{}])[0]
    message, usage = choice.get("message", {}), said["usage"]
    text = message.get("content")
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]}
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "finish object": (choice, {"finish_reason": {"type": "stop", "matched": 2}}),
        "blocks": (message, {"content": [thought, {"type": "text", "text": text}]}),
        "thoughts beside": (message, {"reasoning_content": "Let me see."}),
        "thoughts only": (message, {"content": None, "reasoning": "Let me see."}),
        "no counts": (said, {"usage": None}),
        "written counts": (said, {"usage": {**usage, "prompt_tokens": 100.0, "completion_tokens": "7"}}),
        "unfinished": (choice, {"finish_reason": None}),
        "error": (choice, {"finish_reason": "error", "message": {**message, "content": "text"}}),
        "abort": (choice, {"finish_reason": "abort"}),
        "tool call": (choice, {"finish_reason": "tool_calls"}),
        "error beside": (choice, {"finish_reason": "error", "error": {"code": 502, "message": "upstream"}}),
        "odd finish": (choice, {"finish_reason": [["stop"]]}),
        "402 inside": (said, _inside("insufficient credits", 402)),
        "429 inside": (said, _inside("Too Many Requests", 429)),
        "500 inside": (said, _inside("the engine died", "server_error")),
        "400 inside": (said, _inside("too long a prompt", "context_length_exceeded")),
        "words inside": (said, {"choices": None, "error": "overloaded"}),
        "mapping": (said, {"choices": {"0": choice}}),
        "two": (said, {"choices": [choice, choice]}),
        "odd text": (message, {"content": {"answer": text}}),
        "picture": (message, {"content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}),
        "no message": (choice, {"message": text}),
        "negative": (said, {"usage": {**usage, "completion_tokens": -5}}),
        "cached": (said, {"usage": {**usage, "prompt_tokens_details": {"cached_tokens": 500}}}),
        "fraction": (said, {"usage": {**usage, "prompt_tokens": 99.5}}),
        "list of counts": (said, {"usage": {**usage, "prompt_tokens": [100]}}),
        "huge": (message, {"content": "word " * 2_000_000}),
        "nul": (message, {"content": f"{text}\0\ud83d\x1b[31m\u202e"}),
    }  # fmt: skip
    errors: dict[str, tuple[int, Any]] = {
        "flagged": (403, {"error": {"message": "your input was flagged", "code": 403, "metadata": {}}}),
        "inspection": (400, _error("Input may be inappropriate.", "data_inspection_failed")),
        "context": (400, _error("maximum context length is 4096 tokens: lower max_tokens", 400)),
        "FastAPI": (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}),
    }  # fmt: skip
    return _changed(said, fault, changes, usage, "prompt_tokens") or _failed(fault, errors)


def gemini_reply(said: dict[str, Any], fault: str) -> Reply | None:
    """The same for Gemini's format."""
    candidate = (said.get("candidates") or [{}])[0]
    content, usage = candidate.get("content", {}), said["usageMetadata"]
    text = content["parts"][0]["text"] if content else ""
    thought = {"text": "Let me see.", "thought": True}
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "thoughts beside": (content, {"parts": [thought, {"text": text}]}),
        "thoughts only": (content, {"parts": [thought]}),
        "written counts": (said, {"usageMetadata": {**usage, "promptTokenCount": "100"}}),
        "unfinished": (candidate, {"finishReason": None}),
        "OTHER": (candidate, {"finishReason": "OTHER"}),
        "MALFORMED_FUNCTION_CALL": (
            candidate, {"finishReason": "MALFORMED_FUNCTION_CALL", "content": {"parts": [{"text": text[:5]}]}}
        ),
        "NEVER_HEARD_OF": (candidate, {"finishReason": "NEVER_HEARD_OF"}),
        "odd finish": (candidate, {"finishReason": {"type": "STOP"}}),
        "402 inside": (said, {"candidates": None, **_google(402, "no credit left")}),
        "429 inside": (said, {"candidates": None, **_google(429, "slow down")}),
        "500 inside": (said, {"candidates": None, **_google(500, "the engine died")}),
        "400 inside": (said, {"candidates": None, **_google(400, "too long a prompt")}),
        "mapping": (said, {"candidates": {"0": candidate}}),
        "two": (said, {"candidates": [candidate, candidate]}),
        "odd text": (content, {"parts": [{"text": {"answer": text}}]}),
        "odd parts": (content, {"parts": {"text": text}}),
        "no content": (candidate, {"content": {"role": "model"}}),
        "negative": (said, {"usageMetadata": {**usage, "candidatesTokenCount": -5}}),
        "cached": (said, {"usageMetadata": {**usage, "cachedContentTokenCount": 500}}),
        "fraction": (said, {"usageMetadata": {**usage, "promptTokenCount": 99.5}}),
        "list of counts": (said, {"usageMetadata": {**usage, "promptTokenCount": [100]}}),
        "huge": (content, {"parts": [{"text": "word " * 2_000_000}]}),
        "nul": (content, {"parts": [{"text": f"{text}\0\ud83d\x1b[31m\u202e"}]}),
    }  # fmt: skip
    errors: dict[str, tuple[int, Any]] = {
        "picture": (400, _google(400, "Unable to process input image.")),
        "system": (400, _google(400, "Developer instruction is not enabled for models/m")),
    }
    return _changed(said, fault, changes, usage, "promptTokenCount") or _failed(fault, errors)


def anthropic_reply(said: dict[str, Any], fault: str) -> Reply | None:
    """The same for Anthropic's format."""
    usage, text = said["usage"], "".join(block["text"] for block in said["content"])
    thought = {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}
    block = {"type": "text", "text": text}
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "thoughts beside": (said, {"content": [thought, block]}),
        "thoughts only": (said, {"content": [thought]}),
        "encrypted": (said, {"content": [{"type": "redacted_thinking", "data": "c2ln"}, block]}),
        "blocks": (said, {"content": [{**block, "text": text[:5]}, {**block, "text": text[5:]}]}),
        "written counts": (said, {"usage": {**usage, "input_tokens": 30.0, "output_tokens": "7"}}),
        "unfinished": (said, {"stop_reason": None}),
        "tool_use": (said, {"stop_reason": "tool_use"}),
        "pause_turn": (said, {"stop_reason": "pause_turn", "content": [{**block, "text": text[:5]}]}),
        "odd finish": (said, {"stop_reason": {"type": "end_turn"}}),
        "402 inside": (said, _anthropic("billing_error", "no credit left")),
        "429 inside": (said, _anthropic("rate_limit_error", "slow down")),
        "500 inside": (said, _anthropic("api_error", "the engine died")),
        "400 inside": (said, _anthropic("invalid_request_error", "too long a prompt")),
        "mapping": (said, {"content": {"0": block}}),
        "odd text": (said, {"content": [{**block, "text": {"answer": text}}]}),
        "odd parts": (said, {"content": [text]}),
        "no content": (said, {"content": None}),
        "picture": (said, {"content": [{"type": "image", "source": {"type": "url", "url": "data:,"}}]}),
        "negative": (said, {"usage": {**usage, "output_tokens": -5}}),
        "fraction": (said, {"usage": {**usage, "input_tokens": 99.5}}),
        "list of counts": (said, {"usage": {**usage, "input_tokens": [100]}}),
        "huge": (said, {"content": [{**block, "text": "word " * 2_000_000}]}),
        "nul": (said, {"content": [{**block, "text": f"{text}\0\ud83d\x1b[31m\u202e"}]}),
    }  # fmt: skip
    errors: dict[str, tuple[int, Any]] = {
        "large": (413, _anthropic("request_too_large", "Request exceeds the maximum size")),
    }
    return _changed(said, fault, changes, usage, "input_tokens") or _failed(fault, errors)


def _changed(
    said: dict[str, Any], fault: str, changes: dict[str, Any], usage: dict[str, Any], prompt: str
) -> Reply | None:
    """`said` with one part of it changed, or written in another way."""
    if fault in changes:
        part, change = changes[fault]
        part.update(change)
        return 200, said, {}
    if fault == "big integer":
        usage[prompt] = 123454321
        return 200, json.dumps(said).encode().replace(b"123454321", b"9" * BIG), {}
    if fault == "latin1":
        return 200, json.dumps(said).encode().replace(b"text: ", b"caf\xe9: "), {}
    if fault == "deep":
        return 200, b'{"choices": ' + b"[" * 100_000, {}
    if fault == "text/plain":
        return 200, said, {"Content-Type": "text/plain"}
    if fault == "compressed":
        return 200, said, {"Content-Encoding": "gzip"}
    return None


def _failed(fault: str, errors: dict[str, tuple[int, Any]]) -> Reply | None:
    """What is no answer at all."""
    if fault in errors:
        return *errors[fault], {}
    others: dict[str, Reply] = {
        "number": (200, 5, {}),
        "nothing": (200, b"", {}),
        "sse": (200, b'data: {"choices": []}\n\ndata: [DONE]\n\n', {"Content-Type": "text/event-stream"}),
        "403 page": (403, PAGE, {"Content-Type": "text/html"}),
        "502 page": (502, b"<title>502 Bad Gateway</title>", {"Content-Type": "text/html"}),
        "redirect": (307, b"", {"Location": "http://127.0.0.1:9/v1/chat/completions"}),
        "denied": (403, _error("this model is not for you", "no_access"), {}),
    }
    return others.get(fault)


def _error(message: str, code: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _inside(message: str, code: Any) -> dict[str, Any]:
    error = {"message": "Provider returned error", "code": code, "metadata": {"raw": message}}
    return {"choices": None, "error": error}


def _google(code: int, message: str) -> dict[str, Any]:
    names = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": code, "message": message, "status": names.get(code, "INTERNAL")}}


def _anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
