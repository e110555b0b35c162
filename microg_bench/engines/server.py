"""The engine `server`: any server that speaks OpenAI's interface, or several, or one that is started here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from microg_bench.engines._chat_body import ChatBody
from microg_bench.engines._chat_engine import Access, ChatEngine, served
from microg_bench.engines._secrets import Secrets, base_url, read_key
from microg_bench.engines._serve import LocalServer
from microg_bench.engines.base import WEIGHTS, EngineOptions
from microg_bench.errors import EngineError, UsageError
from microg_bench.suggest import unknown

_KEY = "MICROG_BENCH_SERVER_KEY"
_NO_KEY = "EMPTY"  # the client wants one even where the server does not
_FOR_SERVE = WEIGHTS - {"checkpoint"} | {
    "tensor_parallel",
    "pipeline_parallel",
    "data_parallel",
    "gpu_memory",
    "max_length",
    "quantization",
    "engine_args",
    "port",
}
# These servers would go by the settings in the checkpoint where a request names none.
_NEUTRAL = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}
_WITH_SETTINGS = ("vllm", "sglang")


@dataclass
class ServerEngine(ChatEngine):
    """Frames travel as JPEG images, as one video of JPEG frames (vLLM), or the clip as its own file."""

    name: ClassVar[str] = "server"
    takes: ClassVar[frozenset[str]] = _FOR_SERVE | {
        "checkpoint",
        "urls",
        "serve",
        "at_once",
        "timeout",
        "media",
        "jpeg_quality",
        "detail",
    }
    medias: ClassVar[tuple[str, ...]] = ("images", "video", "clip")
    _local: LocalServer | None = field(default=None, init=False, repr=False)

    @classmethod
    def check(cls, options: EngineOptions) -> None:
        """Refuse what this engine cannot be started with.

        Raises:
            UsageError: an option that it does not have or that needs `serve`, or both an address and `serve`,
                or neither.
        """
        super().check(options)
        if options.serve and options.urls:
            raise UsageError("either --serve or --url: a server is started here, or it runs already")
        if not options.serve and not options.urls:
            raise UsageError("engine server needs --url http://HOST:PORT/v1, or --serve to start vLLM here")
        if options.serve and not options.checkpoint:
            raise UsageError("--serve needs a checkpoint: a hub id (org/model) or a local folder")
        for name in sorted(_FOR_SERVE):
            if not options.serve and getattr(options, name) != getattr(EngineOptions(), name):
                raise UsageError(f"--{name.replace('_', '-')} needs --serve: it is for a server started here")

    def start(self) -> None:
        """Start a server where one is wanted, and ask each which models it serves.

        Raises:
            EngineError: a server cannot be reached or started, refuses the key, or does not serve the model.
            MissingExtraError: a server is wanted here and vLLM is not installed.
        """
        self.check(self.options)
        try:
            self._look(self.options.urls or (self._serve(),))
        except BaseException:
            self.close()
            raise

    def _serve(self) -> str:
        self._local = LocalServer(self.options)
        return self._local.start()

    def _look(self, urls: tuple[str, ...]) -> None:
        """Ask each server what it serves, and settle on the model."""
        found = [self._found(base_url(url)) for url in urls]
        self._access = [access for access, _ in found]
        model = self._model(found)
        owners = {str(one.owned_by) for _, models in found for one in models if one.id == model}
        extra = dict(_NEUTRAL) if owners <= set(_WITH_SETTINGS) else {}
        self._body = ChatBody(model, self.options.media or "images", self.options, "max_tokens", extra)

    def _found(self, url: str) -> tuple[Access, list[Any]]:
        """How a server is reached and what it serves; its address may lack the version of the interface."""
        versioned = urlsplit(url).path.rpartition("/")[2] in ("v1", "v2", "v3")
        first: str = ""
        for address in (url,) if versioned else (f"{url}/v1", url):
            access = _access(address)
            models, why = served(access, self.options.timeout)
            if not why:
                return access, models
            first = first or why
        raise EngineError(first)

    def _model(self, found: list[tuple[Access, list[Any]]]) -> str:
        """The model that is asked for: it must be served everywhere."""
        wanted = self.options.checkpoint
        for access, models in found:
            names = [one.id for one in models]
            if wanted is None and len(names) == 1:
                wanted = names[0]
            if wanted is None:
                listed = ", ".join(sorted(names)) or "none"
                raise EngineError(f"{access.url} serves {len(names)} models: name one of them ({listed})")
            if wanted not in names:
                raise EngineError(f"{access.url}: {unknown('model', wanted, names)}")
        return wanted or ""

    def _ended(self) -> str | None:
        return self._local.ended() if self._local else None

    def provenance(self) -> dict[str, str]:
        """Who answers; of a server that was started here version and commit, since its port says nothing."""
        known = super().provenance()
        if self._local is None:
            return known
        commit = {"commit": self._local.commit} if self._local.commit else {}
        return known | {"servers": "started here", "vllm": self._local.version} | commit

    def close(self) -> None:
        """End the server that was started here."""
        if self._local is not None:
            self._local.close()
            self._local = None


def _access(url: str) -> Access:
    """The key for `url`: OpenAI's own is sent only where nobody on the way can read it."""
    host = urlsplit(url).hostname or ""
    closed = url.startswith("https:") or _is_here(host)
    name, key = read_key([_KEY, "OPENAI_API_KEY"] if closed else [_KEY]) or (_KEY, _NO_KEY)
    return Access(url, key, name, Secrets(key))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
