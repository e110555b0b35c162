"""Loads a processor and a model with transformers so that nothing moves the output unseen."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from microg_bench.engines._checkpoint import Checkpoint, first_line, load_failure, locate
from microg_bench.engines._plain import read_marks
from microg_bench.engines.base import EngineOptions
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.torchvision_repair import ensure_torchvision

log = logging.getLogger(__name__)

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Loaded:
    """A model in eval mode on its devices, its processor, and the ids of the tokens that end an answer.

    `commit` is the commit of a checkpoint from the hub.
    """

    processor: Any
    model: Any
    stops: frozenset[int]
    commit: str | None


def load(options: EngineOptions) -> Loaded:
    """Load the checkpoint of `options`.

    Raises:
        MissingExtraError: a package is not installed.
        EngineError: the checkpoint is not there, not whole or not of the right kind, or an option is not
            possible on this machine.
    """
    if options.dtype not in DTYPES:
        raise EngineError(f"dtype {options.dtype!r} is not one of {', '.join(DTYPES)}")
    checkpoint = locate(options.checkpoint, options.revision, own_layout=options.loader is not None)
    _prepare_libraries()
    source = {
        "revision": checkpoint.revision or "main",
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": checkpoint.offline,
    }
    try:
        if options.loader:
            processor, model = _load_by(options.loader, checkpoint, source, options)
        else:
            processor = load_processor(checkpoint, source)
            model = _load_model(checkpoint, source, options)
    except EngineError:
        raise
    except Exception as error:  # the libraries raise anything from OSError to SafetensorError
        raise load_failure(checkpoint.name, error) from error
    _check_vocabulary(checkpoint, model, processor.tokenizer)
    return Loaded(processor, model, _only_stops(model, processor.tokenizer), checkpoint.commit)


def load_processor(checkpoint: Checkpoint, source: dict[str, Any]) -> Any:
    transformers: Any = import_module("transformers")
    processor = transformers.AutoProcessor.from_pretrained(checkpoint.name, **source)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise EngineError(f"{checkpoint.name}: reads only text (it has no processor for images or video)")
    processor.chat_template = processor.chat_template or tokenizer.chat_template
    if not processor.chat_template:
        raise EngineError(f"{checkpoint.name}: has no chat template; an instruction-tuned model is needed")
    _prepare_tokenizer(tokenizer)
    return processor


def _load_by(
    loader: str, checkpoint: Checkpoint, source: dict[str, Any], options: EngineOptions
) -> tuple[Any, Any]:
    """What the function `loader` (`module:function`) makes of a checkpoint that no library can load."""
    module, _, function = loader.partition(":")
    processor, model = getattr(import_module(module), function)(checkpoint.name, source, _settings(options))
    _prepare_tokenizer(processor.tokenizer)
    _warn_of_offloading(model)
    return processor, model.eval()


def _settings(options: EngineOptions) -> dict[str, Any]:
    return {
        "dtype": _dtype(options.dtype),
        "attn_implementation": options.attention,
        "device_map": options.device_map,
    }


def _prepare_tokenizer(tokenizer: Any) -> None:
    # Generation goes on at the right end of every row, so that is where the prompts must meet.
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    read_marks(tokenizer)


def _load_model(checkpoint: Checkpoint, source: dict[str, Any], options: EngineOptions) -> Any:
    transformers: Any = import_module("transformers")
    model, info = transformers.AutoModelForImageTextToText.from_pretrained(
        checkpoint.name, output_loading_info=True, **_settings(options), **source
    )
    # transformers fills these with random numbers, and the answers would look like a bad model's.
    if missing := sorted(info["missing_keys"]):
        raise EngineError(f"{checkpoint.name}: {len(missing)} weights are missing, such as {missing[0]}")
    _warn_of_offloading(model)
    return model.eval()


def _check_vocabulary(checkpoint: Checkpoint, model: Any, tokenizer: Any) -> None:
    """Refuse an empty tokenizer, which transformers makes where the tokenizer's files are missing."""
    written = getattr(model.config.get_text_config(), "vocab_size", 0)
    if len(tokenizer) < written / 2:
        raise EngineError(
            f"{checkpoint.name}: its tokenizer knows {len(tokenizer)} of the model's {written} tokens;"
            " are its files missing?"
        )


def _prepare_libraries() -> None:
    """Import what is needed, and keep its chatter off the terminal (a download still shows its progress)."""
    try:
        ensure_torchvision()
        import_module("accelerate")
        transformers: Any = import_module("transformers")
    except ImportError as error:
        raise MissingExtraError("engine transformers", "transformers", first_line(error)) from error
    except RuntimeError as error:
        raise EngineError(f"torchvision does not fit this torch: {first_line(error)}") from error
    hub: Any = import_module("huggingface_hub.utils")
    downloads_shown = not hub.are_progress_bars_disabled()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()  # also those of downloads
    if downloads_shown:
        hub.enable_progress_bars()


def _dtype(name: str) -> Any:
    """The torch dtype `name`; "auto" is bfloat16 where the hardware computes in it, else float32."""
    import torch

    if name == "auto":
        able = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bfloat16" if able else "float32"
    return getattr(torch, name)


def _only_stops(model: Any, tokenizer: Any) -> frozenset[int]:
    """Strip the checkpoint's own generation settings down to its stop tokens, and return these.

    Penalties and temperatures that a checkpoint brings would act unseen: `Generation` says all there is.
    """
    transformers: Any = import_module("transformers")
    own = model.generation_config.eos_token_id
    own = [own] if isinstance(own, int) else own or []
    stops = sorted({*own, tokenizer.eos_token_id} - {None})
    settings = transformers.GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.generation_config = settings
    return frozenset(stops)


def devices(model: Any) -> list[str]:
    """Where the parts of `model` are, such as ["cuda:0", "cuda:1"] or ["cpu"]."""
    placed = getattr(model, "hf_device_map", None) or {"": model.device}
    return sorted({f"cuda:{k}" if isinstance(k, int) else str(k) for k in placed.values()})


def _warn_of_offloading(model: Any) -> None:
    import torch

    slow = [device for device in devices(model) if device in ("cpu", "disk")]
    if torch.cuda.is_available() and slow:
        log.warning("the model does not fit on the GPU: parts of it run from %s, slowly", " and ".join(slow))
