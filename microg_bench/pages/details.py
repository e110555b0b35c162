"""The columns beside the scores: what a row is, and what it took; a value that is missing says why."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from microg_bench.adapters.registry import registered
from microg_bench.engines.registry import CLOSED
from microg_bench.pages.entries import Entry
from microg_bench.runs.budget import dollars_words, find_price
from microg_bench.settings import Settings
from microg_bench.tables.on_board import significant
from microg_bench.tables.published import Facts

Json = dict[str, Any]
VENDORS = {"openai": "OpenAI", "gemini": "Google", "anthropic": "Anthropic"}  # by engine
# 7B, E4B (effective), 500M, 35B-A3B (of a mixture of experts, with those that are active).
_PARAMETERS = re.compile(r"(?:^|[-_])(E?)(\d+(?:\.\d+)?)([BM])(?:[-_]A(\d+(?:\.\d+)?)B)?(?=$|[-_])", re.I)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_BESIDE = "This baseline was scored beside the runs; it was not run itself."
_PAPER = "The paper does not tell."

COLUMNS: tuple[Json, ...] = (
    {
        "name": "checkpoint",
        "heading": "Checkpoint",
        "about": "The weights, or the vendor's name of the model, as the settings of the run have it.",
    },
    {
        "name": "organisation",
        "heading": "Organisation",
        "about": "Who published the checkpoint, by its name on the hub; its vendor where there is an API.",
    },
    {
        "name": "parameters",
        "heading": "Parameters",
        "about": "How many parameters the model has, as the name of its checkpoint tells it. "
        "A3B are the active ones of a mixture of experts, E4B effective ones.",
        "number": True,
    },
    {"name": "date", "heading": "Date", "about": "The day on which the run was started first, in UTC."},
    {
        "name": "cost",
        "heading": "Cost",
        "about": "US dollars for all answers: the recorded tokens by list prices, without batches and as if "
        "no answer had come from the cache.",
        "number": True,
    },
    {
        "name": "latency",
        "heading": "Latency, s",
        "about": "Seconds for an answer: the median of the time that the engine took for a request, or of "
        "its share of a batch. It depends on the hardware and on how many requests were sent at once.",
        "number": True,
    },
    {
        "name": "counts",
        "heading": "Answered / failed",
        "about": "How many requests have an answer, and how many failed. A run with failures is not shown.",
        "number": True,
    },
)


def own_details(entry: Entry) -> Json:
    """What stands in each of `COLUMNS` in the row of a run."""
    settings, counts = entry.run.settings, entry.card.counts
    answered = f"{counts.answered:,} / {counts.failed:,}"
    return {
        **_named(
            settings.checkpoint, VENDORS.get(settings.engine), "The run names none: baselines have none."
        ),
        "date": _date(entry),
        "cost": _told(entry.dollars, dollars_words, _why_free(settings)),
        "latency": _told(entry.seconds, significant, "The engine told no time of its own answers."),
        "counts": _value(answered, counts.answered),
    }


def baseline_details() -> Json:
    """Those of a baseline that was scored beside the runs."""
    return {column["name"]: _missing(_BESIDE) for column in COLUMNS}


def published_details(facts: Facts, name: str) -> Json:
    """Those of a published row of a model, by its name in the paper."""
    checkpoint = facts.checkpoints.get(name)
    untold = {column["name"]: _missing(_PAPER) for column in COLUMNS}
    return {**untold, **_named(checkpoint, _vendors().get(checkpoint or ""), _PAPER)}


@cache
def _vendors() -> dict[str, str]:
    """The vendor of each model by name that is behind an API, by checkpoint."""
    known = (one.adapter for one in registered())
    return {
        adapter.checkpoint: VENDORS[engine]
        for adapter in known
        if adapter and adapter.checkpoint
        for engine in adapter.engines
        if engine in VENDORS
    }


def _named(checkpoint: str | None, vendor: str | None, why: str) -> Json:
    """What follows from the name of a checkpoint; `why` is why there is none."""
    if checkpoint is None:
        return {name: _missing(why) for name in ("checkpoint", "organisation", "parameters")}
    owner, slash, _ = checkpoint.partition("/")
    organisation = vendor or (owner if slash else None)
    return {
        "checkpoint": _value(checkpoint, checkpoint.lower()),
        "organisation": _told(organisation, str, "The name of the checkpoint does not tell it."),
        "parameters": _parameters(checkpoint),
    }


def _parameters(checkpoint: str) -> Json:
    found = _PARAMETERS.search(checkpoint.rpartition("/")[2])
    if found is None:
        return _missing("The name of the checkpoint does not tell it.")
    effective, count, unit, active = found.groups()
    text = f"{effective.upper()}{count}{unit.upper()}" + (f"-A{active}B" if active else "")
    return _value(text, float(count) * (1000 if unit.upper() == "B" else 1))


def _why_free(settings: Settings) -> str:
    if settings.engine not in CLOSED:
        return "Only models behind an API of their vendor have a list price."
    if find_price(settings.engine, settings.checkpoint) is None:
        return "No list price of this model is known."
    return "The answers tell no tokens."


def _date(entry: Entry) -> Json:
    days = [str(start.get("started"))[:10] for start in entry.run.starts]
    known = sorted(day for day in days if _DAY.fullmatch(day))
    return _value(known[0], known[0]) if known else _missing("The run does not tell when it was started.")


def _told(value: Any, words: Callable[[Any], str], why: str) -> Json:
    return _missing(why) if value is None else _value(words(value), value)


def _value(text: str, order: float | str) -> Json:
    """A value as it is shown, and what rows are sorted by."""
    return {"text": text, "order": order, "why": ""}


def _missing(why: str) -> Json:
    return {"text": "n/a", "order": None, "why": why}
