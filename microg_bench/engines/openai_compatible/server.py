"""The engine `server`: any server that speaks OpenAI's interface, or several, or one that is started here."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np

from microg_bench.engines.base import Job
from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.secrets import Access, Secrets, base_url, read_key
from microg_bench.engines.openai_compatible.chat import (
    EFFORTS,
    ChatEngine,
    NoInterfaceError,
    Served,
    answers_at_start,
    served,
    vllm_version,
)
from microg_bench.engines.openai_compatible.client import ChatBody
from microg_bench.engines.openai_compatible.local_server import LocalServer
from microg_bench.engines.vendors import SERVER_KEY
from microg_bench.engines.vllm.arguments import check_arguments
from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options, flag, takes
from microg_bench.privacy import may_get_keys
from microg_bench.records import (
    Generation,
    Message,
    Prompt,
    Request,
    Text,
    ThinkingLevel,
    Video,
    template_switches,
)
from microg_bench.text import unknown
from microg_bench.video.decode import Frames

log = logging.getLogger(__name__)

_NO_KEY = "EMPTY"  # the client wants one even where the server does not
# These servers would apply the settings in the checkpoint where a request names none, and leave out the marks
# around thoughts where they are control tokens.
_NEUTRAL = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0, "skip_special_tokens": False}
_WITH_SETTINGS = ("vllm", "sglang")


@dataclass
class ServerEngine(ChatEngine):
    """Frames are sent as JPEG images, as one video of JPEG frames (vLLM), or the clip as its own file."""

    name: ClassVar[str] = "server"
    medias: ClassVar[tuple[str, ...]] = ("images", "video", "clip")
    thinking_switches: ClassVar[Mapping[ThinkingLevel, Mapping[str, Any]]] = {
        **template_switches()["server"],
        **EFFORTS,
    }
    _local: LocalServer | None = field(default=None, init=False, repr=False)

    @classmethod
    def check(cls, options: Options) -> None:
        """Refuse also both an address and `serve`, or neither; what needs `serve`; what vLLM must not get."""
        super().check(options)
        if options.serve and options.url:
            raise UsageError("either --serve or --url: a server is started here, or it runs already")
        if not options.serve and not options.url:
            raise UsageError("engine server needs --url http://HOST:PORT/v1, or --serve to start vLLM here")
        if twice := [url for url, count in Counter(map(base_url, options.url)).items() if count > 1]:
            raise UsageError(f"{twice[0]} is there twice", item=flag("url"))
        if options.serve and not options.checkpoint:
            raise UsageError("--serve needs a checkpoint: a hub id (org/model) or a local folder")
        if options.serve:
            check_arguments(options, server=True)
        if options.port and options.replicas > 1:
            raise UsageError("each replica needs a port of its own: leave it out", item=flag("port"))
        for name in options.given():
            of_local_server = takes("server", name) and not takes("openai", name)
            if not options.serve and of_local_server:
                raise UsageError("needs --serve: it is for a server started here", item=flag(name))

    @classmethod
    def served_name(cls, checkpoint: str, options: Options) -> str:
        """The name of the one model that the first server has; `checkpoint` where it has several, or none."""
        if options.serve or not options.url:
            return checkpoint
        access, models = cls._found(base_url(options.url[0]), options.timeout)
        names = [one.id for one in models if one.id == access.secrets.line(one.id)]
        return names[0] if len(names) == len(models) == 1 else checkpoint

    @classmethod
    def shows(cls, options: Options) -> Literal["images", "video"]:
        """One video, where all servers take one; a server that runs already is asked."""
        if options.serve:
            return "video"
        found = (cls._found(base_url(url), options.timeout) for url in options.url)
        taken = [cls._takes_video(access, models, options) for access, models in found]
        return "video" if taken and all(taken) else "images"

    @staticmethod
    def _takes_video(access: Access, models: list[Served], options: Options) -> bool:
        """Whether a server takes one video of frames with their times, which vLLM does for some models."""
        asked = [one for one in models if options.checkpoint in (None, one.id)]
        if len(asked) != 1 or asked[0].owner != "vllm":
            return False
        body = ChatBody(asked[0].id, "video", options, "max_tokens", set())
        try:
            answers_at_start(access, options.timeout, body, _video_job())
        except RequestError as failed:
            if failed.kind != "refused":
                raise EngineError(f"{failed.reason}: {flag('media')} says how clips are sent") from None
            log.warning("clips are sent as images, since a video is refused: %s", failed.reason)
            return False
        return True

    def start(self) -> None:
        """Start a server where one is wanted, and ask each which models it serves."""
        self.check(self.options)
        try:
            if self.options.serve:
                self._local = LocalServer(self.options)
            self._connect((self._local.start(),) if self._local else self.options.url)
        except BaseException:
            self.close()
            raise

    def _connect(self, urls: tuple[str, ...]) -> None:
        """Ask each server what it serves, and settle on the model."""
        found = [self._found(base_url(url), self.options.timeout) for url in urls]
        self._access = [access for access, _ in found]
        model = self._model(found)
        owners = {access.where: one.owner for access, models in found for one in models if one.id == model}
        extra = dict(_NEUTRAL) if set(owners.values()) <= set(_WITH_SETTINGS) else {}
        media = self.options.media or "images"
        self._body = ChatBody(
            model,
            media,
            self.options,
            "max_tokens",
            self.rejected,
            extra,
            thinking=self.thinking,
            keeps_media=set(owners.values()) == {"vllm"},
        )
        versions = {
            access.where: vllm_version(access) for access in self._access if owners[access.where] == "vllm"
        }
        self._versions = {where: version for where, version in versions.items() if version}

    @staticmethod
    def _found(url: str, timeout: float) -> tuple[Access, list[Served]]:
        """How a server is reached and what it serves; its address may lack the version of the interface.

        Raises:
            EngineError: it lists no models.
        """
        versioned = urlsplit(url).path.rpartition("/")[2] in ("v1", "v2", "v3")
        refused: list[NoInterfaceError] = []
        for address in (url,) if versioned else (f"{url}/v1", url):
            access = _access(address)
            try:
                return access, served(access, timeout)
            except NoInterfaceError as error:
                refused.append(error)
        raise refused[0]

    def _model(self, found: list[tuple[Access, list[Served]]]) -> str:
        """The model that is asked for: it must be served everywhere."""
        wanted = self.options.checkpoint
        for access, models in found:
            names = [one.id for one in models]
            if wanted is None and len(names) == 1:
                wanted = names[0]
            if wanted is None:
                known = ", ".join(sorted(names)) or "none"
                raise EngineError(f"{access.where} serves {len(names)} models: name one of them ({known})")
            if wanted not in names:
                choose = ": name one with --checkpoint" if len(names) > 1 else ""
                raise EngineError(unknown("model", wanted, names) + choose, item=access.where)
        return wanted or ""

    def _ended(self) -> str | None:
        return self._local.exit_report() if self._local else None

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


def _video_job() -> Job:
    """A request that shows two grey frames and wants one token."""
    grey = np.full((2, 112, 112, 3), 128, np.uint8)
    frames = Frames(grey, indices=(0, 1), timestamps=(0.0, 0.5), fps=2.0, total=2, duration=1.0)
    prompt = Prompt(messages=(Message(role="user", parts=(Video(), Text(text="What is shown?"))),))
    request = Request(id="grey", task="caption", video_id="grey", source="grey")
    return Job(request, prompt, frames, Generation(max_tokens=1))


def _access(url: str) -> Access:
    """The key for `url`; OpenAI's own stays here where others could read it on its way."""
    names = [SERVER_KEY, "OPENAI_API_KEY"] if may_get_keys(url) else [SERVER_KEY]
    name, key = read_key(names, url) or (SERVER_KEY, _NO_KEY)
    return Access(url, key, name, Secrets(key))
