"""Every option, declared once: name, type, default, bounds, help, group, and what it applies to.

The command line, `--config`, run.json, the keyword arguments of `evaluate` and the reference page are derived
from this declaration. An option is a field of `Options`; its name on the command line is the field's name
with hyphens.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from microg_bench.errors import UsageError
from microg_bench.privacy import without_secrets
from microg_bench.records import BenchmarkTask, BoxForm, Record, ThinkingLevel
from microg_bench.text import unknown

Group = Literal["Model", "Data and prompt", "Engine", "Server", "Cost", "Scoring"]


@dataclass(frozen=True)
class About:
    """What is said of an option beside its type, default and bounds.

    Args:
        help: one sentence for `--help` and the reference page.
        group: the heading that it stands under.
        moves_answer: whether another value may give other answers; such values lead to another run folder.
        engines: the engines that take it; none means that it is no engine's.
        flag: its name on the command line, where that is not the field's.
        default: the default in words, where it is not a value.
    """

    help: str
    group: Group
    moves_answer: bool = False
    engines: tuple[str, ...] = ()
    flag: str = ""
    default: str = ""


Moves = partial(About, moves_answer=True)  # of an option that leads to another run folder


def _split(given: Any) -> Any:
    """A comma-separated list, taken apart; anything else as it is."""
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    return given


def _arguments(given: Any) -> Any:
    """`NAME=VALUE` texts as a mapping, each value read as JSON where it is JSON."""
    if not isinstance(given, (list, tuple)):
        return given
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = str(one).partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{one!r}: give NAME=VALUE, e.g. max_num_seqs=128")
        try:
            found[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.strip().replace("-", "_")] = value
    return found


_PROCESSOR_ARGUMENT = re.compile(r"(images|videos)\.[a-z_]+")


def _of_processor(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments as ``videos.size``, also where they are given as ``{"videos": {"size": …}}``."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        nested = name in ("images", "videos") and isinstance(value, dict)
        found |= {f"{name}.{inner}": one for inner, one in value.items()} if nested else {name: value}
    for name in found:
        if not _PROCESSOR_ARGUMENT.fullmatch(name):
            raise ValueError(f"{name!r}: give images.NAME or videos.NAME, e.g. videos.do_resize=false")
    return found


METRICS = (
    *("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR"),
    *("S-BERT", "S-VQA", "BERTScore"),
)


def _known_metrics(given: tuple[str, ...]) -> tuple[str, ...]:
    for name in given:
        if name not in METRICS:
            raise ValueError(unknown("metric", name, METRICS))
    return given


def _shard(given: str | None) -> str | None:
    if given is None:
        return None
    number, slash, count = given.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"{given!r}: give K/N, e.g. 3/8 for the third of eight")
    return f"{int(number)}/{int(count)}"


ENCODER_FOLDERS = ("sentence_model", "bertscore_model")

Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
Tasks = Annotated[tuple[BenchmarkTask, ...], BeforeValidator(_split)]
Shard = Annotated[str | None, AfterValidator(_shard)]
Arguments = Annotated[dict[str, Any], BeforeValidator(_arguments)]
ProcessorArguments = Annotated[Arguments, AfterValidator(_of_processor)]

WEIGHTS = ("transformers", "vllm", "server")
VLLM = ("vllm", "server")
CLIENTS = ("server", "openai", "gemini", "anthropic")
OF_PERSONS = ("boxes", "split", "action_scores")  # options of the task har alone


class ScoringOptions(Record):
    """The options of scoring; `device` is a torch device, None for a GPU where there is one."""

    metrics: Annotated[
        Words,
        AfterValidator(_known_metrics),
        About("Metrics, comma-separated.", "Scoring", default="all of the task's"),
    ] = ()
    protocol: Annotated[
        Literal["paper", "coco", "coco-isolated"], About("How texts are tokenised before scoring.", "Scoring")
    ] = "paper"
    clusters: Annotated[
        Literal["source", "clip"],
        About("What the intervals resample: source videos or single clips.", "Scoring"),
    ] = "source"
    actions: Annotated[
        str | None,
        About(
            "Table of action labels, by which scores are sliced; of the task har, the persons asked about.",
            "Scoring",
            default="actions.csv of the dataset folder",
        ),
    ] = None
    action_scores: Annotated[
        Literal["named", "logprob"],
        About(
            "Score of an action that a model names: 1, or more the more probable its answer is.", "Scoring"
        ),
    ] = "named"
    sentence_model: Annotated[
        str | None,
        About("Local folder of the encoder of S-BERT and S-VQA.", "Scoring", default="all-MiniLM-L6-v2"),
    ] = None
    bertscore_model: Annotated[
        str | None, About("Local folder of BERTScore's encoder.", "Scoring", default="roberta-large")
    ] = None
    bertscore_layers: Annotated[
        int | None, Field(ge=1), About("Layer of that encoder to read.", "Scoring", default="as published")
    ] = None
    bertscore_idf: Annotated[
        bool, About("Weight BERTScore's tokens by rarity among the references.", "Scoring")
    ] = False
    bertscore_rescale: Annotated[bool, About("Rescale BERTScore by its published baseline.", "Scoring")] = (
        False
    )
    bf16: Annotated[bool, About("Run the encoders in bfloat16: faster, less exact.", "Scoring")] = False
    device: Annotated[
        str | None, About("Torch device of the encoders.", "Scoring", default="a GPU where there is one")
    ] = None

    @classmethod
    def of(cls, *layers: Mapping[str, Any]) -> Self:
        """Options from several layers, later ones over earlier ones; None means not given.

        A `Path` is taken as its text.

        Raises:
            UsageError: an unknown option, a value that has the wrong type or is out of range, or a path that
                does not exist.
        """
        given = {
            key: str(value) if isinstance(value, Path) else value
            for layer in layers
            for key, value in layer.items()
            if value is not None
        }
        for key in given:
            if key not in cls.model_fields:
                raise UsageError(unknown("option", key, cls.model_fields))
        for name in ENCODER_FOLDERS:
            if name in given and not Path(str(given[name])).is_dir():
                raise UsageError(f"no such folder: {given[name]}", item=flag(name))
        if "actions" in given and not Path(str(given["actions"])).is_file():
            raise UsageError(f"no such file: {given['actions']}", item=flag("actions"))
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"].removeprefix("Value error, ")
            told = f"{reason} (given: {first['input']!r})" if first["type"] != "value_error" else reason
            raise UsageError(without_secrets(told), item=flag(str(first["loc"][0]))) from error


class Options(ScoringOptions):
    """The options of `caption`, `vqa`, `run` and `sweep`. None takes the default that the help names."""

    model: Annotated[
        str | None,
        Moves(
            "Name of a model, ENGINE:NAME (server:NAME, vllm:ORG/NAME), or an adapter's .py file.",
            "Model",
            default="none",
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        Moves(
            "Other weights: a hub id, a local folder, or the model's name at its server.",
            "Model",
            engines=(*WEIGHTS, "openai", "gemini", "anthropic"),
            default="the adapter's",
        ),
    ] = None
    revision: Annotated[
        str | None,
        Moves("Commit of the checkpoint on the hub.", "Model", engines=WEIGHTS, default="the adapter's"),
    ] = None
    trust_remote_code: Annotated[
        bool, Moves("Run code that comes with the checkpoint.", "Model", engines=WEIGHTS)
    ] = False
    data: Annotated[
        str | None,
        About(
            "sample, microg-4m (as fetched), a dataset folder or an annotation file.",
            "Data and prompt",
            default="MicroG-4M if it was fetched, else the sample",
        ),
    ] = None
    tasks: Annotated[Tasks, About("Tasks, comma-separated.", "Data and prompt")] = ("caption", "vqa")
    frames: Annotated[
        int | None, Moves("How many frames the model is shown.", "Data and prompt", default="the adapter's")
    ] = None
    sampling: Annotated[
        str | None,
        Moves(
            "How frames are chosen: uniform, endpoints, fps:R or all.",
            "Data and prompt",
            default="the adapter's",
        ),
    ] = None
    transforms: Annotated[
        Words,
        Moves(
            "What is done to the frames, in order: rotate:DEGREES, mirror, crop:SHARE, noise:LEVELS, "
            "reverse, shuffle, freeze, swap, or no-frames.",
            "Data and prompt",
            default="nothing",
        ),
    ] = ()
    prompt: Annotated[str, Moves("Name of a prompt, or a .toml file.", "Data and prompt")] = "default"
    boxes: Annotated[
        BoxForm,
        Moves("How the task har shows a person: a box on the frames, or what is in it.", "Data and prompt"),
    ] = "drawn"
    split: Annotated[
        Literal["train", "val", "test", "all"],
        Moves("Whom the task har asks about: the published part of the annotations.", "Data and prompt"),
    ] = "test"
    limit: Annotated[
        int | None, Field(ge=1), Moves("Ask about the first K clips only.", "Data and prompt", default="all")
    ] = None
    clips: Annotated[
        Words, Moves("Ask about these clips only: ID,ID,…", "Data and prompt", default="all")
    ] = ()
    shard: Annotated[
        Shard,
        About(
            "Ask about one part of the clips, K/N: the K-th of N, joined by runs merge.",
            "Data and prompt",
            default="all in one",
        ),
    ] = None
    engine: Annotated[
        str | None,
        Moves(
            "What runs the model: vllm, transformers, server, openai, gemini or anthropic.",
            "Engine",
            default="the first of the adapter's that is installed",
        ),
    ] = None
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Moves("Arithmetic of the model.", "Engine", engines=WEIGHTS),
    ] = "auto"
    attn_implementation: Annotated[
        str | None,
        Moves(
            "Attention kernel, e.g. sdpa or flash_attention_2.",
            "Engine",
            engines=("transformers",),
            default="chosen by transformers",
        ),
    ] = None
    quantization: Annotated[
        str | None,
        Moves(
            "Quantisation method, e.g. awq, gptq or fp8.", "Engine", engines=VLLM, default="the checkpoint's"
        ),
    ] = None
    engine_args: Annotated[
        Arguments,
        Moves(
            "Any other argument of vLLM, NAME=VALUE; may be repeated.",
            "Engine",
            engines=VLLM,
            flag="--engine-arg",
            default="none",
        ),
    ] = Field(default_factory=dict)
    processor_args: Annotated[
        ProcessorArguments,
        Moves(
            "An argument of the processor, images.NAME=VALUE or videos.NAME=VALUE; may be repeated.",
            "Engine",
            engines=WEIGHTS,
            flag="--processor-arg",
            default="the adapter's",
        ),
    ] = Field(default_factory=dict)
    device_map: Annotated[
        str, About("Device map of accelerate: auto, cpu, cuda:0, …", "Engine", engines=("transformers",))
    ] = "auto"
    batch_size: Annotated[
        int, Field(ge=1), About("Prompts that are answered together.", "Engine", engines=("transformers",))
    ] = 4
    tensor_parallel_size: Annotated[
        int, Field(ge=1), About("Devices that share each layer.", "Engine", engines=VLLM)
    ] = 1
    pipeline_parallel_size: Annotated[
        int, Field(ge=1), About("Devices that share the layers in turn.", "Engine", engines=VLLM)
    ] = 1
    replicas: Annotated[
        int,
        Field(ge=1, le=1024),
        About("Copies of the model, each a process with its own decoders.", "Engine", engines=WEIGHTS),
    ] = 1
    ray_address: Annotated[
        str | None,
        About(
            "Ray cluster on which the replicas run: auto, local or HOST:PORT.",
            "Engine",
            engines=WEIGHTS,
            default="none: on this machine",
        ),
    ] = None
    gpu_memory_utilization: Annotated[
        float | None,
        Field(gt=0, le=1),
        About("Share of each GPU's memory to use.", "Engine", engines=VLLM, default="vLLM's"),
    ] = None
    max_model_len: Annotated[
        int | None,
        Field(ge=1),
        About("Longest prompt with its answer, in tokens.", "Engine", engines=VLLM, default="the model's"),
    ] = None
    max_concurrency: Annotated[
        int, Field(ge=1), About("Most requests in flight at a time.", "Engine", engines=("vllm", *CLIENTS))
    ] = 64
    num_workers: Annotated[
        int | None,
        Field(ge=1, le=64),
        About(
            "Processes that decode video ahead of the model, for each replica.",
            "Engine",
            default="2 to 8, as processors allow",
        ),
    ] = None
    max_tokens: Annotated[
        int | None, Field(ge=1), Moves("Longest answer, in tokens.", "Engine", default="the adapter's")
    ] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=2), Moves("0 is greedy decoding.", "Engine", default="the adapter's")
    ] = None
    top_p: Annotated[
        float | None,
        Field(gt=0, le=1),
        Moves("Nucleus sampling, above temperature 0.", "Engine", default="the adapter's"),
    ] = None
    thinking: Annotated[
        ThinkingLevel | None,
        Moves(
            "How much the model thinks before it answers.",
            "Engine",
            engines=(*WEIGHTS, "openai", "gemini", "anthropic"),
            default="as the adapter declares; without one, as the engine does by itself",
        ),
    ] = None
    logprobs: Annotated[
        bool,
        About(
            "Keep how probable each answer was to the model, from which its confidence follows.",
            "Engine",
            engines=("transformers", "vllm", "server", "openai"),
        ),
    ] = False
    seed: Annotated[int, Moves("Seed of sampling; greedy decoding does not use it.", "Engine")] = 0
    cache: Annotated[
        str | None,
        About(
            "Folder of the response cache: runs that ask the same share answers.", "Engine", default="none"
        ),
    ] = None
    url: Annotated[
        Words,
        About(
            "Address of an OpenAI-compatible server; several: URL,URL,…",
            "Server",
            engines=CLIENTS,
            default="the vendor's",
        ),
    ] = ()
    serve: Annotated[bool, About("Start a vLLM server here for the run.", "Server", engines=("server",))] = (
        False
    )
    port: Annotated[
        int | None,
        Field(ge=1, le=65535),
        About("Port of that server.", "Server", engines=("server",), default="a free one"),
    ] = None
    timeout: Annotated[
        float, Field(gt=0), About("Seconds that one request may take.", "Server", engines=CLIENTS)
    ] = 300.0
    media: Annotated[
        Literal["images", "video", "clip"] | None,
        Moves(
            "How a clip is sent; a video is made of JPEG frames, a clip is its own file.",
            "Server",
            engines=CLIENTS,
            default="video where a server of vLLM takes one, else images",
        ),
    ] = None
    jpeg_quality: Annotated[
        int, Field(ge=1, le=95), Moves("JPEG quality of the frames sent.", "Server", engines=CLIENTS)
    ] = 90
    detail: Annotated[
        Literal["auto", "low", "high"],
        Moves("Level at which the vendor reads an image.", "Server", engines=("server", "openai")),
    ] = "auto"
    batch: Annotated[bool, About("Use the vendor's batch API: half the price, collected later.", "Cost")] = (
        False
    )
    max_cost: Annotated[
        float | None,
        Field(gt=0),
        About("Stop before the run has cost this many US dollars.", "Cost", default="no limit"),
    ] = None
    prices: Annotated[
        str | None, About("Prices from a .toml file, over the shipped ones.", "Cost", default="shipped")
    ] = None

    def answer_options(self) -> dict[str, Any]:
        """The options that may move an answer, as JSON."""
        names = {name for name in type(self).model_fields if about(name).moves_answer}
        return self.model_dump(mode="json", include=names)

    def processor_kwargs(self) -> dict[str, dict[str, Any]]:
        """`processor_args` as transformers and vLLM take them: ``{"videos_kwargs": {"size": …}}``."""
        found: dict[str, dict[str, Any]] = {}
        for name, value in self.processor_args.items():
            kind, _, argument = name.partition(".")
            found.setdefault(f"{kind}_kwargs", {})[argument] = value
        return found

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)


def about(name: str) -> About:
    """What is said of the option `name`."""
    return next(one for one in Options.model_fields[name].metadata if isinstance(one, About))


def flag(name: str) -> str:
    """The name of an option on the command line: ``--max-tokens``."""
    return about(name).flag or f"--{name.replace('_', '-')}"


def takes(engine: str, name: str) -> bool:
    """Whether `engine` takes the option `name`."""
    return engine in about(name).engines


def engine_options(engine: str) -> Iterable[str]:
    """The names of the options that `engine` takes."""
    return (name for name in Options.model_fields if takes(engine, name))
