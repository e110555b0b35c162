"""The batch interface of Gemini: a file of requests goes up, within a day a file of answers comes down."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from typing import Any

from google import genai
from google.genai import errors, types

from microg_bench.engines._ask_error import AskError
from microg_bench.engines._gemini_body import GeminiBody, read_answer
from microg_bench.engines._gemini_server import trouble_of
from microg_bench.engines._secrets import Secrets
from microg_bench.engines.base import Job
from microg_bench.engines.batch import BatchState
from microg_bench.records import Failure, Response

log = logging.getLogger(__name__)

_ENDED = ("SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


def batch_line(body: GeminiBody, job: Job) -> bytes:
    """The line of the file of requests for `job`.

    Raises:
        PromptError: the prompt shows what was not delivered, or is too large.
    """
    settings = _plain(body.settings(job))
    system = settings.pop("systemInstruction", None)
    request = {"contents": [_plain(turn) for turn in body.contents(job)], "generationConfig": settings}
    if system is not None:
        request["systemInstruction"] = system
    return json.dumps({"key": job.request.id, "request": request}, separators=(",", ":")).encode() + b"\n"


def _plain(model: Any) -> dict[str, Any]:
    written: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written


def submit(client: genai.Client, model: str, jobs: Sequence[tuple[str, bytes]], token: str) -> str:
    """Send the requests; returns the batch's name."""
    content = io.BytesIO(b"".join(line for _, line in jobs))
    # The media type is the one that the vendor's guide gives such a file.
    file = client.files.upload(
        file=content, config=types.UploadFileConfig(display_name=token, mime_type="jsonl")
    )
    batch = client.batches.create(
        model=model, src=str(file.name), config=types.CreateBatchJobConfig(display_name=token)
    )
    return str(batch.name)


def find(client: genai.Client, token: str) -> str | None:
    """The name of the batch that carries `token`; None where there is none."""
    return next((batch.name for batch in client.batches.list() if batch.display_name == token), None)


def state(client: genai.Client, batch: str) -> BatchState:
    """How far the batch is; Gemini does not tell how many requests are answered."""
    found = client.batches.get(name=batch).state
    word = str(getattr(found, "value", found) or "UNKNOWN").removeprefix("JOB_STATE_")
    return BatchState(ended=word in _ENDED, word=word.lower().replace("_", " "))


def results(client: genai.Client, batch: str) -> bytes:
    """The file of answers of an ended batch; empty where it left none."""
    dest = client.batches.get(name=batch).dest
    return client.files.download(file=dest.file_name) if dest and dest.file_name else b""


def outcome_of(line: bytes, where: str, key_name: str, secrets: Secrets) -> Response | Failure | None:
    """What became of one request; None where the line does not tell which."""
    try:
        told = json.loads(line)
        name, said, error = str(told["key"]), told.get("response"), told.get("error") or told.get("status")
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("a line of the batch's results cannot be read and is passed over")
        return None
    try:
        if isinstance(said, dict):
            return read_answer(name, said, secrets)
    except AskError as found:
        trouble = found
    except (AttributeError, KeyError, TypeError, ValueError):
        trouble = AskError("again", f"{where}: the response is not what Gemini's interface describes")
    else:
        refused = errors.APIError(_status(error), {"error": error if isinstance(error, dict) else {}})
        trouble = trouble_of(refused, where, 0.0, secrets, key_name)
    retryable = trouble.kind != "refused"
    return Failure(id=name, stage=trouble.stage, reason=trouble.reason, retryable=retryable)


# Results carry codes of google.rpc.Code, or HTTP's; both are told as HTTP's here.
_HTTP = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return _HTTP.get(code, code) if isinstance(code, int) and code else 500
