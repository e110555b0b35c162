"""Counts what a dataset holds: sources, lengths, kinds of questions and answers, near-duplicates, actions."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import FOOTAGE, read_actions, read_groups, read_label_map
from microg_bench.dataset.load import Dataset, find_layout, load, locate
from microg_bench.dataset.near_duplicates import THRESHOLD, NearDuplicate, near_duplicates, words
from microg_bench.dataset.tabular import Table
from microg_bench.records import Request
from microg_bench.tasks import TASKS, is_unanswerable, items_of, question_word
from microg_bench.text import many

STATS_SCHEMA = "microg-bench/data-stats/2"
CLOUD_WORDS = 120
RequestTexts = Sequence[tuple[Request, str]]
Rows = NDArray[np.bool_]
Key = TypeVar("Key", int, str)

# Function words, which say nothing of what is seen.
_STOP_WORDS = """
    a an the and or but nor if so than then as while that this these those there here it its it's he his him
    she her hers they them their theirs we our us you your i my me who whom whose which what when where why
    how
    is are was were be been being am do does did done doing has have had having can could may might must shall
    should will would not no yes of in on at to into onto from by for with without within about above below
    over under between through during before after against along around across near off out up down both each
    either also very just only other another such some any all more most same own too
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True)
class CountTable:
    """`name` is that of its file, `title` its heading; rows are as long as `columns`.

    A `detail` is for files and figures, not for the terminal.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    detail: bool = False

    def to_csv(self) -> str:
        """The table with a header."""
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self.rows])
        return out.getvalue()

    def to_json(self) -> dict[str, Any]:
        """The table as it is written to disk."""
        return {"title": self.title, "columns": list(self.columns), "rows": [list(row) for row in self.rows]}


def most_common(counts: Counter[Key]) -> list[tuple[Key, int]]:
    """The counts, the largest first, equal ones by their key (not by insertion, as `Counter` has it)."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def with_shares(counts: Iterable[tuple[Key, int]]) -> tuple[tuple[Key, int, float], ...]:
    """Each count with its share of all in %, two decimals; all counts together are more than 0."""
    known = list(counts)
    total = sum(count for _, count in known)
    return tuple((key, count, round(100 * count / total, 2)) for key, count in known)


