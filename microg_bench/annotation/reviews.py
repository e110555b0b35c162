"""Reviews of pairs: what people said of questions and answers; read, checked, joined, and written."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from microg_bench.annotation.question_stages import CANDIDATES_FILE, PAIRS_FILE, annotation_record
from microg_bench.annotation.questions import Candidate
from microg_bench.curation.agreement import Agreement, krippendorff_alpha
from microg_bench.curation.tables import read_rows, table_text
from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError
from microg_bench.folders import absent, whole_folder
from microg_bench.records import Clip, Question, Record, first_fault, validated
from microg_bench.storage import read_text, write_json, write_text
from microg_bench.text import first_line, strict_json

MAX_BYTES = 64 * 1024**2
LONGEST = 2_000  # characters of a field
COLUMNS = ("item", "annotator", "decision", "reason", "question", "answer", "fingerprint")
DECISIONS = ("accept", "edit", "reject")
REASONS = ("wrong answer", "not in the video", "unclear", "trivial", "repeats another", "other")
REVIEW_FILE = "review.json"
DISAGREEMENTS_FILE = "disagreements.csv"


def pairs(dataset: Dataset) -> Iterator[tuple[str, Clip, Question]]:
    """Each pair of a dataset: its item, `video_id#k` with k from 1, its clip, and the pair itself."""
    for clip in dataset.clips:
        for k, pair in enumerate(clip.questions, start=1):
            yield f"{clip.video_id}#{k}", clip, pair


def pair_fingerprint(clip: Clip, pair: Question) -> str:
    """What ties a review to what was shown: a hash of clip, caption, question and answer."""
    shown = [clip.video_id, clip.caption, pair.text, pair.answer]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]


def read_candidates(folder: Path) -> dict[tuple[str, str, str], Candidate]:
    """The candidates that were chosen in a folder of questions, by clip, question and answer.

    Empty where the folder has no such file.

    Raises:
        DataError: a line is none.
    """
    path = folder / CANDIDATES_FILE
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(read_text(path, MAX_BYTES).splitlines(), start=1):
        try:
            one = validated(Candidate, strict_json(line))
        except ValidationError as error:
            raise DataError(first_fault(error), path=path, item=f"line {number}") from None
        except ValueError as error:
            raise DataError(f"is no candidate: {error}", path=path, item=f"line {number}") from None
        if one.outcome == "chosen":
            found[one.video_id, one.question, one.answer] = one
    return found


@dataclass(frozen=True)
class PairReview:
    """What one annotator said of a pair; `pair` is as it is to be, None where it is rejected."""

    item: str
    annotator: str
    decision: Literal["accept", "edit", "reject"]
    reason: str
    pair: Question | None


@dataclass(frozen=True)
class PairReviews:
    """What review files hold.

    Attributes:
        found: a review of each annotator and pair.
        outdated: the pairs that have changed since they were reviewed, each with who reviewed them; such a
            review does not count.
    """

    found: tuple[PairReview, ...]
    outdated: tuple[tuple[str, str], ...] = ()


def read_pair_reviews(paths: Sequence[Path], dataset: Dataset, *, deciding: bool = False) -> PairReviews:
    """The reviews in CSV files that the page exported, a row a pair.

    Args:
        paths: the files.
        dataset: what was reviewed.
        deciding: whether a pair may be reviewed by one annotator only, since the review decides alone.

    Raises:
        DataError: a column is missing; a pair is not known, a decision or reason none of those on the page;
            an annotator, or with `deciding` anybody, has reviewed a pair before; or no row of a file is of a
            pair as it is now. The row is named.
    """
    shown = {item: (clip, pair) for item, clip, pair in pairs(dataset)}
    found: dict[tuple[str, str], PairReview] = {}
    outdated: set[tuple[str, str]] = set()
    for path in paths:
        counted = old = 0
        for number, row in read_rows(path, COLUMNS, MAX_BYTES):
            place = f"row {number}"
            if row["item"] not in shown:
                reason = f"{first_line(row['item'])!r} is no pair of {dataset.name}"
                raise DataError(reason, path=path, item=place)
            clip, pair = shown[row["item"]]
            if row["fingerprint"] != pair_fingerprint(clip, pair):
                outdated.add((row["item"], row["annotator"].strip()))
                old += 1
                continue
            one = _review(row, pair, path, place)
            key = one.item, "" if deciding else one.annotator
            if key in found:
                reason = f"{one.item} was reviewed by {found[key].annotator} before"
                raise DataError(reason, path=path, item=place)
            found[key] = one
            counted += 1
        if old and not counted:
            raise DataError("is a review of other pairs, or all of them have changed", path=path)
    again = {(one.item, one.annotator) for one in found.values()}
    return PairReviews(tuple(found.values()), tuple(sorted(outdated - again)))


def _review(row: Mapping[str, str], pair: Question, path: Path, place: str) -> PairReview:
    if long := [name for name, value in row.items() if len(value) > LONGEST]:
        raise DataError(f"{long[0]} is too long", path=path, item=place)
    told = {name: row[name].strip() for name in COLUMNS}
    if not told["annotator"]:
        raise DataError("names no annotator", path=path, item=place)
    match told["decision"]:
        case "accept":
            words = told["question"] or pair.text.strip(), told["answer"] or pair.answer.strip()
            if words != (pair.text.strip(), pair.answer.strip()):
                raise DataError("is accepted with other words: its decision is edit", path=path, item=place)
            return PairReview(told["item"], told["annotator"], "accept", "", pair)
        case "edit":
            if not (told["question"] and told["answer"]):
                raise DataError("is edited, but question or answer is empty", path=path, item=place)
            edited = Question(text=told["question"], answer=told["answer"])
            return PairReview(told["item"], told["annotator"], "edit", "", edited)
        case "reject":
            if told["reason"] not in REASONS:
                reason = f"reason {told['reason'][:40]!r} is none of {', '.join(REASONS)}"
                raise DataError(reason, path=path, item=place)
            return PairReview(told["item"], told["annotator"], "reject", told["reason"], None)
    reason = f"decision {told['decision'][:20]!r} is none of {', '.join(DECISIONS)}"
    raise DataError(reason, path=path, item=place)


@dataclass(frozen=True)
class PairDisagreement:
    """Where annotators differ on a pair, and no second pass has decided.

    Attributes:
        item: the pair.
        what: "decision", "text" where those who take it want other words, or "reason" where all reject it.
        said: how the vote went.
        outcome: "accepted" or "rejected" by the majority; "open" where people have to decide.
    """

    item: str
    what: Literal["decision", "text", "reason"]
    said: str
    outcome: Literal["accepted", "rejected", "open"]


@dataclass(frozen=True)
class MergedPairs:
    """What reviews say together.

    Attributes:
        accepted: the pairs that are taken, as they are to be, by item.
        edited: how many of these have other words than before.
        disagreements: where annotators differ.
        taking: agreement on whether a pair is taken, edited or not.
        decision: agreement on accept, edit and reject.
        unreviewed: the pairs that nobody has reviewed.
    """

    accepted: Mapping[str, Question]
    edited: int
    disagreements: tuple[PairDisagreement, ...]
    taking: Agreement
    decision: Agreement
    unreviewed: tuple[str, ...]

    @property
    def open(self) -> int:
        """How many disagreements people have to decide."""
        return sum(one.outcome == "open" for one in self.disagreements)


def merge_pair_reviews(
    dataset: Dataset, reviews: Sequence[PairReview], final: Sequence[PairReview] = ()
) -> MergedPairs:
    """Join the reviews of several annotators.

    A pair is taken if more than half of its annotators accept or edit it. Edited words count where all who
    take it want the same; the words as they were count where more than half accept them. Else the pair is not
    taken until people decide. Whatever not all agree on is a disagreement.

    Args:
        dataset: what was reviewed.
        reviews: one of each annotator and pair.
        final: those of a second pass, which decide alone.
    """
    by_item: dict[str, list[PairReview]] = defaultdict(list)
    for one in reviews:
        by_item[one.item].append(one)
    decided = {one.item: [one] for one in final}
    accepted: dict[str, Question] = {}
    found: list[PairDisagreement] = []
    before = {item: pair for item, _, pair in pairs(dataset)}
    for item, pair in before.items():
        own = decided.get(item) or by_item.get(item, [])
        if taken := _taken(own, pair):
            accepted[item] = taken
        found += _disagreements(item, own, taken)
    return MergedPairs(
        accepted,
        sum(pair != before[item] for item, pair in accepted.items()),
        tuple(found),
        krippendorff_alpha([[one.decision != "reject" for one in own] for own in by_item.values()]),
        krippendorff_alpha([[one.decision for one in own] for own in by_item.values()]),
        tuple(item for item in before if item not in by_item and item not in decided),
    )


def _taken(own: Sequence[PairReview], before: Question) -> Question | None:
    """The pair that annotators take, or None; see `merge_pair_reviews`."""
    wanted = [one.pair for one in own if one.pair is not None]
    if 2 * len(wanted) <= len(own):
        return None
    if len(set(wanted)) == 1:
        return wanted[0]
    return before if 2 * wanted.count(before) > len(own) else None


def _disagreements(
    item: str, own: Sequence[PairReview], taken: Question | None
) -> Iterator[PairDisagreement]:
    votes = sum(one.pair is not None for one in own)
    decisions = Counter(one.decision if one.pair else f"reject ({one.reason})" for one in own)
    said = ", ".join(f"{count} {what}" for what, count in sorted(decisions.items()))
    if 0 < votes < len(own):
        yield PairDisagreement(item, "decision", said, _outcome(votes, len(own)))
    elif not votes and len(decisions) > 1:
        yield PairDisagreement(item, "reason", said, "rejected")
    if 2 * votes > len(own) and len({one.pair for one in own if one.pair}) > 1:
        yield PairDisagreement(item, "text", said, "accepted" if taken else "open")


def _outcome(votes: int, of: int) -> Literal["accepted", "rejected", "open"]:
    """What the majority says."""
    if 2 * votes == of:
        return "open"
    return "accepted" if 2 * votes > of else "rejected"


class AgreementFacts(Record):
    """An agreement as a file tells it; see `Agreement`."""

    alpha: float | None
    units: int
    coders: int


class ReviewFacts(Record):
    """How a reviewed set of questions came about; the content of `review.json`.

    `fingerprint` is that of the pairs that were reviewed, `open` how many people have yet to decide on.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    data: str
    fingerprint: str
    annotators: int
    pairs: int
    unreviewed: int
    accepted: int
    edited: int
    disagreements: int
    open: int
    taking: AgreementFacts
    decision: AgreementFacts


