"""The page of ratings in a real browser: rate by the keyboard, export, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.annotation.ratings import RatedAnswer, read_ratings
from microg_bench.dataset.load import Dataset
from microg_bench.pages.rating_page import write_rating_page
from microg_bench.progress import Progress
from microg_bench.records import Clip
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def answers() -> list[RatedAnswer]:
    clips = ("a_001", "a_002", "b_001", "a_001")
    return [
        RatedAnswer(
            f"{k:016x}", f"{clip}#{k % 3}", clip, None if k == 3 else f"What is {k}?", f"{HOSTILE} {k}"
        )
        for k, clip in enumerate(clips)
    ]


@pytest.fixture(scope="module")
def page(answers: list[RatedAnswer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("videos")
    write_clip(place / "a_001.mp4", frames=90, fps=30, size=(96, 64))
    (place / "broken.mp4").write_bytes(b"no video")
    clips = (
        Clip(video_id="a_001", source="a", video=place / "a_001.mp4"),
        Clip(video_id="a_002", source="a"),
        Clip(video_id="b_001", source="b", video=place / "broken.mp4"),
    )
    out = tmp_path_factory.mktemp("page") / "rating"
    return write_rating_page(answers, Dataset("d", clips, "f"), out, progress=Progress())


def export(shown: Page, place: Path) -> Path:
    with shown.expect_download() as download:
        shown.click("#export")
    download.value.save_as(place)
    return place


def test_answers_are_rated_by_the_keyboard_and_exported(
    browser: Browser, page: Path, answers: list[RatedAnswer], tmp_path: Path
) -> None:
    keys = [one.key for one in answers]
    with visited(browser, page) as shown:
        assert shown.inner_text("#count") == "4 shown, 0 of 4 decided"
        shown.click("#export")
        assert "name" in shown.inner_text("#problem")
        shown.fill("#annotator", "ann")
        shown.keyboard.press("Escape")
        shown.keyboard.press("n")
        shown.keyboard.press("k")
        assert shown.inner_text("#opened-title") == "a_001#0"
        assert shown.locator(".strip img").count() == 8
        shown.keyboard.press("1")
        assert shown.inner_text("#opened-title") == "a_002#1", "the next open answer follows"
        assert shown.locator(".strip img").count() == 0
        shown.keyboard.press("3")
        shown.keyboard.press("c")
        shown.keyboard.type('=1+1, "a note"')
        shown.keyboard.press("Escape")
        shown.keyboard.press("2")
        assert shown.inner_text("#opened-title") == "a_001#0 (2)"
        shown.keyboard.press("Escape")
        assert shown.inner_text("#count") == "4 shown, 3 of 4 decided"
        file = export(shown, tmp_path / "ann.csv")
        assert file.read_text().splitlines()[3] == f'{keys[2]},b_001#2,ann,partly,"1+1, ""a note"""'
    assert [(one.key, one.level) for one in read_ratings([file], keys)] == [
        (keys[0], "right"),
        (keys[1], "wrong"),
        (keys[2], "partly"),
    ]


def test_ratings_are_kept_in_the_browser_by_person(browser: Browser, page: Path) -> None:
    from playwright.sync_api import expect

    with visited(browser, page) as shown:
        shown.fill("#annotator", "ben")
        shown.keyboard.press("Escape")
        shown.keyboard.press("n")
        shown.keyboard.press("2")
        shown.keyboard.press("Escape")
        shown.goto(page.resolve().as_uri())
        shown.wait_for_selector("html[data-ready]")
        assert shown.inner_text("#count") == "4 shown, 1 of 4 decided"
        shown.fill("#annotator", "eve")
        expect(shown.locator("#count")).to_have_text("4 shown, 0 of 4 decided")


def test_answers_are_found_by_words_and_by_rating(browser: Browser, page: Path) -> None:
    from playwright.sync_api import expect

    with visited(browser, page) as shown:
        shown.fill("#annotator", "dan")
        shown.fill("#search", "b_001 what")
        expect(shown.locator(".row")).to_have_count(1)
        shown.click(".row")
        shown.click("#rating button:last-child")
        shown.keyboard.press("Escape")
        shown.fill("#search", "")
        shown.select_option("#state", "wrong")
        expect(shown.locator(".row")).to_have_count(1)


def test_nothing_of_an_answer_is_markup(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        assert shown.locator(".row").nth(0).inner_text().count(HOSTILE) == 1
        assert shown.locator(".row img").count() == 0
        assert HOSTILE not in page.read_text()


def test_axe_finds_no_serious_fault(browser: Browser, page: Path) -> None:
    assert accessibility_faults(browser, page) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, page: Path) -> None:
    assert faults_on_paper(browser, page) == []
