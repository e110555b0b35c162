"""The options that `caption`, `vqa` and `run` share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MODEL, WHAT, HOW, SCORES = "Model", "What is asked", "How the model runs", "Scores"


def _option(text: str, panel: str | None, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel)


Model = Annotated[str | None, _option("Name of a model, or an adapter's .py file.", MODEL)]
Checkpoint = Annotated[str | None, _option("Other weights: a hub id or a local folder.", MODEL)]
Revision = Annotated[str | None, _option("Commit of the checkpoint on the hub.", MODEL)]

Tasks = Annotated[str | None, _option("Comma-separated: caption, vqa.", WHAT)]
NoTasks = Annotated[str | None, typer.Option("--tasks", hidden=True)]
Data = Annotated[
    str | None,
    _option(
        "sample, microg-4m (as fetched), a dataset folder or an annotation file; "
        "default: MicroG-4M if it was fetched, else the sample.",
        WHAT,
    ),
]
Frames = Annotated[int | None, _option("How many frames the model is shown.", WHAT)]
Sampling = Annotated[str | None, _option("How they are chosen: uniform, endpoints, fps:R or all.", WHAT)]
Prompt = Annotated[str | None, _option("Name of a prompt, or a .toml file.", WHAT)]
Limit = Annotated[int | None, _option("Ask about the first K clips only.", WHAT)]
Clips = Annotated[str | None, _option("Ask about these clips only: ID,ID,…", WHAT)]

Engine = Annotated[str | None, _option("What runs the model; default: the first that is installed.", HOW)]
Dtype = Annotated[str | None, _option("auto, bfloat16, float16 or float32.", HOW)]
Attention = Annotated[str | None, _option("Attention kernel, e.g. sdpa or flash_attention_2.", HOW)]
DeviceMap = Annotated[str | None, _option("Device map of accelerate: auto, cpu, cuda:0, …", HOW)]
BatchSize = Annotated[int | None, _option("How many prompts are answered together.", HOW)]
Decoders = Annotated[int | None, _option("How many processes decode ahead of the model.", HOW)]
RemoteCode = Annotated[
    bool | None, _option("Run code that comes with the checkpoint.", HOW, "--trust-remote-code")
]
Seed = Annotated[int | None, _option("Seed of sampling; greedy decoding does not use it.", HOW)]

Metrics = Annotated[str | None, _option("Comma-separated metrics; default: all of the task's.", SCORES)]
Protocol = Annotated[str | None, _option("How texts are compared: paper, coco or coco-isolated.", SCORES)]
SentenceModel = Annotated[str | None, _option("Local folder of the encoder of S-BERT and S-VQA.", SCORES)]
BertscoreModel = Annotated[str | None, _option("Local folder of BERTScore's encoder.", SCORES)]
BertscoreLayers = Annotated[int | None, _option("Layer of that encoder; default: the published one.", SCORES)]
BertscoreIdf = Annotated[
    bool | None,
    _option("Weigh BERTScore's tokens by rarity among the references.", SCORES, "--bertscore-idf"),
]
BertscoreRescale = Annotated[
    bool | None, _option("Rescale BERTScore by its published baseline.", SCORES, "--bertscore-rescale")
]
Bf16 = Annotated[bool | None, _option("Run the encoders in bfloat16: faster, less exact.", SCORES, "--bf16")]

Run = Annotated[
    Path | None, _option("Run folder; default: one below runs/, the same for the same options.", None)
]
Config = Annotated[
    Path | None, _option("Options from a TOML file, or the run.json of a run to repeat.", None)
]
DryRun = Annotated[bool, _option("Show what would be asked, and load no model.", None, "--dry-run")]


def split(text: str | None) -> tuple[str, ...] | None:
    """A comma-separated list, taken apart; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