def write_reviewed(dataset: Dataset, merged: MergedPairs, annotators: int, out: Path) -> ReviewFacts:
    """Write the accepted pairs in the published layout into the folder `out`, with what annotators differ on.

    Raises:
        DataError: no pair is accepted.
        RunError: there is such a folder, or it cannot be written.
    """
    if not merged.accepted:
        raise DataError("no pair is accepted", item=dataset.name)
    own: dict[str, list[Question]] = {clip.video_id: [] for clip in dataset.clips}
    for item, clip, _ in pairs(dataset):
        if item in merged.accepted:
            own[clip.video_id].append(merged.accepted[item])
    records = [
        annotation_record(clip, [(one.text, one.answer) for one in own[clip.video_id]])
        for clip in dataset.clips
    ]
    facts = _facts(dataset, merged, annotators)
    rows = [(one.item, one.what, one.said, one.outcome) for one in merged.disagreements]
    with whole_folder(out, absent) as new:
        write_json(new / PAIRS_FILE, records)
        write_text(new / DISAGREEMENTS_FILE, table_text(("item", "what", "said", "outcome"), rows))
        write_json(new / REVIEW_FILE, facts.model_dump(mode="json", by_alias=True))
    return facts


def _facts(dataset: Dataset, merged: MergedPairs, annotators: int) -> ReviewFacts:
    def told(one: Agreement) -> AgreementFacts:
        return AgreementFacts(alpha=one.alpha, units=one.units, coders=one.coders)

    return ReviewFacts(
        data=dataset.name,
        fingerprint=dataset.fingerprint,
        annotators=annotators,
        pairs=sum(1 for _ in pairs(dataset)),
        unreviewed=len(merged.unreviewed),
        accepted=len(merged.accepted),
        edited=merged.edited,
        disagreements=len(merged.disagreements),
        open=merged.open,
        taking=told(merged.taking),
        decision=told(merged.decision),
    )
