"""The columns beside the scores: what is told of a row, and why something is missing."""

from pathlib import Path
from typing import Any

import pytest

from microg_bench.pages.boards import boards
from microg_bench.pages.details import COLUMNS, own_details, published_details
from microg_bench.pages.entries import _seconds, read_entries
from microg_bench.runs.record import RunRecord
from microg_bench.tables.published import read_facts
from tests.pages.conftest import read_runs


@pytest.fixture(scope="module")
def details(runs: Path) -> dict[str, dict[str, Any]]:
    """Those of the rows of question answering, by title."""
    entries, _ = read_entries([run for run in read_runs(runs) if run.settings.task == "vqa"], None)
    return {entry.run.settings.title: own_details(entry) for entry in entries}


def texts(own: dict[str, Any]) -> dict[str, str]:
    return {name: one["text"] for name, one in own.items()}


def test_a_row_tells_each_column_or_why_not(details: dict[str, dict[str, Any]]) -> None:
    names = [column["name"] for column in COLUMNS]
    for own in details.values():
        assert list(own) == names
        for one in own.values():
            assert (one["text"] == "n/a") == bool(one["why"]) == (one["order"] is None)
    beta = texts(details["Beta"])
    assert [beta[name] for name in ("checkpoint", "organisation", "parameters")] == [
        "gpt-4o",
        "OpenAI",
        "n/a",
    ]
    assert [beta[name] for name in ("date", "cost", "latency", "counts")] == [
        *("2026-01-01", "$2.08", "n/a", "8 / 0")
    ]
    assert texts(details["Alpha"])["organisation"] == "org"
    assert "API" in details["Alpha"]["cost"]["why"]
    assert "baselines have none" in details["Baseline: blind"]["checkpoint"]["why"]


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "7B"),
        ("Qwen/Qwen3.6-35B-A3B", "35B-A3B"),
        ("google/gemma-4-E4B-it", "E4B"),
        ("OpenGVLab/InternVideo2_5_Chat_8B", "8B"),
        ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "7B"),
        ("a/SmolVLM2-500M-Video", "500M"),
        ("mPLUG/mPLUG-Owl3-7B-240728", "7B"),
        ("moonshotai/Kimi-K2.5", "n/a"),
        ("7B/nothing", "n/a"),
        ("gpt-4o", "n/a"),
    ],
)
def test_parameters_are_those_that_the_name_of_the_checkpoint_tells(
    runs: Path, checkpoint: str, told: str
) -> None:
    run = RunRecord.read(runs / "model0" / "vqa")
    ((entry,), _) = read_entries([run], None)
    entry.run.settings = entry.run.settings.model_copy(update={"checkpoint": checkpoint})
    assert own_details(entry)["parameters"]["text"] == told


def test_latency_is_the_median_of_what_the_engine_took_for_answers_of_its_own(runs: Path) -> None:
    run = RunRecord.read(runs / "model0" / "vqa")
    took = [0.0, 3.0, 1.0, 2.0, 500.0, 4.0, 0.0, 0.0]
    for (name, answer), seconds in zip(list(run.answers.items()), took, strict=True):
        run.answers[name] = answer.model_copy(update={"seconds": seconds, "from_cache": seconds == 500})
    assert _seconds(run) == 2.5


def test_sizes_are_sorted_by_the_number_of_parameters(runs: Path) -> None:
    ((entry,), _) = read_entries([RunRecord.read(runs / "model0" / "vqa")], None)
    orders = []
    for name in ("a-500M", "a-2.2B", "a-E4B", "a-35B-A3B"):
        entry.run.settings = entry.run.settings.model_copy(update={"checkpoint": name})
        orders.append(own_details(entry)["parameters"]["order"])
    assert orders == [500, 2200, 4000, 35000]


def test_a_published_row_has_the_checkpoint_and_the_vendor_of_its_model() -> None:
    facts = read_facts()
    assert texts(published_details(facts, "Gemini 1.5 Pro"))["organisation"] == "Google"
    qwen = published_details(facts, "Qwen2.5-VL")
    assert (qwen["organisation"]["text"], qwen["parameters"]["text"]) == ("Qwen", "7B")
    assert {one["why"] for one in published_details(facts, "Nobody").values()} == {"The paper does not tell."}


def test_every_row_of_models_has_its_columns(runs: Path) -> None:
    entries, _ = read_entries(read_runs(runs), None)
    for board in boards(entries, ["page"] * len(entries), [], []):
        rows = [row for group in board["groups"] for row in group["rows"]]
        assert all(
            set(row["details"]) == {one["name"] for one in board["details"]}
            for row in rows
            if "details" in row
        )
        assert all(("details" in row) == ("details" in board) for row in rows)
