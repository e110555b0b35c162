"""The page of runs of action recognition in a real browser: what a reader sees and can choose."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench.dataset.labels import read_groups
from microg_bench.errors import RunError
from microg_bench.har import read_label_map
from microg_bench.har.analysis import JudgedBoxes, count_errors, instead_of_missed, judge
from microg_bench.har.runs import AVA_ACTIONS, read_run
from microg_bench.har.scoring import evaluate
from microg_bench.pages.actions_page import names, write_actions_page
from microg_bench.pages.run_page import write_run_page
from microg_bench.persons.keyframes import KeyFrames, load_key_frames
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from tests.har.run_folders import LABELS, MODEL, random_detections, write_run
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import make_dataset
from tests.helpers.videos import packet_places
from tests.pages.conftest import HOSTILE, HOSTILE_ID

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE = {"viewport": {"width": 400, "height": 850}}
SHARES = """(one) => {
    const { x, y, width, height } = one.getBBox();
    const { width: w, height: h } = one.ownerSVGElement.viewBox.baseVal;
    return [x / w, y / h, (x + width) / w, (y + height) / h];
}"""
NAMES = ["best.safetensors", "ava"]


@pytest.fixture(scope="module")
def key_frames() -> KeyFrames:
    return load_key_frames("sample", LABELS, split="all")


@pytest.fixture(scope="module")
def runs(key_frames: KeyFrames, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the sample set, of weights trained on it and on AVA; the first recognises more."""
    place = tmp_path_factory.mktemp("actions")
    other = {"checkpoint": "ava", "trained_on": "AVA", "actions": AVA_ACTIONS}
    return [
        write_run(place / "tuned", key_frames, random_detections(key_frames, 0, 0.7)),
        write_run(place / "ava", key_frames, random_detections(key_frames, 1, 0.3), **other),
    ]


@pytest.fixture(scope="module")
def judged(key_frames: KeyFrames, runs: Sequence[Path]) -> list[JudgedBoxes]:
    return [judge(key_frames, read_run(run, LABELS).detections, LABELS) for run in runs]


@pytest.fixture(scope="module")
def written(runs: Sequence[Path]) -> Path:
    """The page of both."""
    return write_actions_page(runs, "sample", out=runs[0].parent / "page", progress=Progress())


def shown_clips(page: Page) -> list[str]:
    """The clips of the key frames that are left; all of them are built."""
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    return page.locator("#list .open").all_inner_texts()


def choose(page: Page, **filters: str) -> list[str]:
    """Set filters and give the clips that pass."""
    set_filters(page, filters)
    return shown_clips(page)


def clips_with(key_frames: KeyFrames, *flags: np.ndarray) -> list[str]:
    """The clips with a box that one of the flags, shape (boxes, actions), is set for."""
    ids = [one.video_id for one in key_frames.items for _ in one.boxes]
    rows = np.any([one.any(axis=1) for one in flags], axis=0)
    return [
        one.video_id for one in key_frames.items if one.video_id in {ids[k] for k in np.flatnonzero(rows)}
    ]


def test_truth_and_runs_stand_side_by_side_with_probability_and_logit(
    browser: Browser, written: Path, key_frames: KeyFrames, judged: list[JudgedBoxes]
) -> None:
    signs = {(True, True): "✓", (True, False): "○", (False, True): "✕"}
    with visited(browser, written) as page:
        heads = page.locator("#list .people").first.locator("thead th").all_inner_texts()
        assert heads == ["box", "truth", *NAMES]
        shown_clips(page)
        first = 0
        for number, one in enumerate(key_frames.items):
            table = page.locator("#list .people").nth(number)
            for row in range(len(one.boxes)):
                _, truth, *said = table.locator("tbody tr").nth(row).locator("th, td").all()
                expected = [LABELS.names[k] for k in np.flatnonzero(judged[0].true[first + row])]
                assert truth.inner_text().split("\n") == expected
                for cell, run in zip(said, judged, strict=True):
                    true, scores = run.true[first + row], run.scores[first + row]
                    lines = cell.locator("li.right, li.missed, li.false").all_inner_texts()
                    told = [k for k in np.argsort(-scores) if true[k] or scores[k] >= 0.5]
                    assert [" ".join(line.split()) for line in lines] == [
                        f"{signs[bool(true[k]), bool(scores[k] >= 0.5)]} {LABELS.names[k]} "
                        f"{100 / (1 + math.exp(-scores[k])):.1f}% ({scores[k]:.2f})"
                        for k in told
                    ]
            first += len(one.boxes)


