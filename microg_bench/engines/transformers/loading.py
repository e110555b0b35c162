"""Loads a processor and a model with transformers so that nothing moves the output unseen."""

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from microg_bench.engines.chat_template import read_marks
from microg_bench.engines.checkpoint import Checkpoint, load_failure, locate
from microg_bench.engines.processor import state
from microg_bench.engines.text_only import TextProcessor
from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.options import Options
from microg_bench.text import first_line
from microg_bench.torchvision_repair import ensure_torchvision

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in eval mode on its devices, its processor, and the ids of the tokens that end an answer.

    `commit` is the commit of a checkpoint from the hub.
    """

    processor: Any
    model: Any
    stops: frozenset[int]
    commit: str | None


def load(options: Options, loader: str | None) -> LoadedModel:
    """Load the checkpoint of `options`, by the function `loader` where there is one.

    Raises:
        MissingExtraError: a package is not installed.
        EngineError: the checkpoint is not there, not whole or not of the right kind, or an option is not
            possible on this machine.
    """
    checkpoint = locate(options.checkpoint, options.revision, own_layout=loader is not None)
    _prepare_libraries()
    source = checkpoint.source(options.trust_remote_code)
    try:
        if loader:
            processor, model = _load_by(loader, checkpoint, source, options)
        else:
            processor = load_processor(checkpoint, source, options)
            model = _load_model(checkpoint, source, options, isinstance(processor, TextProcessor))
    except EngineError:
        raise
    except Exception as error:  # the libraries raise anything from OSError to SafetensorError
        raise load_failure(checkpoint.name, error) from error
    _check_vocabulary(checkpoint, model, processor.tokenizer)
    return LoadedModel(processor, model, _only_stops(model, processor.tokenizer), checkpoint.commit)


def load_processor(checkpoint: Checkpoint, source: dict[str, Any], options: Options) -> Any:
    """The processor of a checkpoint, whose tokenizer pads on the left and reads control tokens as text.

    It has the arguments that `options` state. That of a language model is a `TextProcessor`.

    Raises:
        EngineError: it has no chat template, lacks a stated argument, or is missing where its model sees.
    """
    transformers: Any = import_module("transformers")
    processor = transformers.AutoProcessor.from_pretrained(checkpoint.name, **source)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        processor, tokenizer = _text_processor(processor, checkpoint, source), processor
    else:
        processor.chat_template = processor.chat_template or tokenizer.chat_template
    if not processor.chat_template:
        raise EngineError("has no chat template; an instruction-tuned model is needed", item=checkpoint.name)
    _prepare_tokenizer(tokenizer)
    state(processor, options.processor_kwargs(), checkpoint.name)
    return processor


def _text_processor(tokenizer: Any, checkpoint: Checkpoint, source: dict[str, Any]) -> TextProcessor:
    """What reads the prompts of a checkpoint without a processor.

    Raises:
        EngineError: its model is no language model.
    """
    transformers: Any = import_module("transformers")
    config = transformers.AutoConfig.from_pretrained(checkpoint.name, **source)
    sees = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or hasattr(
        config, "vision_config"
    )
    reads = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    reads = reads or "AutoModelForCausalLM" in getattr(config, "auto_map", {})
    if sees or not reads or not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        reason = "has no processor for images or video, and is no language model that reads only text"
        raise EngineError(reason, item=checkpoint.name)
    return TextProcessor(tokenizer)


def _load_by(
    loader: str, checkpoint: Checkpoint, source: dict[str, Any], options: Options
) -> tuple[Any, Any]:
    """What the function `loader` (`module:function`) makes of a checkpoint that no library can load."""
    module, _, function = loader.partition(":")
    processor, model = getattr(import_module(module), function)(checkpoint.name, source, _settings(options))
    _prepare_tokenizer(processor.tokenizer)
    state(processor, options.processor_kwargs(), checkpoint.name)
    _warn_of_offloading(model)
    return processor, model.eval()


def _settings(options: Options) -> dict[str, Any]:
    return {
        "dtype": _dtype(options.dtype),
        "attn_implementation": options.attn_implementation,
        "device_map": options.device_map,
    }


def _prepare_tokenizer(tokenizer: Any) -> None:
    # Generation continues at the right end of every row, so that is where all prompts must end.
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    read_marks(tokenizer)


def _load_model(checkpoint: Checkpoint, source: dict[str, Any], options: Options, text_only: bool) -> Any:
    transformers: Any = import_module("transformers")
    kind = transformers.AutoModelForCausalLM if text_only else transformers.AutoModelForImageTextToText
    model, info = kind.from_pretrained(
        checkpoint.name, output_loading_info=True, **_settings(options), **source
    )
    # transformers fills these with random numbers, and the answers would look like a bad model's.
    if missing := sorted(info["missing_keys"]):
        raise EngineError(f"{len(missing)} weights are missing, such as {missing[0]}", item=checkpoint.name)
    _warn_of_offloading(model)
    return model.eval()


def _check_vocabulary(checkpoint: Checkpoint, model: Any, tokenizer: Any) -> None:
    """Refuse an empty tokenizer, which transformers makes where the tokenizer's files are missing."""
    written = getattr(model.config.get_text_config(), "vocab_size", 0)
    if len(tokenizer) < written / 2:
        raise EngineError(
            f"its tokenizer knows {len(tokenizer)} of the model's {written} tokens; are its files missing?",
            item=checkpoint.name,
        )


def _prepare_libraries() -> None:
    """Import what is needed, without messages on the terminal (a download still shows its progress)."""
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
