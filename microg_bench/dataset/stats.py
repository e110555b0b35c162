"""What a dataset holds, in numbers: sources, lengths, kinds of questions and answers, duplicates, actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from microg_bench.dataset.actions import action_tallies
from microg_bench.dataset.layout import find_layout
from microg_bench.dataset.likeness import THRESHOLD, Likeness, near_duplicates
from microg_bench.dataset.load import Dataset, load, locate
from microg_bench.dataset.tally import Tally, most, shares
from microg_bench.dataset.wording import FILLERS, is_absent, question_word, words
from microg_bench.records import Request
from microg_bench.tasks import TASKS, items_of

STATS_SCHEMA = "microg-bench/data-stats/1"
CLOUD = 120  # words
Texts = Sequence[tuple[Request, str]]


@dataclass(frozen=True)
class Stats:
    """All counts of a dataset, by the name of their table; none of these is empty."""

    data: str
    fingerprint: str
    clips: int
    tallies: Mapping[str, Tally]

    @property
    def title(self) -> str:
        """The dataset in a line."""
        return f"{self.data}: {self.clips:,} clips of {len(self.tallies['sources'].rows):,} source videos"

    def to_json(self) -> dict[str, Any]:
        """The counts as they are written to disk."""
        return {
            "schema": STATS_SCHEMA,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "clips": self.clips,
            "tables": {name: tally.to_json() for name, tally in self.tallies.items()},
        }


def stats(data: str | None) -> Stats:
    """Count what a dataset holds; action labels only where its folder has `actions.csv`.

    Texts are those that runs are scored on: a repeated id keeps its last caption, a repeated question of a
    clip its last answer. What the dataset does not have, has no table.

    Raises:
        DataError: the dataset cannot be read, or its action labels are broken.
    """
    dataset = load(data)
    actions = find_layout(locate(data)).actions
    tallies = [
        _sources(dataset),
        *_text_tallies(_texts(dataset)),
        *(action_tallies(actions) if actions else []),
    ]
    found = {tally.name: tally for tally in tallies if tally.rows}
    return Stats(dataset.name, dataset.fingerprint, len(dataset.clips), found)


def _texts(dataset: Dataset) -> dict[str, Texts]:
    """Captions, questions and answers, as far as there are any."""
    captions = items_of(TASKS["caption"], dataset.clips)
    answers = items_of(TASKS["vqa"], dataset.clips)
    found = {
        "caption": [(item.request, item.reference) for item in captions],
        "question": [(item.request, item.request.question or "") for item in answers],
        "answer": [(item.request, item.reference) for item in answers],
    }
    return {kind: texts for kind, texts in found.items() if texts}


def _text_tallies(texts: Mapping[str, Texts]) -> Iterator[Tally]:
    yield _summary(texts)
    if "question" in texts:
        yield _question_words(texts["question"])
        yield _answers(texts["answer"])
    likenesses = {kind: near_duplicates(texts[kind]) for kind in ("caption", "question") if kind in texts}
    yield _duplicates(texts, likenesses)
    for kind, found in texts.items():
        yield _lengths(kind, found)
        yield _cloud(kind, found)
    for kind, likeness in likenesses.items():
        yield _pairs(kind, likeness)


def _sources(dataset: Dataset) -> Tally:
    clips = Counter(clip.source for clip in dataset.clips)
    questions: Counter[str] = Counter()
    for clip in dataset.clips:
        questions[clip.source] += len(clip.questions)
    rows = tuple((source, count, questions[source]) for source, count in most(clips))
    return Tally("sources", "Source videos", ("source", "clips", "questions"), rows)


def _summary(texts: Mapping[str, Texts]) -> Tally:
    columns = ("text", "count", "distinct", "shortest", "mean", "median", "longest")
    rows = []
    for kind, found in texts.items():
        counts = _counts(found)
        middle = (round(mean(counts), 1), float(median(counts)))
        distinct = len({text for _, text in found})
        rows.append((kind, len(found), distinct, min(counts), *middle, max(counts)))
    return Tally("texts", "Texts, and their lengths in words", columns, tuple(rows))


def _counts(texts: Texts) -> list[int]:
    return [len(text.split()) for _, text in texts]


def _question_words(questions: Texts) -> Tally:
    counts = Counter(question_word(text) for _, text in questions)
    return Tally(
        "question_words", "Question words", ("question word", "count", "ratio(%)"), shares(most(counts))
    )


def _answers(answers: Texts) -> Tally:
    absent = sum(is_absent(text) for _, text in answers)
    rows = shares([("present", len(answers) - absent), ("absent", absent)])
    return Tally("answers", 'Answers: "Not mentioned." is absent', ("answer", "count", "ratio(%)"), rows)


def _lengths(kind: str, texts: Texts) -> Tally:
    rows = tuple(sorted(Counter(_counts(texts)).items()))
    return Tally(f"{kind}_lengths", f"Length of {kind}s in words", ("words", "count"), rows, detail=True)


def _cloud(kind: str, texts: Texts) -> Tally:
    """The commonest words; neither fillers nor the words of absent answers."""
    counts = Counter(word for _, text in texts if not is_absent(text) for word in words(text))
    rows = [(word, count) for word, count in most(counts) if word not in FILLERS][:CLOUD]
    return Tally(f"{kind}_cloud", f"Common words of {kind}s", ("word", "count"), tuple(rows), detail=True)


def _duplicates(texts: Mapping[str, Texts], likenesses: Mapping[str, Sequence[Likeness]]) -> Tally:
    """How many texts have the same words, or nearly so, as one of another clip, or of another source."""
    rows = []
    for kind, found in likenesses.items():
        elsewhere = [one.similarity_elsewhere for one in found if one.similarity_elsewhere is not None]
        same = sum(one.similarity == 1 for one in found)
        there = sum(similarity == 1 for similarity in elsewhere)
        rows.append((kind, len(texts[kind]), same, len(found), there, len(elsewhere)))
    return Tally(
        "near_duplicates",
        f"Texts with the same words as another, or nearly (Jaccard similarity at least {THRESHOLD})",
        ("text", "count", "same, other clip", "near, other clip", "same, other source", "near, other source"),
        tuple(rows),
    )


def _pairs(kind: str, found: Sequence[Likeness]) -> Tally:
    columns = (
        "item",
        "nearest in another clip",
        "similarity",
        "nearest in another source",
        "similarity there",
    )
    rows = tuple(
        (
            one.text.id,
            one.other.id,
            round(one.similarity, 3),
            one.elsewhere.id if one.elsewhere else "",
            "" if one.similarity_elsewhere is None else round(one.similarity_elsewhere, 3),
        )
        for one in found
    )
    return Tally(f"near_duplicate_{kind}s", f"Near-duplicate {kind}s", columns, rows, detail=True)
