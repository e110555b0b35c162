"""The leaderboard in a real browser, from the file system: what a reader sees and can do."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ScoreEntry, Signature
from microg_bench.settings import Media
from microg_bench.storage import write_json
from tests.helpers.browser import accessibility_faults, faults_on_paper, visited
from tests.helpers.leaderboard import OWN, help_of, names, our_board, published_board, sort
from tests.pages.conftest import HOSTILE_TITLE as HOSTILE
from tests.pages.conftest import ROOT, write_site

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_rows_are_sorted_by_the_heading_that_is_clicked(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        assert names(page) == ["Beta", "Alpha", "Gamma", "H"]  # by CIDEr, the best first
        assert sort(page, "CIDEr") == ["H", "Gamma", "Alpha", "Beta"]
        assert page.locator("#board th[aria-sort=ascending]").inner_text().startswith("CIDEr")
        assert sort(page, "ROUGE-L") == ["Beta", "Alpha", "Gamma", "H"]
        assert sort(page, "Model") == ["H", "Alpha", "Beta", "Gamma"]
        assert sort(page, "#f")[:2] in (["Alpha", "H"], ["H", "Alpha"])


def test_the_keyboard_sorts_too_and_keeps_its_place(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.locator("#board thead button[data-sort='BLEU-4']").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.locator("#board th[aria-sort=ascending]").inner_text().startswith("BLEU-4")
        assert page.evaluate("() => document.activeElement.dataset.sort") == "BLEU-4"


@pytest.mark.parametrize(
    ("control", "value", "left"),
    [
        ("access", "closed", ["Beta"]),
        ("access", "open", ["Alpha", "Gamma", "H"]),
        ("frames", "8", ["Beta", "Gamma"]),
    ],
)
def test_filters_leave_the_rows_that_fit(
    browser: Browser, site: Path, control: str, value: str, left: list[str]
) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.locator(f"#{control}").select_option(value)
        assert names(page) == left
        assert len(names(page, "baseline")) == 2  # they ignore the filters
        assert page.inner_text("#count") == f"{len(left) + 2} rows"


def test_one_board_holds_one_protocol_and_one_set_of_references(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        published_board(page, "vqa")
        assert names(page) == []
        assert names(page, "published")[0] == "GPT-4o"
        boards = page.locator("#protocol option").all_inner_texts()
        assert len(boards) == 2
        assert "a5fead14d1f5" in boards[0]
        our_board(page)
        assert names(page, "published") == []


def test_published_rows_can_be_left_out(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        published_board(page, "caption")
        assert len(names(page, "published")) == 8
        assert page.locator("#by-frames [role=img] .dot").count() == 8
        page.locator("#published").uncheck()
        assert names(page, "published") == []
        assert page.locator("#charts .dot").count() == 0


def test_scores_intervals_and_ranks_are_those_of_the_scorecards(
    browser: Browser, site: Path, runs: Path
) -> None:
    card = json.loads((runs / "model1" / "vqa" / "scorecard.json").read_text())
    with visited(browser, site / "index.html") as page:
        our_board(page)
        cell = page.locator(OWN).first.locator("td.score").first
        score = card["scores"]["CIDEr"]
        assert cell.inner_text() == f"{score['value']:.2f}"
        low, high = score["interval"]
        assert f"95% interval {low:.2f} to {high:.2f}" in help_of(cell)
        signature = Signature.model_validate(score["signature"])
        assert signature.long() in help_of(cell)
        assert cell.locator("svg .whisker").count() == 1
        first = [
            " ".join(
                (page.locator(OWN).nth(k).locator("td.score").first.get_attribute("class") or "").split()
            )
            for k in range(4)
        ]
        assert first == ["number score best", "number score second", "number score", "number score"]
        assert page.locator("#board tr.baseline .best").count() == 0


def test_plots_show_frames_and_cost_with_the_baselines(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        assert page.locator("#by-frames [role=img] .dot").count() == 4
        assert page.locator("#by-frames [role=img] .across").count() == 2
        assert page.locator("#by-frames .reach").count() == 4
        assert page.locator("#by-cost .dot title").text_content() == "Beta: " + (
            page.locator(OWN).first.locator("td.score").first.inner_text()
        )
        page.locator("#metric").select_option("ROUGE-L")
        assert "ROUGE-L against frames" in (
            page.locator("#by-frames [role=img]").get_attribute("aria-label") or ""
        )


def test_pairs_are_those_that_compare_finds(browser: Browser, site: Path, runs: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        rows = page.locator("#matrix tbody tr")
        titles = rows.locator("th").all_inner_texts()
        blind, constant = (
            next(k for k, one in enumerate(titles) if name in one) for name in ("blind", "constant")
        )
        there = rows.nth(blind).locator("td").nth(constant)
        back = rows.nth(constant).locator("td").nth(blind)
        scores = [
            json.loads((runs / name / "vqa" / "scorecard.json").read_text())["scores"]["CIDEr"]["value"]
            for name in ("blind", "constant")
        ]
        assert float(there.inner_text()) == pytest.approx(scores[0] - scores[1], abs=0.006)
        assert float(back.inner_text()) == -float(there.inner_text())
        assert "p = " in help_of(there)


def test_a_row_leads_to_the_page_of_its_run_and_back(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.get_by_role("link", name="Beta").click()
        page.wait_for_selector("html[data-ready]")
        assert page.inner_text("h1") == "Beta gpt-4o"
        assert page.title().startswith("Beta (gpt-4o)")
        assert page.locator("#list .item").count() > 0
        page.locator("a.home").click()
        page.wait_for_selector("#board")
        assert page.title().startswith("MicroG-4M leaderboard")


def test_a_view_can_be_linked(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        page.locator("#access").select_option("open")
        sort(page, "ROUGE-L")
        address, seen = page.url, names(page)
    with visited(browser, site / "index.html") as page:
        page.goto(address)
        page.reload()
        assert names(page) == seen == ["Alpha", "Gamma", "H"]
        assert page.locator("#access").input_value() == "open"


def test_names_in_a_plot_lie_on_no_other(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        boxes = page.evaluate(
            "() => [...document.querySelectorAll('#by-frames text.name, #by-frames [role=img] .dot')]"
            ".map((one) => { const { left, right, top, bottom } = one.getBoundingClientRect();"
            " return { left, right, top: top + 1, bottom: bottom - 1 }; })"
        )
        assert len(boxes) > 4
        for one, other in combinations(boxes, 2):
            wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
            high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            assert wide <= 0 or high <= 0


def test_rows_without_statistics_are_named_below_the_pairs(browser: Browser, runs: Path) -> None:
    some = runs.parent / "some"
    if not some.exists():
        for name in ("blind", "constant", "model0"):
            shutil.copytree(runs / name / "vqa", some / name)
        (some / "model0" / "statistics.npz").unlink()
        write_site(runs.parent / "some-site", some)
    with visited(browser, runs.parent / "some-site" / "index.html") as page:
        our_board(page)
        assert page.locator("#matrix tbody tr").count() == 2
        assert page.inner_text("#matrix p").endswith(": Alpha.")


def test_actions_have_their_tables_with_ours_apart_from_the_published(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        page.locator("#access").select_option("open")
        page.locator("#tasks [data-task=har-1]").click()
        assert sorted(names(page)) == ["C2D", "Slow", "X3D"]
        assert len(names(page, "published")) == 12
        assert page.locator("#charts").is_hidden()
        for name in ("access", "frames", "protocol"):
            assert page.locator(f"#{name}").is_hidden()
        page.reload()
        assert len(names(page, "published")) == 12
        page.locator("#tasks [data-task=vqa]").click()
        assert page.locator("#protocol").is_visible()


def test_what_is_said_of_a_board_fits_it(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        published_board(page, "vqa")
        assert "Baselines" not in page.inner_text("#about")
        our_board(page)
        assert "Baselines ignore the filters of weights and frames" in page.inner_text("#about")


def test_the_same_runs_give_the_same_bytes(runs: Path, site: Path, tmp_path: Path) -> None:
    again = write_site(tmp_path / "site", runs, sorted((ROOT / "results" / "actions").glob("*.json")))
    first, second = (
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (site, again)
    )
    assert first == second


def test_hostile_text_stays_text(browser: Browser, site: Path) -> None:
    with visited(browser, site / "index.html") as page:
        our_board(page)
        row = page.locator(OWN).nth(3)
        assert "<script>document.title='x'</script>" in row.inner_text()
        assert "U+202E" in row.inner_text()  # and does not turn what follows
        row.locator("a").click()
        page.wait_for_selector("html[data-ready]")
        assert "<img src=x onerror=alert(1)>" in page.inner_text("#list")
        assert page.locator("img[src=x]").count() == 0
        assert page.title() != "x"
    assert HOSTILE not in (site / "index.html").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling_but_of_tables(browser: Browser, site: Path, scheme: str) -> None:
    look = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    with visited(browser, site / "index.html", **look) as page:
        our_board(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def with_sentence_score(path: Path, value: float, encoder: str, whole: bool) -> None:
    """Give a run a score of sentence similarity; where `whole`, its model was sent each clip's file."""
    run = RunRecord.read(path)
    card, settings = run.scorecard, run.settings
    if whole:
        settings = settings.model_copy(update={"frames": None, "media": Media(kind="clip")})
    values = {"protocol": "paper", "model": f"{encoder}@1", "items": "8", "version": "1"}
    entry = ScoreEntry(value=value, signature=Signature(metric="S-VQA", values=values))
    assert card.model
    changed = {
        "scores": {**card.scores, "S-VQA": entry},
        "settings": settings,
        "model": card.model.model_copy(update={"frames": settings.frames}),
    }
    content = json.loads((path / "run.json").read_text())
    write_json(path / "run.json", {**content, "settings": settings.model_dump(mode="json")})
    write_json(path / "scorecard.json", card.model_copy(update=changed).to_json())


