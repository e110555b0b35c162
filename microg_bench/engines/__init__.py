"""Engines by name. A module here is imported only when its engine is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from microg_bench.engines.base import Engine, EngineOptions, Job
from microg_bench.errors import MissingExtraError, UsageError
from microg_bench.suggest import unknown

__all__ = ["ENGINES", "Engine", "EngineInfo", "EngineOptions", "Job", "engine_class"]


@dataclass(frozen=True)
class EngineInfo:
    """Where an engine lives, the modules it cannot do without, and the extra that installs them."""

    name: str
    target: str
    requires: tuple[str, ...] = ()
    extra: str = ""

    def missing(self) -> tuple[str, ...]:
        """Required modules that are not installed here (nothing is imported to find out)."""
        return tuple(module for module in self.requires if not _installed(module))


ENGINES: dict[str, EngineInfo] = {
    info.name: info
    for info in (
        EngineInfo("function", "microg_bench.engines.function:FunctionEngine"),
        EngineInfo(
            "transformers",
            "microg_bench.engines.transformers:TransformersEngine",
            ("torch", "torchvision", "transformers", "accelerate", "PIL"),
            "transformers",
        ),
        EngineInfo("vllm", "microg_bench.engines.vllm:VllmEngine", ("vllm",), "vllm"),
        EngineInfo("server", "microg_bench.engines.server:ServerEngine", ("openai", "PIL"), "openai"),
        EngineInfo("openai", "microg_bench.engines.openai:OpenAIEngine", ("openai", "PIL"), "openai"),
        EngineInfo("gemini", "microg_bench.engines.gemini:GeminiEngine", ("google.genai", "PIL"), "gemini"),
    )
}


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def engine_class(name: str) -> type[Engine]:
    """The class of engine `name`.

    Raises:
        UsageError: no such engine; the nearest names are suggested.
        MissingExtraError: its packages are not installed.
    """
    if name not in ENGINES:
        raise UsageError(unknown("engine", name, ENGINES))
    info = ENGINES[name]
    if missing := info.missing():
        raise MissingExtraError(f"engine {name}", info.extra, f"no module {', '.join(missing)}")
    module, _, attribute = info.target.partition(":")
    found: type[Engine] = getattr(import_module(module), attribute)
    return found