def test_where_nothing_is_claimed_the_action_that_ranks_highest_is_told(
    browser: Browser, key_frames: KeyFrames, tmp_path: Path
) -> None:
    given = random_detections(key_frames, 0, 0)
    low = replace(given, scores=np.minimum(given.scores, 0.25))
    run = write_run(tmp_path / "low", key_frames, low)
    page_file = write_actions_page([run], "sample", out=tmp_path / "page", progress=Progress())
    with visited(browser, page_file) as page:
        assert page.locator("#list li.low").count() > 0
        assert page.locator("#list li.false, #list li.right").count() == 0
        first = page.locator("#list .people").first
        assert first.locator("thead th").all_inner_texts() == ["box", "truth", MODEL]
        highest = LABELS.names[int(low.scores[0].argmax())]
        assert highest in first.locator("li.low").inner_text()
        assert page.locator("#run").is_hidden() and page.locator("#pair").is_hidden()


def test_boxes_lie_where_they_are_and_bear_their_numbers(
    browser: Browser, written: Path, key_frames: KeyFrames
) -> None:
    place = next(k for k, one in enumerate(key_frames.items) if len(one.boxes) > 3)
    with visited(browser, written) as page:
        shown_clips(page)
        scene = page.locator("#list .scene").nth(place)
        scene.scroll_into_view_if_needed()
        page.wait_for_function("(one) => one.querySelector('img').naturalWidth", arg=scene.element_handle())
        image = scene.locator("img").bounding_box()
        outlines = scene.locator("rect.over").all()
        assert scene.locator("text").all_text_contents() == [str(k + 1) for k in range(len(outlines))]
        assert image and len(outlines) == len(key_frames.items[place].boxes)
        for outline, (x1, y1, x2, y2) in zip(outlines, key_frames.items[place].boxes, strict=True):
            box = outline.evaluate(SHARES)
            assert box == pytest.approx([x1, y1, x2, y2], abs=2e-4)
            drawn = outline.bounding_box()
            assert drawn and drawn["x"] + drawn["width"] / 2 == pytest.approx(
                image["x"] + image["width"] * (x1 + x2) / 2, abs=2
            )
            assert drawn["y"] + drawn["height"] / 2 == pytest.approx(
                image["y"] + image["height"] * (y1 + y2) / 2, abs=2
            )


def test_marks_have_a_sign_and_words(browser: Browser, written: Path) -> None:
    words = {"right": "true and claimed", "missed": "true, missed", "false": "claimed, false"}
    with visited(browser, written) as page:
        shown_clips(page)
        signs = set()
        for kind, told in words.items():
            mark = page.locator(f"#list li.{kind} .mark").first
            assert mark.get_attribute("aria-label") == told
            assert told in page.inner_text(".legend")
            signs.add(mark.inner_text())
        assert len(signs) == 3


def test_filters_choose_by_action_group_outcome_run_and_clip(
    browser: Browser, written: Path, key_frames: KeyFrames, judged: list[JudgedBoxes]
) -> None:
    groups = np.array([read_groups()[number] for number in LABELS.ids])
    everything = [one.true | one.claimed for one in judged]
    stand, carry = LABELS.ids.index(12), LABELS.ids.index(17)
    only = np.arange(len(LABELS)) == stand
    with visited(browser, written) as page:
        assert choose(page, action=str(stand)) == clips_with(key_frames, *(one & only for one in everything))
        missed = choose(page, outcome="missed")
        assert missed == clips_with(key_frames, *(one.missed & only for one in judged))
        assert choose(page, run="1") == clips_with(key_frames, judged[1].missed & only)
        assert choose(page, run="0") == clips_with(key_frames, judged[0].missed & only)
        assert page.inner_text("#count").startswith(f"{len(shown_clips(page))} of {len(key_frames)} ")
        choose(page, action=str(carry), run="", outcome="false")
        group = choose(page, action="", outcome="missed", group="person interaction")
        interaction = groups == "PERSON_INTERACTION"
        assert group == clips_with(key_frames, *(one.missed & interaction for one in judged))
        assert 0 < len(group) < len(key_frames)
        assert choose(page, group="", outcome="", search="drift_001") == ["astronaut-drift_001"]
        assert choose(page, search="nowhere") == []
        assert "No key frame is like that." in page.inner_text("#end")


