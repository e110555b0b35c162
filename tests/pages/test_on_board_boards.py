"""The boards of cost on board: which rows stand on one, and how they are read in a browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.hardware import Hardware
from microg_bench.pages.entries import read_entries
from microg_bench.pages.leaderboard import build
from microg_bench.pages.on_board_boards import on_board_boards
from microg_bench.progress import Progress
from microg_bench.runs.cost import COST_FILE, QUANTITIES, Delay, PeakMemory, add_measurement
from microg_bench.runs.record import RunRecord
from microg_bench.tables.gather import gather
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.helpers.measured import GIB, GPU, make_measurement
from tests.pages.conftest import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.heavy
STRANGE = Hardware(gpus=(HOSTILE[:80],), cpu="C", cores=1)


@pytest.fixture
def runs(sample_run: Path, tmp_path: Path) -> Path:
    """Both tasks of a baseline, as though a model had been measured on two kinds of hardware."""
    folder = Path(shutil.copytree(sample_run, tmp_path / "runs"))
    for hardware in (GPU, STRANGE):
        add_measurement(
            RunRecord.read(folder / "vqa"),
            make_measurement(
                hardware,
                first_token=Delay(median=0.5, p95=0.04751, requests=20),
                memory=PeakMemory(process=1, allocated=1, reserved=round(0.001430 * GIB)),
                weights=None,
                unknown={"weights": HOSTILE},
            ),
        )
    return folder


def test_a_board_is_of_one_task_and_one_kind_of_hardware(runs: Path) -> None:
    entries, _ = read_entries(gather([runs]).runs, None)
    boards, errors = on_board_boards(entries, [f"runs/{k}/index.html" for k in range(len(entries))])
    assert errors == []
    assert [board["task"] for board in boards] == ["on-board-vqa", "on-board-vqa"]
    board = next(one for one in boards if one["protocol"].startswith("Board GPU"))
    assert board["columns"][-len(QUANTITIES) :] == [one.name for one in QUANTITIES]
    assert set(board["lower"]) == {one.name for one in QUANTITIES} - {"tokens/s"}
    ((row,),) = (group["rows"] for group in board["groups"])
    assert row["values"][-6:] == [0.5, 0.0475, 40.0, 6.0, 0.00143, None]
    assert row["texts"][-6:] == ["0.5", "0.0475", "40", "6", "0.00143", "n/a"]
    assert row["labels"][-1] == "20"
    width = len(board["columns"])
    lists = ("values", "missing", "bounds", "signatures", "faults")
    assert {len(row[name]) for name in lists} == {width}
    assert row["missing"][-2] == "" and row["missing"][-1]
    assert board["explanations"].keys() == {*board["labels"], *board["columns"]}
    assert board["warning"] and not row["ranked"]  # of the sample set


def test_a_damaged_measurement_is_told_and_its_run_stays(runs: Path, tmp_path: Path) -> None:
    (runs / "vqa" / COST_FILE).write_text("[]")
    rows, errors = build(tmp_path / "site", gather([runs]).runs, pictures=False, progress=Progress())
    assert rows == 2
    assert [COST_FILE in str(error) for error in errors] == [True]


def test_hostile_hardware_stays_text(runs: Path, tmp_path: Path, browser: Browser) -> None:
    build(tmp_path / "site", gather([runs]).runs, pictures=False, progress=Progress())
    with visited(browser, tmp_path / "site" / "index.html") as page:
        page.get_by_role("button", name="Question answering, on board").click()
        names = page.locator("#protocol option").all_inner_texts()
        assert len(names) == 2
        for name in names:
            page.select_option("#protocol", label=name)
            assert page.locator("#board tbody tr td").count() > len(QUANTITIES)
            if name.startswith("Board GPU"):
                assert "0.00143" in page.locator("#board .value").all_inner_texts()
        assert page.title() != "broken"


def test_axe_finds_no_serious_fault_in_the_board_and_on_paper_nothing_is_cut(
    browser: Browser, runs: Path, tmp_path: Path
) -> None:
    build(tmp_path / "site", gather([runs]).runs, pictures=False, progress=Progress())
    page, address = tmp_path / "site" / "index.html", "task=on-board-vqa"
    assert accessibility_faults(browser, page, address) == []
    assert faults_on_paper(browser, page, address, upright=False) == []
