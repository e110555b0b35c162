"""Our rows for the paper's tables of action recognition, from scorecards of `microg-bench har score`."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from microg_bench.actions import ActionFacts
from microg_bench.errors import DataError
from microg_bench.scorecard import ACTION_SCORES, COMPLETE, ModelEntry, Scorecard, ScoreEntry
from microg_bench.submissions.folder import Tell
from microg_bench.tables.published import Column, Facts, PublishedTable
from microg_bench.tables.rows import OwnRow, access_of, fault_of
from microg_bench.text import listed

SHOWN_BY = {"drawn": "a box on the frames", "crop": "frames that are cut to them"}
OWN_FILE = "a file"
PARTS = {"val": "validation", "test": "test", "train": "the split train", "all": "all splits"}
_WORD = re.compile(r"[a-z0-9]+")


def action_rows(
    table: PublishedTable, facts: Facts, cards: Sequence[Scorecard], submitted: Sequence[Scorecard] = ()
) -> list[OwnRow]:
    """One row for each model whose detections were scored; its splits share it.

    A file belongs to the published row that holds all words of its name (`X3D_L.test.csv.xz`: X3D and L), and
    to the table whose keyword it has. What was scored against another ground truth has a row of its own, and
    so have other weights, another recipe, other files of the same name, and each scorecard that was
    submitted, since anyone may give a file any name. A scorecard that is there already is not shown again.
    Scores on persons of no known split stand in no column: a mark tells them.

    Args:
        table: the published table.
        facts: what all tables share.
        cards: scorecards of our own.
        submitted: those of submissions that were accepted.

    Raises:
        DataError: see `_by_split`.
    """
    models: dict[tuple[str, ...], list[Scorecard]] = {}
    for card in sorted(cards, key=lambda one: (_har(one).detections, one.model_dump_json())):
        stem, split = _stem(card), _split(facts, card)
        if not _belongs(table, facts, stem):
            continue
        made = (card.recipe or "", _har(card).checkpoint or "", _har(card).checkpoint_sha256 or "")
        truth = ("", "") if split else (_har(card).groundtruth, card.fingerprint)
        models.setdefault((stem, *truth, *made), []).append(card)
    rows = [
        _action_row(table, facts, stem, other, splits, note)
        for (stem, other, *_), own in models.items()
        for splits, note in _by_split(facts, own)
    ]
    for card in _not_among(cards, submitted):
        stem, split = _stem(card), _split(facts, card)
        if _belongs(table, facts, stem):
            other = "" if split else _har(card).groundtruth
            rows.append(_action_row(table, facts, stem, other, {_heading(facts, card): card}))
    return rows


def asked_rows(table: PublishedTable, facts: Facts, cards: Sequence[Scorecard]) -> list[OwnRow]:
    """One row for each model that was asked about persons, then those of the baselines on the same persons.

    The splits of a model share its row where all else is the same. The rows stand in each table of action
    recognition: these models are compared with networks that are trained for it, and with those that are not.
    A baseline is shown once for the same persons, and not again where it was run as a model.
    """
    rows: list[OwnRow] = []
    below: dict[tuple[str, tuple[str, ...]], OwnRow] = {}
    ran: set[tuple[str, tuple[str, ...]]] = set()
    for splits in _asked_alike(facts, cards):
        undone = _undone(splits.values())
        row = _asked_row(table, facts, splits, undone)
        rows.append(row)
        ran |= {(card.model.name, row.marks) for card in splits.values() if card.model}
        for name in next(iter(splits.values())).baselines:
            own = {split: _of_baseline(card, name) for split, card in splits.items()}
            found = _asked_row(table, facts, own, undone)
            below[name, found.marks] = replace(found, access="baseline")
    return [*rows, *(row for key, row in below.items() if key not in ran)]


def _asked_alike(facts: Facts, cards: Sequence[Scorecard]) -> Iterator[dict[str, Scorecard]]:
    """The scorecards of one model by split; those of another ground truth, or other settings, are apart.

    So are those that are scored otherwise. Where a split has several, each scorecard is alone.
    """
    found: dict[str, dict[str, Scorecard]] = {}
    for card in cards:
        settings = card.settings.model_dump_json(exclude={"fingerprint", "dataset"}) if card.settings else ""
        other = "" if _split(facts, card) else _har(card).groundtruth
        found.setdefault(json.dumps([settings, other, _action_scores(card)]), {})[_same(card)] = card
    for own in found.values():
        splits = [_heading(facts, card) for card in own.values()]
        if len(set(splits)) == len(splits):
            yield dict(zip(splits, own.values(), strict=True))
        else:
            yield from ({split: card} for split, card in zip(splits, own.values(), strict=True))


def _same(card: Scorecard) -> str:
    """What is equal for scorecards of the same detections alone."""
    return json.dumps([_identity(card), _har(card).detections_sha256, card.status])


def _action_scores(card: Scorecard) -> str:
    """How an action that was named is scored, where that is not by 1."""
    signatures = (one.signature for one in card.scores.values() if one.signature)
    return next((one.values.get(ACTION_SCORES, "") for one in signatures), "")


def _heading(facts: Facts, card: Scorecard) -> str:
    """The split whose persons were asked about, under which scores stand where a table has columns of it.

    Of annotations, the name of the ground truth ends with the split; a file of somebody's own has none.
    """
    _, comma, part = _har(card).groundtruth.rpartition(", ")
    return _split(facts, card) or (PARTS.get(part, OWN_FILE) if comma else OWN_FILE)


def _undone(cards: Collection[Scorecard]) -> tuple[str, ...]:
    """Why scorecards are not of all requests, each reason once."""
    parts = [card.settings.part for card in cards if card.settings and card.settings.part]
    return tuple(dict.fromkeys([*parts, *(card.status for card in cards if not card.complete)]))


def _asked_row(
    table: PublishedTable, facts: Facts, splits: Mapping[str, Scorecard], undone: Sequence[str]
) -> OwnRow:
    """The row of a model, or of a baseline on the same persons, which shares what was not asked."""
    first = next(iter(splits.values()))
    other = "" if _split(facts, first) else _har(first).groundtruth
    form = first.settings.boxes if first.settings else None
    shown = [f"asked in words; persons shown by {SHOWN_BY[form]}"] if form else []
    shown += [f"scores of actions: {how}" for how in [_action_scores(first)] if how]
    row = _action_row(table, facts, "", other, splits)
    return replace(
        row,
        name=first.title,
        labels=(first.title, *[""] * (len(table.facts.labels) - 1)),
        access="baseline" if access_of(first) == "baseline" else "",
        published=None,
        marks=(*row.marks, *undone),
        notes=(*shown, *row.notes),
    )


def _without_column(split: str, card: Scorecard) -> str:
    """The scores of persons of whom the table has no column."""
    told = (f"{name} {value:.2f}" for name, value in card.values().items() if value is not None)
    claimed = f" ({card.unverified})" if card.unverified else ""
    return f"persons of {split}, of whom there is no column: {', '.join(told)}{claimed}"


def _of_baseline(card: Scorecard, name: str) -> Scorecard:
    """The scorecard of one of the baselines in a scorecard."""
    entry = card.baselines[name]
    scores = {
        score: ScoreEntry(value=entry.scores.get(score), signature=one.signature)
        for score, one in card.scores.items()
    }
    har = _har(card).model_copy(update={"map_over_ties": entry.map_over_ties})
    model = ModelEntry(name=name, title=entry.title)
    kept = {field: getattr(card, field) for field in ("task", "protocol", "items", "dataset", "fingerprint")}
    return Scorecard(**kept, status=COMPLETE, model=model, scores=scores, har=har)


def _by_split(facts: Facts, cards: Sequence[Scorecard]) -> Iterator[tuple[dict[str, Scorecard], str]]:
    """The scorecards of one model by split: all in one row, or, where a split has several, each in its own.

    Rows of their own have a note on the file.

    Raises:
        DataError: two have different scores, and are not known to be of different files.
    """
    splits: dict[str, list[Scorecard]] = {}
    for card in cards:
        kept, own = splits.setdefault(_heading(facts, card), []), _har(card)
        others = [one for one in kept if _rounded(one) != _rounded(card)]
        if any(_har(one).detections_sha256 in (None, own.detections_sha256) for one in others) or (
            others and own.detections_sha256 is None
        ):
            raise DataError(
                f"two scorecards of {own.detections} against {own.groundtruth} have different scores: give "
                "one of them, or score both files again"
            )
        if len(others) == len(kept):
            kept.append(card)
    if all(len(kept) == 1 for kept in splits.values()):
        yield {split: kept[0] for split, kept in splits.items()}, ""
        return
    for split, kept in splits.items():
        for card in kept:
            own = _har(card)
            yield {split: card}, f"detections {_file(own.detections, own.detections_sha256)}"


def tell_repeated(cards: Sequence[Scorecard], submitted: Sequence[Scorecard], tell: Tell) -> None:
    """Tell which of the scorecards were submitted too, in a line: of these the submission is not shown."""
    known = {_identity(card) for card in cards}
    twice = dict.fromkeys(_har(card).detections for card in submitted if _identity(card) in known)
    if twice:
        tell(f"given twice and shown once: {listed(list(twice))} (not the submission)")


def _not_among(cards: Sequence[Scorecard], submitted: Sequence[Scorecard]) -> Iterator[Scorecard]:
    """The scorecards that were submitted and are not among `cards`, in order; equal ones once."""
    known = {_identity(card) for card in cards}
    different = {card.model_dump_json(): card for card in submitted if _identity(card) not in known}
    yield from sorted(
        different.values(), key=lambda one: (_identity(one), one.unverified, one.model_dump_json())
    )


def _identity(card: Scorecard) -> str:
    """What two scorecards share of the same detections and ground truth, of which old ones tell 12 digits."""
    return json.dumps([_stem(card), card.fingerprint[:12], _rounded(card)])


def _har(card: Scorecard) -> ActionFacts:
    if card.har is None:
        raise DataError(f"a scorecard of task {card.task} is no scorecard of action recognition")
    return card.har


def _stem(card: Scorecard) -> str:
    return PurePath(_har(card).detections).name.split(".")[0]


def _split(facts: Facts, card: Scorecard) -> str | None:
    """`validation` or `test`, by the fingerprint of the ground truth; None for another ground truth."""
    signatures = (one.signature for one in card.scores.values() if one.signature)
    prints = [one.values.get("groundtruth", "") for one in signatures]
    return facts.groundtruth.get(prints[0]) if prints else None


def _rounded(card: Scorecard) -> dict[str, float | None]:
    return {name: value and round(value, 6) for name, value in card.values().items()}


def _belongs(table: PublishedTable, facts: Facts, stem: str) -> bool:
    own = table.facts.keyword
    words = [own] if own else [other.keyword for other in facts.tables if other.keyword]
    return any(re.search(word, stem.lower()) for word in words) == bool(own)


def _action_row(
    table: PublishedTable,
    facts: Facts,
    stem: str,
    other: str,
    splits: Mapping[str, Scorecard],
    note: str = "",
) -> OwnRow:
    """The row of the scorecards by split; `other` is the ground truth where that is not the published one."""
    place = _published_detections(table, facts, stem)
    scores = {
        column: splits[column.split].scores[column.score]
        for column in table.facts.columns
        if column.split in splits and column.score in splits[column.split].scores
    }
    apart = () if scores else (_without_column(split, card) for split, card in splits.items())
    unknown = (stem, *[""] * (len(table.facts.labels) - 1))
    return OwnRow(
        name=stem,
        labels=unknown if place is None else table.rows[place].labels,
        access="",
        scores={column.name: one for column, one in scores.items()},
        published=place,
        marks=(*_marks(other, splits), *apart),
        faults={
            column.name: fault
            for column, one in scores.items()
            if (fault := _fault(facts, column, one, splits))
        },
        notes=(*([note] if note else []), *_notes(splits)),
    )


def _marks(other: str, splits: Mapping[str, Scorecard]) -> Iterator[str]:
    """Why the row is not comparable with the published ones, which ran by the recipe `paper`."""
    if other:
        yield f"ground truth {other}, not the published one"
    yield from sorted(
        {f"recipe {card.recipe}, not paper" for card in splits.values() if card.recipe not in (None, "paper")}
    )


def _fault(facts: Facts, column: Column, entry: ScoreEntry, splits: Mapping[str, Scorecard]) -> str:
    """Why a score is not compared with the published one; empty for nothing."""
    if entry.unverified:
        return splits[column.split].unverified
    return fault_of(facts, column.score, entry.signature)


def _notes(splits: Mapping[str, Scorecard]) -> Iterator[str]:
    made = [(card.recipe, _har(card)) for card in splits.values() if card.recipe]
    yield from sorted(
        {f"recipe {recipe}, weights {_file(own.checkpoint, own.checkpoint_sha256)}" for recipe, own in made}
    )
    for split, card in splits.items():
        yield from card.remarks()
        low, high = (f"{bound:.2f}" for bound in _har(card).map_over_ties or (0, 0))
        if low != high:
            score = "mAP" if split == OWN_FILE else f"{split} mAP"
            yield f"{score} is between {low} and {high}, by the order of equal scores"


def _file(name: str | None, sha256: str | None) -> str:
    """The name of a file with the first digits of its SHA-256, which tell files of one name apart."""
    return f"{name} ({sha256[:8]})" if sha256 else str(name)


def _published_detections(table: PublishedTable, facts: Facts, stem: str) -> int | None:
    """The row whose labels hold all words of `stem` and the fewest others, if there is just one."""
    keyword = table.facts.keyword
    named = re.sub(keyword, " ", stem.lower()) if keyword else stem.lower()
    words = {facts.spelled.get(word, word) for word in _WORD.findall(named)}
    rows = [{word for label in row.labels for word in _WORD.findall(label.lower())} for row in table.rows]
    extra = sorted((len(row - words), place) for place, row in enumerate(rows) if words and words <= row)
    if not extra or (len(extra) > 1 and extra[0][0] == extra[1][0]):
        return None
    return extra[0][1]
