"""Counts the published action labels: actions, their groups, people a clip; in real footage and in movies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.tally import Tally, most, shares
from microg_bench.errors import DataError
from microg_bench.har.labels import DEFAULT, LabelMap, read_label_map
from microg_bench.har.table import Column, Table, read_table

LAYOUT = (
    Column("video_id", "id"),
    Column("movie_or_real", "word"),
    Column("person_id", "count"),
    Column("action", "count"),
)
KINDS = {"movie": "m", "real": "r"}
_GROUP = re.compile(r"\bid:\s*(\d+)\s+label_type:\s*(\w+)")
Rows = NDArray[np.bool_]


def action_tallies(path: Path) -> list[Tally]:
    """The paper's own count tables, from the published `actions.csv`.

    A label is a row: a person who does the same at several times counts each time. People are counted by the
    distinct `person_id` of a clip. Actions that occur equally often stand in the order of their ids.

    Raises:
        DataError: the file is missing or broken, or holds an action that the label map does not have.
    """
    table = read_table(path, LAYOUT)
    labels = read_label_map()
    _check(table, labels)
    parts = {"all": np.ones(len(table), bool)}
    parts |= {kind: table["movie_or_real"] == letter for kind, letter in KINDS.items()}
    names = dict(zip(labels.ids, labels.names, strict=True))
    groups = read_groups()
    found = [_overall(table, parts)]
    for part, rows in parts.items():
        if rows.any():
            actions = Counter(map(int, table["action"][rows]))
            pairs = set(zip(table["video_id"][rows], table["person_id"][rows], strict=True))
            found.append(_actions(part, actions, names))
            found.append(_groups(part, actions, groups))
            found.append(_people(part, pairs))
    return found


def read_groups() -> dict[int, str]:
    """The group of each action of the shipped label map, `PERSON_MOVEMENT` for example."""
    return {int(number): name for number, name in _GROUP.findall(DEFAULT.read_text(encoding="utf-8"))}


def _check(table: Table, labels: LabelMap) -> None:
    """Accept known actions of known footage.

    Raises:
        DataError: naming the first row of another.
    """
    faults = {
        "action": (labels.positions(table["action"]) < 0, "in the label map"),
        "movie_or_real": (~np.isin(table["movie_or_real"], list(KINDS.values())), "m or r"),
    }
    for column, (unknown, wanted) in faults.items():
        if unknown.any():
            row = int(unknown.argmax())
            raise DataError(f"{table.place(row)}: {column} {str(table[column][row])[:20]!r} is not {wanted}")


def _overall(table: Table, parts: Mapping[str, Rows]) -> Tally:
    clips = {part: len(set(table["video_id"][rows])) for part, rows in parts.items()}
    videos = [("all video", clips["all"]), *((kind, clips[kind]) for kind in KINDS)]
    actions = [(f"{part} action", int(rows.sum())) for part, rows in parts.items()]
    types = [(f"{part} action type", len(set(table["action"][rows]))) for part, rows in parts.items()]
    rows = tuple(videos + actions + types)
    return Tally("overall_result", "Clips with action labels", ("type of amount", "number"), rows)


def _actions(part: str, counts: Counter[int], names: Mapping[int, str]) -> Tally:
    rows = tuple((action, names[action], *rest) for action, *rest in shares(most(counts)))
    columns = ("action_id", "action_name", "count", "ratio(%)")
    return Tally(f"action_result_{part}", _title("Actions", part), columns, rows, detail=part != "all")


def _groups(part: str, counts: Counter[int], groups: Mapping[int, str]) -> Tally:
    found: Counter[str] = Counter()
    for action, count in counts.items():
        found[groups[action]] += count
    columns, rows = ("label_type", "count", "ratio(%)"), shares(most(found))
    return Tally(
        f"label_type_result_{part}", _title("Groups of actions", part), columns, rows, detail=part != "all"
    )


def _people(part: str, pairs: Collection[tuple[str, int]]) -> Tally:
    people = Counter(clip for clip, _ in pairs)
    rows = shares(sorted(Counter(people.values()).items()))
    columns = ("person_count", "video_count", "ratio(%)")
    return Tally(f"person_count_{part}", _title("People a clip", part), columns, rows, detail=part != "all")


def _title(what: str, part: str) -> str:
    return what if part == "all" else f"{what}, {part}"
