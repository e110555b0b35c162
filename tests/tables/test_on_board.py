"""Tables of cost on board: which rows stand together, Pareto fronts, and how values are shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from microg_bench.dataset.load import load
from microg_bench.runs.cost import COST_FILE
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, ScoreEntry
from microg_bench.tables.on_board import front, on_board_tables, significant, to_json, to_markdown
from tests.helpers.cards import make_card
from tests.helpers.measured import CPU, GIB, GPU, make_measurement, measured_run


@pytest.mark.parametrize(
    ("points", "lower", "places"),
    [
        ([], True, []),
        ([(1.0, 5.0)], True, [0]),
        ([(1, 5), (2, 6), (3, 6), (2, 4)], True, [0, 1]),
        ([(1, 5), (2, 6), (3, 6), (2, 4)], False, [2]),
        ([(1, 9), (2, 6), (3, 7)], False, [0, 2]),
        ([(2, 6), (1, 5), (2, 6)], True, [1, 0, 2]),  # equal points are both on it
        ([(2, 2.7e-12), (1, 0.0)], True, [1]),  # scores that are shown alike are equal
        ([(1, 5.001), (2, 5.004)], True, [0]),
        ([(1, 5.01), (2, 5.02)], True, [0, 1]),
        ([(1.001, 6), (1.0, 5)], True, [0]),  # and so are times
    ],
)
def test_no_point_is_better_than_one_of_the_front(
    points: list[tuple[float, float]], lower: bool, places: list[int]
) -> None:
    assert front(points, lower) == places


def test_rows_stand_together_by_hardware(tmp_path: Path) -> None:
    runs = [
        measured_run(tmp_path / "a", make_measurement(CPU), make_measurement(GPU), title="A"),
        measured_run(tmp_path / "b", make_measurement(GPU), title="B"),
        measured_run(tmp_path / "c", title="C"),
    ]
    tables, errors = on_board_tables(runs)
    assert errors == []
    shown = {one.hardware: [row.card.title for row in one.rows] for one in tables}
    assert shown == {CPU.title: ["A"], GPU.title: ["A", "B"]}


def test_other_references_are_another_table(tmp_path: Path) -> None:
    runs = [measured_run(tmp_path / name, make_measurement(), title=name) for name in "ab"]
    runs[1].scorecard = make_card("b", fingerprint="e" * 64)
    tables, _ = on_board_tables(runs)
    assert [len(one.rows) for one in tables] == [1, 1]


def test_a_damaged_file_leaves_its_run_out_alone(tmp_path: Path) -> None:
    runs = [measured_run(tmp_path / name, make_measurement(), title=name) for name in "ab"]
    (runs[0].path / COST_FILE).write_text("{")
    tables, (error,) = on_board_tables(runs)
    assert [row.card.title for row in tables[0].rows] == ["b"]
    assert str(runs[0].path / COST_FILE) in str(error)


def test_a_table_tells_values_and_why_there_is_none(tmp_path: Path) -> None:
    known = make_measurement(GPU, failed=2)
    bare = make_measurement(GPU, tokens_per_second=None, unknown={"tokens_per_second": "one token each"})
    runs = [measured_run(tmp_path / "a", known, title="A|<b>"), measured_run(tmp_path / "b", bare, title="B")]
    ((one,), _) = on_board_tables(runs)
    text = to_markdown(one)
    assert "| Model | clips measured |" in text and "| 20 |" in text
    rows = [line.split(" | ")[-6:] for line in text.splitlines() if line.startswith(("| A", "| B"))]
    assert rows[0] == ["0.5", "0.75", "40", "6", "5", "2 |"]
    assert rows[1][2] == "n/a"
    assert "A\\|" in text and "<b>" not in text
    assert "tokens per second: not known, one token each" in text
    assert ", 2 failed" in text
    content = to_json(one)
    assert content["hardware"] == "Board GPU"
    assert [row["tokens_per_second"] for row in content["rows"]] == [40.0, None]
    assert content["rows"][0]["memory"]["reserved"] == 5 * GIB


def test_a_metric_stands_in_the_table_where_any_row_has_it(tmp_path: Path) -> None:
    runs = [measured_run(tmp_path / name, make_measurement(), title=name) for name in "ab"]
    runs[0].scorecard = make_card("a", scores={"CIDEr": ScoreEntry(value=12.345)})
    runs[1].scorecard = make_card("b", scores={"METEOR": ScoreEntry(unavailable="no Java")})
    ((one,), _) = on_board_tables(runs)
    assert one.metrics == ("CIDEr",)
    scores = {line.split(" | ")[0]: line.split(" | ")[2] for line in to_markdown(one).splitlines()[4:6]}
    assert scores == {"| a": "12.35", "| b": "n/a"}


def test_the_notes_tell_how_and_when_it_was_measured(tmp_path: Path) -> None:
    told = make_measurement(GPU, clips=1, requests=5)
    ((one,), _) = on_board_tables([measured_run(tmp_path / "a", told)])
    assert list(one.rows[0].notes()) == ["engine function (bfloat16), 5 requests about 1 clip, 2026-11-27"]
    assert NO_BENCHMARK.capitalize() not in to_markdown(one)
    on_vllm = replace(one.rows[0], run=with_engine(one.rows[0].run, "vllm"))
    assert "--gpu-memory-utilization" in list(on_vllm.notes())[-1]
    on_cpu = replace(on_vllm, measurement=make_measurement(CPU))
    assert len(list(on_cpu.notes())) == 1


def with_engine(run: RunRecord, engine: str) -> RunRecord:
    run.settings = run.settings.model_copy(update={"engine": engine})
    return run


def test_the_sample_set_is_told_to_be_no_benchmark(tmp_path: Path) -> None:
    run = measured_run(tmp_path / "a", make_measurement())
    run.scorecard = make_card("a", dataset="sample", fingerprint=load("sample").fingerprint)
    ((one,), _) = on_board_tables([run])
    assert f"**{NO_BENCHMARK.capitalize()}.**" in to_markdown(one)


def test_the_throughput_of_a_run_is_told_of_the_same_hardware(tmp_path: Path) -> None:
    run = measured_run(tmp_path / "a", make_measurement(CPU), make_measurement(GPU))
    usage = {"output_tokens": 300, "seconds": {"generating": 10.0}}
    run.starts = [{"usage": usage, "hardware": GPU.model_dump(mode="json")}]
    tables, _ = on_board_tables([run])
    assert {one.hardware: one.rows[0].run_tokens_per_second for one in tables} == {
        CPU.title: None,
        GPU.title: 30.0,
    }
    assert "30 tokens/s" in to_markdown(next(one for one in tables if one.hardware == GPU.title))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.00143, "0.00143"),
        (0.0000123, "0.0000123"),
        (0.12345, "0.123"),
        (12.0, "12"),
        (1234.5, "1,234"),
    ],
)
def test_values_have_three_significant_digits(value: float, shown: str) -> None:
    assert significant(value) == shown
