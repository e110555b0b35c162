"""Measurements made by hand, for tests of tables, boards and plots of cost on board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microg_bench.hardware import Hardware
from microg_bench.runs.cost import Delay, Measurement, PeakMemory, add_measurement
from microg_bench.runs.record import RunRecord
from microg_bench.tables.on_board import OnBoardRow, OnBoardTable
from tests.helpers.cards import make_card
from tests.helpers.runs import begun_run

GIB = 1024**3
CPU = Hardware(cpu="Board CPU", cores=8, ram=16 * GIB)
GPU = Hardware(gpus=("Board GPU",), gpu_memory=8 * GIB, cpu="Board CPU", cores=8, driver="570.1", cuda="13.0")


def make_measurement(hardware: Hardware = CPU, **changed: Any) -> Measurement:
    """A measurement of 20 clips in which everything is known."""
    values: dict[str, Any] = {
        "hardware": hardware,
        "measured": "2026-11-27T10:00:00+00:00",
        "versions": {"torch": "2.13.0"},
        "engine": {"dtype": "bfloat16"},
        "clips": 20,
        "requests": 120,
        "failed": 0,
        "first_token": Delay(median=0.5, p95=0.75, requests=20),
        "tokens_per_second": 40.0,
        "seconds_per_clip": 6.0,
        "memory": PeakMemory(process=3 * GIB, allocated=4 * GIB, reserved=5 * GIB),
        "weights": 2 * GIB,
    }
    return Measurement.model_validate({**values, **changed})


def measured_run(
    path: Path, *measurements: Measurement, title: str = "A model", value: float = 20.0
) -> RunRecord:
    """A run with a scorecard made by hand and these measurements, read afresh."""
    record = RunRecord.read(begun_run(path, task="vqa", title=title))
    for one in measurements:
        add_measurement(record, one)
    record.scorecard = make_card(title, value)
    return record


def on_board(path: Path, **scored: tuple[float, Measurement]) -> OnBoardTable:
    """A table of runs by title, each with its first score and its measurement."""
    rows = (
        OnBoardRow(measured_run(path / title, one, title=title, value=value), one)
        for title, (value, one) in scored.items()
    )
    return OnBoardTable(tuple(rows))
