"""Tables of the paper made of scorecards by hand, and what they look like when read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microg_bench.har.reports import read_scorecards
from microg_bench.scorecard import Scorecard
from microg_bench.tables.paper import Line, PaperTable, paper_tables
from microg_bench.tables.published import read_facts
from tests.helpers.cards import make_card, with_settings

PUBLISHED = next(iter(read_facts().datasets))
ACTIONS = Path(__file__).resolve().parents[2] / "results" / "actions"
HOSTILE = (
    r'=cmd|" <script>alert(1)</script> \input{/etc/passwd} a|b `c` [d](e) $x$ % & # _ ^ ~ { * -- ?` 宇宙 é'
)


def ours(title: str = "A model", value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard that is comparable with the published numbers."""
    return make_card(title, value, **{"fingerprint": PUBLISHED, **changed})


def qwen(value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard of a model in the paper, by its checkpoint."""
    card = ours("Our Qwen", value, **changed)
    return with_settings(card, checkpoint="Qwen/Qwen2.5-VL-7B-Instruct")


def reported(*names: str) -> list[Scorecard]:
    """The scorecards of actions in the repository, or those of these names."""
    files = [ACTIONS / f"{name}.json" for name in names] or sorted(ACTIONS.glob("*.json"))
    return [card for file in files for card in read_scorecards(file)]


def with_har(card: Scorecard, **changed: Any) -> Scorecard:
    """The scorecard of actions with other facts of its own."""
    assert card.har is not None
    return card.model_copy(update={"har": card.har.model_copy(update=changed)})


def signed(card: Scorecard, **values: str) -> Scorecard:
    """The scorecard with other values in the signatures of its scores."""
    scores = {}
    for name, one in card.scores.items():
        assert one.signature is not None
        changed = one.signature.model_copy(update={"values": {**one.signature.values, **values}})
        scores[name] = one.model_copy(update={"signature": changed})
    return card.model_copy(update={"scores": scores})


def table(number: int, *cards: Scorecard, actions: Sequence[Scorecard] = ()) -> PaperTable:
    """Table `number` of the paper."""
    return paper_tables(cards, actions)[number - 1]


def line_of(one: PaperTable, label: str) -> Line:
    """The row of ours with this first label."""
    (found,) = [line for line in one.lines if line.origin == "ours" and line.labels[0] == label]
    return found


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without marks of best and second best."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[re.sub(r"\*\*|</?u>", "", cell).strip() for cell in line.split("|")[1:-1]] for line in lines]
