"""Reads a submission as hostile input: only its own files, plain, bounded in size, with finite scores."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from microg_bench.errors import RunError
from microg_bench.runs.record import SCORECARD_FILE, RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.submissions.pack import FILES, PACKED_JOURNAL

MAX_JSON = 5_000_000  # bytes of run.json and of scorecard.json
MAX_PACKED = 50_000_000  # bytes of the packed journal
MAX_JOURNAL = 500_000_000  # bytes of the journal
MAX_SCORE = 1e6  # far above any score; the largest, CIDEr, is at most 1,000


def find_submissions(folder: Path) -> list[Path]:
    """The submissions in `folder`, each a folder, or `folder` itself where it is one.

    Raises:
        RunError: `folder` does not exist or holds no folder.
    """
    if not folder.is_dir():
        raise RunError("no such folder", path=folder)
    if (folder / SCORECARD_FILE).is_file():
        return [folder]
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise RunError("holds no submission", path=folder)
    return found


def load(folder: Path) -> RunRecord:
    """The run in a submission's folder, all of whose files have been read.

    Raises:
        RunError: the folder holds other files than those of a submission, or one of them is no plain file, is
            too large or is damaged.
    """
    _check_files(folder)
    record = RunRecord.read(folder, lines=_responses)
    check_finite(record.scorecard, folder / SCORECARD_FILE)
    record.answers  # noqa: B018 - damage of the journal is found here
    return record


def check_finite(card: Scorecard, file: Path) -> None:
    """Accept a scorecard, read from `file`, in which every score is a number of a size that scores have.

    Raises:
        RunError: it holds another number.
    """
    for name, value in _numbers(card):
        if not abs(value) <= MAX_SCORE:
            raise RunError(f"damaged: {name} is {value}", path=file)


def _numbers(card: Scorecard) -> Iterator[tuple[str, float]]:
    for name, one in card.scores.items():
        yield from ((name, value) for value in (one.value, *(one.interval or ())) if value is not None)
    for title, baseline in card.baselines.items():
        yield from ((f"baseline {title}, {name}", value) for name, value in baseline.scores.items())
    for kind, slices in card.slices.items():
        for label, part in slices.items():
            yield from ((f"{kind} {label}, {name}", value) for name, value in part.scores.items())


def _check_files(folder: Path) -> None:
    if not folder.is_dir() or folder.is_symlink():
        raise RunError("is not a folder", path=folder)
    names = sorted(path.name for path in folder.iterdir())
    if names != sorted(FILES):
        reason = f"must hold exactly {', '.join(FILES)}; holds {', '.join(names) or 'nothing'}"
        raise RunError(reason, path=folder)
    for name in FILES:
        file, limit = folder / name, MAX_PACKED if name == PACKED_JOURNAL else MAX_JSON
        if file.is_symlink() or not file.is_file():
            raise RunError("is not a plain file", path=file)
        if file.stat().st_size > limit:
            raise RunError(f"is larger than {limit:,} bytes", path=file)


def _responses(journal: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """The lines of a packed journal, each the only response to its request."""
    file = journal.with_name(PACKED_JOURNAL)
    seen: set[str] = set()
    for number, line in enumerate(_lines(file), start=1):
        item = f"line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RunError(f"not JSON: {error}", path=file, item=item) from None
        name = record.get("id") if isinstance(record, dict) and record.get("type") == "response" else None
        if not isinstance(name, str):
            raise RunError("is no response to a request", path=file, item=item)
        if name in seen:
            raise RunError(f"answers {name} again", path=file, item=item)
        seen.add(name)
        yield number, record


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a gzip file, unpacked no further than the limit."""
    left = MAX_JOURNAL
    try:
        with gzip.open(file) as unpacked:
            while line := unpacked.readline(left + 1):
                left -= len(line)
                if left < 0:
                    raise RunError(f"unpacks to more than {MAX_JOURNAL:,} bytes", path=file)
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"cannot be unpacked: {error}", path=file) from None
