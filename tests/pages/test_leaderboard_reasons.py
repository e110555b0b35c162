"""What the leaderboard says of scores that no row has, and of differences that cannot be told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.browser import visited
from tests.helpers.leaderboard import our_board
from tests.pages.conftest import write_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def without_cider(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leaderboard of runs of which none has CIDEr."""
    folder = tmp_path_factory.mktemp("without")
    for name in ("model0", "model1", "blind"):
        card = Path(shutil.copytree(runs / name / "vqa", folder / "runs" / name)) / "scorecard.json"
        content = json.loads(card.read_text())
        del content["scores"]["CIDEr"]
        card.write_text(json.dumps(content))
    return write_site(folder / "site", folder / "runs")


def test_a_board_opens_on_a_metric_that_has_values(browser: Browser, without_cider: Path) -> None:
    with visited(browser, without_cider / "index.html") as page:
        our_board(page)
        assert page.locator("#metric").input_value() == "BLEU-4"
        assert page.locator("#board th[aria-sort=descending]").inner_text() == "BLEU-4"
        assert page.locator("#by-frames [role=img] .dot").count() == 2
        page.locator("#metric").select_option("CIDEr")
        for place in ("#by-frames", "#by-cost", "#matrix"):
            assert "a value of CIDEr" in page.inner_text(place)
        page.locator("#search").fill("no such model")
        page.wait_for_function("document.querySelectorAll('#board tr.model').length === 0")
        for place in ("#by-frames", "#by-cost", "#matrix"):
            assert "the search leave" in page.inner_text(place)


def test_differences_that_cannot_be_told_are_marked(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        assert "With 3 source videos and 15 pairs, p cannot fall below 1.0000" in page.inner_text("#matrix")
        page.locator("#against").select_option(label="Alpha, 4")
        marks = page.locator("#board .mark").evaluate_all("all => all.map(one => one.ariaLabel)")
        assert set(marks) == {"cannot be tested"}
        assert "p cannot fall below" in page.inner_text("#about")


def test_bars_are_named_only_where_there_are_intervals(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        assert "95% intervals" in page.inner_text("#about")
        page.locator("#protocol").select_option(index=0)
        assert "95% intervals" not in page.inner_text("#about")


def test_on_a_phone_a_plot_fits_and_on_a_desk_names_of_baselines_are_whole(
    browser: Browser, site: Path
) -> None:
    with visited(browser, site / "index.html", viewport={"width": 390, "height": 844}) as page:
        our_board(page)
        width, box = page.evaluate(
            "() => { const box = document.getElementById('by-frames');"
            " return [box.querySelector('svg').getBoundingClientRect().width, box.clientWidth]; }"
        )
        assert 0 < width <= box
    with visited(browser, site / "index.html") as page:
        our_board(page)
        names = page.locator("#by-frames [role=img] > text:not(.name)").all_text_contents()
        assert "constant" in "".join(names) and "…" not in "".join(names)


def test_marks_of_notes_stand_in_order(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        for task in page.locator("#tasks button").evaluate_all("all => all.map(one => one.dataset.task)"):
            page.locator(f"#tasks [data-task={task}]").click()
            for marks in page.locator("#board th sup").all_inner_texts():
                numbers = [int(one) for one in marks.split(",")]
                assert numbers == sorted(numbers)


def test_commands_can_be_copied(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        assert "…" not in page.inner_text("#submit pre")
