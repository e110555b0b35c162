"""What things are called in a figure: one clean line each, and no two runs alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

from microg_bench.runs.scorecard import Scorecard

LONGEST = 44
LONGEST_VALUE = 24
MOST_VALUES = 3
# What a run is called already, or what is a property of it and no name.
_UNTOLD = {"title", "task", "dataset", "fingerprint", "clips", "generation"}


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` as a label: on one line, without control characters, at most so many characters.

    A label that begins with "_" would be left out of legends, so such signs go.
    """
    visible = (" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    line = " ".join("".join(visible).split()).lstrip("_ ") or "?"
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def labels(cards: Sequence[Scorecard], apart: Collection[str] = ()) -> list[str]:
    """A label for each card: its model's title, where that does not tell, the settings that differ too.

    Args:
        cards: scorecards of one task.
        apart: settings that are not told.
    """
    titles = [clean(card.model.title) if card.model else "predictions" for card in cards]
    told = [_settings(card, apart) for card in cards]
    found = []
    for title, own in zip(titles, told, strict=True):
        alike = [other for name, other in zip(titles, told, strict=True) if name == title]
        differing = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        values = [
            f"{clean(key.replace('_', ' '), LONGEST_VALUE)} {own[key]}" for key in differing[:MOST_VALUES]
        ]
        found.append("\n".join([title, ", ".join(values)] if values else [title]))
    return numbered(found)


def _settings(card: Scorecard, apart: Collection[str]) -> Mapping[str, str]:
    settings: dict[str, Any] = {**(card.settings or {})}
    if isinstance(generation := settings.get("generation"), dict):
        settings |= generation
    if "prompt" in settings:
        settings["prompt"] = str(settings["prompt"]).rpartition(":")[0]  # the hash of its text goes
    return {
        key: clean(str(value), LONGEST_VALUE)
        for key, value in settings.items()
        if key not in _UNTOLD and key not in apart
    }


def numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number behind each that stood before."""
    found: dict[str, None] = {}
    for name in names:
        free = (f"{name} ({k})" for k in count(2))
        found[name if name not in found else next(one for one in free if one not in found)] = None
    return list(found)
