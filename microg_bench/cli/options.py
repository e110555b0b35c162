"""The options of `caption`, `vqa`, `run` and `score`: one table, from which the verbs take theirs.

An option here is the field of the same name of `runs.settings.Options`; None means not given.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any

import typer

from microg_bench.errors import UsageError

MODEL, WHAT, HOW, SERVER, COST, SCORES = (
    "Model",
    "What is asked",
    "How the model runs",
    "Servers and vendors",
    "Cost",
    "Scores",
)
LISTS = ("tasks", "clips", "metrics", "urls")


def _option(kind: Any, panel: str, text: str, *names: str) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=panel)]


def _flag(name: str, panel: str, text: str) -> Any:
    return _option(bool, panel, text, f"--{name}")


ASKING: dict[str, Any] = {
    "model": _option(
        str,
        MODEL,
        "Name of a model, ENGINE:NAME (openai:gpt-4o, vllm:ORG/NAME, …), or an adapter's .py file.",
    ),
    "checkpoint": _option(str, MODEL, "Other weights: a hub id or a local folder."),
    "revision": _option(str, MODEL, "Commit of the checkpoint on the hub."),
    "trust_remote_code": _flag("trust-remote-code", MODEL, "Run code that comes with the checkpoint."),
    "data": _option(
        str,
        WHAT,
        "sample, microg-4m (as fetched), a dataset folder or an annotation file; "
        "default: MicroG-4M if it was fetched, else the sample.",
    ),
    "frames": _option(int, WHAT, "How many frames the model is shown."),
    "sampling": _option(str, WHAT, "How they are chosen: uniform, endpoints, fps:R or all."),
    "prompt": _option(str, WHAT, "Name of a prompt, or a .toml file."),
    "limit": _option(int, WHAT, "Ask about the first K clips only."),
    "clips": _option(str, WHAT, "Ask about these clips only: ID,ID,…"),
    "engine": _option(str, HOW, "What runs the model; default: the first that is installed."),
    "dtype": _option(str, HOW, "auto, bfloat16, float16 or float32."),
    "attention": _option(str, HOW, "Attention kernel of transformers, e.g. sdpa or flash_attention_2."),
    "quantization": _option(str, HOW, "Quantisation method of vLLM, e.g. awq, gptq or fp8."),
    "device_map": _option(str, HOW, "Device map of accelerate: auto, cpu, cuda:0, …"),
    "batch_size": _option(int, HOW, "How many prompts transformers answers together."),
    "tensor_parallel": _option(int, HOW, "Devices that share each layer (vLLM)."),
    "pipeline_parallel": _option(int, HOW, "Devices that share the layers in turn (vLLM)."),
    "data_parallel": _option(int, HOW, "Copies of the model (vLLM)."),
    "gpu_memory": _option(float, HOW, "Share of each GPU's memory that vLLM takes, e.g. 0.9."),
    "max_length": _option(int, HOW, "Longest prompt with answer, in tokens (vLLM)."),
    "engine_args": _option(
        list[str], HOW, "Any other argument of vLLM, NAME=VALUE; may be repeated.", "--engine-arg"
    ),
    "decoders": _option(int, HOW, "How many processes decode ahead of the model."),
    "max_tokens": _option(int, HOW, "Longest answer, in tokens; default: the adapter's."),
    "temperature": _option(float, HOW, "0 is greedy decoding; default: the adapter's."),
    "top_p": _option(float, HOW, "Nucleus sampling, above temperature 0."),
    "seed": _option(int, HOW, "Seed of sampling; greedy decoding does not use it."),
    "cache": _option(str, HOW, "Folder where runs that ask the same thing share their answers."),
    "urls": _option(str, SERVER, "Address of an OpenAI-compatible server; several: URL,URL,…", "--url"),
    "serve": _flag("serve", SERVER, "Start a vLLM server here for the run."),
    "port": _option(int, SERVER, "Its port; default: a free one."),
    "at_once": _option(int, SERVER, "Most requests under way at a time."),
    "timeout": _option(float, SERVER, "Seconds that one request may take."),
    "media": _option(str, SERVER, "How a clip travels: images, video (JPEG frames) or clip (its own file)."),
    "jpeg_quality": _option(int, SERVER, "Quality of the frames sent, 1 to 95."),
    "detail": _option(str, SERVER, "Level at which OpenAI reads an image: auto, low or high."),
    "batch": _flag("batch", COST, "Half the price: leave the requests with the vendor, collect them later."),
    "max_cost": _option(float, COST, "Stop before the run has cost this many US dollars."),
    "prices": _option(str, COST, "Prices from a .toml file, over the shipped ones."),
}

SCORING: dict[str, Any] = {
    "metrics": _option(str, SCORES, "Comma-separated metrics; default: all of the task's."),
    "protocol": _option(str, SCORES, "How texts are compared: paper, coco or coco-isolated."),
    "sentence_model": _option(str, SCORES, "Local folder of the encoder of S-BERT and S-VQA."),
    "bertscore_model": _option(str, SCORES, "Local folder of BERTScore's encoder."),
    "bertscore_layers": _option(int, SCORES, "Layer of that encoder; default: the published one."),
    "bertscore_idf": _flag(
        "bertscore-idf", SCORES, "Weigh BERTScore's tokens by rarity among the references."
    ),
    "bertscore_rescale": _flag("bertscore-rescale", SCORES, "Rescale BERTScore by its published baseline."),
    "bf16": _flag("bf16", SCORES, "Run the encoders in bfloat16: faster, less exact."),
}


def with_options(function: Callable[..., None], table: dict[str, Any]) -> Callable[..., None]:
    """`function`, whose last parameter `**given` is spelled out as the options of `table`."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[:-1]
    keyword = inspect.Parameter.KEYWORD_ONLY
    taken = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in table.items()]

    @wraps(function)
    def command(**given: Any) -> None:
        function(**given)

    parameters = [one.replace(kind=keyword) for one in own] + taken
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def read(given: dict[str, Any]) -> dict[str, Any]:
    """Options as typed, with lists taken apart.

    Raises:
        UsageError: an argument of the engine that is not NAME=VALUE.
    """
    lists = {name: split(given[name]) for name in LISTS if name in given}
    arguments = given.get("engine_args")
    return {**given, **lists, "engine_args": _arguments(arguments) if arguments else None}


def split(text: str | None) -> tuple[str, ...] | None:
    """A comma-separated list, taken apart; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _arguments(given: Iterable[str]) -> dict[str, Any]:
    """NAME=VALUE, the value read as JSON where it is JSON."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--engine-arg {one!r}: give NAME=VALUE, e.g. max_num_seqs=128")
        try:
            found[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.strip().replace("-", "_")] = value
    return found