def test_what_a_row_rests_on_is_marked_and_told(browser: Browser, runs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(runs, tmp_path / "runs"))
    file = folder / "model0" / "vqa" / "scorecard.json"
    card = json.loads(file.read_text())
    card["counts"] |= {"truncated": card["items"], "flagged": card["items"]}
    file.write_text(json.dumps(card))
    with visited(browser, write_site(tmp_path / "site", folder) / "index.html") as page:
        our_board(page)
        cell = page.locator(f"{OWN} th", has_text="Alpha")
        assert cell.locator(".badge.bad").inner_text() == "unreliable"
        told = f"{card['items']} of {card['items']} answers hit the token limit; raise --max-tokens"
        answered = f"{card['items']} of {card['items']} requests answered"
        assert help_of(cell).splitlines() == [answered, told]
        (number,) = cell.locator("sup").inner_text().split(",")
        assert f"{number} {told}" in page.inner_text("#notes")
        assert page.locator("#warning").is_hidden()
        assert page.locator(f"{OWN} .badge.bad").count() == 1


def test_the_sample_set_is_a_board_without_ranks(browser: Browser, sample_run: Path, tmp_path: Path) -> None:
    for name, title in (("one", "One"), ("two", "Two")):
        shutil.copytree(sample_run, tmp_path / "runs" / name)
        for file in (tmp_path / "runs" / name).rglob("*.json"):
            file.write_text(
                file.read_text().replace("Baseline: nearest clip", title).replace('"nearest-clip"', '"other"')
            )
    with visited(browser, write_site(tmp_path / "site", tmp_path / "runs") / "index.html") as page:
        page.locator("#tasks [data-task=vqa]").click()
        boards = page.locator("#protocol option").all_inner_texts()
        assert "sample, no benchmark" in boards[-1]
        page.locator("#protocol").select_option(index=len(boards) - 1)
        assert (
            page.inner_text("#warning")
            == "Made on the sample set of 14 clips: no benchmark; nothing is ranked"
        )
        assert names(page) == ["One", "Two"]
        assert page.locator("#board .best, #board .second").count() == 0
        assert "Best and second best" not in page.inner_text("#about")


