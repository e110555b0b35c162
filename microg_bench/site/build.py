"""Writes the site: the page of the leaderboard, and one page for each run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from microg_bench.errors import MicrogError
from microg_bench.har.report import Report
from microg_bench.leaderboard.gather import identity
from microg_bench.report.folder import PageFolder, check_free, new_folder
from microg_bench.report.frames import Strip, draw, recorded, why_none
from microg_bench.report.page import run_page
from microg_bench.report.shell import render
from microg_bench.runs.evaluate import Scoring
from microg_bench.site.boards import boards
from microg_bench.site.entries import Entry, read_entries
from microg_bench.site.pairs import comparisons
from microg_bench.site.watcher import Watcher

TITLE = "MicroG-4M leaderboard"
ASSETS = Path(__file__).with_name("assets")
STYLES = ("base.css", "leaderboard.css")
SCRIPTS = ("dom.js", "board.js", "charts.js", "pairs.js", "leaderboard.js")


def build(  # noqa: PLR0913 - what goes in, and how
    out: Path,
    runs: Iterable[Path],
    submissions: Iterable[Path],
    reports: Sequence[Report],
    data: str | None,
    scoring: Scoring | None,
    pictures: bool,
    watcher: Watcher,
) -> tuple[int, list[MicrogError]]:
    """Write the site into the folder `out`; the same input gives the same bytes.

    Args:
        out: a folder that is new, or holds a site that was written here.
        runs: scored run folders.
        submissions: folders of packed runs.
        reports: scores of detections of actions.
        data: the dataset, for references and pictures; see `read_entries`.
        scoring: how submissions are scored again; None takes their scorecards as they are.
        pictures: whether the frames that models were shown are drawn.
        watcher: told of the progress.

    Returns:
        How many rows there are, and what was left out.

    Raises:
        UsageError: `out` holds files from elsewhere.
        DataError: the dataset `data` cannot be read.
        RunError: a file cannot be written.
    """
    check_free(out)
    with tempfile.TemporaryDirectory() as scratch, new_folder(out) as folder:
        entries, errors = read_entries(runs, submissions, data, scoring, Path(scratch))
        names = [f"runs/{_name(entry)}" for entry in entries]
        pairs = comparisons(entries, watcher)
        _write_runs(folder, entries, names, pictures, watcher)
        pages = [f"{name}/index.html" for name in names]
        found = boards(entries, pages, pairs, reports)
        folder.write("index.html", _page(found, len(entries)))
    return len(entries), errors


def _name(entry: Entry) -> str:
    """A name that stays the same whatever rows are added, and holds no text from elsewhere."""
    return f"{entry.card.task}-{hashlib.sha256(identity(entry.card).encode()).hexdigest()[:12]}"


def _page(found: Sequence[dict[str, object]], rows: int) -> bytes:
    return render("leaderboard.html", {"boards": found}, STYLES, SCRIPTS, (ASSETS,), title=TITLE, rows=rows)


def _write_runs(
    folder: PageFolder, entries: Sequence[Entry], names: Sequence[str], pictures: bool, watcher: Watcher
) -> None:
    """The page of each run. Runs that were shown the same frames share their pictures."""
    shown: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for entry in entries:
        if _why_none(entry, pictures) is None:
            shown[_key(entry)] = {**recorded([entry.part]), **shown.get(_key(entry), {})}
    watcher.begin("drawing frames", sum(map(len, shown.values())), 0)
    drawn: dict[tuple[str, str], tuple[str, dict[str, Strip]]] = {}
    for entry, name in zip(entries, names, strict=True):
        key, note = _key(entry), _why_none(entry, pictures)
        if note is None and key not in drawn and entry.dataset is not None:
            place = f"pictures/{len(drawn) + 1:02d}"
            write = partial(_write_below, folder, place)
            drawn[key] = place, draw(entry.dataset, key[1], shown[key], write, watcher.step)
        place, strips = drawn[key] if note is None else ("", {})
        strips = {clip: strip for clip, strip in strips.items() if clip in recorded([entry.part])}
        page = run_page([entry.part], strips, note, f"../../{place}/frames", "../../index.html")
        folder.write(f"{name}/index.html", page)


def _key(entry: Entry) -> tuple[str, str]:
    """What two runs share that were shown the same frames."""
    return entry.card.fingerprint, entry.part.settings.frames


def _why_none(entry: Entry, pictures: bool) -> str | None:
    return why_none(entry.part.settings.frames, entry.dataset, pictures)


def _write_below(folder: PageFolder, place: str, name: str, content: bytes) -> None:
    folder.write(f"{place}/{name}", content)
