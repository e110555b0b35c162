"""The scores of all items and of slices on the page of a run, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.pages.run_page import run_page
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ScoreEntry
from tests.helpers.browser import visited

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_slices_begin_with_all_items_and_the_baselines(
    browser: Browser, sample_run: Path, sample_page: Path
) -> None:
    card = RunRecord.read(sample_run / "vqa").scorecard
    with visited(browser, sample_page) as page:
        page.get_by_role("link", name="Slices").click()
        rows = page.locator("#slices details").nth(1).locator("table").first.locator("tbody tr")
        first, second = rows.nth(0).inner_text(), rows.nth(1).inner_text()
        for name, entry in card.scores.items():
            assert f"{entry.value:.2f}" in first
            assert f"{card.baselines['constant'].scores[name]:.2f}" in second
        assert "95%: " in first and second.startswith("Baseline: constant, all items")


def test_what_is_not_available_says_why(sample_run: Path) -> None:
    record = RunRecord.read(sample_run / "caption")
    scores = {**record.scorecard.scores, "METEOR": ScoreEntry(unavailable="its <data> is not at hand")}
    record.scorecard = record.scorecard.model_copy(update={"scores": scores})
    page = run_page([record], None, [record.item_scores()], {}).decode()
    tile = page[page.index('data-metric="METEOR"') :]
    assert "n/a" in tile[:800] and "its &lt;data&gt; is not at hand" in tile[:800]
    assert 'data-help="its &lt;data&gt; is not at hand">n/a</button>' in page
