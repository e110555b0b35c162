"""The judgement of a run: judgement.json, with scores, counts, signature and what each item counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from microg_bench.annotation.verdicts import SCHEMES
from microg_bench.errors import RunError
from microg_bench.metrics.base import Array, Ratio
from microg_bench.records import AnswerTask, Record
from microg_bench.runs.migration import parsed, read_object
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import IntervalEntry, ScoreEntry, ServedModel, Signature
from microg_bench.scoring.intervals import LEVEL, METHOD, RESAMPLES, Clusters, interval, resample, with_sample
from microg_bench.settings import PromptId

JUDGE_FOLDER = "judge"
JUDGEMENT_FILE = "judgement.json"
JUDGEMENT_SCHEMA = "microg-bench/judgement/1"
_AMOUNTS = ("items", "unreadable")  # parts of a signature that tell how much was judged, not how
_SIGNED = ("judge", "served", "rubric", "settings", *_AMOUNTS)
_ROUNDING = 1e-6  # by which a score may differ from that of its items


class JudgeCounts(Record):
    """Verdicts by what became of them.

    `judged` could be read. `unreadable` do not fit the schema, were cut or declined; they are counted and
    never scored. `failed` have no answer of the judge, and `not_asked` were not put to it: the run has no
    answer to them, or the limit of cost was reached.
    """

    judged: int = 0
    unreadable: int = 0
    failed: int = 0
    not_asked: int = 0

    @property
    def asked(self) -> int:
        """How many the judge was asked for."""
        return self.judged + self.unreadable + self.failed

    @property
    def complete(self) -> bool:
        """Whether the judge gave an answer, readable or not, to everything."""
        return not (self.failed or self.not_asked)

    def words(self) -> str:
        """It as a line."""
        told = [f"{self.asked:,} asked", f"{self.judged:,} judged", f"{self.unreadable:,} not readable"]
        told += [f"{self.failed:,} failed"] if self.failed else []
        return ", ".join([*told, f"{self.not_asked:,} not asked"])


class JudgeEntry(Record):
    """Which model judged: as its run has it, and as its server named it; `commit` is that of its weights."""

    model: str
    title: str
    engine: str
    checkpoint: str | None
    commit: str | None
    served: tuple[ServedModel, ...] = ()


class JudgedItem(Record):
    """What the verdicts on one item count, by score: what was counted, and of how many.

    `answer` are the first 16 hex digits of the SHA-256 of the text that was judged.
    """

    id: str
    source: str
    answer: str
    counts: dict[str, tuple[float, float]]


class Judgement(Record):
    """The content of judgement.json: the scores ×100 of one run by one judge and rubric.

    `items` are those whose verdicts can all be read, `fingerprint` is that of the references. `signature`
    tells the judge with the commit of its weights, the models that its server named, the rubrics, a hash of
    all other settings of the judge, and how much was judged. `flags` are what a reader must know, a line
    each.
    """

    schema_: Literal["microg-bench/judgement/1"] = Field(default="microg-bench/judgement/1", alias="schema")
    task: AnswerTask
    rubric: str
    judge: JudgeEntry
    dataset: str
    fingerprint: str
    counts: JudgeCounts
    scores: dict[str, ScoreEntry]
    interval: IntervalEntry | None
    signature: Signature
    flags: tuple[str, ...] = ()
    items: tuple[JudgedItem, ...]

    @property
    def how(self) -> Signature:
        """What comparable judgements share; see `how_of`."""
        return how_of(self.signature)

    @property
    def digest(self) -> str:
        """A hash of its content."""
        return text_hash(self.model_dump_json(by_alias=True))

    @property
    def points(self) -> dict[str, float]:
        """The share, ×100, of each item under the first score; items that count nothing are left out."""
        first = next(iter(self.scores))
        shares = {one.id: one.counts[first] for one in self.items}
        return {name: 100 * part / whole for name, (part, whole) in shares.items() if whole}


def how_of(signature: Signature) -> Signature:
    """A signature of judged scores without the parts that tell how much was judged."""
    values = {name: one for name, one in signature.values.items() if name not in _AMOUNTS}
    return Signature(metric=signature.metric, values=values)


def signature_of(
    rubric: str,
    judge: JudgeEntry,
    rubrics: Sequence[PromptId],
    settings: str,
    items: int,
    unreadable: int,
) -> Signature:
    """Everything that moves judged scores; `settings` is a hash of the judge's other settings."""
    served = sorted({"@".join(filter(None, (one.name, one.version))) for one in judge.served})
    values = {
        "judge": "@".join(filter(None, (judge.checkpoint or judge.model, judge.commit))),
        "served": " and ".join(served) or "unknown",
        "rubric": "+".join(map(str, rubrics)),
        "settings": settings,
        "items": str(items),
        "unreadable": str(unreadable),
    }
    return Signature(metric=rubric, values=values)


