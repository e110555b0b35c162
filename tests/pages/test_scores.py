"""The scores of all items and of slices on the page of a run, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.abstention import Confidence, Share
from microg_bench.pages.run_page import run_page
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ScoreEntry
from microg_bench.slices import SliceDifference, SliceEntry
from tests.helpers.browser import visited

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_slices_stand_with_their_intervals_and_differences_and_confidence_with_its_curve(
    sample_run: Path,
) -> None:
    record = RunRecord.read(sample_run / "vqa")
    differences = {"CIDEr": SliceDifference(value=-3.21, p=0.001, corrected=0.0123)}
    entry = SliceEntry(
        items=30, sources=4, scores={"CIDEr": 9.0}, intervals={"CIDEr": (7.5, 11.25)}, differences=differences
    )
    half = Share(value=0.5)
    confidence = Confidence(
        items=30,
        right=half,
        right_from=50.0,
        risk_coverage=((0.5, 0.25), (1.0, 0.375)),
        area=half,
        bins=10,
        calibration_error=half,
    )
    card = record.scorecard
    assert card.abstention is not None
    told = card.abstention.model_copy(update={"confidence": confidence})
    slices = {"action": {"sit <up>": entry}}
    record.scorecard = card.model_copy(update={"slices": slices, "abstention": told})
    page = run_page([record], None, [record.item_scores()], {}).decode()
    for text in ("sit &lt;up&gt;", "7.50 – 11.25", "-3.21, p 0.0123", "1 of 1 slices"):
        assert text in page
    assert re.search(r'class="differs">-3.21', page)
    assert re.search(r"answers kept.*50.0%.*100.0%.*of these wrong.*25.0%.*37.5%", page, re.DOTALL)


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
