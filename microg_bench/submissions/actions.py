"""Submissions of action recognition: a scorecard of `har score`, and the detections that give it."""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, get_args

from microg_bench.actions import ActionEntry, ActionFacts
from microg_bench.dataset.labels import LabelMap, read_label_map
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import DataError, MicrogError
from microg_bench.har.recipe import RecipeName
from microg_bench.har.reports import facts_of, read_scorecards
from microg_bench.har.scoring import RULES, signature
from microg_bench.persons.boxes import DETECTIONS, Detections, GroundTruth, read_detections
from microg_bench.privacy import outgoing, without_private
from microg_bench.runs.migration import read_object, scorecard_of
from microg_bench.runs.record import SCORECARD_FILE
from microg_bench.scorecard import (
    Scorecard,
)
from microg_bench.storage import write_bytes, write_json
from microg_bench.submissions.claims import ROUNDING
from microg_bench.submissions.faults import Said, incomplete, text_faults
from microg_bench.submissions.folder import ACTION_FILES, PACKED_DETECTIONS, Tell, new_submission, place
from microg_bench.submissions.load import MAX_JSON, Submission, check_files, check_packed
from microg_bench.text import listed

# Fields that only scorecards of the other tasks have.
_ELSEWHERE = (
    *("model", "failures", "settings", "rejected", "served"),
    *("baselines", "slices", "abstention"),
)
MAX_NAME = 200


@dataclass(frozen=True)
class ActionSubmission(Submission):
    """Packed detections, which give their scorecard; `facts` are those that it claims."""

    facts: ActionFacts
    detections: Detections

    @property
    def evidence(self) -> Detections:
        """The detections."""
        return self.detections


def pack_actions(
    scorecards: Path, detections: Sequence[Path], into: Path, tell: Tell | None = None
) -> Iterator[Path]:
    """Write a submission below `into` for each file of detections that was scored; yields its folder.

    The same files pack to the same bytes. Columns that are not of detections are left out.

    Args:
        scorecards: the file that `har score --out` wrote.
        detections: the files of detections, known by their names.
        into: the folder of submissions.
        tell: is called where another submission of a file is replaced.

    Raises:
        DataError: a file is damaged, or is no honest submission with the scorecard of its name.
        RunError: a folder cannot be written, or holds other files.
    """
    cards = read_scorecards(scorecards)
    for file in detections:
        table = read_table(file, DETECTIONS)
        # Rows are counted as in the file: warnings name them.
        text = table.frame.write_csv(include_header=bool(table.rows[0] > 1)).encode()
        boxes = read_detections(file, read_label_map())
        card = _card_of(cards, scorecards, file, boxes.sha256)
        if card.har and [one.id for one in card.har.actions] != list(read_label_map().ids):
            raise DataError("was scored with another label map: only MicroG-4M's can be submitted", path=file)
        # Tables know the model by the name of the file.
        card = public_card(_without_file(_of_detections(card)), outgoing)
        name = outgoing(file.name).partition(".")[0]
        folder = place(into, name, card.task, text + card.fingerprint.encode())
        with new_submission(folder, ACTION_FILES, tell) as new:
            write_bytes(new / PACKED_DETECTIONS, gzip.compress(text, mtime=0))
            write_json(new / SCORECARD_FILE, card.to_json())
            if faults := _packed_faults(new):
                raise DataError(f"its scorecard cannot be submitted: {'; '.join(faults)}", path=file)
        yield folder


def _packed_faults(folder: Path) -> list[str]:
    """Why what was packed would be refused, without the place of its folder, which is not the last one."""
    try:
        return list(action_faults(load_actions(folder)))
    except MicrogError as error:
        return [": ".join(part for part in (error.item, error.reason) if part)]


def _card_of(cards: Sequence[Scorecard], path: Path, file: Path, sha256: str | None) -> Scorecard:
    """The one scorecard of `cards`, read from `path`, that is of a file of detections with this SHA-256."""
    named = [card for card in cards if card.har and card.har.detections == file.name]
    ours = [card for card in named if card.har and card.har.detections_sha256 in (None, sha256)]
    if named and not ours:
        raise DataError(f"is not the file that {path} was made of: score it again", path=file)
    if len(ours) > 1:
        raise DataError(f"holds {len(ours)} scorecards of {file.name}: score it alone", path=path)
    if not named:
        names = listed([card.har.detections for card in cards if card.har])
        raise DataError(f"holds no scorecard of {file.name}, but of {names}", path=path)
    return ours[0]


def _of_detections(card: Scorecard) -> Scorecard:
    """The scorecard with what its detections alone give, also where they are the answers of a model."""
    told = {name: Scorecard.model_fields[name].get_default(call_default_factory=True) for name in _ELSEWHERE}
    scores = {
        name: one.model_copy(update={"signature": one.signature and one.signature.computed()})
        for name, one in card.scores.items()
    }
    return card.model_copy(update={**told, "scores": scores})


def _without_file(card: Scorecard) -> Scorecard:
    """The scorecard without the SHA-256 of the file that was scored, which is written anew when packed."""
    facts = card.har and card.har.model_copy(update={"detections_sha256": None})
    return card.model_copy(update={"har": facts})


