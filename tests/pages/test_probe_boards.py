"""The board of probes: what stands on it, what is left out, and how it is read in a browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from microg_bench.pages.leaderboard import build
from microg_bench.pages.probe_boards import OTHER, probe_boards
from microg_bench.progress import Progress
from microg_bench.tables.gather import gather
from microg_bench.tables.probes import gather_probes
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.helpers.datasets import bench, make_dataset

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.heavy

IDS = [f"{source}_000" for source in "abcd"]
PROBES = {"nearest-clip": "swap,no-frames", "blind": "order,no-frames"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Probes of two baselines, in child processes: a browser may run in this one."""
    root = tmp_path_factory.mktemp("boards")
    data = make_dataset(root / "data", IDS)
    for model, names in PROBES.items():
        given = ("--data", data, "--metrics", "ROUGE-L", "--probes", names, "--run", root / "runs" / model)
        done = bench("probe", "--model", model, *given, "--no-pictures", cwd=root)
        assert (root / "runs" / model / "index.html").is_file(), done.stderr
    return root / "runs"


def built(runs: Path, out: Path) -> tuple[int, list[str]]:
    records, _, unread = gather([runs])
    probed, faults = gather_probes([runs])
    rows, errors = build(out, records, probed=probed, pictures=False, progress=Progress())
    return rows, [str(error) for error in (*unread, *faults, *errors)]


def test_a_board_has_a_row_for_each_model_and_a_column_for_each_condition(made: Path) -> None:
    found, _ = gather_probes([made])
    boards = probe_boards([(one, f"probes/{k}/index.html") for k, one in enumerate(found)])
    names = [board["protocol"] for board in boards]
    assert names == [
        *(f"Captioning, {OTHER}", "Captioning, difference in ROUGE-L"),
        *(f"Question answering, {OTHER}", "Question answering, difference in ROUGE-L"),
    ]
    for board in boards:
        assert board["task"] == "robustness"
        assert board["columns"] == ["reverse", "shuffle", "swap", "no-frames"]
        models, baselines = (group["rows"] for group in board["groups"])
        assert models == []
        rows: dict[str, Any] = {row["labels"][0]: row for row in baselines}
        blind, nearest = rows["Baseline: blind"], rows["Baseline: nearest clip"]
        assert blind["values"] == [0, 0, None, 0]
        assert nearest["values"][:2] == [None, None]
        assert not any(row["ranked"] for row in baselines)
    shares, differences = (board["groups"][1]["rows"][1] for board in boards[:2])
    assert shares["labels"][0] == differences["labels"][0] == found[1].report.title
    assert shares["values"][3] == 100
    (effect,) = (one for one in found[1].report.of_task("caption") if one.transforms == "no-frames")
    one = effect.metrics["ROUGE-L"]
    assert differences["values"][3] == round(one.difference, 4)
    assert differences["bounds"][3] == [round(bound, 4) for bound in one.interval or ()]


def test_runs_with_changed_frames_are_on_no_other_board(made: Path, tmp_path: Path) -> None:
    rows, errors = built(made, tmp_path / "site")
    assert errors == []
    assert rows == 2 * len(PROBES), "the runs with the frames as they are, two tasks each"
    assert len(list((tmp_path / "site" / "probes").iterdir())) == len(PROBES)


def test_what_is_not_complete_is_left_out_by_name(made: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(made, tmp_path / "runs"))
    path = runs / "blind" / "reverse" / "vqa" / "scorecard.json"
    card = json.loads(path.read_text())
    card["counts"] |= {"answered": card["counts"]["answered"] - 1, "failed": 1}
    path.write_text(json.dumps(card))
    _, errors = built(runs, tmp_path / "site")
    assert errors
    assert all(str(path.parent) in error for error in errors)
    assert len(list((tmp_path / "site" / "probes").iterdir())) == 1


def test_axe_finds_no_serious_fault_in_the_board_and_on_paper_nothing_is_cut(
    browser: Browser, made: Path, tmp_path: Path
) -> None:
    built(made, tmp_path / "site")
    page, address = tmp_path / "site" / "index.html", "task=robustness"
    assert accessibility_faults(browser, page, address) == []
    assert faults_on_paper(browser, page, address, upright=False) == []


def test_the_board_is_read_in_a_browser_and_leads_to_the_pages(
    browser: Browser, made: Path, tmp_path: Path
) -> None:
    built(made, tmp_path / "site")
    with visited(browser, tmp_path / "site" / "index.html") as page:
        page.locator("#tasks [data-task=robustness]").click()
        assert page.locator("#board thead th").all_inner_texts()[2:] == [
            "reverse",
            "shuffle",
            "swap",
            "no-frames",
        ]
        for name in ("charts", "pairs"):
            assert page.locator(f"#{name}").is_hidden()
        assert page.locator("#published").is_hidden()
        page.locator("#protocol").select_option(index=1)
        assert page.locator("#board .bar").count() > 0
        assert "difference in ROUGE-L" in page.locator("#protocol").input_value()
        page.get_by_role("link", name="Baseline: nearest clip").click()
        page.locator(".verdicts").first.wait_for()
        assert page.title().startswith("Probes of Baseline: nearest clip")
        page.get_by_role("link", name="Leaderboard").click()
        page.locator("#board").wait_for()
