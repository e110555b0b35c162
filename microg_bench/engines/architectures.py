"""Which model classes the installed libraries have, read in their registries without importing them.

An import of vLLM or of transformers takes seconds, and fails where they do not fit the machine; their
registries are plain text that names every class.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_REGISTRIES = {
    "vllm": ("vllm", "model_executor/models/registry.py"),
    "transformers": ("transformers", "models/auto/modeling_auto.py"),
}


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


@lru_cache
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
