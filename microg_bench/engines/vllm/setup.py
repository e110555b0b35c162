"""Imports vLLM quietly and makes one of its asynchronous engines of a checkpoint and options."""

import gc
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any

from pydantic import ValidationError

from microg_bench.engines.checkpoint import Checkpoint, load_failure
from microg_bench.engines.transformers.loading import load_processor
from microg_bench.engines.vllm.arguments import COMPACT_JSON, CPU_ARGUMENTS, arguments, prepare_cpu
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.options import Options
from microg_bench.text import first_line
from microg_bench.torchvision_repair import ensure_torchvision, repaired_children

# What vLLM and torch read from the environment; what the user has set there stays.
_QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
}
_ERROR = re.compile(r"\b(?:\w+\.)*\w*(?:Error|Exception): .*")


class CapturedStderr:
    """What the processes of vLLM write to their standard error: it would hide the one line that counts.

    A user who has set the level of vLLM's log gets it on the terminal.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open while they live

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Processes that start within write here for as long as they live."""
        if not _quiet():
            yield
            return
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)

    def error(self) -> str | None:
        """The first error in it: the cause of those that follow."""
        size = self._file.seek(0, os.SEEK_END)
        found = _ERROR.search(os.pread(self._file.fileno(), size, 0).decode(errors="replace"))
        return found[0][:300].strip() if found else None


@dataclass(frozen=True)
class RunningVllm:
    """A processor, one of vLLM's engines, and the standard error of its processes."""

    processor: Any
    llm: Any
    stderr: CapturedStderr


def load(checkpoint: Checkpoint, options: Options, more: Mapping[str, Any]) -> RunningVllm:
    """Start vLLM with `checkpoint`; `more` are further arguments of its engine.

    Raises:
        MissingExtraError: vLLM or something that it needs is not installed.
        EngineError: vLLM does not fit this machine, or the checkpoint cannot be loaded.
    """
    stderr = CapturedStderr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import_vllm()
        try:
            return _load(checkpoint, options, stderr, more)
        except EngineError:
            raise
        except Exception as error:  # vLLM raises anything from OSError to pydantic's errors
            # Of a pydantic error, the first finding without the text around it.
            found = ValueError(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else error
            failure = load_failure(checkpoint.name, found)
            if (cause := stderr.error()) is not None:
                failure = EngineError(f"cannot be loaded: {cause}", item=checkpoint.name)
    gc.collect()  # what is half built ends here, and not with a complaint while the interpreter ends
    raise failure


def _import_vllm() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ensure_torchvision()
        transformers: Any = import_module("transformers")
        vllm: Any = import_module("vllm")
    except ImportError as error:
        raise MissingExtraError("engine vllm", "vllm", first_line(error)) from error
    except RuntimeError as error:
        raise EngineError(f"vLLM does not fit this torch: {first_line(error)}") from error
    if import_module("vllm.platforms").current_platform.is_unspecified():
        raise EngineError(
            f"vLLM {vllm.__version__} finds no GPU here and is not built for the CPU:"
            " use a machine with a GPU, a CPU build of vLLM, or --engine transformers"
        )
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("torch").setLevel(logging.ERROR)


def _quiet() -> bool:
    return os.environ["VLLM_LOGGING_LEVEL"] == _QUIET["VLLM_LOGGING_LEVEL"]


def _load(
    checkpoint: Checkpoint, options: Options, stderr: CapturedStderr, more: Mapping[str, Any]
) -> RunningVllm:
    source = checkpoint.source(options.trust_remote_code)
    processor = load_processor(checkpoint, source, options)
    chosen = {**_arguments(checkpoint, options), **more}
    if prepare_cpu():
        chosen = CPU_ARGUMENTS | chosen
        if options.tensor_parallel_size == options.pipeline_parallel_size == 1:
            # Else vLLM would put another process between the one that schedules and the model.
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        _import_classes(checkpoint, source)
    # The context chooses defaults: here, throughput counts and not the time to the first token.
    offline = import_module("vllm.usage.usage_lib").UsageContext.LLM_CLASS
    config = import_module("vllm").AsyncEngineArgs(**chosen).create_engine_config(offline)
    # Here and not in vLLM's processes, so that the progress of a download is seen.
    loader: Any = import_module("vllm.model_executor.model_loader").get_model_loader(config.load_config)
    loader.download_model(config.model_config)
    return RunningVllm(processor, _engine(config, stderr), stderr)


def _engine(config: Any, stderr: CapturedStderr) -> Any:
    """The engine. No variable here or in a caller holds it: exceptions of imports keep their frames alive."""
    engine: Any = import_module("vllm.v1.engine.async_llm").AsyncLLM
    try:
        with repaired_children(), _threads(config), stderr.capturing():
            return engine.from_vllm_config(config, disable_log_stats=True)
    finally:
        if _quiet():
            logging.getLogger("vllm").setLevel(logging.CRITICAL)  # its errors come as exceptions


def _arguments(checkpoint: Checkpoint, options: Options) -> dict[str, Any]:
    """What vLLM's engine is made with; what `options` give counts over what is chosen here."""
    chosen = {
        "max_model_len": -1,  # the model's own, or as much as there is memory for
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        **COMPACT_JSON,
    }
    return chosen | arguments(options) | {"model": _folder(checkpoint), "revision": checkpoint.revision}


def _folder(checkpoint: Checkpoint) -> str:
    """What vLLM is to load: the cached folder of a hub id that must do without the hub."""
    if checkpoint.offline and checkpoint.commit:
        hub: Any = import_module("huggingface_hub")
        found = hub.snapshot_download(checkpoint.name, revision=checkpoint.revision, local_files_only=True)
        return str(found)
    return checkpoint.name


def _import_classes(checkpoint: Checkpoint, source: dict[str, Any]) -> None:
    """Import the model's class here: vLLM would do it in a child process, slowly and unrepaired."""
    transformers: Any = import_module("transformers")
    config = transformers.AutoConfig.from_pretrained(checkpoint.name, **source)
    registry: Any = import_module("vllm").ModelRegistry
    for name in config.architectures or []:
        if name in registry.models:
            registry.register_model(name, registry.models[name].load_model_cls())


@contextmanager
def _threads(config: Any) -> Iterator[None]:
    """On the CPU, leave a core to the decoders: the model's threads wait for each other in busy loops."""
    name, cores = "OMP_NUM_THREADS", os.cpu_count() or 1
    alone = config.device_config.device_type == "cpu" and config.parallel_config.world_size == 1
    if not alone or name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, cores - 1))
    try:
        yield
    finally:
        del os.environ[name]
