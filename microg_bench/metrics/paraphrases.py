"""METEOR's paraphrase table, reduced to what a set of references can meet, and kept in the user's cache.

The whole table takes seconds to load each time. The jar's own filter keeps every entry of which one side
occurs in a reference; no other entry can match, so scores stay the same.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path

from microg_bench.metrics.java import find_jar, run

_FILTER_SECONDS = 300.0
_TABLES_KEPT = 16


def reduced_table(references: Collection[str]) -> Path | None:
    """The table for these references (one-line texts), built where the cache has no sound copy of it.

    Returns:
        A gzip file for METEOR's ``-a``, or None where no cache can be written: METEOR then reads the whole.

    Raises:
        MetricUnavailableError: Java or METEOR's files are missing or fail.
    """
    text = "".join(f"{line}\n" for line in sorted(set(references))).encode()
    whole = find_jar("meteor", "data", "paraphrase-en.gz")
    key = hashlib.sha256(f"{whole.stat().st_size}\n".encode() + text).hexdigest()
    try:
        file = cache_folder() / f"{key[:32]}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not _is_sound(file):
            _build(file, whole, text)
        os.utime(file)
        for stale in sorted(file.parent.glob("*.gz"), key=lambda path: -path.stat().st_mtime)[_TABLES_KEPT:]:
            stale.unlink(missing_ok=True)
    except (OSError, RuntimeError):
        return None
    return file


def cache_folder() -> Path:
    """Where reduced tables are kept: below XDG_CACHE_HOME, else below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "microg-bench" / "meteor"


def _is_sound(file: Path) -> bool:
    """Whether a gzip file is there and can be read to its end; an empty file reads as sound, and is not."""
    try:
        if not file.stat().st_size:
            return False
        with gzip.open(file) as stream:
            while stream.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _build(file: Path, whole: Path, references: bytes) -> None:
    jar = find_jar("meteor", "meteor-1.5.jar")
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        lines, reduced = Path(folder) / "references", Path(folder) / "reduced"
        lines.write_bytes(references)
        arguments = ("-cp", str(jar), "FilterParaphrase", str(whole), str(reduced), str(lines))
        run(arguments, "", _FILTER_SECONDS)
        reduced.replace(file)
