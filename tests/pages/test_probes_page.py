"""The page of probes in a real browser: verdicts, charts, and answers under each condition."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.dataset.load import load
from microg_bench.pages.probes_page import write_probes_page
from microg_bench.progress import Progress
from microg_bench.tables.probes import read_probed
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import ROOT, bench, make_dataset, write_annotations
from tests.helpers.oriented import upright_dataset
from tests.helpers.stand_in import write_adapter
from tests.pages.conftest import HOSTILE_ID, hostile_record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.heavy

CONDITIONS = ["rotate:90", "rotate:180", "rotate:270", "reverse", "shuffle", "swap", "no-frames"]
IDS = [f"{source}_000" for source in "abcdefgh"]


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of probes of a model that sees the orientation of the frames."""
    root = tmp_path_factory.mktemp("probed")
    data, adapter = upright_dataset(root / "data", IDS), write_adapter(root)
    command = [sys.executable, "-m", "tests.helpers.oriented", str(adapter), str(data), str(root / "r")]
    subprocess.run([*command, "rotation,order,swap,no-frames"], cwd=ROOT, check=True, capture_output=True)
    return root / "r"


def labels(page: Page) -> list[str]:
    """The conditions of the answers of the first row."""
    return (
        page.locator(".item")
        .first.locator("[data-condition]")
        .evaluate_all("found => found.map((one) => one.dataset.condition)")
    )


def test_verdicts_table_and_charts_have_every_condition(browser: Browser, probed: Path) -> None:
    with visited(browser, probed / "index.html") as page:
        assert page.locator(".verdicts dt").all_inner_texts() == CONDITIONS
        told = dict(zip(CONDITIONS, page.locator(".verdicts dd").all_inner_texts(), strict=True))
        assert told["reverse"] == "answers do not depend on the order of the frames"
        assert told["rotate:90"].startswith("all answers depend on the orientation of the frames")
        assert page.locator("main table tbody th").all_inner_texts() == CONDITIONS
        (chart,) = page.locator("#charts-0 svg").all()
        assert chart.locator("circle").count() == len(CONDITIONS)
        assert chart.locator(".reach").count() >= 3


def test_items_are_filtered_by_condition_and_whether_their_answer_changed(
    browser: Browser, probed: Path
) -> None:
    with visited(browser, probed / "index.html") as page:
        assert page.locator(".item").count() == len(IDS)
        assert labels(page) == ["plain", "rotate:0", "rotate:90", "rotate:180", "rotate:270", "no-frames"]
        assert (
            page.locator(".item").first.locator(".same").inner_text() == "unchanged: reverse, shuffle, swap"
        )
        set_filters(page, {"condition": "reverse", "outcome": "changed"})
        assert page.locator(".item").count() == 0
        set_filters(page, {"outcome": "unchanged"})
        assert page.locator(".item").count() == len(IDS)
        assert labels(page) == ["plain"]
        set_filters(page, {"condition": "rotate:90", "outcome": "changed"})
        assert page.locator(".item").count() == len(IDS)
        assert labels(page) == ["rotate:0", "rotate:90"]
        assert page.locator(".item").first.locator(".extra").inner_text() == "left."


def test_frames_are_as_they_were_shown(browser: Browser, probed: Path) -> None:
    half = """(image) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 2 });
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0, 1, 2);
        return [image.naturalWidth, image.naturalHeight];
    }"""
    with visited(browser, probed / "index.html") as page:
        set_filters(page, {"condition": "rotate:90"})
        page.locator(".item").first.click()
        images = page.locator("dialog [data-condition='rotate:90'] img")
        assert images.count() == 2
        images.first.evaluate("(image) => image.decode()")
        width, height = images.first.evaluate(half)
        assert width == height, "a rotated frame is a square"
        assert page.locator("dialog [data-condition='rotate:0'] img").count() == 2
        page.keyboard.press("Escape")
        set_filters(page, {"condition": "swap"})
        page.locator(".item").first.click()
        told = page.locator("dialog [data-condition=swap] .note").inner_text()
        assert re.fullmatch(r"frames of [\w-]+_\d{3}, shown in place of its own", told)
        page.keyboard.press("Escape")
        set_filters(page, {"condition": "no-frames"})
        page.locator(".item").first.click()
        assert page.locator("dialog [data-condition=no-frames] .note").inner_text() == "no frames"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(browser: Browser, probed: Path, width: int, scheme: str) -> None:
    size = {"width": width, "height": 800}
    with visited(browser, probed / "index.html", viewport=size, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_same_runs_give_the_same_bytes(probed: Path) -> None:
    dataset = load(str(probed.parent / "data"))
    before = {file: file.read_bytes() for file in (probed / "pictures").rglob("*") if file.is_file()}
    page = (probed / "index.html").read_bytes()
    assert len(before) > 6 * len(IDS)
    write_probes_page(read_probed(probed), dataset, progress=Progress())
    assert {file: file.read_bytes() for file in before} == before
    assert (probed / "index.html").read_bytes() == page


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    ids = [f"{HOSTILE_ID}_{k:03d}" for k in (1, 2)] + ["plain_001"]
    data = make_dataset(tmp_path / "data", ids)
    write_annotations(
        data / "vqa_and_captioning.json", [hostile_record(name, k) for k, name in enumerate(ids)]
    )
    given = ("--data", data, "--metrics", "ROUGE-L", "--probes", "swap,no-frames", "--run", tmp_path / "r")
    done = bench("probe", "--model", "nearest-clip", *given, cwd=tmp_path)
    assert "index.html" in done.stdout, done.stderr
    with visited(browser, tmp_path / "r" / "index.html") as page:
        page.locator(".item").first.click()
        assert page.title() == "Probes of Baseline: nearest clip · microg-bench"
        assert page.locator("script").count() == page.evaluate("document.scripts.length")


def test_axe_finds_no_serious_fault(browser: Browser, probed: Path) -> None:
    assert accessibility_faults(browser, probed / "index.html") == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, probed: Path) -> None:
    assert faults_on_paper(browser, probed / "index.html") == []
