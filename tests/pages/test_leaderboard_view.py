"""What a reader of the leaderboard chooses, in a browser: board, rows, columns, a row to compare with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from microg_bench.runs.statistics import Statistics
from tests.helpers.browser import visited
from tests.helpers.leaderboard import OWN, help_of, names, our_board, published_board, sort
from tests.pages.conftest import write_site

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_it_opens_on_the_board_that_has_rows_of_its_own(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        assert page.locator("#tasks [aria-pressed=true]").inner_text() == "Captioning"
        assert len(names(page)) == 4
        page.locator("#tasks [data-task=vqa]").click()
        assert len(names(page)) == 4
        assert page.locator("#protocol").input_value().startswith("paper, refs")


@pytest.mark.parametrize(
    "address", ["#task=<script>&sort=constructor&frames=x&protocol=__proto__", "#against=x"]
)
def test_a_wrong_address_shows_the_first_board_with_rows(browser: Browser, site: Path, address: str) -> None:
    with visited(browser, site / "index.html") as page:
        page.goto(f"{page.url.partition('#')[0]}{address}&columns=<b>,__proto__&search=")
        page.reload()
        assert names(page)[0] == "Beta"
        assert page.locator("#board .detail").count() == 24, "unknown columns are no choice"


def test_published_rows_are_in_the_plots_with_a_mark_of_their_own(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        published_board(page, "vqa")
        marks = page.locator("#by-frames [role=img] .dot")
        assert set(marks.evaluate_all("marks => marks.map(one => one.tagName + ' ' + one.classList)")) == {
            "path dot published"
        }
        shown = page.locator("#board tr.published").count()
        assert marks.count() == shown > 4
        assert "published in the paper" in page.inner_text("#by-frames .key-of-marks")
        assert "has a known price" in page.inner_text("#by-cost")


@pytest.mark.parametrize(
    ("words", "left"),
    [("gamma", ["Gamma"]), ("ORG/al", ["Alpha"]), ("openai", ["Beta"]), ("org vllm", ["Alpha", "Gamma"])],
)
def test_a_search_finds_models_checkpoints_and_organisations(
    browser: Browser, site: Path, words: str, left: list[str]
) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.locator("#search").fill(words)
        assert [name for name in names(page) if name != "H"] == left
        assert names(page, "baseline") == []
        page.reload()
        assert page.locator("#search").input_value() == words
        assert [name for name in names(page) if name != "H"] == left


def test_columns_beside_the_scores_are_chosen_and_stand_in_the_address(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        shown = page.locator("#board thead button").evaluate_all("all => all.map(one => one.dataset.sort)")
        assert shown[8:] == ["parameters", "date", "cost", "latency"]
        page.locator("summary").click()
        for name in shown[8:]:
            page.locator(f"#columns [name={name}]").uncheck()
        assert page.locator("#board .detail").count() == 0
        page.locator("#columns [name=checkpoint]").check()
        assert sort(page, "checkpoint")[:2] == ["H", "Beta"]
        page.reload()
        assert page.locator("#board .detail").all_inner_texts()[1:4] == ["gpt-4o", "org/alpha", "org/gamma"]
    with visited(browser, site / "index.html", viewport={"width": 390, "height": 844}) as page:
        assert page.locator("#board .detail").count() == 0


def test_what_is_missing_says_why_and_every_heading_explains_itself(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        for task in page.locator("#tasks button").evaluate_all("all => all.map(one => one.dataset.task)"):
            page.locator(f"#tasks [data-task={task}]").click()
            headings = page.locator("#board thead button").all()
            assert all(help_of(one) for one in headings)
            missing = page.locator("#board td", has_text="n/a").all()
            assert all(help_of(one.locator("button")) for one in missing)
        our_board(page)
        cell = page.locator(OWN).nth(1).locator(".detail").nth(2)
        cell.locator("button").click()
        assert page.inner_text("#help") == "Only models behind an API of their vendor have a list price."


def test_on_paper_a_board_keeps_its_name_and_its_rows(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.locator("#access").select_option("open")
        page.emulate_media(media="print")
        caption = page.inner_text("#board caption")
        assert caption.startswith("Question answering: paper, refs")
        assert caption.endswith("5 rows, only open weights.")
        assert page.locator("#board tbody tr[class]").count() == 5
        for control in ("#tools", "#tasks", "#metric", "summary", "#submit"):
            assert page.locator(control).is_hidden()
        assert page.inner_text("#charts h2").split() == ["Plots", "of", "CIDEr"]


def test_charts_are_drawn_as_wide_as_they_are_shown(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html", viewport={"width": 1280, "height": 800}) as page:
        our_board(page)
        chart = page.locator("#by-frames [role=img]")
        for width in (1280, 390, 844):
            page.set_viewport_size({"width": width, "height": 800})
            page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            drawn, shown = chart.evaluate(
                "(one) => [one.viewBox.baseVal.width, one.getBoundingClientRect().width]"
            )
            assert drawn == pytest.approx(shown, abs=1)
            assert chart.locator(".dot").count() == 4
            ends = chart.locator("> *").evaluate_all(
                "all => all.map((one) => one.getBoundingClientRect().right)"
            )
            box = chart.bounding_box()
            assert box and max(ends) <= box["x"] + box["width"] + 1


def test_names_of_points_are_read_above_lines(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html", color_scheme="dark") as page:
        our_board(page)
        name = page.locator("#by-frames text.name").first
        order, halo, ground = name.evaluate(
            "(one) => [getComputedStyle(one).paintOrder, getComputedStyle(one).stroke,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        assert order.startswith("stroke") and halo == ground
        parts = page.locator("#by-frames [role=img] > *").evaluate_all(
            "all => all.map((one) => one.classList[0] ?? '')"
        )
        assert parts.index("name") > max(
            place for place, one in enumerate(parts) if one in ("dot", "reach", "across")
        )


def test_how_to_submit_stands_on_the_page(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        assert "microg-bench submit pack" in page.inner_text("#submit pre")


def with_statistics(path: Path, share: float) -> None:
    """Give a run statistics of forty items of ten source videos, with scores of ROUGE-L about `share`."""
    ids = tuple(f"{place % 10}_{place}" for place in range(40))
    scores = np.linspace(0, 0.1, 40)[:, None] + share
    Statistics(ids, tuple(name[0] for name in ids), {"ROUGE-L": scores}).write(path / "statistics.npz")


def test_a_row_that_is_chosen_marks_what_differs_from_it(
    browser: Browser, runs: Path, tmp_path: Path
) -> None:
    for number, share in enumerate((0.3, 0.8, 0.3, 0.1)):
        folder = shutil.copytree(runs / f"model{number}" / "vqa", tmp_path / "runs" / str(number))
        with_statistics(Path(folder), share)
    shutil.copytree(runs / "blind" / "vqa", tmp_path / "runs" / "blind")
    with visited(browser, write_site(tmp_path / "site", tmp_path / "runs") / "index.html") as page:
        our_board(page)
        page.locator("#against").select_option(label="Alpha, 4")
        page.reload()
        assert page.locator("#board tr.chosen th a").inner_text() == "Alpha"
        told = {
            row.locator("th").inner_text()[:5]: row.locator(".mark").evaluate_all(
                "all => all.map(e => e.ariaLabel)"
            )
            for row in page.locator("#board tr:has(td)").all()
        }
        assert told["Beta "] == ["significantly higher"] and told["Gamma"] == ["no significant difference"]
        assert told["<scri"] == ["significantly lower"]
        assert told["Alpha"] == told["Basel"] == []
        cell = page.locator(OWN, has_text="Beta").locator("td", has=page.locator(".mark"))
        assert "\n+50.00 than Alpha, 95% interval 50.00 to 50.00, p = 0.0117\n" in help_of(cell)
        assert "▲ significantly higher and ▼ significantly lower than Alpha, 4" in page.inner_text("#about")
