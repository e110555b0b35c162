"""Turns engine options into vLLM's own arguments, and says what it does not take."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from microg_bench.engines.base import EngineOptions
from microg_bench.errors import UsageError

# vLLM's names for what the harness has options for.
OPTION_OF = {
    "model": "checkpoint",
    "tokenizer": "checkpoint",
    "revision": "revision",
    "tokenizer_revision": "revision",
    "trust_remote_code": "trust_remote_code",
    "dtype": "dtype",
    "max_model_len": "max_length",
    "max_num_seqs": "at_once",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "data_parallel_size": "data_parallel",
    "gpu_memory_utilization": "gpu_memory",
    "quantization": "quantization",
}


def check_own(options: EngineOptions) -> None:
    """Refuse engine arguments that go by another name here; imports nothing.

    Raises:
        UsageError: the option to use instead is named.
    """
    for name in options.engine_args:
        if (option := OPTION_OF.get(name.replace("-", "_"))) is not None:
            raise UsageError(f"engine argument {name} is set here by --{option.replace('_', '-')}")


def check_known(options: EngineOptions) -> None:
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


def arguments(model: str, revision: str | None, options: EngineOptions) -> dict[str, Any]:
    """What vLLM's engine is made with; `options.engine_args` go over what is chosen here."""
    chosen: dict[str, Any] = {
        "model": model,
        "revision": revision,
        "trust_remote_code": options.trust_remote_code,
        "dtype": options.dtype,
        "max_model_len": options.max_length or -1,  # the model's own, or as much as there is memory for
        "max_num_seqs": options.at_once,
        "tensor_parallel_size": options.tensor_parallel,
        "pipeline_parallel_size": options.pipeline_parallel,
        "data_parallel_size": options.data_parallel,
        "quantization": options.quantization,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if options.gpu_memory is not None:
        chosen["gpu_memory_utilization"] = options.gpu_memory
    if import_module("vllm.platforms").current_platform.is_cpu():
        # A block is what the prefix cache keeps; the larger default would keep nothing of a short prompt.
        chosen |= {"block_size": 32, "enforce_eager": True}
        chosen["dtype"] = "float32" if options.dtype == "auto" else options.dtype
    return chosen | options.engine_args
