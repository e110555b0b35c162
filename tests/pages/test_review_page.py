"""The review page in a real browser: label, export, merge."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from microg_bench.curation.folder import CurationFolder, Verdict
from microg_bench.curation.key_frames import choose_key_frames
from microg_bench.curation.reviews import merge_reviews, read_reviews
from microg_bench.curation.taxonomy import read_taxonomy
from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import DataError, RunError
from microg_bench.pages import review_page
from microg_bench.pages.review_page import read_prefill, write_review_page
from microg_bench.progress import Progress
from microg_bench.video.decode import Frames
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.helpers.curations import make_curation

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LABELS = read_label_map()
GROUPS = ["person movement", "object manipulation", "person interaction"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def curation(tmp_path_factory: pytest.TempPathFactory) -> CurationFolder:
    return make_curation(tmp_path_factory.mktemp("curation") / "station", origin=HOSTILE)


def written(curation: CurationFolder, out: Path, **more: Any) -> Path:
    return write_review_page(curation, read_taxonomy(LABELS), out, progress=Progress(), **more)


@pytest.fixture(scope="module")
def page(curation: CurationFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(curation, tmp_path_factory.mktemp("page") / "review", rejected=True)


def export(shown: Page, place: Path) -> Path:
    with shown.expect_download() as download:
        shown.click("#export")
    download.value.save_as(place)
    return place


def find(shown: Page, clip: str) -> None:
    """Have the list show one clip."""
    from playwright.sync_api import expect

    shown.fill("#search", clip)
    expect(shown.locator(".row")).to_have_count(1)


def label(shown: Page, name: str) -> None:
    """Decide all clips by the keyboard alone, from the list."""
    shown.fill("#annotator", name)
    shown.keyboard.press("Escape")
    shown.keyboard.press("n")  # the first open one after the current row
    shown.keyboard.press("k")
    for press in ("a", "/"):
        shown.keyboard.press(press)
    shown.keyboard.type("stand")
    shown.keyboard.press("Enter")
    shown.keyboard.press("Escape")
    shown.keyboard.press("c")
    shown.keyboard.type('A person, "at work".\nFloating.')
    shown.keyboard.press("Escape")


def test_clips_are_labelled_exported_and_merged(
    browser: Browser, page: Path, curation: CurationFolder, tmp_path: Path
) -> None:
    with visited(browser, page) as shown:
        assert shown.inner_text("#count") == "5 shown, 0 of 5 decided"
        label(shown, "ann")
        assert shown.inner_text("#opened-title") == "film_000"
        shown.keyboard.press("j")
        shown.keyboard.press("r")
        shown.keyboard.press("4")
        shown.keyboard.press("j")
        shown.keyboard.press("a")
        shown.keyboard.press("p")
        shown.keyboard.press("Escape")
        for action in ("walk", "stand", "run", "sit", "eat", "drink"):
            shown.keyboard.press("/")
            shown.keyboard.type(action)
            shown.keyboard.press("Enter")
            shown.keyboard.press("Escape")
        shown.keyboard.press("Escape")
        assert shown.inner_text("#count") == "5 shown, 3 of 5 decided"
        reviews = read_reviews([export(shown, tmp_path / "ann.csv")], curation, LABELS).found
    found = {one.clip: one for one in reviews}
    assert found.keys() == {"film_000", "film_001", "orbit_000"}
    assert found["film_000"].actions == {1: frozenset({12}), 2: frozenset()}
    assert found["film_000"].caption == 'A person, "at work".\nFloating.'
    assert (found["film_001"].accepted, found["film_001"].reason) == (False, "no person")
    second = found["orbit_000"].actions
    assert set(second) == {1, 2} and sorted(map(len, second.values())) == [0, 5], "at most five"
    merged = merge_reviews(curation, reviews)
    assert merged.accepted == ("film_000", "orbit_000")


def test_work_is_kept_in_the_browser_by_annotator(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        label(shown, "ben")
        shown.keyboard.press("Escape")
        shown.wait_for_function("!location.hash")  # a page that is loaded again opens the clip it names
        shown.reload()
        shown.wait_for_selector("html[data-ready]")
        assert shown.input_value("#annotator") == "ben"
        assert shown.inner_text("#count") == "5 shown, 1 of 5 decided"
        shown.fill("#annotator", "cleo")
        shown.get_by_text("5 shown, 0 of 5 decided").wait_for()


def test_work_on_clips_that_have_not_changed_is_kept_when_others_have(
    browser: Browser, curation: CurationFolder, tmp_path: Path
) -> None:
    changed = make_curation(tmp_path / "station", persons=1)
    now, later = (written(one, tmp_path / name) for one, name in ((curation, "now"), (changed, "later")))
    with visited(browser, now, folder=tmp_path) as shown:
        shown.fill("#annotator", "ida")
        for clip in ("orbit_000", "orbit_001"):
            shown.locator(".row .open", has_text=clip).click()
            shown.keyboard.press("a")
            shown.keyboard.press("Escape")
        shown.get_by_text("3 shown, 2 of 3 decided").wait_for()
        shown.goto(later.resolve().as_uri())
        shown.get_by_text("3 shown, 1 of 3 decided").wait_for()
        assert shown.locator(".row", has_text="orbit_001").locator(".state").inner_text() == "accepted"


def test_what_was_said_before_a_name_was_given_goes_with_the_name(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.locator(".row .open").first.click()
        shown.keyboard.press("a")
        shown.keyboard.press("Escape")
        shown.locator(".row .open:focus").wait_for()  # the dialog gives the focus back a moment later
        shown.locator("#annotator").press_sequentially("eve", delay=5)
        shown.get_by_text("5 shown, 1 of 5 decided").wait_for()
        shown.locator(".row .open").nth(1).click()
        shown.keyboard.press("r")
        shown.keyboard.press("Escape")
        shown.fill("#annotator", "finn")
        shown.get_by_text("5 shown, 0 of 5 decided").wait_for()
        shown.fill("#annotator", "eve")
        shown.get_by_text("5 shown, 2 of 5 decided").wait_for()


def test_a_second_tab_does_not_undo_what_the_first_says(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.fill("#annotator", "gus")
        other = shown.context.new_page()
        other.goto(page.resolve().as_uri())
        for tab, place in ((shown, 0), (other, 2)):
            tab.locator(".row .open").nth(place).click()
            tab.keyboard.press("a")
            tab.keyboard.press("Escape")
        shown.get_by_text("5 shown, 2 of 5 decided").wait_for()
        shown.reload()
        shown.get_by_text("5 shown, 2 of 5 decided").wait_for()


def test_what_is_left_out_is_said_where_it_is_seen(browser: Browser, page: Path, tmp_path: Path) -> None:
    with visited(browser, page) as shown:
        shown.fill("#annotator", "hal")
        shown.locator(".row .open").first.click()
        for action in ("stand", "walk", "run", "sit", "eat", "drink"):
            shown.keyboard.press("/")
            shown.keyboard.type(action)
            shown.keyboard.press("Enter")
            shown.keyboard.press("Escape")
        assert "at most 5 actions" in shown.inner_text("dialog #problem")
        shown.keyboard.press("c")
        assert shown.locator(".found").count() == 0
        shown.keyboard.press("Escape")
        shown.keyboard.press("Escape")
        assert len(export(shown, tmp_path / "hal.csv").read_text().splitlines()) == 1
        assert "1 clips have labels or a caption but no decision" in shown.inner_text("#problem")


def test_frames_are_kept_no_longer_than_they_are_drawn(
    curation: CurationFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: weakref.WeakSet[Frames] = weakref.WeakSet()
    most = []
    draw = review_page._pictures

    def watched(frames: Frames, *rest: Any) -> dict[str, Any]:
        kept.add(frames)
        gc.collect()
        most.append(len(kept))
        return draw(frames, *rest)

    monkeypatch.setattr(review_page, "_pictures", watched)
    written(curation, tmp_path / "page", rejected=True)
    assert len(most) == 5 and max(most) <= 2


def test_nothing_is_exported_without_a_name_or_a_reason(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        shown.click("#export")
        assert "Give your name first" in shown.inner_text("#problem")
        shown.fill("#annotator", "dora")
        shown.locator(".row .open").first.click()
        shown.keyboard.press("r")
        shown.keyboard.press("Escape")
        shown.click("#export")
        assert "is rejected without a reason" in shown.inner_text("#problem")
        shown.keyboard.press("1")
        assert shown.locator("#problem").is_visible()


def test_a_clip_without_a_person_cannot_be_accepted(browser: Browser, page: Path) -> None:
    with visited(browser, page) as shown:
        find(shown, "film_001")
        shown.locator(".row .open").click()
        shown.keyboard.press("a")
        assert "has no person with a box" in shown.locator("#problem").inner_text()
        shown.keyboard.press("Escape")
        assert shown.inner_text(".row .state") == "open"


def test_frames_boxes_and_verdicts_are_shown_and_texts_are_texts(
    browser: Browser, page: Path, curation: CurationFolder
) -> None:
    with visited(browser, page) as shown:
        find(shown, "orbit_000")
        shown.locator(".row .open").click()
        figures = shown.locator(".scenes figure")
        told = figures.locator("figcaption").all_inner_texts()
        chosen = [(box.frame, box.person) for box in choose_key_frames(curation.persons("orbit_000"))[1]]
        for frame, person in chosen:
            (caption,) = (text for text in told if text.partition(":")[0] == f"frame {frame}")
            assert re.search(rf"key frame of person .*\b{person}\b", caption)
        assert figures.count() == len({*(6, 17, 29, 40, 51, 62, 74, 85), *(frame for frame, _ in chosen)})
        at = [text.partition(":")[0] for text in told].index("frame 51")
        assert figures.nth(at).locator("rect.over").count() == 2, "frame 51 has both persons"
        assert figures.first.locator("rect.over").count() == 0, "frame 6 has none yet"
        assert shown.locator(".scenes img").first.evaluate("image => image.naturalWidth") == 480
        assert HOSTILE in shown.inner_text("#opened-body")
        assert "tracks: passed" in shown.inner_text(".verdicts")


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, page: Path) -> None:
    with visited(browser, page, viewport={"width": 390, "height": 844}) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shown.locator(".row .open").first.click()
        assert shown.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")
        shown.get_by_role("button", name="Accept").click()
        shown.locator(".person input").first.click()
        assert shown.locator(".found button").count() == len(LABELS.ids)
        assert shown.locator(".found .group").all_inner_texts() == GROUPS


def test_a_second_pass_shows_only_what_is_asked_for(
    browser: Browser, curation: CurationFolder, tmp_path: Path
) -> None:
    (tmp_path / "fill.csv").write_text('video_id,caption,mission\norbit_000,"From ""a file"".",ISS-40\n')
    prefill = read_prefill(tmp_path / "fill.csv", curation.clips)
    only = written(curation, tmp_path / "only", only={"orbit_000"}, prefill=prefill)
    with visited(browser, only) as shown:
        assert shown.locator(".row").count() == 1
        shown.locator(".row .open").click()
        assert shown.input_value("#caption") == 'From "a file".'
        assert shown.input_value("[data-source=mission]") == "ISS-40"
    (tmp_path / "short.csv").write_text("mission,video_id\nISS-40\n")
    with pytest.raises(DataError, match="short.csv: row 1: has another number of fields than the header"):
        read_prefill(tmp_path / "short.csv", curation.clips)
    with pytest.raises(DataError, match="there is no clip orbit_009"):
        written(curation, tmp_path / "none", only={"orbit_009"})


def test_a_clip_that_could_not_be_cut_is_shown_with_the_reason(browser: Browser, tmp_path: Path) -> None:
    own = make_curation(tmp_path / "station")
    own.add(
        Verdict(clip="orbit_003", stage="trim", key="k", passed=False, reason="is damaged after second 9.1")
    )
    own.close()
    with visited(browser, written(own, tmp_path / "page", rejected=True)) as shown:
        find(shown, "orbit_003")
        assert "no pictures: is damaged after second 9.1" in shown.inner_text(".row")


def test_a_clip_whose_file_has_changed_is_not_shown(tmp_path: Path) -> None:
    own = make_curation(tmp_path / "station")
    own.video("orbit_001").write_bytes(own.video("orbit_000").read_bytes() + b"0")
    with pytest.raises(RunError, match="orbit_001.mp4: is gone, or has changed since it was cut"):
        written(own, tmp_path / "page")
    assert written(own, tmp_path / "page", only={"orbit_000"}).is_file()


def test_a_file_of_captions_names_clips_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "fill.csv").write_text("video_id,caption\norbit_000,One.\norbit_0,Two.\n")
    with pytest.raises(DataError, match="fill.csv: row 2: there is no clip 'orbit_0'"):
        read_prefill(tmp_path / "fill.csv", ["orbit_000"])


def test_the_same_curation_gives_the_same_bytes(curation: CurationFolder, page: Path, tmp_path: Path) -> None:
    assert written(curation, tmp_path / "again", rejected=True).read_bytes() == page.read_bytes()


def test_axe_finds_no_serious_fault(browser: Browser, page: Path) -> None:
    assert accessibility_faults(browser, page) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, page: Path) -> None:
    assert faults_on_paper(browser, page) == []
