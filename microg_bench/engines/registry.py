"""Engines by name, the packages that each needs, and the models that an installed library knows.

A module of an engine is imported only when the engine is chosen. Which model classes a library has is read in
its registry, which is plain text: importing vLLM or transformers takes seconds, and fails where they do not
fit the machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.registry import is_generic
from microg_bench.engines.base import Engine
from microg_bench.errors import MissingExtraError, UsageError
from microg_bench.options import Options, flag
from microg_bench.text import unknown

CLOSED = ("openai", "gemini", "anthropic")  # engines whose models nobody can download
_REGISTRIES = {
    "vllm": ("vllm", "model_executor/models/registry.py"),
    "transformers": ("transformers", "models/auto/modeling_auto.py"),
}


@dataclass(frozen=True)
class EngineInfo:
    """Where an engine is, the modules it cannot do without, and the extra that installs them."""

    name: str
    target: str
    requires: tuple[str, ...] = ()
    extra: str = ""

    def missing(self) -> tuple[str, ...]:
        """Required modules that are not installed here (nothing is imported to find out)."""
        return tuple(module for module in self.requires if not _installed(module))


_TRANSFORMERS = ("torch", "torchvision", "transformers", "accelerate", "PIL")
_INFOS = (
    EngineInfo("function", "base:FunctionEngine"),
    EngineInfo("transformers", "transformers.engine:TransformersEngine", _TRANSFORMERS, "transformers"),
    EngineInfo("vllm", "vllm.engine:VllmEngine", ("vllm",), "vllm"),
    EngineInfo("server", "openai_compatible.server:ServerEngine", ("openai", "httpx2", "PIL"), "openai"),
    EngineInfo("openai", "openai_compatible.openai:OpenAIEngine", ("openai", "httpx2", "PIL"), "openai"),
    EngineInfo("gemini", "gemini.engine:GeminiEngine", ("google.genai", "httpx2", "PIL"), "gemini"),
    EngineInfo("anthropic", "anthropic.engine:AnthropicEngine", ("anthropic", "httpx2", "PIL"), "anthropic"),
)
ENGINES = {info.name: info for info in _INFOS}


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def engine_class(name: str, condition: str = "") -> type[Engine]:
    """The class of engine `name`; `condition` is when it is needed, for messages.

    Raises:
        UsageError: no such engine; the nearest names are suggested.
        MissingExtraError: its packages are not installed.
    """
    if name not in ENGINES:
        raise UsageError(unknown("engine", name, ENGINES))
    info = ENGINES[name]
    if missing := info.missing():
        raise MissingExtraError(f"{condition}engine {name}", info.extra, f"no module {', '.join(missing)}")
    module, _, attribute = info.target.partition(":")
    found: type[Engine] = getattr(import_module(f"microg_bench.engines.{module}"), attribute)
    return found


def choose_engine(model: str, engines: Sequence[str], architecture: str, options: Options) -> type[Engine]:
    """The engine asked for, `server` where one is addressed, or the first installed one that knows the model.

    Args:
        model: its name, for messages.
        engines: the names of engines that can run it, the preferred one first.
        architecture: its class in vLLM and transformers; "" where it is not known.
        options: what the user asked for.

    Raises:
        UsageError: an unknown engine, one that cannot run the model, or one whose library has no such class.
        MissingExtraError: the packages of the engine are not installed.
    """
    asked = options.engine
    if asked is not None and asked not in ENGINES:
        raise UsageError(unknown("engine", asked, ENGINES))
    if asked is not None and asked not in engines:
        raise UsageError(f"model {model} runs on {' or '.join(engines)}, not on {asked}")
    if asked is None and "server" in engines and (options.url or options.serve):
        asked = "server"
    known = [name for name in engines if name in ENGINES and name != "server"] or ["server"]
    here = [name for name in known if not ENGINES[name].missing()]
    usable = [name for name in here if not unsupported(name, architecture)]
    name = asked or next(iter(usable + here), known[0])
    if problem := unsupported(name, architecture):
        raise UsageError(f"model {model} cannot run on engine {name} here: {problem}")
    served = asked is None and "server" in engines
    return engine_class(name, f"without {flag('url')} of a server, " if served else "")


def asked_of_servers(adapter: Adapter, given: Options, found: Options, engine: type[Engine]) -> Options:
    """`found` with the name of the weights and how clips are sent, as servers tell where none is given."""
    if found.checkpoint and found.url and not (given.checkpoint or is_generic(adapter.name)):
        found = found.model_copy(update={"checkpoint": engine.served_name(found.checkpoint, found)})
    if found.media is None and adapter.sees_video:
        found = found.model_copy(update={"media": engine.shows(found)})
    return found


def unsupported(engine: str, architecture: str) -> str:
    """Why the library behind `engine` cannot load a model of the class `architecture`; "" where it can.

    Also "" where that cannot be told: an engine without such a library, a library that is not installed or
    keeps its registry elsewhere, a model whose class is not declared.
    """
    if not architecture or engine not in _REGISTRIES:
        return ""
    library, file = _REGISTRIES[engine]
    registry = _text(library, file)
    if not registry or f'"{architecture}"' in registry:
        return ""
    return f"{library} {_version(library)} has no {architecture}"


@cache
def _text(library: str, file: str) -> str:
    spec = find_spec(library)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = [Path(folder) / file for folder in folders]
    return "".join(path.read_text(encoding="utf-8") for path in found if path.is_file())


def _version(library: str) -> str:
    for name in (library, f"{library}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "(of unknown version)"
