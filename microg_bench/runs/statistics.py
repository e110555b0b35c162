"""The per-item statistics of a scored run, from which runs are compared without reading text again."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microg_bench.errors import RunError
from microg_bench.files import write_bytes
from microg_bench.metrics import METRICS
from microg_bench.metrics.base import Array
from microg_bench.runs.evaluate import Evaluation

STATISTICS_FILE = "statistics.npz"


@dataclass(frozen=True)
class Statistics:
    """Items and their sources in order, and for each metric an array of shape (items, k)."""

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    metrics: dict[str, Array]


def write_statistics(run: Path, measured: Evaluation) -> None:
    """Write the statistics of what was `measured` into the run folder.

    Raises:
        RunError: the file cannot be written.
    """
    requests = [item.request for item in measured.items]
    names = {"ids": [request.id for request in requests], "sources": [request.source for request in requests]}
    arrays = {key: np.array(values, dtype=np.str_) for key, values in names.items()} | measured.statistics()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_bytes(run / STATISTICS_FILE, buffer.getvalue())


def read_statistics(run: Path) -> Statistics:
    """The statistics of a scored run.

    Raises:
        RunError: it has not been scored, or the file is damaged.
    """
    path = run / STATISTICS_FILE
    if not path.is_file():
        raise RunError(f"{run}: has not been scored: run `microg-bench score {run}` first")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, sources = (tuple(map(str, arrays[key])) for key in ("ids", "sources"))
            metrics = {name: arrays[name].astype(np.float64) for name in arrays.files if name in METRICS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged ({error}); run `microg-bench score {run}` again") from error
    if len(sources) != len(ids) or any(len(values) != len(ids) for values in metrics.values()):
        raise RunError(f"{path}: damaged (its arrays differ in length); run `microg-bench score {run}` again")
    return Statistics(ids, sources, metrics)
