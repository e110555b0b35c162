"""Opens a submission's folder as hostile input: these files and no others, plain, bounded in size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from microg_bench.errors import RunError
from microg_bench.files import write_bytes
from microg_bench.leaderboard.submission import FILES, PACKED_JOURNAL
from microg_bench.runs.folder import JOURNAL_FILE, RUN_FILE
from microg_bench.runs.scoring import SCORECARD_FILE

MAX_JSON = 5_000_000
MAX_PACKED = 50_000_000
MAX_JOURNAL = 500_000_000


class PackedError(RunError):
    """A fault after which no more of a submission can be looked at; the text does not name its folder."""


def check_files(folder: Path) -> None:
    """Accept a folder that holds the files of a submission and nothing else.

    Raises:
        PackedError: naming what is wrong.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise PackedError("is not a folder")
    names = sorted(path.name for path in folder.iterdir())
    if names != sorted(FILES):
        raise PackedError(f"must hold exactly {', '.join(FILES)}; holds {', '.join(names) or 'nothing'}")
    for name in FILES:
        file, limit = folder / name, MAX_PACKED if name == PACKED_JOURNAL else MAX_JSON
        if file.is_symlink() or not file.is_file():
            raise PackedError(f"{name} is not a plain file")
        if file.stat().st_size > limit:
            raise PackedError(f"{name} is larger than {limit:,} bytes")


def journal_lines(file: Path) -> Iterator[bytes]:
    """The lines of a packed journal, unpacked no further than the limit.

    Raises:
        PackedError: it is larger, or no gzip file.
    """
    left = MAX_JOURNAL
    try:
        with gzip.open(file) as unpacked:
            while line := unpacked.readline(left + 1):
                left -= len(line)
                if left < 0:
                    raise PackedError(f"{file.name} unpacks to more than {MAX_JOURNAL:,} bytes")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise PackedError(f"{file.name} cannot be unpacked: {error}") from None


def unpack(folder: Path, run: Path) -> Path:
    """Make a run folder at `run` of the submission in `folder`, which `check_files` accepts.

    Raises:
        PackedError: its journal cannot be unpacked.
    """
    for name in (RUN_FILE, SCORECARD_FILE):
        write_bytes(run / name, (folder / name).read_bytes())
    write_bytes(run / JOURNAL_FILE, b"".join(journal_lines(folder / PACKED_JOURNAL)))
    return run
