"""The verdict on submissions: accepted with what of them is to be shown, or refused with the reasons.

What another verb shows of submissions comes from here, so that all show the same ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError, RunError
from microg_bench.options import ScoringOptions
from microg_bench.persons.boxes import GroundTruth
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.submissions.actions import (
    action_faults,
    boxes_of,
    load_actions,
    truth_of,
)
from microg_bench.submissions.faults import Said, answers_of, copies, doubts, faults, said
from microg_bench.submissions.load import RunSubmission, Submission, is_of_actions, load
from microg_bench.submissions.rescore import RECOMPUTED, Outcome, claimed_options, compared, told
from microg_bench.submissions.titles import Titled, same_titles
from microg_bench.text import first_line

LONGEST = 500  # characters of a problem or a note
MOST = 12  # problems or notes of one submission that are told
TOGETHER = 50_000_000  # bytes, about, of submissions that are scored together
ANSWER = 500  # bytes, about, of an answer beside its texts


@dataclass
class Checked:
    """What was found out about a submission; `problems`, a line each, are why it is refused.

    `record` holds what is to be shown of a run: the scorecard that its answers give, and the statistics of
    its items where it was scored again; `actions` the scorecard of detections. Both are None where the
    submission is refused. The answers of a record are read again when they are needed: those of many
    submissions would not fit into memory. `notes` say what could not be checked, and what a reader of the
    scores must know.
    """

    folder: Path
    record: RunRecord | None = None
    actions: Scorecard | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def error(self) -> RunError:
        """Why it is refused, in a line."""
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        return RunError(f"{self.problems[0]}{more}", path=self.folder)


def check(
    folders: Iterable[Path],
    dataset: Dataset | None,
    options: ScoringOptions | None = None,
    truths: Sequence[GroundTruth] = (),
) -> list[Checked]:
    """Check submissions, each of which gets a verdict of its own, whatever it holds.

    Args:
        folders: the submissions.
        dataset: the one that runs were made on. With it they are scored again; without it all their scores
            are marked as unverified.
        options: how runs are scored, but for metrics, protocol and clusters; None takes the defaults.
        truths: what detections of actions were scored against, of one split or more. With it they are scored
            again; without it all their scores are marked as unverified.
    """
    found = [Checked(folder) for folder in folders]
    sound: dict[Alike, list[tuple[Checked, int]]] = defaultdict(list)
    things: dict[Path, Said] = {}
    models: dict[Path, Titled] = {}
    for one in found:
        with _guard(one):
            if is_of_actions(one.folder):
                things[one.folder], models[one.folder] = _check_actions(one, truths)
                continue
            submission = _run(one, dataset)
            if one.problems:
                continue
            things[one.folder] = answers_of(submission.record)
            models[one.folder] = Titled.of(submission.record.settings)
            if dataset is None:
                _settle([(one, submission)], None, ScoringOptions(), False)
            else:
                card = submission.claimed
                how, baselines = claimed_options(card, options or ScoringOptions())
                sound[card.task, how, baselines].append((one, _size(submission)))
    for (_, how, baselines), members in sound.items():
        for part in _parts(members):
            _settle(_again(part), dataset, how, baselines)
    accepted = {one.folder: one for one in found if not one.problems}
    for folder, line in copies([one for folder, one in things.items() if folder in accepted]):
        accepted[folder].notes.append(line)
    for folder, line in same_titles({folder: one for folder, one in models.items() if folder in accepted}):
        accepted[folder].notes.append(line)
    for one in found:
        one.problems, one.notes = _cut(one.problems), _cut(one.notes)
    return found


def _run(checked: Checked, dataset: Dataset | None) -> RunSubmission:
    """A packed run; what shows before it is scored again is added to `checked`."""
    submission = load(checked.folder)
    checked.problems += faults(submission, dataset)
    if not checked.problems:
        checked.notes += doubts(submission.record, dataset)
    return submission


def _check_actions(checked: Checked, truths: Sequence[GroundTruth]) -> tuple[Said, Titled]:
    """Give a submission of action recognition its verdict; its detections, which are large, are not kept."""
    submission = load_actions(checked.folder)
    checked.problems += action_faults(submission)
    if not checked.problems:
        _settle([(checked, submission)], truth_of(submission, truths), ScoringOptions(), False)
    boxes = boxes_of(checked.folder, submission)
    # A model has detections of several splits, and is called by the file.
    return boxes, Titled(submission.facts.detections, (str(checked.folder), submission.claimed.fingerprint))


def _cut(lines: Sequence[str]) -> list[str]:
    """At most as many lines as are read, each within the length of one, whatever it quotes."""
    more = [f"and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return [line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…" for line in lines[:MOST]] + more


@contextmanager
def _guard(checked: Checked) -> Iterator[None]:
    """Take any exception as the reason why a submission is refused."""
    try:
        yield
    except MicrogError as error:
        place = Path(error.path).name if error.path and Path(error.path) != checked.folder else None
        checked.problems.append(": ".join(part for part in (place, error.item, error.reason) if part))
    except Exception as error:  # a stranger's file must not end the check of the others
        checked.problems.append(f"cannot be checked: {type(error).__name__}: {first_line(error)}")
    if checked.problems:
        checked.record = checked.actions = None


# What submissions that are scored together share: the task, how it is scored, and whether with baselines.
Alike = tuple[str, ScoringOptions, bool]


def _size(submission: RunSubmission) -> int:
    """How much memory it takes, about, in bytes."""
    claims = sum((submission.record.path / name).stat().st_size for name in submission.contents)
    return ANSWER * len(submission.record.answers) + said(submission.record) + claims


def _parts(members: Sequence[tuple[Checked, int]]) -> Iterator[list[Checked]]:
    """Submissions with their sizes in parts that memory allows to be scored together."""
    part: list[Checked] = []
    left = TOGETHER
    for one, size in members:
        if part and size > left:
            yield part
            part, left = [], TOGETHER
        part.append(one)
        left -= size
    yield part


def _again(part: Sequence[Checked]) -> list[tuple[Checked, RunSubmission]]:
    """Submissions that were read before, and not kept."""
    found = []
    for one in part:
        with _guard(one):
            found.append((one, load(one.folder)))
    return found


def _settle(
    pairs: Sequence[tuple[Checked, Submission]], references: object, options: ScoringOptions, baselines: bool
) -> None:
    """Score submissions of one task again; where that fails for one of them, each on its own.

    Where there are no `references`, a dataset or ground truth, their claims stay unverified.
    """
    if not pairs:
        return
    if references is None:
        for checked, submission in pairs:
            with _guard(checked):
                _decide(checked, submission, told(submission))
        return
    try:
        task = pairs[0][1].claimed.task
        scored = RECOMPUTED[task]([one.evidence for _, one in pairs], references, options, baselines)
    except Exception:
        if len(pairs) > 1:
            for pair in pairs:
                _settle([pair], references, options, baselines)
        else:
            with _guard(pairs[0][0]):
                raise
        return
    for (checked, submission), ours in zip(pairs, scored, strict=True):
        with _guard(checked):
            if isinstance(ours, MicrogError):
                raise ours
            if isinstance(submission, RunSubmission) and ours.statistics:
                submission.record.statistics = ours.statistics
            _decide(checked, submission, compared(submission, ours.scorecard))


def _decide(checked: Checked, submission: Submission, outcome: Outcome) -> None:
    """Give a submission its verdict, and the scorecard that is shown."""
    card = outcome.scorecard
    checked.problems += outcome.problems
    checked.notes += [*outcome.notes, *card.remarks()]
    if isinstance(submission, RunSubmission):
        checked.record = submission.record
        checked.record.scorecard = card
        checked.record.forget()
    else:
        checked.notes += card.warnings
        checked.actions = card
