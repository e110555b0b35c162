"""Asks Gemini with the official client, and sorts its errors."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from google import genai
from google.genai import errors, types

from microg_bench.engines._ask_error import AskError, kind_of, retry_after, unreachable
from microg_bench.engines._chat import PromptError
from microg_bench.engines._gemini_body import GeminiBody, plain, read_answer
from microg_bench.engines._secrets import Secrets
from microg_bench.engines.base import Job
from microg_bench.records import Response


@dataclass
class GeminiServer:
    """Gemini's model `model`. `key_name` is the environment variable that the key comes from."""

    label: str
    client: genai.Client
    model: str
    body: GeminiBody
    timeout: float
    secrets: Secrets
    key_name: str

    async def ask(self, job: Job) -> Response:
        """Ask once.

        Raises:
            AskError: there is no answer.
        """
        contents, settings = await asyncio.to_thread(self._written, job)
        asking = self.client.aio.models.generate_content(
            model=self.model, contents=list(contents), config=settings
        )
        try:
            said = await asyncio.wait_for(asking, self.timeout)
        except Exception as error:  # the client lets the errors of several libraries through
            trouble = trouble_of(error, self.label, self.timeout, self.secrets, self.key_name)
        else:
            return read_answer(job.request.id, plain(said), self.secrets)
        raise trouble

    def _written(self, job: Job) -> tuple[list[types.Content], types.GenerateContentConfig]:
        try:
            return self.body.contents(job), self.body.settings(job)
        except PromptError as error:
            raise AskError("refused", str(error), stage="prompt") from None


def trouble_of(error: Exception, where: str, timeout: float, secrets: Secrets, key_name: str) -> AskError:
    """What an error of the client means for the run."""
    if isinstance(error, errors.APIError):
        return _refusal(error, where, secrets, key_name)
    if unreachable(error):
        return AskError("down", f"{where} cannot be reached")
    kind = type(error).__name__
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)) or "Timeout" in kind:
        return AskError("again", f"{where}: no answer within {timeout:g} s")
    if isinstance(error, ValueError):
        return AskError("again", f"{where}: the response is not what Gemini's interface describes")
    return AskError("again", f"{where}: the connection broke ({kind})")


def _refusal(error: errors.APIError, where: str, secrets: Secrets, key_name: str) -> AskError:
    details, status = _details(error.details), str(error.status)
    said = f"{where}: {error.code}: {secrets.line(error.message or status)}"
    reasons = {str(detail.get("reason")) for detail in details}
    quotas = [str(one.get("quotaId")) for detail in details for one in _dicts(detail.get("violations"))]
    if error.code in (401, 403) or "API_KEY_INVALID" in reasons:
        return AskError("fatal", f"{said}: check the key in {key_name}")
    if error.code == 429 and any("PerDay" in quota for quota in quotas):
        return AskError("fatal", f"{said}: the day's quota of the key in {key_name} is used up")
    if status == "FAILED_PRECONDITION":  # no billing, or not for this part of the world
        return AskError("fatal", said)
    waits = [_seconds(detail.get("retryDelay")) for detail in details]
    asked = next((wait for wait in waits if wait is not None), None)
    headers: Any = getattr(error.response, "headers", None) or {}
    return AskError(kind_of(error.code), said, retry_after(headers) if asked is None else asked)


def _details(body: Any) -> list[dict[str, Any]]:
    """The parts of Google's error model (google.rpc.Status) that a program may read."""
    told = body.get("error", body) if isinstance(body, dict) else {}
    return _dicts(told.get("details")) if isinstance(told, dict) else []


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it in JSON, as in `37s`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(delay))
    return float(found[1]) if found else None
