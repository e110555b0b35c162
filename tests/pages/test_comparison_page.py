"""The page of runs side by side, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.dataset.load import load
from microg_bench.errors import MicrogError
from microg_bench.pages.comparison_page import OTHER_FRAMES, write_comparison_page
from microg_bench.progress import Progress
from microg_bench.records import Answer, Failure, Request
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import comparable, compare
from microg_bench.video.sampling import FrameSpec
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.pages.conftest import TASK_NAMES, baseline_run, make_run, make_settings, score_all
from tests.pages.test_run_page import PHONE, choose

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SAID = "<script>document.title='broken'</script> \u202e one cap"


def written(folder: Path, *runs: Path) -> Path:
    """The page of these runs, on the sample set."""
    return write_comparison_page(comparable(runs), load("sample"), folder, progress=Progress())


def captions(path: Path, failed: int = -1) -> Path:
    """A run of captions that says the same of all clips; request number `failed` has failed."""

    def said(request: Request, number: int) -> Answer | Failure:
        if number == failed:
            return Failure(id=request.id, stage="engine", reason="no luck")
        return Answer(id=request.id, text=SAID, answer=SAID)

    made = make_settings("caption", load("sample"), title=f"Made <b>up</b> {path.name}")
    score_all([make_run(path, made, "sample", said)])
    return path


@pytest.fixture(scope="module")
def blind_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of `blind` on the sample set."""
    folder = tmp_path_factory.mktemp("blind") / "r"
    score_all([baseline_run(folder / task, "blind", task, "sample") for task in TASK_NAMES])
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, sample_run: Path, blind_run: Path) -> Path:
    """The page of both tasks of two baselines."""
    return written(tmp_path_factory.mktemp("both") / "page", sample_run, blind_run)


def test_the_paired_comparison_stands_on_top(
    browser: Browser, both: Path, sample_run: Path, blind_run: Path
) -> None:
    found = compare([RunRecord.read(run / "vqa") for run in (sample_run, blind_run)])
    with visited(browser, both) as page:
        rows = page.locator("main > section").nth(1).locator(".differences tbody tr").all_inner_texts()
        for row, one in zip(rows, found, strict=True):
            name, pair, difference, _, p, corrected = row.split("\t")
            assert (name, pair, difference) == (one.metric, "A − B", f"{one.difference.value:+z.2f}")
            assert (p, corrected) == (f"{one.difference.p:.4f}", f"{one.corrected:.4f}")


def test_items_on_which_the_runs_differ_most_come_first(
    browser: Browser, both: Path, sample_run: Path, blind_run: Path
) -> None:
    scores = [RunRecord.read(run / "vqa").item_scores()["CIDEr"] for run in (sample_run, blind_run)]
    apart = sorted((round(abs(scores[0][name] - scores[1][name]), 1) for name in scores[0]), reverse=True)
    with visited(browser, both) as page:
        choose(page, task="1", metric="CIDEr")
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        shown = page.locator("#list .item").evaluate_all(
            """(rows) => rows.map((row) => [...row.querySelectorAll("[data-run]")].map((one) =>
                Number([...one.querySelectorAll(".scores span")].find((name) => name.textContent === "CIDEr")
                    .nextElementSibling.nextElementSibling.textContent)))"""
        )
        assert len(shown) == 84
        assert [abs(a - b) for a, b in shown] == pytest.approx(apart, abs=0.11)


def test_filters_choose_by_what_the_runs_answered(browser: Browser, both: Path, sample_run: Path) -> None:
    with visited(browser, both) as page:
        counts = [int(choose(page, outcome=kind).split()[0]) for kind in ("differ", "same", "failed")]
        assert sum(counts) == 98 and counts[2] == 0 and min(counts[:2]) > 0
        best = [int(choose(page, outcome="", best=place).split()[0]) for place in ("0", "1")]
        assert 0 < sum(best) <= counts[0] and min(best) > 0
        choose(page, best="", order="", search="rocket-roll_001")
        assert page.locator("#list .item").count() == 7
        page.locator("#list .item .question").first.click()
        answer = RunRecord.read(sample_run / "vqa").answers["rocket-roll_001#1"].answer
        assert answer in page.inner_text("#opened [data-run=A]")
        page.get_by_role("button", name="Next item").click()
        assert page.inner_text("#opened-title") == "rocket-roll_001 · Question 2"


