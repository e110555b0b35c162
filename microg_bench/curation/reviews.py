"""Reviews: what people said of clips; read, checked, and joined."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.curation.agreement import Agreement, krippendorff_alpha
from microg_bench.curation.folder import CurationFolder
from microg_bench.curation.tables import read_rows
from microg_bench.dataset.labels import LabelMap
from microg_bench.errors import DataError
from microg_bench.text import unknown

MAX_BYTES = 64 * 1024**2
COLUMNS = (
    *("video_id", "annotator", "decision", "reason", "person_id", "actions", "caption"),
    *("mission", "crew", "place", "equipment", "fingerprint"),
)
SOURCES = ("mission", "crew", "place", "equipment")  # of a caption
REASONS = ("terrestrial scene", "pre-launch", "no microgravity", "no person", "cut", "other")
MOST_ACTIONS = 5  # of a person, on the page; the published labels have up to six
LONGEST = 10_000  # characters of a field
TIE = "tie"  # exactly half: people have to decide
CAPTION = "caption"


def fingerprint(folder: CurationFolder, clip: str) -> str:
    """What ties a review to what was shown of a clip: a hash of its id, file, and boxes in whole pixels."""
    boxes = [
        (box.frame, box.person, *map(round, (box.xmin, box.ymin, box.xmax, box.ymax)))
        for box in folder.persons(clip)
    ]
    return hashlib.sha256(json.dumps([clip, folder.sha256(clip), boxes]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ClipReview:
    """What one annotator said of a clip; `actions` are those of each person, none for a rejected clip."""

    clip: str
    annotator: str
    accepted: bool
    reason: str = ""
    actions: Mapping[int, frozenset[int]] = field(default_factory=dict)
    caption: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reviews:
    """What review files hold.

    Attributes:
        found: a review of each annotator and clip.
        outdated: the clips that have changed since they were reviewed, each with who reviewed them; such a
            review does not count.
    """

    found: tuple[ClipReview, ...]
    outdated: tuple[tuple[str, str], ...] = ()


def read_reviews(
    paths: Sequence[Path], folder: CurationFolder, labels: LabelMap, *, deciding: bool = False
) -> Reviews:
    """The reviews in CSV files that the page exported: a row a person, one for a rejected clip.

    Args:
        paths: the files.
        folder: the curation.
        labels: the actions.
        deciding: whether a clip may be reviewed by one annotator only, since the review decides alone.

    Raises:
        DataError: a column is missing; a clip, person or action is not known, a decision neither accept nor
            reject, or two rows contradict one another. The row is named. Or a person of an accepted clip has
            no row; no row is of a clip as it is now; or an annotator, or with `deciding` anybody, has
            reviewed a clip in another file as well.
    """
    shown = {clip: _Shown.of(folder, clip) for clip in folder.pieces}
    earlier = set(folder.verdicts) - set(shown)
    found: dict[tuple[str, str], ClipReview] = {}
    places: dict[tuple[str, str], Path] = {}
    outdated: set[tuple[str, str]] = set()
    for path in paths:
        own = _read_file(path, shown, earlier, labels)
        outdated.update(own.outdated)
        for one in own.found:
            key = one.clip, "" if deciding else one.annotator
            if key in found:
                who = found[key].annotator
                raise DataError(f"{one.clip} was reviewed by {who} in {places[key]} as well", path=path)
            found[key], places[key] = one, path
    again = {(one.clip, one.annotator) for one in found.values()}
    return Reviews(tuple(found.values()), tuple(sorted(outdated - again)))


@dataclass(frozen=True)
class _Shown:
    """What was shown of a clip."""

    persons: frozenset[int]
    fingerprint: str

    @classmethod
    def of(cls, folder: CurationFolder, clip: str) -> _Shown:
        return cls(frozenset(box.person for box in folder.persons(clip)), fingerprint(folder, clip))


def _read_file(
    path: Path, shown: Mapping[str, _Shown], earlier: Collection[str], labels: LabelMap
) -> Reviews:
    """The reviews in a file; `shown` has the clips that count, and `earlier` those of earlier settings."""
    found: dict[tuple[str, str], ClipReview] = {}
    outdated: dict[tuple[str, str], int] = {}
    for number, row in _rows(path):
        item = f"row {number}"
        clip = row["video_id"]
        if clip not in shown and clip not in earlier:
            raise DataError(unknown("clip", clip, list(shown)), path=path, item=item)
        if clip in earlier or row["fingerprint"] != shown[clip].fingerprint:
            outdated[clip, row["annotator"]] = number
            continue
        review = _review(row, shown[clip].persons, labels, path, item)
        key = review.clip, review.annotator
        if key in found:
            review = _joined(found[key], review, path, item)
        found[key] = review
    for key, one in found.items():
        _check_persons(one, shown[one.clip].persons, path, outdated.get(key))
    if outdated and not found:
        raise DataError("is a review of another curation, or all its clips have changed", path=path)
    return Reviews(tuple(found.values()), tuple(outdated))


def _check_persons(review: ClipReview, persons: Collection[int], path: Path, outdated: int | None) -> None:
    """A person without a row may have been forgotten: that is not to say that the person does nothing.

    `outdated` is the last row of this annotator on this clip that is of an earlier one.
    """
    if review.accepted and (lacking := set(persons) - set(review.actions)):
        if outdated is not None:
            reason = f"has another fingerprint than other rows of {review.annotator} on {review.clip}"
            raise DataError(f"{reason}: the clip has changed between them", path=path, item=f"row {outdated}")
        reason = f"{review.annotator} accepts {review.clip} without a row for person {min(lacking)}"
        raise DataError(f"{reason}: add it, with empty actions if there are none", path=path)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, row in read_rows(path, COLUMNS, MAX_BYTES):
        if long := [name for name, value in row.items() if len(value) > LONGEST]:
            raise DataError(f"{long[0]} is too long", path=path, item=f"row {number}")
        yield number, {name: value.strip() for name, value in row.items()}


def _review(
    row: Mapping[str, str], persons: Collection[int], labels: LabelMap, path: Path, item: str
) -> ClipReview:
    clip, decision = row["video_id"], row["decision"]
    if decision not in ("accept", "reject"):
        raise DataError(f"decision {decision[:20]!r} is not accept or reject", path=path, item=item)
    if not row["annotator"]:
        raise DataError("names no annotator", path=path, item=item)
    if decision == "reject":
        if row["reason"] not in REASONS:
            reason = f"reason {row['reason'][:40]!r} is none of {', '.join(REASONS)}"
            raise DataError(reason, path=path, item=item)
        return ClipReview(clip, row["annotator"], False, row["reason"])
    person = _known(row["person_id"], persons)
    if person is None:
        known = ", ".join(map(str, sorted(persons))) or "it has none"
        reason = f"person {row['person_id'][:20]!r} is none of {clip} ({known})"
        raise DataError(reason, path=path, item=item)
    actions = {one: _known(one, labels.ids) for one in row["actions"].split()}
    if wrong := [one for one, number in actions.items() if number is None]:
        raise DataError(f"action {wrong[0][:20]!r} is not in the label map", path=path, item=item)
    return ClipReview(
        clip,
        row["annotator"],
        True,
        "",
        {person: frozenset(number for number in actions.values() if number is not None)},
        row["caption"],
        {name: row[name] for name in SOURCES if row[name]},
    )


def _known(text: str, numbers: Collection[int]) -> int | None:
    """The number that a text writes in digits; None where it is none of those."""
    number = int(text) if re.fullmatch("[0-9]{1,9}", text) else None
    return number if number in numbers else None


def _joined(one: ClipReview, other: ClipReview, path: Path, item: str) -> ClipReview:
    """Two rows on one clip by one annotator."""
    if not (one.accepted and other.accepted):
        raise DataError(f"{other.clip} was decided before by {other.annotator}", path=path, item=item)
    if repeated := set(one.actions) & set(other.actions):
        raise DataError(f"person {min(repeated)} of {other.clip} is there twice", path=path, item=item)
    if (one.caption, one.sources) != (other.caption, other.sources):
        raise DataError(f"{other.clip} has another caption than in the row before", path=path, item=item)
    return ClipReview(
        one.clip, one.annotator, True, "", {**one.actions, **other.actions}, one.caption, one.sources
    )


@dataclass(frozen=True)
class Disagreement:
    """Where annotators differ, and no second pass has decided.

    Attributes:
        clip: the clip.
        what: "decision", "reason" where all reject it, an action of a person, or "caption".
        said: how the vote went; of captions, each with those who wrote it.
        outcome: "accepted" or "rejected" of a clip, "given" or "not given" of an action; `TIE` of either. Of
            captions, whose is taken.
    """

    clip: str
    what: str
    said: str
    outcome: str


@dataclass(frozen=True)
class Merged:
    """What reviews say together.

    Attributes:
        accepted: the clips that are taken, in order.
        actions: those of each person, by clip.
        captions: by clip; that which most wrote alike, else the first by the name of its annotator.
        sources: what the captions rest on, by clip; those that were given with the caption.
        disagreements: where annotators differ; a second pass has to decide the ties.
        decision: agreement on taking clips.
        by_action: agreement on each action, over persons.
        open: clips that passed all stages and nobody has reviewed.
    """

    accepted: tuple[str, ...]
    actions: Mapping[str, Mapping[int, frozenset[int]]]
    captions: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]]
    disagreements: tuple[Disagreement, ...]
    decision: Agreement
    by_action: Mapping[int, Agreement]
    open: tuple[str, ...]

    @property
    def ties(self) -> int:
        """How many disagreements people have to decide."""
        return sum(one.outcome == TIE for one in self.disagreements)


def merge_reviews(
    folder: CurationFolder, reviews: Sequence[ClipReview], final: Sequence[ClipReview] = ()
) -> Merged:
    """Join the reviews of several annotators.

    A clip is taken if more than half accept it. An action is taken if more than half of those who accepted
    the clip gave it. Where exactly half did, the clip or action is not taken. Whatever not all agree on is a
    disagreement, be it a tie or not.

    Args:
        folder: the curation.
        reviews: one of each annotator and clip.
        final: those of a second pass, which decide alone.
    """
    by_clip: dict[str, list[ClipReview]] = defaultdict(list)
    for one in reviews:
        by_clip[one.clip].append(one)
    decided = {one.clip: one for one in final}
    found: list[Disagreement] = []
    accepted, actions, captioned = [], {}, {}
    for clip in sorted({*by_clip, *decided}):
        own = [decided[clip]] if clip in decided else by_clip[clip]
        votes = sum(one.accepted for one in own)
        said = Counter("accept" if one.accepted else f"reject ({one.reason})" for one in own)
        if len(said) > 1:
            what = "decision" if 0 < votes < len(own) else "reason"
            outcome = _outcome(votes, len(own), "accepted", "rejected")
            found.append(Disagreement(clip, what, _told(said), outcome))
        if 2 * votes <= len(own):
            continue
        accepted.append(clip)
        yes = [one for one in own if one.accepted]
        actions[clip] = dict(_actions(clip, yes, found))
        captioned[clip] = _captioned(yes)
        found += _caption_differences(clip, yes, captioned[clip])
    return Merged(
        tuple(accepted),
        actions,
        {clip: one.caption for clip, one in captioned.items() if one.caption},
        {clip: one.sources for clip, one in captioned.items() if one.sources},
        tuple(found),
        krippendorff_alpha([[one.accepted for one in own] for own in by_clip.values()]),
        _by_action(by_clip),
        tuple(clip for clip in folder.accepted() if clip not in by_clip and clip not in decided),
    )


def _actions(
    clip: str, own: Sequence[ClipReview], found: list[Disagreement]
) -> Iterator[tuple[int, frozenset[int]]]:
    for person in sorted({person for one in own for person in one.actions}):
        votes = Counter(action for one in own for action in one.actions.get(person, ()))
        found += [
            Disagreement(
                clip,
                f"person {person}, action {action}",
                f"{count} of {len(own)}",
                _outcome(count, len(own), "given", "not given"),
            )
            for action, count in sorted(votes.items())
            if count < len(own)
        ]
        yield person, frozenset(action for action, count in votes.items() if 2 * count > len(own))


def _outcome(votes: int, of: int, yes: str, no: str) -> str:
    """What the majority says."""
    return TIE if 2 * votes == of else yes if 2 * votes > of else no


def _captioned(own: Sequence[ClipReview]) -> ClipReview:
    """The review whose caption counts; without captions, the first that names sources, if any does."""
    ordered = sorted(own, key=lambda one: (not one.caption, not one.sources, one.annotator))
    counts = Counter(one.caption for one in ordered if one.caption)
    return max(ordered, key=lambda one: counts[one.caption])


def _caption_differences(clip: str, own: Sequence[ClipReview], taken: ClipReview) -> Iterator[Disagreement]:
    """Where captions differ; to write none is not to differ."""
    writers: dict[str, list[str]] = defaultdict(list)
    for one in sorted(own, key=lambda one: one.annotator):
        if one.caption:
            writers[one.caption].append(one.annotator)
    if len(writers) > 1:
        said = ", ".join(f'"{caption}" ({", ".join(names)})' for caption, names in writers.items())
        yield Disagreement(clip, CAPTION, said, f"that of {taken.annotator}")


def _told(said: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(said.items()))


def _by_action(by_clip: Mapping[str, Sequence[ClipReview]]) -> dict[int, Agreement]:
    """Agreement on each action that anybody gave, over the persons of clips that were accepted."""
    persons = [
        [one.actions.get(person, frozenset()) for one in own if one.accepted]
        for own in by_clip.values()
        for person in sorted({person for one in own for person in one.actions})
    ]
    given = sorted({action for own in persons for actions in own for action in actions})
    return {
        action: krippendorff_alpha([[action in actions for actions in own] for own in persons])
        for action in given
    }
