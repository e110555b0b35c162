"""The page of a run in progress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import microg_bench as mb
from microg_bench.api import _configured
from microg_bench.pages.live_page import LATEST, LivePage, words
from microg_bench.progress import Progress
from microg_bench.records import Answer, Failure
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import provenance
from tests.helpers.browser import accessibility_faults, faults_on_paper
from tests.helpers.datasets import record, write_annotations
from tests.pages.conftest import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLIPS = 4


class Notes(Progress):
    """A progress callback that keeps notes."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def live(tmp_path: Path) -> Any:
    """The page of a run of captions that is open, in which nothing is recorded."""
    data = write_annotations(tmp_path / "refs.json", [record(f"a_{k:03d}", k) for k in range(CLIPS)])
    one = _configured("constant", str(data), ("caption",), {}, Progress().note)
    with RunRecord.open(tmp_path / "r", one.settings("caption"), {}, provenance()) as run:
        yield LivePage(tmp_path / "r" / "page.html", {"caption": run}, one, Notes())


def test_the_page_tells_what_is_done_and_what_is_left(live: LivePage) -> None:
    run = live.runs["caption"]
    run.add(Answer(id="a_000", text="x", answer=f"said {HOSTILE}"))
    reason = f"no luck at /home/somebody/here {HOSTILE}"
    run.add(Failure(id="a_001", stage="engine", reason=reason))
    live.write(10.0, 1)
    page = live.file.read_text()
    for text in (
        "in progress",
        "About 20 s left",
        "There are no scores yet",
        'max="4" value="2"',
        "written 2",
        "the run has ended: run the same command again",
        '<span class="control">U+202E</span>',
    ):
        assert text in page
    for text in ("said &lt;script&gt;", "engine: no luck", "reference", "a_000", "a_001"):
        assert text in page
    for text in ("<script>document", "<img", "/home/somebody", "\u202e", "a_002", "CIDEr"):
        assert text not in page


def test_the_page_holds_the_latest_answers_alone(live: LivePage) -> None:
    run = live.runs["caption"]
    run.add(*(Answer(id=f"b_{k:05d}", text="w" * 9000, answer="w" * 9000) for k in range(10 * LATEST)))
    live.write(1.0, 1)
    page = live.file.read_text()
    assert page.count('class="latest"') == LATEST and len(page) < 2500 * LATEST
    assert page.index(f"b_{10 * LATEST - 1:05d}") < page.index(f"b_{9 * LATEST:05d}")
    assert "b_00000" not in page


def test_what_has_stopped_a_start_is_told(live: LivePage) -> None:
    live.stop(KeyboardInterrupt())
    assert not live.file.exists()  # nothing is recorded, so the folder of the run goes
    live.runs["caption"].add(Answer(id="a_000", text="x", answer="x"))
    live.stop(mb.MicrogError("the disk <is> full", path="/home/somebody/r"))
    page = live.file.read_text()
    assert "was stopped (" in page and "the disk &lt;is&gt; full" in page and "somebody" not in page
    live.stop(KeyboardInterrupt())
    assert "Interrupted; run the same command again to resume." in live.file.read_text()


@pytest.mark.heavy
def test_axe_finds_no_serious_fault_and_on_paper_nothing_is_cut(live: LivePage, browser: Browser) -> None:
    failed = Failure(id="a_001", stage="engine", reason="no luck")
    live.runs["caption"].add(Answer(id="a_000", text="x", answer="x"), failed)
    live.write(10.0, 1)
    assert accessibility_faults(browser, live.file) == []
    assert faults_on_paper(browser, live.file) == []


def notes(live: LivePage) -> list[str]:
    assert isinstance(live.progress, Notes)
    return live.progress.told


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_was_not_written_here_is_left_as_it_is(live: LivePage, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html><title>my thesis</title>")
    match kind:
        case "file":
            live.file.write_text(mine.read_text())
        case "link":
            live.file.symlink_to(mine)
        case "folder":
            live.file.mkdir()
    for _ in range(3):
        live.write(1.0, 1)
    [note] = notes(live)
    assert "is not written" in note and "left as it is" in note
    assert "my thesis" in mine.read_text()
    assert live.file.is_symlink() is (kind == "link") and live.file.is_dir() is (kind == "folder")


def test_a_page_that_cannot_be_written_is_told_of_once(
    live: LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("a bug in a page")

    monkeypatch.setattr("microg_bench.pages.live_page.render", failing)
    for _ in range(3):
        live.write(1.0, 1)
    assert notes(live) == ["the page of the run is not written: a bug in a page"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 s"), (89.4, "89 s"), (90, "2 min"), (5000, "83 min"), (12000, "3 h 20 min")],
)
def test_times_are_told_as_exactly_as_an_estimate_is(seconds: float, told: str) -> None:
    assert words(seconds) == told