@dataclass(frozen=True)
class Stats:
    """All counts of a dataset, by the name of their table; none of these is empty.

    `notes` are those on its source videos (`Dataset.source_notes`) and on an unusable table of actions.
    """

    data: str
    fingerprint: str
    clips: int
    tables: Mapping[str, CountTable]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The dataset in a line."""
        return (
            f"{self.data}: {many(self.clips, 'clip')} of {len(self.tables['sources'].rows):,} source videos"
        )

    def to_json(self) -> dict[str, Any]:
        """The counts as they are written to disk."""
        return {
            "schema": STATS_SCHEMA,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "clips": self.clips,
            "notes": list(self.notes),
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }


def stats(data: str | Path | None) -> Stats:
    """Count what a dataset holds; action labels only where its folder has `actions.csv`.

    Texts are those that runs are scored on: a repeated id keeps its last caption, a repeated question of a
    clip its last answer. What the dataset does not have, has no table.

    Raises:
        DataError: the dataset cannot be read, or its action labels are broken.
    """
    dataset = load(data)
    layout = find_layout(locate(data))
    actions = layout.actions
    tables = [_sources(dataset), *_text_tables(_texts(dataset)), *(action_tables(actions) if actions else [])]
    found = {table.name: table for table in tables if table.rows}
    notes = [f"{path.name} {reason}; it is not opened" for path, reason in layout.rejected_actions.items()]
    return Stats(
        dataset.name, dataset.fingerprint, len(dataset.clips), found, (*dataset.source_notes, *notes)
    )


def _texts(dataset: Dataset) -> dict[str, RequestTexts]:
    """Captions, questions and answers, as far as there are any."""
    captions = items_of(TASKS["caption"], dataset.clips)
    answers = items_of(TASKS["vqa"], dataset.clips)
    found = {
        "caption": [(item.request, item.reference) for item in captions],
        "question": [(item.request, item.request.question or "") for item in answers],
        "answer": [(item.request, item.reference) for item in answers],
    }
    return {kind: texts for kind, texts in found.items() if texts}


def _text_tables(texts: Mapping[str, RequestTexts]) -> Iterator[CountTable]:
    yield _summary(texts)
    if "question" in texts:
        yield _question_words(texts["question"])
        yield _answers(texts["answer"])
    duplicates = {kind: near_duplicates(texts[kind]) for kind in ("caption", "question") if kind in texts}
    yield _duplicates(texts, duplicates)
    for kind, found in texts.items():
        yield _lengths(kind, found)
        yield _cloud(kind, found)
    for kind, pairs in duplicates.items():
        yield _pairs(kind, pairs)


def _sources(dataset: Dataset) -> CountTable:
    clips = Counter(clip.source for clip in dataset.clips)
    questions: Counter[str] = Counter()
    for clip in dataset.clips:
        questions[clip.source] += len(clip.questions)
    rows = tuple((source, count, questions[source]) for source, count in most_common(clips))
    return CountTable("sources", "Source videos", ("source", "clips", "questions"), rows)


def _summary(texts: Mapping[str, RequestTexts]) -> CountTable:
    columns = ("text", "count", "distinct", "shortest", "mean", "median", "longest")
    rows = []
    for kind, found in texts.items():
        counts = _word_counts(found)
        middle = (round(mean(counts), 1), float(median(counts)))
        distinct = len({text for _, text in found})
        rows.append((kind, len(found), distinct, min(counts), *middle, max(counts)))
    return CountTable("texts", "Texts and their lengths in words", columns, tuple(rows))


def _word_counts(texts: RequestTexts) -> list[int]:
    return [len(text.split()) for _, text in texts]


def _question_words(questions: RequestTexts) -> CountTable:
    counts = Counter(question_word(text) for _, text in questions)
    columns = ("question word", "count", "ratio(%)")
    return CountTable("question_words", "Question words", columns, with_shares(most_common(counts)))


def _answers(answers: RequestTexts) -> CountTable:
    unanswerable = sum(is_unanswerable(text) for _, text in answers)
    rows = with_shares([("answerable", len(answers) - unanswerable), ("unanswerable", unanswerable)])
    title = 'Questions by answer ("Not mentioned." is unanswerable)'
    return CountTable("answers", title, ("question", "count", "ratio(%)"), rows)


def _lengths(kind: str, texts: RequestTexts) -> CountTable:
    rows = tuple(sorted(Counter(_word_counts(texts)).items()))
    return CountTable(f"{kind}_lengths", f"Length of {kind}s in words", ("words", "count"), rows, detail=True)


def _cloud(kind: str, texts: RequestTexts) -> CountTable:
    """The most common words; neither stop words nor the words of "Not mentioned."."""
    counts = Counter(word for _, text in texts if not is_unanswerable(text) for word in words(text))
    rows = [(word, count) for word, count in most_common(counts) if word not in STOP_WORDS][:CLOUD_WORDS]
    title = f"Most common words of {kind}s"
    return CountTable(f"{kind}_cloud", title, ("word", "count"), tuple(rows), detail=True)


def _duplicates(
    texts: Mapping[str, RequestTexts], duplicates: Mapping[str, Sequence[NearDuplicate]]
) -> CountTable:
    """How many texts have the same words, or nearly so, as one of another clip, or of another source."""
    rows = []
    for kind, found in duplicates.items():
        similarities = [one.similarity for one in found]
        in_sources = [one.similarity_in_other_source for one in found if one.nearest_in_other_source]
        same, same_in_sources = similarities.count(1), in_sources.count(1)
        rows.append((kind, len(texts[kind]), same, len(found), same_in_sources, len(in_sources)))
    return CountTable(
        "near_duplicates",
        f"Near-duplicates: the same words, or nearly (Jaccard similarity at least {THRESHOLD})",
        ("text", "count", "same, other clip", "near, other clip", "same, other source", "near, other source"),
        tuple(rows),
    )


def _pairs(kind: str, found: Sequence[NearDuplicate]) -> CountTable:
    columns = (
        "item",
        "nearest in another clip",
        "similarity",
        "nearest in another source",
        "similarity in another source",
    )
    rows = tuple(
        (
            one.text.id,
            one.nearest.id,
            round(one.similarity, 3),
            one.nearest_in_other_source.id if one.nearest_in_other_source else "",
            "" if one.similarity_in_other_source is None else round(one.similarity_in_other_source, 3),
        )
        for one in found
    )
    return CountTable(f"near_duplicate_{kind}s", f"Near-duplicate {kind}s", columns, rows, detail=True)


def action_tables(path: Path) -> list[CountTable]:
    """The paper's own count tables, from the published `actions.csv`.

    A label is a row: a person who does the same at several times counts each time. People are counted by the
    distinct `person_id` of a clip. Actions that occur equally often are in the order of their ids. Raises as
    `read_actions` does.
    """
    labels = read_label_map()
    table = read_actions(path, labels)
    names = dict(zip(labels.ids, labels.names, strict=True))
    parts = {"all": np.ones(len(table), bool)}
    parts |= {kind: table["movie_or_real"] == letter for kind, letter in FOOTAGE.items()}
    found = [_overall(table, parts)]
    for part, rows in parts.items():
        if rows.any():
            actions = Counter(map(int, table["action"][rows]))
            people = set(zip(table["video_id"][rows], table["person_id"][rows], strict=True))
            found.append(_actions(part, actions, names))
            found.append(_groups(part, actions))
            found.append(_people(part, Counter(clip for clip, _ in people)))
    return found


def _overall(table: Table, parts: Mapping[str, Rows]) -> CountTable:
    clips = {part: len(set(table["video_id"][rows])) for part, rows in parts.items()}
    videos = [("all video", clips["all"]), *((kind, clips[kind]) for kind in FOOTAGE)]
    actions = [(f"{part} action", int(rows.sum())) for part, rows in parts.items()]
    types = [(f"{part} action type", len(set(table["action"][rows]))) for part, rows in parts.items()]
    rows = tuple(videos + actions + types)
    return CountTable("overall_result", "Clips with action labels", ("type of amount", "number"), rows)


def _actions(part: str, counts: Counter[int], names: Mapping[int, str]) -> CountTable:
    rows = tuple((action, names[action], *rest) for action, *rest in with_shares(most_common(counts)))
    return _table("action_result", "Actions", part, ("action_id", "action_name", "count", "ratio(%)"), rows)


def _groups(part: str, counts: Counter[int]) -> CountTable:
    groups = read_groups()
    found: Counter[str] = Counter()
    for action, count in counts.items():
        found[groups[action]] += count
    rows = with_shares(most_common(found))
    return _table("label_type_result", "Groups of actions", part, ("label_type", "count", "ratio(%)"), rows)


def _people(part: str, people: Counter[str]) -> CountTable:
    rows = with_shares(sorted(Counter(people.values()).items()))
    return _table("person_count", "People per clip", part, ("person_count", "video_count", "ratio(%)"), rows)


def _table(
    name: str, title: str, part: str, columns: tuple[str, ...], rows: tuple[tuple[object, ...], ...]
) -> CountTable:
    """A table of one part of the footage; those of all footage are shown in the terminal."""
    whole = part == "all"
    return CountTable(f"{name}_{part}", title if whole else f"{title}, {part}", columns, rows, not whole)