def test_footage_is_chosen_where_there_are_two_kinds(browser: Browser, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", ["a_001", "b_001"], footage="rm")
    frames = load_key_frames(data, LABELS, split="all")
    run = write_run(tmp_path / "run", frames, random_detections(frames))
    with visited(
        browser, write_actions_page([run], data, out=tmp_path / "page", progress=Progress())
    ) as page:
        assert choose(page, footage="movie") == ["b_001"]
        assert choose(page, footage="real") == ["a_001"]
        heads = page.locator("#errors thead th[colspan]").all_inner_texts()
        assert heads == ["movie footage", "real footage", "all footage"]


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def small_dataset(folder: Path, ids: Sequence[str], footage: str) -> Path:
    """Clips of one person each, who stands and carries something."""
    make_dataset(folder, ids)
    boxes = [(name, 45, 1, 4, 4, 40, 60) for name in ids]
    actions = [(name, kind, 1, one) for name, kind in zip(ids, footage, strict=True) for one in (12, 17)]
    columns = ["video_id", "frame_id", "person_id", "xmin", "ymin", "xmax", "ymax"]
    write_rows(folder / "bounding_boxes.csv", columns, boxes)
    write_rows(folder / "actions.csv", ["video_id", "movie_or_real", "person_id", "action"], actions)
    return folder


def test_most_missed_first_orders_by_the_number_of_missed_actions(
    browser: Browser, written: Path, key_frames: KeyFrames, judged: list[JudgedBoxes]
) -> None:
    ids = [one.video_id for one in key_frames.items for _ in one.boxes]
    counts = dict.fromkeys(ids, 0)
    for name, missed in zip(ids, judged[1].missed.sum(axis=1), strict=True):
        counts[name] += int(missed)
    with visited(browser, written) as page:
        found = [counts[name] for name in choose(page, run="1", order="missed") if counts[name]]
        assert found == sorted(found, reverse=True) and len(set(found)) > 1


def test_actions_have_examples_ap_and_the_gap_of_the_scorecards(
    browser: Browser, written: Path, runs: list[Path], key_frames: KeyFrames
) -> None:
    assert key_frames.truth
    cards = [
        evaluate(read_run(run, LABELS).detections, key_frames.truth, LABELS, resamples=0) for run in runs
    ]
    facts = {
        one.name: (one, other)
        for one, other in zip(*(card.har.actions for card in cards if card.har), strict=True)
    }
    with visited(browser, written) as page:
        for row, card in zip(page.locator("#runs tbody tr").all(), cards, strict=True):
            values = row.locator(".value").all_inner_texts()
            assert values == [f"{entry.value:.2f}" for entry in card.scores.values()]
        for _ in range(2):
            page.locator("#by-action [data-sort=gap]").click()
        gaps = []
        for row in page.locator("#by-action tbody tr").all():
            name, _, examples, first, second, gap = row.locator("th, td").all_inner_texts()
            one, other = facts[name]
            assert int(examples) == one.examples
            assert [first, second] == ["n/a" if x.AP is None else f"{x.AP:.2f}" for x in (one, other)]
            if one.AP is None or other.AP is None:
                assert gap == "n/a"
            else:
                assert float(gap) == pytest.approx(other.AP - one.AP, abs=0.01)
                gaps.append(float(gap))
        assert gaps == sorted(gaps) and len(gaps) == 5
        points = page.locator("#scatters figure").nth(1).locator("circle title").all_text_contents()
        known = [one for _, one in facts.values() if one.AP is not None]
        assert sorted(points) == sorted(f"{one.name}: {one.AP:.2f}" for one in known)


def test_missed_actions_tell_what_was_predicted_instead(
    browser: Browser, written: Path, judged: list[JudgedBoxes]
) -> None:
    with visited(browser, written) as page:
        page.locator("#missed-run").select_option("1")
        claimed, ranked = instead_of_missed(judged[1])
        rows = page.locator("#missed tbody tr").all()
        assert len(rows) == judged[1].missed.any(axis=0).sum()
        for row in rows:
            name, count, *told = row.locator("th, td").all()
            k = LABELS.names.index(name.inner_text())
            assert count.inner_text() == f"{judged[1].missed[:, k].sum()} of {judged[1].true[:, k].sum()}"
            for cell, table in zip(told, (claimed, ranked), strict=True):
                found = [re.split(r"\s×", line) for line in cell.locator("li:not(.muted)").all_inner_texts()]
                for other, often in found:
                    assert int(often) == table[k, k if other == "itself" else LABELS.names.index(other)]
                assert len(found) == min(8, int((table[k] > 0).sum()))
        page.locator("#missed .open-action").first.click()
        assert (page.input_value("#outcome"), page.input_value("#run")) == ("missed", "1")
        assert shown_clips(page)


def test_errors_are_counted_by_group(browser: Browser, written: Path, judged: list[JudgedBoxes]) -> None:
    groups = np.array([read_groups()[number].replace("_", " ").lower() for number in LABELS.ids])
    with visited(browser, written) as page:
        for body, one in zip(page.locator("#errors tbody").all(), judged, strict=True):
            for row in body.locator("tr:has(td)").all():
                name, missed, false = row.locator("th, td").all_inner_texts()
                actions = np.ones(len(groups), bool) if name == "all actions" else groups == name
                found = count_errors(one, np.ones(len(one.true), bool), actions)
                assert missed.startswith(f"{found.missed} of {found.true} ")
                assert false.startswith(f"{found.false} of {found.claimed} ")
            assert body.locator("tr:has(td)").count() == 4


def test_an_opened_key_frame_is_linked(browser: Browser, written: Path) -> None:
    with visited(browser, written) as page:
        page.locator("#list .open").nth(2).click()
        assert page.locator("#opened").is_visible()
        assert page.locator("#opened li").count() > page.locator("#list .people").nth(2).locator("li").count()
        title, address = page.inner_text("#opened-title"), page.url
        page.goto("about:blank")
        page.goto(address)
        assert page.inner_text("#opened-title") == title == "astronaut-roll_000 · frame 46"


@pytest.mark.parametrize("view", [PHONE, {"viewport": {"width": 1280, "height": 900}}], ids=["400", "1280"])
def test_the_page_is_as_wide_as_the_window(browser: Browser, written: Path, view: dict[str, Any]) -> None:
    with visited(browser, written, **view) as page:
        shown_clips(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        page.locator("#list .open").nth(5).click()
        assert page.evaluate(
            "() => { const one = microg.dom.byId('opened'); return one.scrollWidth <= one.clientWidth; }"
        )


def test_nothing_from_elsewhere_becomes_markup(browser: Browser, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", [f"{HOSTILE_ID}_001"], footage="r")
    text = (Path(__file__).parents[2] / "microg_bench" / "dataset" / "label_map.pbtxt").read_text()
    hostile = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
    (tmp_path / "labels.pbtxt").write_text(re.sub(r'name: "stand"', f'name: "{hostile}"', text))
    labels = read_label_map(tmp_path / "labels.pbtxt")
    assert hostile in labels.names
    frames = load_key_frames(data, labels, split="all")
    made = [
        write_run(
            tmp_path / f"run{k}",
            frames,
            random_detections(frames, k),
            checkpoint=f"{k} {HOSTILE}",
            trained_on=HOSTILE,
        )
        for k in range(2)
    ]
    out = write_actions_page(made, data, labels=labels, out=tmp_path / "page", progress=Progress())
    with visited(browser, out) as page:
        assert page.title() == "Action recognition · microg-bench"
        assert hostile in page.inner_text("#by-action")
        assert HOSTILE_ID in page.inner_text("#list")
        page.locator("#list .open").first.click()
        assert hostile in page.inner_text("#opened")


def test_a_clip_that_cannot_be_decoded_says_why(browser: Browser, tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data", ["a_001", "b_001"], footage="rr")
    frames = load_key_frames(data, LABELS, split="all")
    run = write_run(tmp_path / "run", frames, random_detections(frames))
    video = next(data.rglob("b_001.mp4"))
    content = bytearray(video.read_bytes())
    place = packet_places(video)[5]
    content[place] = b"\xff" * (place.stop - place.start)
    video.write_bytes(content)
    with visited(
        browser, write_actions_page([run], data, out=tmp_path / "page", progress=Progress())
    ) as page:
        assert page.locator("#list img").count() == 1
        assert "no picture: b_001.mp4: " in page.locator("#list .keyframe").nth(1).inner_text()


def test_boxes_that_were_not_looked_at_are_told_and_are_no_errors(
    browser: Browser, tmp_path: Path, key_frames: KeyFrames
) -> None:
    given = random_detections(key_frames)
    part = replace(
        given,
        video_ids=given.video_ids[:30],
        frames=given.frames[:30],
        boxes=given.boxes[:30],
        scores=given.scores[:30],
    )
    run = write_run(tmp_path / "run", key_frames, part)
    with visited(
        browser, write_actions_page([run], "sample", out=tmp_path / "page", progress=Progress())
    ) as page:
        assert "6 of 36 boxes were not looked at" in page.inner_text(".remarks")
        left = choose(page, outcome="unseen")
        assert left and all(
            "not looked at" in row for row in page.locator("#list .keyframe").all_inner_texts()
        )


def test_the_same_runs_give_the_same_bytes(runs: list[Path], written: Path, tmp_path: Path) -> None:
    again = write_actions_page(runs, "sample", out=tmp_path / "again", progress=Progress())
    for path in written.parent.rglob("*"):
        if path.is_file():
            assert (again.parent / path.relative_to(written.parent)).read_bytes() == path.read_bytes()
    text = written.read_text()
    assert str(runs[0].parent) not in text and "sample, all" in text


def test_runs_are_called_by_what_differs(runs: list[Path]) -> None:
    one = read_run(runs[0], LABELS).settings
    other = one.model_copy(update={"recipe": "paper"})
    both = [Path("runs/a/test"), Path("runs/b/test")]
    assert names([one], both[:1]) == [MODEL]
    assert names([one, other], both) == ["fixed", "paper"]
    third = other.model_copy(update={"model": "X3D_L"})
    assert names([one, third], both) == [f"{MODEL}, fixed", "X3D_L, paper"]
    assert names([one, one], both) == ["a/test", "b/test"]
    assert names([one, one], [folder.parent for folder in both]) == ["a", "b"]


def test_ap_has_one_axis_for_all_runs(browser: Browser, written: Path) -> None:
    with visited(browser, written) as page:
        axes = [
            figure.locator("text[text-anchor=end]").all_text_contents()
            for figure in page.locator("#scatters figure").all()
        ]
        assert [[text for text in axis if text.isdigit()] for axis in axes] == [
            ["0", "20", "40", "60", "80", "100"]
        ] * 2


def test_a_model_that_was_asked_stands_beside_a_network(
    browser: Browser, key_frames: KeyFrames, runs: list[Path], tmp_path: Path
) -> None:
    mb.evaluate("blind", "sample", "har", split="all", run=tmp_path / "asked", progress=None)
    folders = [tmp_path / "asked" / "har", runs[0]]
    file = write_actions_page(folders, "sample", out=tmp_path / "page", progress=Progress())
    with visited(browser, file) as page:
        names = page.locator("#runs tbody th").all_inner_texts()
        assert names[0].startswith("Baseline: blind")
        assert page.locator("#runs tbody tr").first.inner_text().count("asked, drawn") >= 1
        first = page.locator("#list td[data-column^='Baseline']").filter(has_text="walk").all_inner_texts()
        said = [text for text in first if "0.56" in text]
        assert said
        assert not any("%" in text for text in said), "a score that was said in words is no logit"


def test_the_page_of_a_run_is_refused_for_runs_about_persons(tmp_path: Path) -> None:
    mb.evaluate("blind", "sample", "har", run=tmp_path / "asked", progress=None)
    record = RunRecord.read(tmp_path / "asked" / "har")
    with pytest.raises(RunError, match="har report"):
        write_run_page([record], None, tmp_path / "page", progress=Progress())


def test_axe_finds_no_serious_fault(browser: Browser, written: Path) -> None:
    assert accessibility_faults(browser, written) == []


def test_on_paper_nothing_is_cut_and_no_control_stands(browser: Browser, written: Path) -> None:
    assert faults_on_paper(browser, written) == []
