"""Collects what goes into tables and plots: scored runs and submissions, each once."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError, RunError
from microg_bench.har.reports import facts_of
from microg_bench.metrics import METRICS
from microg_bench.persons.boxes import GroundTruth
from microg_bench.privacy import without_private
from microg_bench.runs.public import public
from microg_bench.runs.record import JOURNAL_FILE, SCORECARD_FILE, RunRecord, find_runs
from microg_bench.scorecard import ACTION_SCORES, Scorecard
from microg_bench.settings import Settings
from microg_bench.submissions.check import check
from microg_bench.submissions.claims import ROUNDING, claim_faults
from microg_bench.submissions.folder import Tell
from microg_bench.submissions.load import check_finite, find_submissions, is_submission
from microg_bench.submissions.pack import packed_answers
from microg_bench.tasks import HAR
from microg_bench.text import first_line, listed

ROWS_ARE = "rows are runs that ask all requests as published, of frames as they are"


class Gathered(NamedTuple):
    """What goes into tables: runs, scorecards of actions, and the error of each that is left out."""

    runs: list[RunRecord]
    actions: list[Scorecard]
    errors: list[MicrogError]


def gather(
    runs: Iterable[Path],
    submissions: Iterable[Path] = (),
    dataset: Dataset | None = None,
    truths: Sequence[GroundTruth] = (),
    tell: Tell | None = None,
) -> Gathered:
    """The scored runs and submissions in folders of any depth.

    What was given twice, a run and its submission for example, counts once, as the run. A run that asks a
    sample of requests measures drift, and one that shows changed frames is part of a probe: neither is a row
    of a table. The order is that of the content, so that it
    does not matter where a run is stored.

    Args:
        runs: folders of scored runs.
        submissions: folders of submissions; those that `submissions.check` accepts are taken.
        dataset: what submissions of runs are checked against; without it their scores are unverified.
        truths: what those of action recognition are checked against; without it theirs are.
        tell: is called where something was given twice, with a line that names what is shown of it.

    Raises:
        RunError: a folder does not exist or holds no run.
    """
    found: list[tuple[str, RunRecord]] = []
    actions: list[Scorecard] = []
    errors: list[MicrogError] = []
    for path in [path for folder in runs for path in find_runs(folder)]:
        try:
            record = _with_answers(path)
            found.append((identity(record), record))
        except MicrogError as error:
            errors.append(error)
        except Exception as error:  # the run may be a stranger's
            errors.append(RunError(f"cannot be read: {first_line(repr(error))}", path=path))
    packed = [path for folder in submissions for path in find_submissions(folder)]
    for checked in check(packed, dataset, truths=truths):
        if checked.record:
            found.append((identity(checked.record), checked.record))
        elif checked.actions:
            actions.append(checked.actions)
        else:
            errors.append(checked.error)
    groups: dict[str, list[RunRecord]] = {}
    for key, record in found:
        if _is_row(record.settings):
            groups.setdefault(key, []).append(record)
    same = [_shown_first(groups[key]) for key in sorted(groups)]
    if tell and (twice := list(_repeated(same))):
        tell(f"given twice and shown once: {listed(twice)}")
    return Gathered([own[0] for own in same], actions, errors)


def _is_row(settings: Settings) -> bool:
    return not _why_no_row(settings)


def _why_no_row(settings: Settings) -> str:
    if settings.paraphrases:
        return "ask questions in other words"
    if settings.transforms:
        return "show changed frames"
    return "ask a part of the requests" if settings.requests is not None else ""


def no_rows(runs: Iterable[Path]) -> str:
    """Why the runs in folders are no rows of tables, counted by reason; empty where one at least may be.

    Raises:
        RunError: a folder does not exist or holds no run, or a run is damaged.
    """
    found = [_why_no_row(RunRecord.read(path).settings) for folder in runs for path in find_runs(folder)]
    counts = Counter(found)
    return "" if "" in counts else ", ".join(f"{count} {why}" for why, count in counts.items())


def read_scored(path: Path, dataset: Dataset | None = None) -> RunRecord:
    """The run at `path`, which holds a scorecard with finite scores, as others may see it, or the submission.

    Raises:
        RunError: it holds none, is damaged, or is a submission that is refused or of action recognition.
    """
    if is_submission(path):
        (checked,) = check([path], dataset)
        if checked.actions:
            raise RunError("is a submission of action recognition, which holds no answers", path=path)
        if checked.record is None:
            raise checked.error
        return checked.record
    record = RunRecord.read(path)
    check_finite(record.scorecard, path / SCORECARD_FILE)
    _check_scores(record)
    return public(record)


def _check_scores(record: RunRecord) -> None:
    """Accept a run whose scores can be, and are those of its statistics where these are at hand.

    Raises:
        RunError: they are others.
        DataError: a score of actions is none.
    """
    card = record.scorecard
    if card.task == HAR:
        facts_of(card, record.path / SCORECARD_FILE)
        return
    if fault := next(claim_faults(card), None):
        raise RunError(f"{fault}; score it again", path=record.path)
    statistics = record.statistics.metrics if record.has_statistics else {}
    for name, rows in statistics.items():
        value = card.scores[name].value if name in card.scores else None
        given = METRICS[name].aggregate(rows) if len(rows) else None
        if value is not None and given is not None and not abs(value - given) <= ROUNDING:
            reason = f"{SCORECARD_FILE} claims {name} = {value:g}, its statistics give {given:g}"
            raise RunError(f"{reason}; score it again", path=record.path)


def _with_answers(path: Path) -> RunRecord:
    if is_submission(path):
        raise RunError("is a submission: give it with --submissions", path=path)
    record = read_scored(path)
    if not record.has_journal:
        raise RunError(f"holds no {JOURNAL_FILE}, so there are no answers that were scored", path=path)
    return record


def _shown_first(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The same run from several places, that which is shown first: of a run and its submission the run."""
    return sorted(records, key=lambda one: (not one.has_journal, one.scorecard.model_dump_json()))


def _repeated(same: Iterable[Sequence[RunRecord]]) -> Iterator[str]:
    """The place of each run that is shown, with those of it that are not."""
    for shown, *others in same:
        paths = dict.fromkeys(one.path for one in others if one.path.resolve() != shown.path.resolve())
        if paths:
            yield f"{shown.path} (not {listed(list(map(str, paths)))})"


def identity(record: RunRecord) -> str:
    """What a run and its submission share, in an order for tables: title, frames, then all the rest.

    The answers are part of it, with all that is told of them. They are read, and forgotten again.
    """
    card = record.scorecard
    model = card.model
    names = [model.title, model.frame_count or 0, model.name] if model else []
    settings = card.settings.model_dump(mode="json", exclude={"dataset"}) if card.settings else None
    answers = hashlib.sha256(packed_answers(record)).hexdigest()
    record.forget()
    how = {one.signature.values.get(ACTION_SCORES, "") for one in card.scores.values() if one.signature}
    rest = [card.protocol, card.fingerprint, card.status, settings, *sorted(filter(None, how))]
    return json.dumps([*without_private([names, *rest]), answers], sort_keys=True)
