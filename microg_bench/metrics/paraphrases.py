"""METEOR's paraphrase table, reduced to what a set of texts can meet.

The whole table takes seconds to read each time. What the references cannot meet is left out in the cache,
and what candidates and references cannot meet in what METEOR reads: scores stay as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from microg_bench import __version__
from microg_bench.metrics.java import find_jar
from microg_bench.metrics.phrases import PhraseFilter, entries

_TABLES_KEPT = 16


def write_table(file: Path, references: Collection[str], candidates: Collection[str]) -> None:
    """Write the table, as METEOR's ``-a`` reads it, of what can match between these one-line texts.

    Raises:
        MetricUnavailableError: METEOR's files are missing or damaged.
    """
    source = reduced_table(references)
    file.write_bytes(_packed(entries(source, PhraseFilter(references), PhraseFilter(candidates))))


def reduced_table(references: Collection[str]) -> Path:
    """The table of these references, built where the cache has no sound copy; the whole without a cache.

    Raises:
        MetricUnavailableError: METEOR's files are missing or damaged.
    """
    whole = find_jar("meteor", "data", "paraphrase-en.gz")
    text = "".join(f"{line}\n" for line in (__version__, whole.stat().st_size, *sorted(set(references))))
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    try:
        file = _sound_copy(key) or _build(key, entries(whole, PhraseFilter(references)))
        os.utime(file)
        tables = sorted(cache_folder().glob("*.gz"), key=lambda path: -path.stat().st_mtime)
        for stale in tables[_TABLES_KEPT:]:
            stale.unlink(missing_ok=True)
    except (OSError, RuntimeError):
        return whole
    return file


def cache_folder() -> Path:
    """Where reduced tables are kept: below XDG_CACHE_HOME, else below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "microg-bench" / "meteor"


def _sound_copy(key: str) -> Path | None:
    """The cached table whose content still has the hash in its name."""
    for file in cache_folder().glob(f"{key}-*.gz"):
        if file.name == _file_name(key, file.read_bytes()):
            return file
        file.unlink()
    return None


def _build(key: str, kept: Iterator[bytes]) -> Path:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        content = _packed(kept)
        part = Path(folder) / "table"
        part.write_bytes(content)
        return part.replace(cache_folder() / _file_name(key, content))


def _packed(kept: Iterator[bytes]) -> bytes:
    return gzip.compress(b"".join(kept), compresslevel=1, mtime=0)


def _file_name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:32]}.gz"
