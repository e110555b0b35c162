"""The page of findings in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.annotation.consistency import TextFinding
from microg_bench.dataset.load import load
from microg_bench.pages.findings_page import write_findings_page
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import write_annotations

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
PAIRS = [{"Q": f"{HOSTILE} {k}?", "A": f"Thing {k}."} for k in range(2)]
FINDINGS = (
    TextFinding(item="a_001", kind="blank-caption", reason="the caption is 'nan'"),
    TextFinding(item="a_002#2", kind="contradiction", reason=HOSTILE),
    TextFinding(item="clips", kind="published-count", reason="1 where the paper counts 2"),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("findings")
    records = [{"video_id": f"a_00{k}", "caption": HOSTILE, "qa_pairs": PAIRS} for k in (1, 2)]
    dataset = load(write_annotations(folder / "set.json", records))
    return write_findings_page(dataset, FINDINGS, "server:m", folder / "page")


def test_findings_are_listed_filtered_and_opened(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        assert shown.inner_text("#count") == "3 of 3 findings"
        set_filters(shown, {"kind": "contradiction"})
        assert shown.locator(".row .open").all_inner_texts() == ["a_002#2"]
        shown.locator(".row .open").click()
        assert shown.locator("dd.meant").inner_text() == f"{HOSTILE} 1?\nThing 1."
        assert HOSTILE in shown.inner_text("#opened-body p")


def test_a_finding_on_no_clip_shows_its_reason_alone(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        set_filters(shown, {"search": "paper"})
        shown.locator(".row .open").click()
        assert shown.inner_text("#opened-body") == "1 where the paper counts 2"


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, page: Path) -> None:
    with visited(browser, page, viewport={"width": 390, "height": 844}) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_no_serious_fault(browser: Browser, page: Path) -> None:
    assert accessibility_faults(browser, page) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, page: Path) -> None:
    assert faults_on_paper(browser, page) == []
