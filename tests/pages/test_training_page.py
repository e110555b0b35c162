"""The page of a training in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.pages.training_page import training_page
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CURVES: list[dict[str, float | None]] = [
    {"epoch": 1, "loss": 0.7, "rate": 0.1, "seconds": 3.0},
    {
        "epoch": 2,
        "loss": 0.5,
        "rate": 0.1,
        "seconds": 3.0,
        "mAP": 41.5,
        "F1": 1.0,
        "recall": 2.0,
        "AUROC": None,
    },
    {"epoch": 3, "loss": 0.4, "rate": 0.01, "seconds": 3.0},
    {
        "epoch": 4,
        "loss": 0.3,
        "rate": 0.01,
        "seconds": 3.0,
        "mAP": 30.0,
        "F1": 1.5,
        "recall": 2.5,
        "AUROC": 60.0,
    },
]


def test_curves_and_the_best_epoch_are_shown(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "curves.html"
    page.write_bytes(training_page("Training of <b>X3D</b>", CURVES, {"model": "<script>alert(1)</script>"}))
    with visited(browser, page) as shown:
        assert shown.inner_text("h1") == "Training of <b>X3D</b>"
        assert "epoch 2" in shown.inner_text("#best")
        assert "41.50" in shown.inner_text("#best")
        assert "<script>" in shown.inner_text("dd")
        assert shown.locator("#epochs tbody tr").count() == 4
        assert shown.inner_text("#epochs tr.best td") == "2"
        captions = shown.locator("figcaption").all_inner_texts()
        assert [caption.split()[0] for caption in captions] == [
            "loss",
            "mAP",
            "F1",
            "recall",
            "AUROC",
            "rate",
        ]
        dots = [figure.locator("circle").count() for figure in shown.locator("figure").all()]
        assert dots == [4, 2, 2, 2, 1, 4]
        shares = shown.locator("figure").nth(1)
        assert shares.locator("text[text-anchor=end]").all_text_contents() == [
            "0",
            "20",
            "40",
            "60",
            "80",
            "100",
        ]
        assert shares.locator("text[text-anchor=middle]").all_text_contents() == [
            "0",
            "1",
            "2",
            "3",
            "4",
            "epoch",
        ]


def test_a_training_that_was_not_evaluated_says_so(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "curves.html"
    page.write_bytes(training_page("Training", CURVES[:1], {}))
    with visited(browser, page) as shown:
        assert "1 epoch; none has been evaluated" in shown.inner_text("#best")
        assert shown.locator("figure").count() == 2


def test_axe_finds_no_serious_fault_and_on_paper_nothing_is_cut(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "curves.html"
    page.write_bytes(training_page("Training", CURVES, {"model": "X3D-S"}))
    assert accessibility_faults(browser, page) == []
    assert faults_on_paper(browser, page) == []
