"""Asks one server through the chat completions interface with the official client, and reads its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from microg_bench.engines._ask_error import AskError, kind_of, retry_after, unreachable
from microg_bench.engines._chat import PromptError
from microg_bench.engines._chat_body import ChatBody
from microg_bench.engines._secrets import Secrets, fit
from microg_bench.engines.base import Job
from microg_bench.records import Response

_STANDARD = frozenset(
    {"model", "messages", "temperature", "top_p", "seed", "max_tokens", "max_completion_tokens"}
)
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"})
_STOPS: dict[Any, Any] = {"length": "length", "content_filter": "filter"}


@dataclass(frozen=True)
class Fault:
    """What a server says of a request that it does not answer; `after` is the wait that it asks for."""

    status: int
    code: str = ""
    param: str = ""
    message: str = ""
    after: float | None = None

    @classmethod
    def of(cls, status: int, body: Any, headers: Mapping[str, str] | None = None) -> Fault:
        """From the body of an error response, as far as it has the usual form."""
        told = body.get("error", body) if isinstance(body, dict) else {"message": body}
        told = told if isinstance(told, dict) else {"message": told}
        # Where there is no code, the type may say as much: vendors disagree on which is which.
        code, param, message = (str(told.get(name) or "") for name in ("code", "param", "message"))
        exhausted = str(told.get("type")) in _QUOTA
        return cls(
            status, str(told["type"]) if exhausted else code, param, message, retry_after(headers or {})
        )

    @property
    def unsupported(self) -> bool:
        """If the request was rejected for the one setting named in `param`."""
        return self.status in (400, 422) and self.code.startswith("unsupported_")

    @property
    def filtered(self) -> bool:
        """If the vendor's content filter stopped the request itself."""
        return self.status == 400 and self.code in _FILTERED

    def error(self, where: str, key_name: str, secrets: Secrets) -> AskError:
        """What it means for the run."""
        said = f"{where}: {self.status}: {secrets.line(self.message)}"
        if self.code in _QUOTA and self.status in (402, 403, 429):
            return AskError("fatal", f"{said}: the quota of the key in {key_name} is used up")
        if self.status in (401, 403):
            return AskError("fatal", f"{said}: check the key in {key_name}")
        if self.param == "media_io_kwargs" or "media_io_kwargs" in self.message:
            advice = "start that server with --trust-request-mm-kwargs, or send --media images"
            return AskError("fatal", f"{where} takes no times of video frames: {advice}")
        return AskError(kind_of(self.status), said, self.after)


@dataclass
class ChatServer:
    """One server, named `label`. `key_name` is the environment variable that its key comes from."""

    label: str
    client: openai.AsyncOpenAI
    body: ChatBody
    timeout: float
    secrets: Secrets
    key_name: str

    async def ask(self, job: Job) -> Response:
        """Ask once; a setting that the model rejects is left out and the request sent again.

        Raises:
            AskError: there is no answer.
        """
        body = await asyncio.to_thread(self._body, job)
        while True:
            said = await self._send(body)
            if not isinstance(said, Fault):
                return read_completion(job.request.id, said, self.label, self.secrets)
            if said.unsupported and self.body.reject(said.param, body):
                body = self.body.settled(body, job)
            elif said.filtered:
                return Response(id=job.request.id, text="", stop="filter")
            else:
                raise said.error(self.label, self.key_name, self.secrets)

    def _body(self, job: Job) -> dict[str, Any]:
        try:
            return self.body.of(job)
        except PromptError as error:
            raise AskError("refused", str(error), stage="prompt") from None

    async def _send(self, body: dict[str, Any]) -> Any:
        standard = {name: value for name, value in body.items() if name in _STANDARD}
        others = {name: value for name, value in body.items() if name not in _STANDARD}
        asking = self.client.chat.completions.create(**standard, extra_body=others or None)
        try:
            return await asyncio.wait_for(asking, self.timeout)
        except openai.APIStatusError as error:
            return Fault.of(error.status_code, error.body, error.response.headers)
        except Exception as error:  # the client lets the errors of several libraries through
            trouble = no_answer(error, self.label, self.timeout, self.secrets)
        raise trouble


def no_answer(error: Exception, where: str, timeout: float, secrets: Secrets) -> AskError:
    """What it means that no response could be read at all."""
    if unreachable(error):
        return AskError("down", f"{where} cannot be reached")
    if isinstance(error, (asyncio.TimeoutError, TimeoutError, openai.APITimeoutError)):
        return AskError("again", f"{where}: no answer within {timeout:g} s")
    if isinstance(error, openai.APIConnectionError):
        return AskError("again", f"{where}: the connection broke ({type(error.__cause__).__name__})")
    if isinstance(error, (ValueError, openai.APIResponseValidationError)):
        return AskError("again", f"{where}: the response is not JSON")
    return AskError("again", f"{where}: {type(error).__name__}: {secrets.line(error)}")


def read_completion(name: str, said: Any, where: str, secrets: Secrets) -> Response:
    """The answer to the request `name` in a completion, told apart by how it ended.

    Raises:
        AskError: there is none in it.
    """
    try:
        choice = said.choices[0]
        refusal, text = choice.message.refusal, choice.message.content
    except (AttributeError, IndexError, TypeError):
        raise AskError("again", f"{where}: the response has no choice in it") from None
    usage = getattr(said, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return Response(
        id=name,
        text=fit(secrets.hide(str(text or refusal or ""))),
        stop="refusal" if refusal else _STOPS.get(choice.finish_reason, "end"),
        prompt_tokens=count(usage, "prompt_tokens"),
        cached_tokens=count(details, "cached_tokens"),
        output_tokens=count(usage, "completion_tokens"),
    )


def count(usage: Any, name: str) -> int | None:
    """A count of tokens, None where the server does not tell."""
    found = getattr(usage, name, None)
    return found if isinstance(found, int) else None
