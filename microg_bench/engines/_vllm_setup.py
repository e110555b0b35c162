"""Imports vLLM quietly and turns a checkpoint and options into one of its engines."""

from __future__ import annotations

import logging
import os
import warnings
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from microg_bench.engines._checkpoint import Checkpoint, first_line, load_failure
from microg_bench.engines._loading import DTYPES, load_processor
from microg_bench.engines.base import EngineOptions
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.torchvision_repair import ensure_torchvision

# What vLLM and torch read from the environment; what the user has set there stays.
_QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}
_WITHOUT_GPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


def check_options(options: EngineOptions) -> None:
    """Refuse what cannot be asked of vLLM here.

    Raises:
        EngineError: an unknown dtype, or an option that other engines have.
    """
    if options.dtype not in DTYPES:
        raise EngineError(f"dtype {options.dtype!r} is not one of {', '.join(DTYPES)}")
    for name in ("attention", "device_map", "batch_size"):
        if getattr(options, name) != EngineOptions.model_fields[name].default:
            raise EngineError(f"engine vllm has no {name}: vLLM chooses by itself")


def load(checkpoint: Checkpoint, options: EngineOptions, at_once: int) -> tuple[Any, Any]:
    """The processor of `checkpoint` and a vLLM engine that works on `at_once` prompts at a time.

    Raises:
        MissingExtraError: vLLM or something that it needs is not installed.
        EngineError: vLLM does not fit this machine, or the checkpoint cannot be loaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import_vllm()
        try:
            return _load(checkpoint, options, at_once)
        except EngineError:
            raise
        except Exception as error:  # vLLM raises anything from OSError to pydantic's errors
            leave_process_groups()
            raise load_failure(checkpoint.name, _plain(error)) from error


def leave_process_groups() -> None:
    """Undo what vLLM left in torch.distributed of this process, which would complain of it at exit."""
    import_module("vllm.distributed.parallel_state").cleanup_dist_env_and_memory()


def _import_vllm() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ensure_torchvision()
        transformers: Any = import_module("transformers")
        import_module("vllm")
    except ImportError as error:
        raise MissingExtraError("engine vllm", "vllm", first_line(error)) from error
    except RuntimeError as error:
        raise EngineError(f"vLLM does not fit this torch: {first_line(error)}") from error
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("torch").setLevel(logging.ERROR)


def _load(checkpoint: Checkpoint, options: EngineOptions, at_once: int) -> tuple[Any, Any]:
    transformers: Any = import_module("transformers")
    source = {
        "revision": checkpoint.revision or "main",
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": checkpoint.offline,
    }
    processor = load_processor(checkpoint, source)
    config = transformers.AutoConfig.from_pretrained(checkpoint.name, **source)
    settings = {
        "model": _place(checkpoint),
        "revision": checkpoint.revision,
        "trust_remote_code": options.trust_remote_code,
        "dtype": options.dtype,
        "max_model_len": -1,  # the model's own context, or as much of it as there is memory for
        "max_num_seqs": at_once,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if import_module("vllm.platforms").current_platform.is_cpu():
        settings |= _settings_without_gpu(options.dtype, config.architectures or [])
    arguments = import_module("vllm").EngineArgs(**settings)
    engine: Any = import_module("vllm.v1.engine.llm_engine").LLMEngine
    return processor, engine.from_engine_args(arguments)


def _place(checkpoint: Checkpoint) -> str:
    """What vLLM is to load: the cached folder of a hub id that must do without the hub."""
    if checkpoint.offline and checkpoint.commit:
        hub: Any = import_module("huggingface_hub")
        found = hub.snapshot_download(checkpoint.name, revision=checkpoint.revision, local_files_only=True)
        return str(found)
    return checkpoint.name


def _settings_without_gpu(dtype: str, architectures: list[str]) -> dict[str, Any]:
    for name, value in _WITHOUT_GPU.items():
        os.environ.setdefault(name, value)
    registry: Any = import_module("vllm").ModelRegistry
    for name in architectures:
        # vLLM would import the class in a child process, which is slow and knows nothing of our torchvision.
        if name in registry.models:
            registry.register_model(name, registry.models[name].load_model_cls())
    # A block is what the prefix cache keeps; the larger default would keep nothing of a short prompt.
    return {"block_size": 32, "enforce_eager": True, "dtype": "float32" if dtype == "auto" else dtype}


def _plain(error: Exception) -> Exception:
    """A pydantic error's first finding, without the frame of words around it."""
    return ValueError(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else error
