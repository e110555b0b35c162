"""The verdict on submissions: accepted with what of them is to be shown, or refused with the reasons.

What another verb shows of submissions comes from here, so that all show the same ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError, RunError
from microg_bench.options import ScoringOptions
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.faults import answered, copies, doubts, faults
from microg_bench.submissions.load import Submission, load
from microg_bench.submissions.rescore import RECOMPUTED, Outcome, claimed_options, compared, told
from microg_bench.text import first_line

LONGEST = 500  # characters of a problem or a note
TOGETHER = 20_000_000  # characters of the answers that are scored together


@dataclass
class Checked:
    """What was found out about a submission; `problems`, a line each, are why it is refused.

    `record` holds what is to be shown of it: its answers, the scorecard that they give, and the statistics of
    its items where it was scored again. It is None where the submission is refused. `notes` say what could
    not be checked, and what a reader of the scores must know.
    """

    folder: Path
    record: RunRecord | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def error(self) -> RunError:
        """Why it is refused, in a line."""
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        return RunError(f"{self.problems[0]}{more}", path=self.folder)


def check(
    folders: Iterable[Path], dataset: Dataset | None, options: ScoringOptions | None = None
) -> list[Checked]:
    """Check submissions, each of which gets a verdict of its own, whatever it holds.

    Args:
        folders: the submissions.
        dataset: the one that they were made on. With it they are scored again; without it all their scores
            are marked as unverified.
        options: how they are scored, but for metrics, protocol and clusters; None takes the defaults.
    """
    found = [Checked(folder) for folder in folders]
    sound: list[tuple[Checked, Submission]] = []
    for one in found:
        with _guard(one):
            submission = load(one.folder)
            one.problems += faults(submission, dataset)
            if not one.problems:
                one.notes += doubts(submission.record, dataset)
                sound.append((one, submission))
    if dataset is None:
        for one, submission in sound:
            with _guard(one):
                _decide(one, submission, told(submission.record, submission.schema))
    else:
        for group, how, baselines in _alike(sound, options or ScoringOptions()):
            _rescore(group, dataset, how, baselines)
    accepted = {one.folder: one for one in found if one.record}
    for record, line in copies([one.record for one in accepted.values() if one.record]):
        accepted[record.path].notes.append(line)
    for one in found:
        one.problems, one.notes = list(map(_cut, one.problems)), list(map(_cut, one.notes))
    return found


def _cut(line: str) -> str:
    """`line` within the length of one, whatever it quotes."""
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


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
        checked.record = None


Pairs = list[tuple[Checked, Submission]]
Group = tuple[Pairs, ScoringOptions, bool]


def _alike(submissions: Pairs, options: ScoringOptions) -> Iterator[Group]:
    """Submissions that claim to be scored alike, which are scored together as far as memory allows."""
    groups: dict[tuple[str, ScoringOptions, bool], Pairs] = defaultdict(list)
    for pair in submissions:
        card = pair[1].record.scorecard
        groups[card.task, *claimed_options(card, options)].append(pair)
    for (_, how, baselines), pairs in groups.items():
        part: Pairs = []
        left = TOGETHER
        for pair in pairs:
            size = answered(pair[1].record)
            if part and size > left:
                yield part, how, baselines
                part, left = [], TOGETHER
            part.append(pair)
            left -= size
        yield part, how, baselines


def _rescore(pairs: Pairs, dataset: Dataset, options: ScoringOptions, baselines: bool) -> None:
    """Score submissions of one task again; where that fails for one of them, each on its own."""
    records = [submission.record for _, submission in pairs]
    try:
        scored = RECOMPUTED[records[0].scorecard.task](records, dataset, options, baselines)
    except Exception:
        if len(pairs) > 1:
            for pair in pairs:
                _rescore([pair], dataset, options, baselines)
        else:
            with _guard(pairs[0][0]):
                raise
        return
    for (checked, submission), ours in zip(pairs, scored, strict=True):
        with _guard(checked):
            if isinstance(ours, MicrogError):
                raise ours
            submission.record.statistics = ours.statistics
            _decide(
                checked, submission, compared(submission.record.scorecard, ours.scorecard, submission.schema)
            )


def _decide(checked: Checked, submission: Submission, outcome: Outcome) -> None:
    """Give a submission its verdict, and the scorecard that is shown."""
    checked.problems += outcome.problems
    checked.notes += [*outcome.notes, *outcome.scorecard.remarks()]
    checked.record = submission.record
    checked.record.scorecard = outcome.scorecard
