"""Turns options into vLLM's own arguments, and says what it does not take."""

import json
import os
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from microg_bench.errors import UsageError
from microg_bench.options import Options, engine_options, flag

# An option goes to vLLM under its own name, but for these. Thinking is set in each prompt.
_RENAMED = {"checkpoint": "model", "max_concurrency": "max_num_seqs"}
_APART = ("engine_args", "thinking")
OPTION_OF = {_RENAMED.get(name, name): name for name in engine_options("vllm") if name not in _APART}
_DERIVED = {"tokenizer": "checkpoint", "tokenizer_revision": "revision"}  # by vLLM, from these options
# A block is what the prefix cache keeps; the larger default would keep nothing of a short prompt.
CPU_ARGUMENTS: dict[str, Any] = {"block_size": 32, "enforce_eager": True, "dtype": "float32"}


def check_arguments(options: Options) -> None:
    """Refuse engine arguments that go by another name here; imports nothing.

    Raises:
        UsageError: the option to use instead is named.
    """
    for name in options.engine_args:
        if (option := (OPTION_OF | _DERIVED).get(name.replace("-", "_"))) is not None:
            raise UsageError(f"engine argument {name} is set here by {flag(option)}")


def check_known(options: Options) -> None:
    """Refuse engine arguments that this vLLM does not have; vLLM must be importable.

    Raises:
        UsageError: the nearest names are suggested.
    """
    known = {field.name for field in fields(import_module("vllm").AsyncEngineArgs)}
    for name in options.engine_args:
        if name not in known:
            near = get_close_matches(name.replace("-", "_"), known, n=3, cutoff=0.5)
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(
                f"vLLM {import_module('vllm').__version__} has no engine argument {name!r}{hint}"
            )


def arguments(options: Options) -> dict[str, Any]:
    """The arguments of vLLM that `options` give; what they leave to vLLM is left out."""
    given = {name: getattr(options, option) for name, option in OPTION_OF.items()}
    return {name: value for name, value in given.items() if value not in (None, False, "auto")} | (
        options.engine_args
    )


def flags(arguments: dict[str, Any]) -> list[str]:
    """Arguments in the form of the command line of vLLM's server."""
    return [word for name, value in arguments.items() for word in _flag(f"--{name.replace('_', '-')}", value)]


def _flag(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [name if value else name.replace("--", "--no-", 1)]
    if isinstance(value, (list, tuple)):
        return [name, *map(str, value)]
    return [name, json.dumps(value) if isinstance(value, dict) else str(value)]


def prepare_cpu() -> bool:
    """Whether vLLM runs on the CPU here; it is then kept from taking half of the machine's memory."""
    if not import_module("vllm.platforms").current_platform.is_cpu():
        return False
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    return True