def test_a_run_that_cannot_be_compared_is_shown_with_the_reason(browser: Browser, tmp_path: Path) -> None:
    runs = [captions(tmp_path / "whole"), captions(tmp_path / "partly", failed=2)]
    with visited(browser, written(tmp_path / "page", *runs)) as page:
        assert "B is incomplete" in page.inner_text("main .warning")
        assert page.locator(".differences").count() == 0
        assert choose(page, outcome="failed") == "1 of 14 items"
        assert "failed (engine): no luck" in page.inner_text("#list [data-run=B]")
        assert "Made <b>up</b> partly" in page.inner_text("header")


def test_runs_that_can_be_compared_are_beside_one_that_cannot(tmp_path: Path) -> None:
    runs = [captions(tmp_path / name, failed) for name, failed in (("a", -1), ("b", 2), ("c", -1))]
    html = written(tmp_path / "page", *runs).read_text()
    assert "B is not compared with A: B is incomplete" in html
    assert "A − C" in html and "A − B" not in html


@pytest.mark.parametrize("view", [PHONE, {"color_scheme": "dark"}], ids=["phone", "dark"])
def test_hostile_text_stays_text_and_inside_the_page(browser: Browser, tmp_path: Path, view: dict) -> None:
    page_file = written(tmp_path / "page", *(captions(tmp_path / name) for name in "abc"))
    with visited(browser, page_file, **view) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        opened = page.inner_text("#opened")
        assert opened.count("<script>document.title='broken'</script> U+202E one cap") == 3
        assert page.title().startswith("Made <b>up</b> a and Made <b>up</b> b and Made <b>up</b> c, side by")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_frames_are_drawn_where_all_runs_were_shown_the_same(
    browser: Browser, tmp_path: Path, sample_run: Path, blind_run: Path
) -> None:
    run = RunRecord.read(sample_run / "caption")
    settings = run.settings.model_copy(update={"frames": FrameSpec.parse(2), "title": "Two frames"})
    other = make_run(tmp_path / "two", settings, "sample", lambda one, _: run.answers[one.id])
    same = run.settings.model_copy(update={"title": "The same frames"})
    again = make_run(tmp_path / "again", same, "sample", lambda one, _: run.answers[one.id])
    score_all([other, again])
    with visited(browser, written(tmp_path / "a", sample_run, again)) as page:
        assert page.locator("#list .strip img").count() > 0
    for name, pair in (
        ("b", (sample_run, other)),
        ("c", (sample_run, blind_run)),
        ("d", (blind_run, sample_run)),
    ):
        with visited(browser, written(tmp_path / name, *pair)) as page:
            assert page.inner_text("#pictures-note") == OTHER_FRAMES
            frames = page.evaluate(
                "JSON.parse(document.getElementById('data').textContent).clips.map((clip) => clip.frames)"
            )
            assert frames == [[]] * 14, "none are passed off as those of all"


def test_the_same_runs_give_the_same_bytes(
    tmp_path: Path, both: Path, sample_run: Path, blind_run: Path
) -> None:
    assert written(tmp_path / "page", sample_run, blind_run).read_bytes() == both.read_bytes()


def test_print_holds_every_item_and_no_controls(browser: Browser, both: Path) -> None:
    with visited(browser, both) as page:
        assert page.pdf().startswith(b"%PDF")
        page.emulate_media(media="print")
        assert page.locator("#list .item").count() == 98
        assert not page.locator("#tools").is_visible() and page.locator(".differences").first.is_visible()


def test_more_runs_than_a_page_holds_are_refused(tmp_path: Path) -> None:
    runs = [captions(tmp_path / f"{k}") for k in range(2)]
    many = {"caption": [RunRecord.read(runs[k % 2]) for k in range(9)]}
    with pytest.raises(MicrogError, match="give at most 8 runs"):
        write_comparison_page(many, None, tmp_path / "page", progress=Progress())  # type: ignore[arg-type]
    assert not (tmp_path / "page").exists()


def test_axe_finds_no_serious_fault(browser: Browser, both: Path) -> None:
    assert accessibility_faults(browser, both) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, both: Path) -> None:
    assert faults_on_paper(browser, both) == []
