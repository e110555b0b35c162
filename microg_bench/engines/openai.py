"""The engine `openai`: models behind OpenAI's interface, asked with its official client."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

from openai import NotFoundError

from microg_bench.engines._chat_body import ChatBody
from microg_bench.engines._chat_engine import Access, asking, refusal, served
from microg_bench.engines._openai_batch import OpenAIBatches
from microg_bench.engines._secrets import Secrets, base_url, read_key
from microg_bench.errors import EngineError
from microg_bench.suggest import unknown

_KEY = "OPENAI_API_KEY"
_URL = "https://api.openai.com/v1"
_NAMED = 8  # models that are named where one is not known


@dataclass
class OpenAIEngine(OpenAIBatches):
    """Frames travel as JPEG images, each prompt part in its place."""

    name: ClassVar[str] = "openai"
    takes: ClassVar[frozenset[str]] = frozenset(
        {"checkpoint", "urls", "at_once", "timeout", "media", "jpeg_quality", "detail"}
    )

    def start(self) -> None:
        """Check key, address and model with a question that costs nothing.

        Raises:
            EngineError: one of them is missing or refused.
        """
        if (found := read_key([_KEY])) is None:
            raise EngineError(f"no key: set the environment variable {_KEY} to yours")
        if not self.options.checkpoint:
            raise EngineError("no model named: say which, for example openai:gpt-4o")
        if len(self.options.urls) > 1:
            raise EngineError("engine openai asks one address; several share the work of engine server")
        url = next(iter(self.options.urls), "") or os.environ.get("OPENAI_BASE_URL", "").strip() or _URL
        access = Access(base_url(url), found[1], _KEY, Secrets(found[1]))
        self._check_model(access, self.options.checkpoint)
        self._access = [access]
        self._body = ChatBody(self.options.checkpoint, "images", self.options, "max_completion_tokens")

    def _check_model(self, access: Access, model: str) -> None:
        why = ""
        try:
            with asking(access, self.options.timeout) as client:
                if getattr(client.models.retrieve(model), "id", None):
                    return
        except NotFoundError:
            pass  # of the model or of the address: the list of models tells
        except Exception as error:  # the client lets the errors of several libraries through
            _, why = refusal(error, access)
        if why:
            raise EngineError(why)
        models, why = served(access, self.options.timeout)
        names = [one.id for one in models]
        if why or model not in names:
            near = get_close_matches(model, names, n=_NAMED, cutoff=0.0)
            raise EngineError(why or f"{access.url}: {unknown('model', model, near)}")
