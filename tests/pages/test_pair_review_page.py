"""The review page of pairs in a real browser: decide, edit, export, merge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.annotation.questions import Candidate, Ratings
from microg_bench.annotation.reviews import merge_pair_reviews, read_pair_reviews
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import DataError
from microg_bench.pages.pair_review_page import write_pair_review_page
from microg_bench.progress import Progress
from microg_bench.records import Question
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import make_dataset, write_annotations

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    own = [{"Q": f"What is {k}?", "A": f"{HOSTILE} {k}."} for k in (1, 2, 3)]
    records = [{"video_id": f"a_00{n}", "caption": f"A hat, {HOSTILE}.", "qa_pairs": own} for n in (1, 2)]
    return load(write_annotations(tmp_path_factory.mktemp("pairs") / "set.json", records))


@pytest.fixture(scope="module")
def page(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pair = dataset.clips[0].questions[0]
    ratings = dict.fromkeys(("logical_consistency", "fluency", "relevance", "information_value"), 4)
    made = Candidate(
        id="a_001#c1",
        video_id="a_001",
        question=pair.text,
        answer=pair.answer,
        form="what",
        scope="broad",
        span="A hat",
        ratings=Ratings(reason=HOSTILE, **ratings),
        second_answer="A cap.",
        outcome="chosen",
    )
    known = {("a_001", pair.text, pair.answer): made}
    return write_pair_review_page(
        dataset, known, tmp_path_factory.mktemp("page") / "review", progress=Progress()
    )


def export(shown: Page, place: Path) -> Path:
    with shown.expect_download() as download:
        shown.click("#export")
    download.value.save_as(place)
    return place


def test_pairs_are_decided_by_the_keyboard_and_merged(
    browser: Browser, page: Path, dataset: Dataset, tmp_path: Path
) -> None:
    with visited(browser, page) as shown:
        shown.fill("#annotator", "ann")
        shown.keyboard.press("Escape")
        shown.keyboard.press("n")
        shown.keyboard.press("k")
        shown.keyboard.press("a")
        shown.keyboard.press("j")
        shown.keyboard.press("e")
        shown.fill("#question", '=What, "two"?')
        shown.fill("#answer", "Two,\nno more.")
        shown.keyboard.press("Escape")
        shown.keyboard.press("n")
        shown.keyboard.press("r")
        shown.keyboard.press("3")
        shown.keyboard.press("Escape")
        assert shown.inner_text("#count") == "6 shown, 3 of 6 decided"
        file = export(shown, tmp_path / "ann.csv")
    merged = merge_pair_reviews(dataset, read_pair_reviews([file], dataset).found)
    edited = Question(text='What, "two"?', answer="Two,\nno more.")
    assert merged.accepted == {"a_001#1": dataset.clips[0].questions[0], "a_001#2": edited}
    assert merged.unreviewed == ("a_002#1", "a_002#2", "a_002#3")


def test_work_is_kept_in_the_browser_by_annotator(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.fill("#annotator", "ben")
        shown.locator(".row .open").first.click()
        shown.get_by_role("button", name="Edit").click()
        shown.fill("#answer", "A hat.")
        shown.keyboard.press("Escape")
        shown.reload()
        shown.wait_for_selector("html[data-ready]")
        assert shown.input_value("#answer") == "A hat."
        shown.keyboard.press("Escape")
        shown.fill("#annotator", "cleo")
        shown.get_by_text("6 shown, 0 of 6 decided").wait_for()


def test_nothing_is_exported_without_a_name_a_reason_or_words(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.click("#export")
        assert "Give your name first" in shown.inner_text("#problem")
        shown.fill("#annotator", "dora")
        shown.locator(".row .open").first.click()
        shown.keyboard.press("r")
        shown.keyboard.press("Escape")
        shown.click("#export")
        assert "is rejected without a reason" in shown.inner_text("#problem")
        shown.keyboard.press("e")
        shown.fill("#answer", " ")
        shown.keyboard.press("Escape")
        shown.keyboard.press("Escape")
        shown.click("#export")
        assert "its question or answer is empty" in shown.inner_text("#problem")


def test_what_is_known_of_a_pair_is_shown_as_text(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.locator(".row .open").first.click()
        assert shown.inner_text(".told mark") == "A hat"
        told = shown.inner_text(".told")
        assert f"A hat, {HOSTILE}." in told and f"rated 16 of 20: {HOSTILE}" in told
        assert "second answer: A cap." in told


def test_pairs_are_searched_and_filtered(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        set_filters(shown, {"search": "a_002 is 3"})
        assert shown.locator(".row .open").all_inner_texts() == ["a_002#3"]


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, page: Path) -> None:
    with visited(browser, page, viewport={"width": 390, "height": 844}) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shown.locator(".row .open").first.click()
        shown.get_by_role("button", name="Edit").click()
        assert shown.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")


def test_a_second_pass_shows_only_what_is_asked_for(dataset: Dataset, tmp_path: Path) -> None:
    out = write_pair_review_page(dataset, {}, tmp_path / "page", only={"a_002#2"}, progress=Progress())
    assert b"a_002#2" in out.read_bytes() and b"a_001" not in out.read_bytes()
    with pytest.raises(DataError, match="has no pair a_009#1"):
        write_pair_review_page(dataset, {}, tmp_path / "none", only={"a_009#1"}, progress=Progress())


def test_frames_are_shown_where_there_is_a_video(browser: Browser, tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "set", ["a_001", "a_002"])
    (root / "videos/real/a/a_002.mp4").unlink()
    bare = load(root / "vqa_and_captioning.json")
    out = write_pair_review_page(bare, {}, tmp_path / "page", videos=load(root), progress=Progress())
    assert len(list(out.parent.rglob("*.jpg"))) == 8
    with visited(browser, out) as shown:
        shown.locator(".row .open").first.click()
        assert shown.locator(".strip img").count() == 8
        assert shown.locator(".strip img").first.evaluate("image => image.naturalWidth") == 64
        shown.keyboard.press("Escape")
        shown.locator(".row .open", has_text="a_002#1").click()
        assert shown.locator(".strip").count() == 0


def test_axe_finds_no_serious_fault(browser: Browser, page: Path) -> None:
    assert accessibility_faults(browser, page) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, page: Path) -> None:
    assert faults_on_paper(browser, page) == []