def statistics(items: Sequence[JudgedItem], score: str) -> Array:
    """What items count for one score, shape (items, 2), as `Ratio` takes it."""
    return np.array([one.counts[score] for one in items], dtype=np.float64).reshape(len(items), 2)


def scored(
    items: Sequence[JudgedItem], names: Sequence[str]
) -> tuple[dict[str, ScoreEntry], IntervalEntry | None]:
    """The scores of items by name, with intervals over their source videos, and how these were made."""
    if not items:
        return {name: ScoreEntry(unavailable="no verdict could be read") for name in names}, None
    clusters = Clusters.of([one.source for one in items])
    weights = with_sample(resample(clusters.count))
    entries = {name: _entry(statistics(items, name), clusters, weights) for name in names}
    count = clusters.count
    made = IntervalEntry(
        method=METHOD, level=LEVEL, clusters="source", cluster_count=count, resamples=RESAMPLES, seed=0
    )
    return entries, made


def _entry(rows: Array, clusters: Clusters, weights: Array) -> ScoreEntry:
    value = Ratio.aggregate(rows)
    if np.isnan(value):
        return ScoreEntry(unavailable="there is nothing to count")
    return ScoreEntry(value=value, interval=interval(Ratio, rows, clusters, weights))


def text_hash(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_judgement(run: RunRecord, folder: Path) -> Judgement:
    """The judgement of `run` in `folder`.

    Raises:
        RunError: it is damaged, or references or answers are others than those that were judged.
    """
    file = folder / JUDGEMENT_FILE
    content = read_object(file)
    if content.get("schema") != JUDGEMENT_SCHEMA:
        raise RunError(f"is not of the schema that this version reads, {JUDGEMENT_SCHEMA}", path=file)
    found = parsed(file, Judgement, content)
    if (found.task, found.fingerprint) != (run.settings.task, run.settings.fingerprint):
        raise RunError("judges answers to other references: judge the run again", path=file)
    if fault := _fault(found):
        raise RunError(f"damaged: {fault}", path=file)
    _check_items(found, run, file)
    return found


def _fault(found: Judgement) -> str | None:
    """What a judgement tells that cannot be, or does not follow from its items."""
    scheme = SCHEMES.get(found.rubric)
    if scheme is None or tuple(found.scores) != scheme.scores or found.task != scheme.task:
        return "rubric, task and scores do not belong together"
    if set(found.signature.values) != set(_SIGNED):
        return "a part of the signature is missing or unknown"
    if fault := _item_fault(found):
        return fault
    if any(_differs(found, name, one) for name, one in found.scores.items()):
        return "its scores are not those of its items"
    return None


def _item_fault(found: Judgement) -> str | None:
    if len({one.id for one in found.items}) < len(found.items):
        return "an item stands in it twice"
    if any(set(one.counts) != set(found.scores) for one in found.items):
        return "an item lacks a score"
    if any(not 0 <= part <= whole for one in found.items for part, whole in one.counts.values()):
        return "an item counts more than there is"
    return None


def _differs(found: Judgement, name: str, claimed: ScoreEntry) -> bool:
    value = Ratio.aggregate(statistics(found.items, name)) if found.items else np.nan
    if claimed.value is None:
        return not np.isnan(value)
    return not abs(value - claimed.value) <= _ROUNDING


def _check_items(found: Judgement, run: RunRecord, file: Path) -> None:
    answers = run.answers
    for one in found.items:
        if one.id not in answers or text_hash(answers[one.id].answer) != one.answer:
            raise RunError(
                "the answer has changed since it was judged: judge the run again", path=file, item=one.id
            )


def judge_folders(run: RunRecord) -> list[Path]:
    """The folders of the judgements of a run, in the order of their names."""
    place = run.path / JUDGE_FOLDER
    return sorted(file.parent for file in place.glob(f"*/{JUDGEMENT_FILE}")) if place.is_dir() else []


def judgements(run: RunRecord) -> dict[Path, Judgement]:
    """All judgements of a run, by their folder; raises as `read_judgement` does."""
    return {folder: read_judgement(run, folder) for folder in judge_folders(run)}
