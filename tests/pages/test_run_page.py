"""The page of a run in a real browser, from the file system: what a reader sees and can do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import MicrogError
from microg_bench.metrics import score
from microg_bench.metrics.base import Score
from microg_bench.pages.run_page import write_run_page
from microg_bench.progress import Progress
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.video.sampling import FrameSpec
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import record, write_annotations
from tests.pages.conftest import (
    HOSTILE_ID,
    baseline_run,
    make_run,
    make_settings,
    read_runs,
    score_all,
    write_page,
)

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OPENED_FITS = "() => { const one = microg.dom.byId('opened'); return one.scrollWidth <= one.clientWidth; }"
PHONE = {"viewport": {"width": 390, "height": 844}}


def choose(page: Page, **filters: str) -> str:
    """Set filters and give what is then said of the number of items."""
    set_filters(page, filters)
    return page.inner_text("#count")


def marks(page: Page, reference: str, answer: str) -> list[str]:
    """Reference and answer as the page marks their differences."""
    return page.evaluate(
        "([a, b]) => microg.differences(a, b).map((one) => microg.dom.el('p', {}, one).innerHTML)",
        [reference, answer],
    )


def test_scores_of_the_scorecard_stand_on_the_page(
    browser: Browser, sample_run: Path, sample_page: Path
) -> None:
    with visited(browser, sample_page) as page:
        for place, task in enumerate(("caption", "vqa")):
            card = json.loads((sample_run / task / "scorecard.json").read_text())
            values = page.locator(f"#tiles-{place} .value").all_inner_texts()
            assert values == [f"{entry['value']:.2f}" for entry in card["scores"].values()]
            assert page.locator(f"#tiles-{place} .histogram svg").count() == len(values)
            told = page.locator("section", has=page.locator(f"#tiles-{place}")).inner_text()
            assert f"1,000 resamples of {card['interval']['cluster_count']} source videos" in told
            signatures = page.locator("#made details").nth(place).locator(".signatures").text_content()
            scores = RunRecord.read(sample_run / task).scorecard.scores.values()
            assert all(one.signature and one.signature.long() in (signatures or "") for one in scores)


def test_histograms_count_every_item(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        bars = page.locator("#tiles-1 [data-metric=CIDEr] rect title").all_text_contents()
        assert sum(int(words.split()[0]) for words in bars) == 84


def test_clips_show_the_frames_that_the_journal_names(
    browser: Browser, sample_run: Path, sample_page: Path
) -> None:
    answers = RunRecord.read(sample_run / "caption").answers
    with visited(browser, sample_page) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        name = page.inner_text("#opened-title").partition(" · ")[0]
        sources = page.locator("#opened img").evaluate_all("all => all.map((one) => one.src)")
        assert [int(Path(source).stem) for source in sources] == list(range(len(answers[name].frames)))
        words = page.locator("#opened img").evaluate_all("all => all.map((one) => one.alt)")
        assert tuple(int(re.findall(r"\d+", one)[0]) for one in words) == answers[name].frames
        page.wait_for_function(
            "() => [...document.querySelectorAll('#opened img')].every((one) => one.naturalWidth)"
        )


def test_pictures_out_of_sight_are_not_read(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        page.wait_for_load_state("networkidle")
        assert page.locator("#list img[loading=lazy]").count() == page.locator("#list img").count() > 0
        drawn = page.evaluate(
            "() => [...document.querySelectorAll('#list img')].filter((one) => one.complete).length"
        )
        assert drawn < len(list(sample_page.parent.glob("frames/*/*.jpg")))


def test_reference_and_answer_stand_side_by_side_with_differences_marked(
    browser: Browser, sample_page: Path
) -> None:
    with visited(browser, sample_page) as page:
        left, right = page.locator("#list .item").first.locator(".side").all()
        boxes = left.bounding_box(), right.bounding_box()
        assert boxes[0] and boxes[1]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        assert marks(page, "A red cap, it floats!", "a blue cap floats away") == [
            'A <span class="lost">red</span> cap, <span class="lost">it</span> floats!',
            'a <span class="extra">blue</span> cap floats <span class="extra">away</span>',
        ]


def test_texts_too_long_for_an_alignment_are_compared_word_by_word(
    browser: Browser, sample_page: Path
) -> None:
    with visited(browser, sample_page) as page:
        reference, answer = marks(page, "a " * 1500 + "x", "y " + "a " * 1500)
        assert reference.endswith('a <span class="lost">x</span>') and reference.count("<span") == 1
        assert answer.startswith('<span class="extra">y</span> a') and answer.count("<span") == 1


def test_worst_first_orders_by_the_scores_of_single_items(
    browser: Browser, sample_run: Path, sample_page: Path
) -> None:
    card = json.loads((sample_run / "vqa" / "scorecard.json").read_text())
    with visited(browser, sample_page) as page:
        choose(page, task="1", order="worst:ROUGE-L")
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        rows = page.locator("#list .item .scores")
        scores = [float(text.split("\n")[-1]) for text in rows.all_inner_texts()]
        assert len(scores) == 84 and scores == sorted(scores) and scores[0] < scores[-1]
        # ROUGE-L of a run is the mean of its items.
        assert sum(scores) / 84 == pytest.approx(card["scores"]["ROUGE-L"]["value"], abs=0.05)
        choose(page, order="best:ROUGE-L")
        assert float(rows.first.inner_text().split("\n")[-1]) == scores[-1]


def test_an_opened_item_tells_its_own_scores_and_how_many_score_lower(
    browser: Browser, sample_page: Path
) -> None:
    with visited(browser, sample_page) as page:
        page.locator("#list .item").nth(2).click()
        reference, answer = page.locator("#opened .side .text").all_inner_texts()
        found = score([answer], [reference], metrics=["ROUGE-L"])["ROUGE-L"]
        assert isinstance(found, Score)
        cells = page.locator("#opened tbody tr", has_text="ROUGE-L").locator("td").all_inner_texts()
        assert cells[0] == f"{found.value:.2f}" and 0 < found.value < 100
        assert 0 < int(cells[1].rstrip("%")) < 100


def test_filters_choose_items(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        for name, value, left in [
            ("task", "0", 14),
            ("answerable", "unanswerable", 14),
            ("answerable", "answerable", 70),
            ("source", "rocket-roll", 14),
            ("outcome", "failed", 0),
            ("search", "ROCKET-ROLL_001", 7),
            ("search", "rocket-roll_001 no-such-word", 0),
        ]:
            assert choose(page, **{name: value}) == f"{left} of 98 items"
            assert min(left, 24) <= page.locator("#list .item").count() <= left
            assert page.inner_text("#end") == ("" if left else "No item is like that.")
            choose(page, **{name: ""})


def test_filters_hold_together(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        assert (
            choose(page, source="rocket-roll", answerable="unanswerable", search="rocket-roll_000")
            == "1 of 98 items"
        )
        assert page.inner_text("#list .badge") == "unanswerable"


def test_the_list_grows_to_its_end_as_it_is_scrolled(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        begun = page.locator("#list .item").count()
        assert begun < 98
        for _ in range(20):
            page.locator("#end").scroll_into_view_if_needed()
            page.wait_for_timeout(30)
        assert page.locator("#list .item").count() == 98


def test_an_item_is_opened_by_keyboard_read_on_and_closed(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        focused = page.locator("#list .open:focus")
        dialog = page.get_by_role("dialog")
        for key, expected in [
            ("j", "Caption"),
            ("j", "Question 1"),
            ("ArrowDown", "Question 2"),
            ("k", "Question 1"),
        ]:
            page.keyboard.press(key)
            assert focused.inner_text() == expected
            assert focused.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        title = page.locator("#opened-title")
        assert dialog.is_visible() and title.inner_text().endswith("· Question 1")
        for key, expected in [("j", "Question 2"), ("ArrowRight", "Question 3"), ("ArrowLeft", "Question 2")]:
            page.keyboard.press(key)
            assert title.inner_text().endswith(expected)
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        focused.filter(has_text="Question 2").wait_for()  # the browser first goes back to where it was
        assert focused.inner_text() == "Question 2"
        page.keyboard.press("/")
        assert page.locator("#search").evaluate("(one) => one === document.activeElement")
        page.keyboard.type("j/k")
        assert page.input_value("#search") == "j/k"
        page.keyboard.press("Escape")
        assert page.locator("#search").evaluate("(one) => one !== document.activeElement")


def test_j_at_the_last_item_stays_there(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        choose(page, search="rocket-roll_001")
        for _ in range(12):
            page.keyboard.press("Escape")
            page.keyboard.press("j")
        assert page.locator("#list .open:focus").inner_text() == "Question 6"


def test_an_item_is_opened_by_mouse_and_closed_by_button(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        page.locator("#list .item").nth(2).locator(".scores").click()
        assert page.inner_text("#opened-title").endswith("Question 2")
        page.get_by_role("button", name="Next item").click()
        assert page.inner_text("#opened-title").endswith("Question 3")
        page.get_by_role("button", name="Close").click()
        assert not page.locator("#opened").is_visible()


def test_the_address_names_the_opened_item_and_opens_it_again(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        last = page.evaluate("() => microg.dom.readData().items.at(-1).id")
        page.evaluate("(id) => { location.hash = new URLSearchParams({ item: id }); }", last)
        page.wait_for_selector("#opened[open]")
        clip, _, number = last.partition("#")
        assert page.inner_text("#opened-title") == f"{clip} · Question {number}"
        address = page.evaluate("() => location.href")
        page.keyboard.press("Escape")
        page.wait_for_function("() => !location.href.includes('#')")
        page.goto("about:blank#leave")  # not a request: the page is opened anew
        page.goto(address)
        page.wait_for_selector("#opened[open]")
        assert page.inner_text("#opened-title") == f"{clip} · Question {number}"


def test_an_address_that_names_no_item_opens_none(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        page.evaluate("() => { location.hash = '#item=%E0%A4%A&x=<b>'; }")
        page.wait_for_timeout(50)
        assert not page.locator("#opened").is_visible()


@pytest.mark.parametrize("view", [PHONE, {"color_scheme": "dark"}, {}], ids=["phone", "dark", "desktop"])
def test_hostile_text_stays_text_and_inside_the_page(
    browser: Browser, hostile_page: Path, view: dict
) -> None:
    with visited(browser, hostile_page, **view) as page:
        assert page.title().startswith("Model <script>document.title='broken'</script>")
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        assert page.inner_text("#opened-title") == f"{HOSTILE_ID}_001 · Question 1"
        assert page.locator("script").count() == len(page.locator("head ~ body > script").all())
        assert page.locator("img:not([src^='frames/'])").count() == 0
        assert page.locator("[onerror]").count() == 0
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(OPENED_FITS)
        whole = page.text_content("body") or ""
        assert "\u202e" not in whole.replace(page.text_content("#data") or "", "")
        for spoken in (
            "question 0 ",
            "reference 0 ",
            "reason ",
            "failed text ",
            "text ",
            "answer ",
            "Model ",
        ):
            assert f"{spoken}<script>document.title='broken'</script> </script><script>" in whole
        assert page.locator("#opened .control").first.inner_text() == "U+202E"


def test_outcomes_are_told_and_can_be_chosen(browser: Browser, hostile_page: Path) -> None:
    with visited(browser, hostile_page) as page:
        assert "1 request failed" in page.inner_text(".warning")
        assert choose(page, outcome="failed") == "1 of 12 items"
        assert "failed (engine): reason <script>" in page.inner_text("#list .failure")
        assert choose(page, outcome="empty") == "1 of 12 items"
        assert page.inner_text("#list .failure") == "empty answer"
        assert choose(page, outcome="length") == "1 of 12 items"
        assert page.inner_text("#list .badge.bad") == "hit the token limit"
        assert choose(page, outcome="", answerable="unanswerable") == "3 of 12 items"
        assert choose(page, answerable="", order="worst:CIDEr", task="1") == "9 of 12 items"
        assert page.locator("#list .item").first.locator(".failure").count() == 1


def test_what_the_model_wrote_is_told_where_the_answer_is_another(
    browser: Browser, hostile_page: Path
) -> None:
    with visited(browser, hostile_page) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        assert "what the model wrote, word for word" in page.inner_text("#opened")
        assert "U+D800" in page.inner_text("#opened")


def test_dark_and_light_differ_and_both_can_be_read(browser: Browser, sample_page: Path) -> None:
    paper = {}
    for scheme in ("light", "dark"):
        with visited(browser, sample_page, color_scheme=scheme) as page:
            look = page.evaluate(CONTRASTS)
            assert min(look.values()) >= 4.5, look
            paper[scheme] = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper["light"] != paper["dark"]


CONTRASTS = """() => {
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (one) => {
    const found = getComputedStyle(one).backgroundColor;
    return found === "rgba(0, 0, 0, 0)" ? paper(one.parentElement) : found;
  };
  const contrast = (name) => {
    const one = document.querySelector(name);
    const [a, b] = [light(getComputedStyle(one).color), light(paper(one))].sort((x, y) => y - x);
    return [name, (a + 0.05) / (b + 0.05)];
  };
  const large = ["h1", "a", ".item .text", ".item .lost", ".item .extra"];
  const small = [".tile .range", ".item .label", ".item .open", ".note", "header .muted"];
  return Object.fromEntries([...large, ...small].map(contrast));
}"""


@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_wider_than_a_phone(browser: Browser, sample_page: Path, opened: bool) -> None:
    with visited(browser, sample_page, **PHONE) as page:
        if opened:
            page.locator("#list .item").nth(1).click()
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert page.evaluate(OPENED_FITS)


def test_print_holds_every_item_and_no_controls(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        assert page.pdf().startswith(b"%PDF")  # this is what makes the page unfold
        page.emulate_media(media="print")
        assert page.locator("#list .item").count() == 98
        assert not page.locator("#tools").is_visible()
        assert page.locator(".signatures").first.is_visible()


def test_a_link_to_a_folded_part_unfolds_it(browser: Browser, sample_page: Path) -> None:
    with visited(browser, sample_page) as page:
        assert not page.locator("#slices table").first.is_visible()
        page.get_by_role("link", name="Slices").click()
        assert page.locator("#slices table").first.is_visible()


def test_below_the_score_of_a_slice_stands_what_each_baseline_reaches_there(
    browser: Browser, sample_page: Path, sample_run: Path
) -> None:
    card = RunRecord.read(sample_run / "vqa").scorecard
    with visited(browser, sample_page) as page:
        page.get_by_role("link", name="Slices").click()
        table = page.get_by_role("region", name="Scores by answerable, Question answering")
        row = table.get_by_role("row", name="unanswerable", exact=False).filter(
            has=page.get_by_role("rowheader", name="unanswerable", exact=True)
        )
        said = row.inner_text()
    for name, one in card.baselines.items():
        for value in one.slices["answerable"]["unanswerable"].values():
            assert f"{name}: {value:.2f}" in said


def test_a_model_that_sees_no_video_has_a_page_without_pictures(browser: Browser, tmp_path: Path) -> None:
    score_all([baseline_run(tmp_path / "r", "constant", "caption", "sample")])
    with visited(browser, write_page(tmp_path / "r", tmp_path / "r" / "report")) as page:
        assert page.inner_text("#pictures-note") == "This model sees no video."
        assert page.locator("img").count() == 0 and page.locator("#list .item").count() == 14


def test_title_checkpoint_and_prompts_stand_in_the_header(browser: Browser, hostile_page: Path) -> None:
    with visited(browser, hostile_page) as page:
        head = page.inner_text("header")
        assert "prompt caption-default@1:0a1b2c3d" in head and "prompt vqa-default@1:0a1b2c3d" in head
        assert page.inner_text("h1 small").startswith("org <script>document.title='broken'</script>")


@pytest.mark.parametrize(
    ("title", "checkpoint", "heading"),
    [
        ("Qwen", "org/own", 'Qwen</bdi> <small class="muted"><bdi>org/own</bdi></small>'),
        ("Qwen (org/other)", "org/other", "Qwen (org/other)</bdi>"),
        ("Qwen (tuned, 1a2b3c4d)", "/home/ann/tuned", "Qwen (tuned, 1a2b3c4d)</bdi>"),
        ("Baseline", None, "Baseline</bdi>"),
    ],
)
def test_the_checkpoint_stands_once_in_the_header_and_without_its_path(
    tmp_path: Path, title: str, checkpoint: str | None, heading: str
) -> None:
    data = write_annotations(tmp_path / "refs.json", [record("a_001")])
    settings = make_settings("caption", load(str(data)), title=title, checkpoint=checkpoint)
    run = make_run(tmp_path / "r", settings, data, lambda one, _: Answer(id=one.id, text="x", answer="x"))
    score_all([run])
    page = write_page(run, tmp_path / "page").read_text()
    assert f"<h1><bdi>{heading}</h1>" in page


def test_a_page_without_the_dataset_shows_the_answers_alone(
    browser: Browser, sample_run: Path, tmp_path: Path
) -> None:
    file = write_run_page(read_runs(sample_run), None, tmp_path / "page", progress=Progress())
    with visited(browser, file) as page:
        assert "no videos were at hand" in page.inner_text("#pictures-note")
        assert page.locator("#list .item").first.locator(".side .text").count() == 1
        assert page.locator("#list .item").first.locator(".side").first.inner_text().endswith("not at hand")
        assert page.inner_text("#count") == "98 of 98 items"


def test_the_same_run_gives_the_same_bytes(sample_run: Path, sample_page: Path, tmp_path: Path) -> None:
    again = write_page(sample_run, tmp_path / "page")
    first, second = (
        {
            file.relative_to(page.parent): file.read_bytes()
            for file in page.parent.rglob("*")
            if file.is_file()
        }
        for page in (sample_page, again)
    )
    assert first == second


def refused(runs: list[RunRecord], out: Path, dataset: Dataset | None = None) -> str:
    """Why no page is written; nothing is at `out` then."""
    with pytest.raises(MicrogError) as error:
        write_run_page(runs, dataset, out, progress=Progress())
    assert not out.exists()
    return str(error.value)


def test_runs_that_do_not_belong_together_are_refused(sample_run: Path, tmp_path: Path) -> None:
    caption, vqa = read_runs(sample_run)
    assert "of the same task" in refused([caption, caption], tmp_path / "page")
    vqa.settings = vqa.settings.model_copy(update={"frames": FrameSpec.parse(8)})
    assert "differ in frames (uniform:4, uniform:8)" in refused([caption, vqa], tmp_path / "page")
    for run, seed in ((caption, 0), (vqa, 1)):
        generation = run.settings.generation.model_copy(update={"seed": seed})
        swapped = {"frames": FrameSpec.parse(4), "transforms": ("swap",), "generation": generation}
        run.settings = run.settings.model_copy(update=swapped)
    assert "other seeds" in refused([caption, vqa], tmp_path / "page")


def test_a_run_without_scorecard_or_journal_is_refused(sample_run: Path, tmp_path: Path) -> None:
    for name, why in (("scorecard.json", "has not been scored"), ("journal.jsonl", "holds no journal.jsonl")):
        run = shutil.copytree(sample_run / "vqa", tmp_path / name)
        (run / name).unlink()
        error = refused([RunRecord.read(run)], tmp_path / "page")
        assert error.startswith(f"{run}: ") and why in error


def test_another_dataset_is_refused(sample_run: Path, hostile_run: Path, tmp_path: Path) -> None:
    other = RunRecord.read(hostile_run / "vqa").dataset()
    error = refused([RunRecord.read(sample_run / "vqa")], tmp_path / "page", other)
    assert "give the right dataset" in error


def test_runs_of_version_0_1_have_pages(browser: Browser, shared: Path, tmp_path: Path) -> None:
    with visited(browser, write_page(shared / "data/v0.1/run-nearest-clip", tmp_path / "page")) as page:
        assert page.inner_text("#count") == "98 of 98 items"
        assert page.locator("#tiles-0 .value").first.inner_text() == "40.48"


def test_axe_finds_no_serious_fault(browser: Browser, sample_page: Path) -> None:
    assert accessibility_faults(browser, sample_page) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, sample_page: Path) -> None:
    assert faults_on_paper(browser, sample_page) == []
