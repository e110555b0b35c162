"""The per-item statistics of a scored run, from which runs are compared without reading text again."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microg_bench.errors import RunError
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array
from microg_bench.records import Request
from microg_bench.storage import write_bytes
from microg_bench.text import first_line

MAX_BYTES = 512 * 1024**2  # unpacked: a million items of 37 numbers, with their ids
MAX_ITEMS = 1_500_000  # whose ids take more memory than the array that they are read from
# What numpy and zipfile raise for a file that is broken, or tells of more than there is memory for.
_DAMAGED = (
    *(AttributeError, EOFError, KeyError, MemoryError, NotImplementedError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Items and their sources in order, and for each metric an array of shape (items, k)."""

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    metrics: Mapping[str, Array]

    @classmethod
    def of(cls, requests: Sequence[Request], metrics: Mapping[str, Array]) -> Statistics:
        """The statistics of the items that `requests` asked for, one row a request."""
        return cls(
            tuple(request.id for request in requests), tuple(request.source for request in requests), metrics
        )

    def item_scores(self) -> dict[str, dict[str, float]]:
        """The score of each item, ×100, by metric and id."""
        return {
            name: dict(zip(self.ids, map(float, METRICS[name].per_item(rows)), strict=True))
            for name, rows in self.metrics.items()
        }

    def write(self, file: Path) -> None:
        """Write an .npz file; the same statistics give the same bytes.

        Raises:
            RunError: the file cannot be written.
        """
        names = {"ids": np.array(self.ids, dtype=np.str_), "sources": np.array(self.sources, dtype=np.str_)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **names, **self.metrics)
        write_bytes(file, buffer.getvalue())


def read_statistics(file: Path) -> Statistics:
    """The statistics of a scored run.

    Raises:
        RunError: it has not been scored, or the file is damaged.
    """
    again = f"run `microg-bench score {file.parent}`"
    if not file.is_file():
        if file.with_name("scorecard.json").is_file():
            raise RunError(f"{file.name} is missing: {again} again", path=file.parent)
        raise RunError(f"has not been scored: {again} first", path=file.parent)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if sum(member.file_size for member in arrays.zip.infolist()) > MAX_BYTES:
                raise ValueError(f"it holds more than {MAX_BYTES >> 20} MiB")
            names = [arrays[key] for key in ("ids", "sources")]
            metrics = {name: arrays[name] for name in arrays.files if name in METRICS}
    except _DAMAGED as error:
        raise RunError(f"damaged ({first_line(error)}); {again} again", path=file) from error
    if any(one.shape != names[0].shape[:1] or one.dtype.kind != "U" for one in names) or any(
        values.ndim != 2 or len(values) != len(names[0]) for values in metrics.values()
    ):
        raise RunError(f"damaged (its arrays differ in length); {again} again", path=file)
    if len(names[0]) > MAX_ITEMS or any(values.dtype != np.float64 for values in metrics.values()):
        raise RunError(f"damaged (too many items, or no numbers of 64 bits); {again} again", path=file)
    ids, sources = (tuple(map(str, one)) for one in names)
    return Statistics(ids, sources, metrics)
