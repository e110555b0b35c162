"""The rows of the leaderboard: complete runs on whole datasets, and submissions, read once."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from microg_bench.dataset.load import Dataset
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.records import Response
from microg_bench.runs.budget import find_price
from microg_bench.runs.public import public
from microg_bench.runs.record import JOURNAL_FILE, RUN_FILE, SCORECARD_FILE, RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import ModelEntry, Scorecard
from microg_bench.submissions.load import check_finite
from microg_bench.tables.gather import identity
from microg_bench.text import many

MAX_FRAMES = 100_000


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard: a run, its references and the statistics of its items where they are at hand.

    `dollars` is what its answers cost by list prices, had each been asked for alone: without batches, without
    answers from the cache. None where no price is known, or tokens were not counted. `seconds` is the median
    of what the engine took for an answer, None where it told none. `identity` is that of the run, by which
    rows are ordered and named.
    """

    run: RunRecord
    statistics: Statistics | None
    dataset: Dataset | None
    dollars: float | None
    seconds: float | None
    identity: str

    @property
    def card(self) -> Scorecard:
        """Its scorecard."""
        return self.run.scorecard


def read_entries(runs: Iterable[RunRecord], dataset: Dataset | None) -> tuple[list[Entry], list[MicrogError]]:
    """Everything that may stand on a leaderboard, and the error of each run that may not.

    The order is that of the content, so that it does not matter where a run is stored.

    Args:
        runs: scored runs, and submissions that were accepted.
        dataset: the references; a run on others takes what it was started with, a submission none.
    """
    found: dict[str, Entry] = {}
    errors: list[MicrogError] = []
    for record in runs:
        try:
            run = public(record) if record.has_journal else record  # nothing in a submission is private
            check_admissible(run)
            statistics = run.statistics if run.has_statistics else None
            took = _dollars(run), _seconds(run)
            entry = Entry(run, statistics, references_of(run, dataset), *took, identity(run))
        except MicrogError as error:
            errors.append(error)
        else:
            found.setdefault(entry.identity, entry)
    return [found[key] for key in sorted(found)], errors


def asked_cards(runs: Iterable[RunRecord]) -> tuple[list[Scorecard], list[MicrogError]]:
    """The scorecards of models that were asked about persons, and the error of each that is left out."""
    cards: list[Scorecard] = []
    errors: list[MicrogError] = []
    for run in runs:
        try:
            check_admissible(run)
            cards.append(run.scorecard)
        except MicrogError as error:
            errors.append(error)
    return cards, errors


def check_admissible(run: RunRecord) -> None:
    """Accept a complete run on a whole dataset, whose scorecard is of its settings and its answers.

    Raises:
        RunError: it is not complete, asks only some of the clips, or its files tell of different runs.
    """
    card, settings, counts = run.scorecard, run.settings, run.scorecard.counts
    check_finite(card, run.path / SCORECARD_FILE)
    if not card.complete or counts.failed or counts.missing or counts.unknown or run.failures:
        raise RunError(f"is not complete ({card.status}), so it cannot stand on a leaderboard", path=run.path)
    if settings.part:
        raise RunError(f"asks {settings.part}, not the whole dataset", path=run.path)
    if card.items != len(run.answers):
        reason = f"holds {many(len(run.answers), 'answer')}, its scorecard is of {card.items}; score it again"
        raise RunError(reason, path=run.path)
    if not _belongs(run):
        raise RunError(f"{RUN_FILE} and {SCORECARD_FILE} tell of different runs", path=run.path)


def _belongs(run: RunRecord) -> bool:
    """Whether the scorecard tells of the settings of its run."""
    card, settings = run.scorecard, run.settings
    count = card.model.frame_count if card.model else None
    model = ModelEntry(name=settings.model, title=settings.title, frames=settings.frames, frame_count=count)
    claimed = (card.task, card.settings, card.model, card.fingerprint)
    return (
        claimed == (settings.task, settings, model, settings.fingerprint) and 0 <= (count or 0) <= MAX_FRAMES
    )


def references_of(run: RunRecord, dataset: Dataset | None) -> Dataset | None:
    """The references of a run: those given, else those that it was started with, where they are the same."""
    if dataset and dataset.fingerprint == run.settings.fingerprint:
        return dataset
    if not isinstance(run.options.get("data"), str):
        return None
    try:
        return run.dataset()
    except DataError:
        return None


def _dollars(run: RunRecord) -> float | None:
    price = find_price(run.settings.engine, run.settings.checkpoint)
    if price is None:
        return None
    answers = [one.model_copy(update={"from_cache": False}) for one in run.answers.values()]
    try:
        if min(map(_fewest, answers), default=0) < 0:
            raise OverflowError
        counted = [float(price.of(one)) for one in answers if one.prompt_tokens is not None]
    except OverflowError:
        raise RunError("damaged: its token counts are out of range", path=run.path / JOURNAL_FILE) from None
    return sum(counted) if counted else None


def _seconds(run: RunRecord) -> float | None:
    told = [one.seconds for one in run.answers.values() if one.seconds > 0 and not one.from_cache]
    return median(told) if told else None


def _fewest(response: Response) -> int:
    return min(response.prompt_tokens or 0, response.cached_tokens or 0, response.output_tokens or 0)
