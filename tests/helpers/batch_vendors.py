"""The batch APIs of the vendors on loopback, as their guides and the clients' types describe them.

A batch waits until the test ends it; its requests are then answered one by one by `script`, as the fault
server's are, or left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire

Call = tuple[str, bytes, Any]


_SETTINGS = ("temperature", "top_p", "seed")


class OpenAIVendor:
    """`/v1/files` and `/v1/batches`."""

    def __init__(self, server: FaultServer) -> None:
        self.says: Callable[[str], str] = "text: {}".format
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        server.routes["POST", "/v1/files"] = self._upload
        server.routes["GET", "/v1/files/"] = self._download
        server.routes["POST", "/v1/batches"] = self._create
        server.routes["GET", "/v1/batches/"] = self._retrieve
        server.routes["GET", "/v1/batches"] = self._list

    def _upload(self, call: Call) -> tuple[int, Any]:
        _, raw, headers = call
        boundary = b"--" + headers["Content-Type"].partition("boundary=")[2].encode()
        parts = {
            match[1].decode(): part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            for part in raw.split(boundary)
            if (match := re.search(rb'name="(\w+)"', part))
        }
        assert parts["purpose"] == b"batch"
        name = f"file-{len(self.files)}"
        self.files[name] = parts["file"]
        return 200, {"id": name, "object": "file", "bytes": len(parts["file"]), "created_at": 1,
                     "filename": "f.jsonl", "purpose": "batch", "status": "processed"}  # fmt: skip

    def _create(self, call: Call) -> tuple[int, Any]:
        asked = json.loads(call[1])
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        name = f"batch_{len(self.batches)}"
        lines = self.files[asked["input_file_id"]].splitlines()
        self.batches[name] = {
            "id": name, "object": "batch", "created_at": 1, "status": "in_progress", **asked,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }  # fmt: skip
        return 200, self.batches[name]

    def _retrieve(self, call: Call) -> tuple[int, Any]:
        return 200, self.batches[call[0].rpartition("/")[2]]

    def _list(self, call: Call) -> tuple[int, Any]:
        return 200, {"object": "list", "data": list(self.batches.values()), "has_more": False}

    def _download(self, call: Call) -> tuple[int, Any]:
        return 200, self.files[call[0].removesuffix("/content").rpartition("/")[2]]

    def requests(self, name: str) -> list[dict[str, Any]]:
        lines = self.files[self.batches[name]["input_file_id"]].splitlines()
        return [json.loads(line) for line in lines]

    def end(self, name: str, script: Callable[[str], str], status: str = "completed") -> None:
        """End a batch. Faults: as the fault server's; "left" (out altogether), "expired", "torn"; a setting
        (not supported, where it was sent); "thinking" (a level that is not known)."""
        batch, good, bad = self.batches[name], b"", b""
        for request in self.requests(name):
            fault, key = script(request["custom_id"]), request["custom_id"]
            line: dict[str, Any] = {"id": "b", "custom_id": key, "response": None, "error": None}
            if fault == "left":
                continue
            if fault == "torn":
                good += b'{"custom_id": "\n'
            elif fault == "expired":
                line["error"] = {
                    "code": "batch_expired",
                    "message": "This request could not be executed in time",
                }
                bad += json.dumps(line).encode() + b"\n"
            elif fault in _SETTINGS and fault in request["body"]:
                told = OpenAIWire.error(400, "Unsupported parameter", "unsupported_parameter", fault)
                line["response"] = {"status_code": 400, "request_id": "r", "body": told}
                bad += json.dumps(line).encode() + b"\n"
            elif fault.isdigit():
                told = OpenAIWire.error(int(fault), f"fault {fault}")
                line["response"] = {"status_code": int(fault), "request_id": "r", "body": told}
                bad += json.dumps(line).encode() + b"\n"
            elif fault == "thinking":
                told = OpenAIWire.error(
                    400, "Unsupported value: 'low'", "unsupported_value", "reasoning_effort"
                )
                line["response"] = {"status_code": 400, "request_id": "r", "body": told}
                bad += json.dumps(line).encode() + b"\n"
            else:
                body = OpenAIWire.answer("" if fault == "filter" else self.says(key), fault)
                if (odd := OpenAIWire.odd(body, fault)) is not None:
                    body = odd[1]
                line["response"] = {"status_code": 200, "request_id": "r", "body": body}
                good += json.dumps(line).encode() + b"\n"
        for field, content in (("output_file_id", good), ("error_file_id", bad)):
            if content:
                batch[field] = f"file-{len(self.files)}"
                self.files[batch[field]] = content
        batch["status"] = status
        batch["request_counts"]["completed"] = good.count(b"\n")


class GeminiVendor:
    """Resumable uploads, `models/…:batchGenerateContent`, `/v1beta/batches` and downloads."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.says: Callable[[str], str] = "text: {}".format
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        server.routes["POST", "/upload/v1beta/files"] = self._begin
        server.routes["POST", "/upload-here/"] = self._upload
        server.routes["POST", "/v1beta/models/m:batchGenerateContent"] = self._create
        server.routes["GET", "/v1beta/batches/"] = self._get
        server.routes["GET", "/v1beta/batches"] = self._list
        server.routes["GET", "/v1beta/files/"] = self._download

    def _begin(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        assert call[2]["X-Goog-Upload-Header-Content-Type"] == "jsonl"
        name = f"f{len(self.files)}"
        self.files[f"files/{name}"] = b""
        return 200, {}, {"x-goog-upload-url": f"http://127.0.0.1:{self.server.port}/upload-here/{name}"}

    def _upload(self, call: Call) -> tuple[int, Any, dict[str, str]]:
        path, raw, headers = call
        name = f"files/{path.rpartition('/')[2]}"
        self.files[name] += raw
        last = "finalize" in headers["X-Goog-Upload-Command"]
        return 200, {"file": {"name": name}}, {"x-goog-upload-status": "final" if last else "active"}

    def _create(self, call: Call) -> tuple[int, Any]:
        asked = json.loads(call[1])["batch"]
        name = f"batches/b{len(self.batches)}"
        self.batches[name] = {
            "name": name,
            "metadata": {
                "displayName": asked.get("displayName") or asked.get("display_name"),
                "state": "BATCH_STATE_RUNNING",
                "model": "models/m",
                "input": asked["inputConfig"],
            },
        }
        return 200, self.batches[name]

    def _get(self, call: Call) -> tuple[int, Any]:
        return 200, self.batches[f"batches/{call[0].rpartition('/')[2]}"]

    def _list(self, call: Call) -> tuple[int, Any]:
        return 200, {"operations": list(self.batches.values())}

    def _download(self, call: Call) -> tuple[int, Any]:
        return 200, self.files[f"files/{call[0].rpartition('/')[2].removesuffix(':download')}"]

    def requests(self, name: str) -> list[dict[str, Any]]:
        source = self.batches[name]["metadata"]["input"]
        file = source.get("fileName") or source.get("file_name")
        return [json.loads(line) for line in self.files[file].splitlines()]

    def end(self, name: str, script: Callable[[str], str], status: str = "SUCCEEDED") -> None:
        """End a batch. Faults: as the fault server's; "left" (out altogether), "expired", "torn"; a
        setting (not known); "thinking" (a level that is not known)."""
        content = b""
        for request in self.requests(name):
            fault, key = script(request["key"]), request["key"]
            if fault == "left":
                continue
            if fault == "torn":
                content += b'{"key": "\n'
                continue
            line: dict[str, Any] = {"key": key}
            if fault == "expired":
                line["error"] = {"code": 4, "message": "The batch expired", "status": "DEADLINE_EXCEEDED"}
            elif fault.isdigit():
                line["error"] = GeminiWire.error(int(fault), f"fault {fault}")["error"]
            elif fault in ("thinking", *_SETTINGS):
                said = {"thinking": "Thinking level LOW is not supported for this model."}
                line["error"] = {"code": 3, "message": said.get(fault, f'Unknown name "{fault}"')}
            else:
                line["response"] = GeminiWire.answer("" if fault == "filter" else self.says(key), fault)
                if (odd := GeminiWire.odd(line["response"], fault)) is not None:
                    line["response"] = odd[1]
            content += json.dumps(line).encode() + b"\n"
        metadata = self.batches[name]["metadata"]
        metadata["state"] = f"BATCH_STATE_{status}"
        if content:
            self.files["files/results"] = content
            metadata["output"] = {"responsesFile": "files/results"}


class AnthropicVendor:
    """`/v1/messages/batches`, whose results hold the ids that were sent and nothing else of ours."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.says: Callable[[str], str] = "text: {}".format
        self.batches: dict[str, dict[str, Any]] = {}
        self.results: dict[str, bytes] = {}
        self._sent: dict[str, list[dict[str, Any]]] = {}
        server.routes["POST", "/v1/messages/batches"] = self._create
        server.routes["GET", "/v1/messages/batches/"] = self._get
        server.routes["GET", "/v1/messages/batches"] = self._list

    def _create(self, call: Call) -> tuple[int, Any]:
        assert call[2]["Content-Type"] == "application/json"
        requests = json.loads(call[1])["requests"]
        ids = [request["custom_id"] for request in requests]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)
        assert len(set(ids)) == len(ids)
        name = f"msgbatch_{len(self.batches)}"
        self._sent[name] = requests
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        self.batches[name] = {
            "id": name, "type": "message_batch", "processing_status": "in_progress", "results_url": None,
            "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            "request_counts": {"processing": len(requests), **counts},
        }  # fmt: skip
        return 200, self.batches[name]

    def _get(self, call: Call) -> tuple[int, Any]:
        name = call[0].removesuffix("/results").rpartition("/")[2]
        return 200, self.results[name] if call[0].endswith("/results") else self.batches[name]

    def _list(self, call: Call) -> tuple[int, Any]:
        return 200, {"data": list(self.batches.values())[::-1], "has_more": False}

    def requests(self, name: str) -> list[dict[str, Any]]:
        return self._sent[name]

    def end(self, name: str, script: Callable[[str], str], status: str = "ended") -> None:
        """End a batch. Faults: as the fault server's; "left" (out altogether), "expired", "torn"; a
        setting (not supported); "thinking" (a level that is not known)."""
        content, batch = b"", self.batches[name]
        counts = dict.fromkeys(batch["request_counts"], 0)
        for request in self._sent[name]:
            key = request["custom_id"].partition("-")[2]
            fault = script(key)
            if fault in ("left", "torn"):
                content += b'{"custom_id": "\n' if fault == "torn" else b""
                continue
            result = self._result(key, fault)
            counts[result["type"]] += 1
            line = {"custom_id": request["custom_id"], "result": result}
            content += json.dumps(line).encode() + b"\n"
        self.results[name] = content
        url = f"{self.server.url}/v1/messages/batches/{name}/results" if content else None
        batch |= {"processing_status": status, "results_url": url, "request_counts": counts}

    def _result(self, key: str, fault: str) -> dict[str, Any]:
        if fault == "expired":
            return {"type": "expired"}
        if fault.isdigit():
            return {"type": "errored", "error": AnthropicWire.error(int(fault), f"fault {fault}")}
        if fault in ("thinking", *_SETTINGS):
            words = {"thinking": "adaptive thinking is not supported on this model"}
            told = words.get(fault, f"`{fault}` is deprecated for this model.")
            return {"type": "errored", "error": AnthropicWire.error(400, told)}
        message = AnthropicWire.answer("" if fault == "filter" else self.says(key), fault)
        if (odd := AnthropicWire.odd(message, fault)) is not None:
            message = odd[1]
        return {"type": "succeeded", "message": message}