def test_a_score_of_another_encoder_is_told_and_not_ranked(browser: Browser, runs: Path) -> None:
    place = runs.parent / "encoders"
    if not place.exists():
        for number, (value, encoder) in enumerate(
            ((40, "all-MiniLM-L6-v2"), (50, "all-MiniLM-L6-v2"), (90, "x"))
        ):
            shutil.copytree(runs / f"model{number}" / "vqa", place / str(number))
            with_sentence_score(place / str(number), value, encoder, whole=value == 90)
        write_site(runs.parent / "encoders-site", place)
    with visited(browser, runs.parent / "encoders-site" / "index.html") as page:
        our_board(page)
        assert sort(page, "S-VQA") == ["Gamma", "Beta", "Alpha"]
        ranked = [
            row.locator("td.score").nth(4).get_attribute("class") or "" for row in page.locator(OWN).all()
        ]
        assert [one.split()[2:] for one in ranked] == [[], ["best"], ["second"]]
        assert "S-VQA is not the published one" in page.inner_text("#notes")
        first = page.locator(OWN).first
        assert first.locator("td").first.inner_text() == "clip"  # it was sent whole, so it has no place here:
        assert page.locator("#by-frames [role=img] .dot").count() == 2


@pytest.mark.parametrize("task", ["caption", "vqa", "har-1", "har-2"])
def test_axe_finds_no_serious_fault_and_on_paper_nothing_is_cut(
    browser: Browser, site: Path, task: str
) -> None:
    assert accessibility_faults(browser, site / "index.html", f"task={task}") == []
    assert faults_on_paper(browser, site / "index.html", f"task={task}", upright=False) == []
