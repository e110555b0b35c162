"""Writes the leaderboard: a page with all boards, and one page for each run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from microg_bench.dataset.fetch import REPOSITORY
from microg_bench.dataset.load import Dataset
from microg_bench.errors import MicrogError
from microg_bench.pages.boards import boards, comparisons
from microg_bench.pages.entries import Entry, asked_cards, check_admissible, read_entries, references_of
from microg_bench.pages.folder import PageFolder, new_folder
from microg_bench.pages.frames import Strip, draw, recorded, why_none
from microg_bench.pages.judged_boards import judged_boards
from microg_bench.pages.on_board_boards import on_board_boards
from microg_bench.pages.probe_boards import probe_boards
from microg_bench.pages.probes_page import probes_page
from microg_bench.pages.run_page import run_page
from microg_bench.pages.shell import render
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.tables.gather import identity
from microg_bench.tables.probes import ProbedRuns
from microg_bench.tasks import HAR

TITLE = "MicroG-4M leaderboard"
# What the hub reads of a Space: it shows index.html as it is.
SPACE = f"""---
title: {TITLE}
sdk: static
app_file: index.html
tags:
  - leaderboard
  - video
datasets:
  - {REPOSITORY}
---

Built by `microg-bench leaderboard build`: the whole folder is the Space.
"""
COMPONENTS = ("help", "filters", "table", "charts", "board")
NO_PICTURES = "Pictures of the frames are on the page that `microg-bench probe` writes."

_Key = tuple[str, str, int]


def build(  # noqa: PLR0913 - what stands on a leaderboard
    out: Path,
    runs: Sequence[RunRecord],
    har: Sequence[Scorecard] = (),
    submitted: Sequence[Scorecard] = (),
    probed: Sequence[ProbedRuns] = (),
    *,
    dataset: Dataset | None = None,
    pictures: bool = True,
    progress: Progress,
) -> tuple[int, list[MicrogError]]:
    """Write the leaderboard into the folder `out`; the same input gives the same bytes.

    Args:
        out: a folder that is new, empty, or holds a leaderboard that was written here.
        runs: scored runs, and submissions that were accepted; see `tables.gather`.
        har: scorecards of action recognition.
        submitted: those of submissions that were accepted.
        probed: probes of models; see `tables.probes.gather_probes`.
        dataset: the references and videos of the pages; see `read_entries`.
        pictures: whether the frames that models were shown are drawn.
        progress: told of the comparing and the drawing.

    Returns:
        How many rows there are, and the error of each run that was left out, or what of it was.

    Raises:
        UsageError: `out` holds files from elsewhere.
        DataError: two scorecards of the same detections have different scores.
        RunError: a file cannot be written.
    """
    with new_folder(out) as folder:
        entries, errors = read_entries([run for run in runs if run.settings.task != HAR], dataset)
        asked, unfit = asked_cards([run for run in runs if run.settings.task == HAR])
        errors += unfit
        names = [f"runs/{_name(entry)}" for entry in entries]
        pages = [f"{name}/index.html" for name in names]
        judged, unread = judged_boards(entries, pages)
        on_board, unmeasured = on_board_boards(entries, pages)
        pairs = comparisons(entries, progress)
        _write_runs(folder, entries, names, pictures, progress)
        found = [*boards(entries, pages, pairs, [*har, *asked], submitted), *judged, *on_board]
        actions = (board["groups"][0] for board in found if board["task"].startswith("har"))
        rows = len(entries) + sum(len(group["rows"]) for group in actions)
        found += probe_boards(_write_probes(folder, probed, dataset, errors))
        page = render("leaderboard", COMPONENTS, {"boards": found}, title=TITLE, rows=rows)
        folder.write("index.html", page)
        folder.write("README.md", SPACE.encode())
    return rows, [*errors, *unread, *unmeasured]


def _name(entry: Entry) -> str:
    """A name that stays the same whatever rows are added, and holds no text from elsewhere."""
    return f"{entry.card.task}-{hashlib.sha256(entry.identity.encode()).hexdigest()[:12]}"


def _write_probes(
    folder: PageFolder, probed: Sequence[ProbedRuns], dataset: Dataset | None, errors: list[MicrogError]
) -> list[tuple[ProbedRuns, str]]:
    """The page of each that may stand on a leaderboard, with its name; the errors of the others are added."""
    found = []
    for one in probed:
        runs = [run for own in one.conditions.values() for run in own.values()]
        try:
            for run in runs:
                check_admissible(run)
            content = identity(runs[0]) + one.report.model_dump_json()
            name = f"probes/{hashlib.sha256(content.encode()).hexdigest()[:12]}/index.html"
            page = probes_page(one, references_of(runs[0], dataset), {}, NO_PICTURES, "../../index.html")
        except MicrogError as error:
            errors.append(error)
        else:
            folder.write(name, page)
            found.append((one, name))
        for run in runs:
            run.forget()
    return found


def _write_runs(
    folder: PageFolder, entries: Sequence[Entry], names: Sequence[str], pictures: bool, progress: Progress
) -> None:
    """The page of each run. Runs that were shown the same frames share their pictures."""
    notes = [why_none(entry.run.settings, entry.dataset, pictures) for entry in entries]
    drawn = _draw(folder, [entry for entry, note in zip(entries, notes, strict=True) if not note], progress)
    for entry, name, note in zip(entries, names, notes, strict=True):
        place, strips = drawn[_shown(entry)] if note is None else ("", {})
        shown = recorded([entry.run])
        page = run_page(
            [entry.run],
            entry.dataset,
            [entry.statistics.item_scores() if entry.statistics else {}],
            {clip: strip for clip, strip in strips.items() if clip in shown},
            note,
            f"../../{place}",
            "../../index.html",
        )
        folder.write(f"{name}/index.html", page)
        entry.run.forget()


def _draw(
    folder: PageFolder, entries: Sequence[Entry], progress: Progress
) -> dict[_Key, tuple[str, dict[str, Strip]]]:
    """The folder of pictures and the strips of all runs that were shown the same frames."""
    groups: dict[_Key, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_shown(entry), []).append(entry)
    shown = {key: recorded(entry.run for entry in group) for key, group in groups.items()}
    progress.stage("drawing frames", sum(map(len, shown.values())))
    drawn: dict[_Key, tuple[str, dict[str, Strip]]] = {}
    for number, (key, group) in enumerate(groups.items(), start=1):
        place, dataset, settings = f"pictures/{number:02d}/frames", group[0].dataset, group[0].run.settings
        if dataset and settings.frames:
            drawn[key] = place, draw(dataset, settings, shown[key], folder.write, progress.advance, place)
    return drawn


def _shown(entry: Entry) -> _Key:
    """What two runs share that were shown the same frames; of transforms the seed decides, too."""
    settings = entry.run.settings
    return entry.card.fingerprint, settings.shown, settings.generation.seed if settings.transforms else 0
