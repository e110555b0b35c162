"""Scorecards as the evaluation results of a model card on the Hugging Face hub: its `model-index`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, cast

from microg_bench.dataset.fetch import REPOSITORY
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.privacy import outgoing
from microg_bench.scorecard import Scorecard
from microg_bench.settings import Settings
from microg_bench.tables.published import read_facts
from microg_bench.tasks import get_task
from microg_bench.text import first_line, markdown

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# What the hub calls the tasks.
TASK_TYPES = {
    "caption": "video-text-to-text",
    "vqa": "visual-question-answering",
    "har": "video-classification",
}
# Scores that the hub's metrics have under another name; the others go by their own in lower case.
METRIC_TYPES = {"BLEU-4": "bleu", "ROUGE-L": "rouge"}
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def check_one_model(cards: Sequence[Scorecard]) -> None:
    """Accept complete scorecards of different tasks of one model, which are what one model card can hold.

    Raises:
        RunError: something was not answered.
        UsageError: two are of one task, or of different models, or name no model.
    """
    for card in cards:
        if not card.complete:
            raise RunError(card.status, item=card.task)
    models = sorted({model_name(card) for card in cards})
    if len(models) > 1:
        raise UsageError(f"a model card is of one model, not of {', '.join(models)}: export them one by one")
    if len({card.task for card in cards}) < len(cards):
        raise UsageError("two of these runs are of the same task: export them one by one")


def model_name(card: Scorecard) -> str:
    """The model's id on the hub where its checkpoint has the form of one, else its title.

    Raises:
        UsageError: the scorecard names no model.
    """
    if card.model is None:
        raise UsageError("a scorecard of a predictions file names no model: export a run")
    checkpoint = card.settings.checkpoint if card.settings else None
    if checkpoint and _HUB_ID.fullmatch(checkpoint) and not Path(checkpoint).exists():
        return checkpoint
    return card.model.title


def eval_results(card: Scorecard) -> list[EvalResult]:
    """The scores of `card`, ×100, as the hub's library holds them.

    Arguments of the dataset are the fingerprint of the references, items, counts, frames, prompt and level of
    thinking, those of a metric its long signature, 95% interval and, where a submission claims it and nobody
    has verified it, `unverified`. A score that could not be computed is left out.
    """
    from huggingface_hub import EvalResult  # a network client

    published = card.fingerprint in read_facts().datasets
    asked = _asked(card.settings) if card.settings else {}
    return [
        EvalResult(
            task_type=TASK_TYPES[card.task],
            task_name=get_task(card.task).title,
            dataset_type=REPOSITORY if published else card.dataset,
            dataset_name="MicroG-4M" if published else card.dataset,
            dataset_args={
                "fingerprint": card.fingerprint,
                "items": card.items,
                "counts": card.counts.model_dump(),
                **asked,
            },
            metric_type=METRIC_TYPES.get(name, name.lower()),
            metric_name=name,
            metric_value=entry.value,
            metric_args={
                **({"signature": entry.signature.long()} if entry.signature else {}),
                **({"interval_95": list(entry.interval)} if entry.interval else {}),
                **({"unverified": True} if entry.unverified else {}),
            },
        )
        for name, entry in card.scores.items()
        if entry.value is not None
    ]


def model_card(cards: Sequence[Scorecard], given: str = "") -> str:
    """A model card with the scores of `cards`, which `check_one_model` accepts.

    They are added to the card `given`, whose other metadata and text stay as they are; earlier results of the
    same task on the same references are replaced. What a reader of the scores must know is above the text,
    a section for each task.

    Raises:
        DataError: the metadata of `given` cannot be read.
        RunError: there is no score.
    """
    from huggingface_hub import ModelCard, ModelCardData  # a network client
    from yaml import YAMLError  # type: ignore[import-untyped]

    own = [result for card in cards for result in eval_results(card)]
    if not own:
        raise RunError("none of these runs has a score")
    if not given:
        data = ModelCardData(model_name=model_name(cards[0]), eval_results=own)
        return f"---\n{data.to_yaml()}\n---\n{reduce(_with_section, reversed(cards), '')}"
    try:
        whole = ModelCard(given)
        data = cast("ModelCardData", whole.data)
    except (YAMLError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"its metadata cannot be read: {first_line(error)}") from error
    replaced = {_identity(result) for result in own}
    kept = [result for result in data.eval_results or [] if _identity(result) not in replaced]
    data.eval_results = kept + own
    data.model_name = data.model_name or model_name(cards[0])
    whole.text = reduce(_with_section, reversed(cards), whole.text)
    return str(whole.content)


def _with_section(text: str, card: Scorecard) -> str:
    """The text of a model card below what a reader of the scores must know, which replaces what was there."""
    key = f"microg-bench {card.task} {re.sub('[^0-9a-f]', '', card.fingerprint)[:12]}"
    begin, end = f"<!-- {key}: begin -->", f"<!-- {key}: end -->"
    rest = re.sub(rf"{begin}.*?{end}(\r?\n){{0,2}}", "", text, flags=re.DOTALL)
    task, doubts = get_task(card.task).title, list(card.doubts())
    lines = [f"> **Do not rely on these scores: {markdown(line)}**" for line in doubts]
    lines += [f"> {markdown(line)}" for line in card.remarks() if line not in doubts]
    if not lines:
        return rest
    told = "\n>\n".join([f"> [!WARNING]\n> {task}, scored by microg-bench:", *lines])
    section = f"{begin}\n{told}\n{end}\n\n"
    return (section.replace("\n", "\r\n") if "\r\n" in rest else section) + rest


def _asked(settings: Settings) -> dict[str, object]:
    asked: dict[str, object] = {"frames": settings.shown}
    if settings.prompt:
        asked["prompt"] = outgoing(str(settings.prompt))
    if settings.thinking:
        asked["thinking"] = settings.thinking
    for name in ("clips", "requests"):
        if (chosen := getattr(settings, name)) is not None:
            asked[name] = len(chosen)
    return asked


def _identity(result: EvalResult) -> tuple[str, str, object]:
    arguments = result.dataset_args if isinstance(result.dataset_args, dict) else {}
    return result.task_type, result.dataset_type, arguments.get("fingerprint")
