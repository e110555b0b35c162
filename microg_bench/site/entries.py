"""What stands on the leaderboard: runs and submissions, read once, with all that their pages tell."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from microg_bench.dataset import Dataset, load
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.files import write_json
from microg_bench.leaderboard.gather import identity, read_finite
from microg_bench.leaderboard.packed import PackedError, check_files, unpack
from microg_bench.leaderboard.rescoring import rescore
from microg_bench.records import Response
from microg_bench.report.part import Part, make_part
from microg_bench.runs.cost import find_price
from microg_bench.runs.evaluate import Scoring
from microg_bench.runs.folder import JOURNAL_FILE, read_responses, read_run, read_state
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import SCORECARD_FILE
from microg_bench.runs.settings import Settings
from microg_bench.runs.statistics import STATISTICS_FILE, Statistics, read_statistics
from microg_bench.site.admission import check_admissible


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard.

    Attributes:
        place: the folder that it was read from, for messages.
        part: what the page of the run tells.
        statistics: those of its items, None where they are not at hand.
        dataset: the references that it was made on, None where they are not at hand.
        dollars: what its answers cost by list prices, had each been asked for alone: without batches, without
            answers shared by an earlier run. None where no price is known, or tokens were not counted.
    """

    place: Path
    part: Part
    statistics: Statistics | None
    dataset: Dataset | None
    dollars: float | None

    @property
    def card(self) -> Scorecard:
        """Its scorecard."""
        return self.part.card


def submissions_in(folder: Path) -> list[Path]:
    """The submissions in `folder`, each a folder, or `folder` itself where it is one.

    Raises:
        RunError: `folder` does not exist.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder")
    if (folder / SCORECARD_FILE).is_file():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_entries(
    runs: Iterable[Path],
    submissions: Iterable[Path],
    data: str | None,
    scoring: Scoring | None,
    scratch: Path,
) -> tuple[list[Entry], list[MicrogError]]:
    """Read everything that can be read, and say of the rest why not.

    What was given twice, a run and its submission for example, counts once, as the run. The order is that of
    the content, so that it does not matter where a run lies.

    Args:
        runs: scored run folders.
        submissions: folders of packed runs.
        data: the dataset; a run on another one takes what it was started with, a submission none.
        scoring: how submissions are scored again, so that the statistics of their items are known and their
            claims are checked; None takes their scorecards as they are.
        scratch: an empty folder, in which submissions are unpacked.

    Raises:
        DataError: the dataset `data` cannot be read.
    """
    given = load(data) if data else None
    found: dict[str, Entry] = {}
    opened, errors = _opened(submissions, scratch)
    if scoring is not None:
        errors += _scored(opened, data, given, scoring)
    for place, run in [*((run, run) for run in runs), *opened.items()]:
        try:
            entry = _read(place, run, given)
        except MicrogError as error:
            errors.append(error)
        else:
            found.setdefault(identity(entry.card), entry)
    return [found[key] for key in sorted(found)], errors


def _opened(submissions: Iterable[Path], scratch: Path) -> tuple[dict[Path, Path], list[MicrogError]]:
    """The run folder that was made of each submission, and the error of each that cannot be opened."""
    runs: dict[Path, Path] = {}
    errors: list[MicrogError] = []
    for number, folder in enumerate(submissions):
        try:
            check_files(folder)
            runs[folder] = unpack(folder, scratch / str(number))
        except PackedError as error:
            errors.append(RunError(f"{folder}: {error}"))
    return runs, errors


def _scored(
    runs: dict[Path, Path], data: str | None, given: Dataset | None, scoring: Scoring
) -> list[MicrogError]:
    """Score submissions again, take out those that claim something else, and say of each what."""
    cards: dict[Path, tuple[Path, Scorecard]] = {}
    for folder, run in runs.items():
        with suppress(MicrogError):  # it is told of when the run is read
            cards[folder] = run, _read(folder, run, given).card
    refused = {folder: one.problems for folder, one in rescore(cards, data, scoring).items() if one.problems}
    for folder in refused:
        del runs[folder]
    for run, card in cards.values():  # its claims hold, and tell of metrics, too, that are not at hand here
        write_json(run / SCORECARD_FILE, card.to_json())
    return [RunError(f"{folder}: {problems[0]}") for folder, problems in refused.items()]


def _read(place: Path, run: Path, given: Dataset | None) -> Entry:
    try:
        content, card = read_run(run), read_finite(run)
        if not (run / JOURNAL_FILE).is_file():
            raise RunError(f"{run}: holds no {JOURNAL_FILE}, so there are no answers to show")
        statistics = read_statistics(run) if (run / STATISTICS_FILE).is_file() else None
        data = _data(run, content)
        dataset = _dataset(data if run == place else None, card, given)
        part = make_part(run, content, card, read_state(run), dataset, statistics)
        check_admissible(run, part)
        return Entry(place, part, statistics, dataset, _dollars(run, part.settings))
    except MicrogError as error:
        raise RunError(str(error).replace(str(run), str(place))) from error


def _data(run: Path, content: dict[str, Any]) -> str | None:
    """The dataset that a run was started with; that of a submission lies on another machine."""
    options = content["options"]
    data = options.get("data") if isinstance(options, dict) else options
    if not isinstance(data, str | None):
        raise RunError(f"{run}: its run.json is damaged: options tell of no dataset")
    return data


def _dataset(own: str | None, card: Scorecard, given: Dataset | None) -> Dataset | None:
    """The references of a run: those given, else those that it was started with, where they are the same."""
    if given and given.fingerprint == card.fingerprint:
        return given
    try:
        found = load(own) if own else None
    except DataError:
        return None
    return found if found and found.fingerprint == card.fingerprint else None


def _dollars(run: Path, settings: Settings) -> float | None:
    price = find_price(settings.engine, settings.checkpoint)
    if price is None:
        return None
    try:
        responses = [one.model_copy(update={"shared": False}) for one in read_responses(run)]
        if min((_fewest(one) for one in responses), default=0) < 0:
            raise OverflowError
        counted = [float(price.of(one)) for one in responses if one.prompt_tokens is not None]
    except (ValidationError, OverflowError) as error:
        raise RunError(f"{run / JOURNAL_FILE}: damaged: its numbers of tokens are none") from error
    return sum(counted) if counted else None


def _fewest(response: Response) -> int:
    return min(response.prompt_tokens or 0, response.cached_tokens or 0, response.output_tokens or 0)