def load_actions(folder: Path) -> ActionSubmission:
    """The submission of action recognition in a folder, all of whose files have been read.

    Raises:
        MicrogError: the folder holds other files than those of one, or one of them is no plain file, is too
            large, or is damaged.
    """
    check_files(folder, ACTION_FILES)
    file, packed = folder / SCORECARD_FILE, folder / PACKED_DETECTIONS
    content = read_object(file, MAX_JSON)
    claimed = scorecard_of(content, file)
    if claimed.task != "har":
        raise DataError(f"is of task {claimed.task}, which has no detections", path=file)
    facts = facts_of(claimed, file)
    check_packed(packed)
    detections = replace(read_detections(packed, read_label_map()), name=facts.detections, sha256=None)
    return ActionSubmission(claimed, {SCORECARD_FILE: content}, facts, detections)


def action_faults(submission: ActionSubmission) -> Iterator[str]:
    """All faults of a submission of action recognition that show without the ground truth, a line each."""
    card, facts, boxes = submission.claimed, submission.facts, submission.detections
    labels = read_label_map()
    contents = {name: _without_actions(content) for name, content in submission.contents.items()}
    yield from text_faults(contents)
    yield from incomplete(card)
    if card.protocol != "paper":
        yield f"claims scores under the unknown protocol {card.protocol}"
    if given := [name for name in _ELSEWHERE if getattr(card, name)]:
        yield f"claims what scores of actions do not have: {listed(given)}"
    if card.recipe not in (None, *get_args(RecipeName)):
        yield f"claims the unknown recipe {card.recipe!r}"
    if not (name := facts.detections) or PurePath(name).name != name or name.startswith(".") or "\\" in name:
        yield f"names its detections {name!r}, which is no plain file name"
    if (weights := facts.checkpoint) and (len(weights) > MAX_NAME or ".." in PurePath(weights).parts):
        yield f"names its checkpoint {weights[:MAX_NAME]!r}, which is no name"
    known = {"boxes": len(boxes), "boxes_without_area": int((~boxes.has_area).sum()), "actions": len(labels)}
    for what, claim, count in (
        ("items", card.items, len(boxes)),
        ("counts.answered", card.counts.answered, len(boxes)),
        *((f"har.counts.{name}", facts.counts.get(name), count) for name, count in known.items()),
    ):
        if claim != count:
            yield f"{SCORECARD_FILE} claims {what} = {claim}, but the detections give {count}"
    yield from _score_faults(card, facts, labels)


def with_origin(card: Scorecard, claimed: Scorecard) -> Scorecard:
    """A scorecard of detections with the recipe and the weights that are claimed, which nothing tells."""
    if card.har is None or claimed.har is None:
        return card
    weights = {name: getattr(claimed.har, name) for name in ("checkpoint", "checkpoint_sha256")}
    facts = card.har.model_copy(update=weights)
    return card.model_copy(update={"recipe": claimed.recipe, "har": facts})


def public_card(card: Scorecard, clean: Callable[[Any], Any] = without_private) -> Scorecard:
    """A scorecard without what is private; names of actions, which may look like paths, stay as they are."""
    content = card.to_json()
    cleaned = clean(content)
    if card.har:
        cleaned["har"]["actions"] = content["har"]["actions"]
    return Scorecard.model_validate(cleaned)


def _without_actions(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a scorecard without its actions, which are those of the label map or refused."""
    return {**content, "har": {**content["har"], "actions": ()}}


def _score_faults(card: Scorecard, facts: ActionFacts, labels: LabelMap) -> Iterator[str]:
    """Scores that are computed otherwise, or that the scores of the actions do not give."""
    if set(card.scores) != set(RULES):
        claimed = listed(list(card.scores), shown=8) or "none"
        yield f"must claim scores of exactly {', '.join(RULES)}; claims {claimed}"
        return
    if [(one.id, one.name) for one in facts.actions] != list(zip(labels.ids, labels.names, strict=True)):
        yield "claims scores of other actions than those of the label map"
        return
    for name, entry in card.scores.items():
        due = signature(name, labels, card.fingerprint, card.items)
        if entry.signature is None or entry.signature.versions_apart(due) is None:
            theirs = entry.signature and entry.signature.long()
            yield f"{SCORECARD_FILE} claims scores.{name}.signature = {theirs}, but ours is {due.long()}"
        mean = _mean(facts.actions, "AP" if name == "mAP" else name)
        if (entry.value is None) != (mean is None) or abs((entry.value or 0) - (mean or 0)) > ROUNDING:
            claim = f"{SCORECARD_FILE} claims scores.{name}.value = {entry.value}"
            yield f"{claim}, but the scores of the actions in it give {mean}"


def _mean(actions: Sequence[ActionEntry], score: str) -> float | None:
    """The mean of a score over the actions that have it; None where none has."""
    values = [value for one in actions if (value := getattr(one, score)) is not None]
    return sum(values) / len(values) if values else None


def truth_of(submission: ActionSubmission, truths: Sequence[GroundTruth]) -> GroundTruth | None:
    """The ground truth that it was scored against, among `truths`; None where there are none.

    Raises:
        DataError: none of them is the one.
    """
    claimed = submission.claimed.fingerprint
    known = {truth.fingerprint: truth for truth in truths}
    if known and claimed not in known:
        given = listed([one[:12] for one in known])
        raise DataError(f"was scored against ground truth with fingerprint {claimed[:12]}, given is {given}")
    return known.get(claimed)


def boxes_of(folder: Path, submission: ActionSubmission) -> Said:
    """The boxes of a submission with their scores."""
    boxes = submission.detections
    rows = zip(boxes.images, boxes.boxes, boxes.scores, strict=True)
    things = ((image, box.tobytes(), scores.tobytes()) for image, box, scores in rows)
    return Said.of(folder, submission.claimed, things)
