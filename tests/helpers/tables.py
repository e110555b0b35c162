"""Tables of the paper made of scorecards by hand, and what they look like when read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microg_bench.har.report import Report
from microg_bench.leaderboard.paper import Line, PaperTable, paper_tables
from microg_bench.leaderboard.published import read_facts
from microg_bench.runs.scorecard import Scorecard
from tests.helpers.cards import make_card

PUBLISHED = next(iter(read_facts().datasets))
ACTIONS = Path(__file__).resolve().parents[2] / "results" / "actions"
HOSTILE = (
    r'=cmd|" <script>alert(1)</script> \input{/etc/passwd} a|b `c` [d](e) $x$ % & # _ ^ ~ { * -- ?` 宇宙 é'
)


def ours(title: str = "A model", value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard that may be held against the print."""
    return make_card(title, value, **{"fingerprint": PUBLISHED, **changed})


def qwen(value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard of a model that the paper prints, by its checkpoint."""
    card = ours("Our Qwen", value, **changed)
    return with_settings(card, checkpoint="Qwen/Qwen2.5-VL-7B-Instruct")


def with_settings(card: Scorecard, **changed: Any) -> Scorecard:
    """The scorecard with other settings of its run."""
    return card.model_copy(update={"settings": {**(card.settings or {}), **changed}})


def table(number: int, *cards: Scorecard, reports: Sequence[Report] = ()) -> PaperTable:
    """Table `number` of the paper."""
    return paper_tables(cards, reports)[number - 1]


def line_of(one: PaperTable, label: str) -> Line:
    """The row of ours with this first label."""
    (found,) = [line for line in one.lines if line.origin == "ours" and line.labels[0] == label]
    return found


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without marks of best and second best."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[re.sub(r"\*\*|</?u>", "", cell).strip() for cell in line.split("|")[1:-1]] for line in lines]
