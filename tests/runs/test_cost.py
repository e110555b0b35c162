"""cost.json: what is kept, what is refused, and the throughput of runs by hardware."""

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import RunError
from microg_bench.runs.cost import (
    COST_FILE,
    QUANTITIES,
    Delay,
    PeakMemory,
    add_measurement,
    read_cost,
    throughput,
)
from microg_bench.runs.public import public
from microg_bench.runs.record import RunRecord
from tests.helpers.measured import CPU, GIB, GPU, make_measurement
from tests.helpers.runs import begun_run, open_run


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    return RunRecord.read(begun_run(tmp_path / "run", task="vqa"))


def test_what_is_written_is_read(run: RunRecord) -> None:
    assert read_cost(run) is None
    first = make_measurement()
    add_measurement(run, first)
    report = read_cost(run)
    assert report is not None
    assert report.measurements == (first,)
    assert read_cost(public(run)) == report


def test_the_least_values_are_read(run: RunRecord) -> None:
    least = make_measurement(
        clips=1,
        requests=1,
        first_token=Delay(median=0, p95=0, requests=1),
        tokens_per_second=0,
        seconds_per_clip=0,
        weights=0,
        memory=PeakMemory(process=0, allocated=0, reserved=0),
    )
    report = add_measurement(run, least)
    assert read_cost(run) == report
    assert len(report.settings) == 16


def test_other_hardware_stands_beside_and_the_same_is_replaced(run: RunRecord) -> None:
    add_measurement(run, make_measurement(CPU))
    add_measurement(run, make_measurement(GPU))
    report = add_measurement(run, make_measurement(CPU, tokens_per_second=7.0))
    assert [one.hardware for one in report.measurements] == [CPU, GPU]
    assert report.measurements[0].tokens_per_second == 7.0


def test_a_run_that_has_other_settings_now_is_not_believed(run: RunRecord, tmp_path: Path) -> None:
    add_measurement(run, make_measurement())
    other = RunRecord.read(begun_run(tmp_path / "other", task="vqa", dtype="bfloat16"))
    (other.path / COST_FILE).write_bytes((run.path / COST_FILE).read_bytes())
    with pytest.raises(RunError, match="other settings"):
        read_cost(other)
    add_measurement(other, make_measurement(GPU))
    report = read_cost(other)
    assert report is not None and [one.hardware for one in report.measurements] == [GPU]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("tokens_per_second", -1),
        ("clips", 0),
        ("weights", "many"),
        ("memory", {"process": -5}),
        ("hardware", {"cpu": "", "cores": 1}),
        ("hardware", {"cpu": "x" * 81, "cores": 1}),
        ("approved", True),
    ],
)
def test_damage_is_told_with_the_file(run: RunRecord, place: str, value: object) -> None:
    add_measurement(run, make_measurement())
    file = run.path / COST_FILE
    content = json.loads(file.read_text())
    content["measurements"][0][place] = value
    file.write_text(json.dumps(content))
    with pytest.raises(RunError) as caught:
        read_cost(run)
    assert caught.value.path == file


def test_quantities_have_their_units() -> None:
    one = make_measurement(GPU)
    assert [quantity.of(one) for quantity in QUANTITIES] == [0.5, 0.75, 40.0, 6.0, 5.0, 2.0]
    assert make_measurement(CPU).peak == 3 * GIB
    bare = make_measurement(first_token=None, tokens_per_second=None, weights=None)
    assert [quantity.of(bare) for quantity in QUANTITIES] == [None, None, None, 6.0, 3.0, None]
    assert [quantity.name for quantity in QUANTITIES if not quantity.lower] == ["tokens/s"]
    assert {quantity.field for quantity in QUANTITIES} <= type(one).model_fields.keys()


@pytest.mark.parametrize(
    "start",
    [
        {"hardware": "fast", "usage": {"output_tokens": 3, "seconds": {"generating": 1.0}}},
        {"hardware": {"cpu": "C", "cores": 1}, "usage": {"seconds": {"generating": 1.0}}},
        {
            "hardware": {"cpu": "C", "cores": 1},
            "usage": {"output_tokens": "3", "seconds": {"generating": 1.0}},
        },
        {"hardware": {"cpu": "C", "cores": 1}, "usage": [1]},
    ],
)
def test_a_damaged_start_is_told_with_its_file(run: RunRecord, start: dict[str, Any]) -> None:
    run.starts = [start]
    with pytest.raises(RunError) as caught:
        throughput(run)
    assert caught.value.path == run.path / "run.json"


def test_throughput_is_by_hardware_of_what_engines_here_wrote(tmp_path: Path) -> None:
    usage = {"output_tokens": 300, "seconds": {"generating": 10.0}}
    short = {"output_tokens": 15, "seconds": {"generating": 0.5}}
    cached = {"output_tokens": 50, "seconds": {"generating": 0.0}}
    told = [
        *((CPU, usage), (CPU, {**usage, "output_tokens": 100}), (CPU, cached)),
        *((GPU, usage), (GPU, short), (GPU, {**cached, "output_tokens": 0}), (None, usage)),
    ]
    with open_run(tmp_path / "run") as record:
        record.starts = [
            {"usage": used, **({"hardware": one.model_dump(mode="json")} if one else {})}
            for one, used in told
        ]
        assert throughput(record) == {CPU.title: 20.0, GPU.title: 30.0}
