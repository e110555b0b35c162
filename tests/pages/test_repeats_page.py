"""The pages of repeats and of paraphrases in a real browser: what scores vary by, answers side by side."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.dataset.load import load
from microg_bench.pages import repeats_page
from microg_bench.pages.repeats_page import write_paraphrases_page, write_repeats_page
from microg_bench.progress import Progress
from microg_bench.records import AnswerTask
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.paraphrases import ParaphrasesReport
from microg_bench.scoring.repeats import repeats_report
from tests.helpers.browser import accessibility_faults, faults_on_paper, set_filters, visited
from tests.helpers.datasets import QUESTIONS, ROOT, bench, make_dataset, write_annotations
from tests.helpers.listening import WORDS, in_other_words
from tests.helpers.stand_in import write_adapter
from tests.pages.conftest import HOSTILE, HOSTILE_ID, hostile_record

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.heavy

IDS = [f"{source}_000" for source in "abcdef"]
WRONG = "Something else."


@pytest.fixture(scope="module")
def paraphrased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of paraphrases of a model that mishears some words."""
    root = tmp_path_factory.mktemp("paraphrased")
    data, adapter = make_dataset(root / "data", IDS), write_adapter(root)
    words = in_other_words(root / "words.jsonl", IDS)
    command = [sys.executable, "-m", "tests.helpers.listening", adapter, data, root / "r", words]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return root / "r"


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of repeats of a model that answers the first question alike each time, in both tasks."""
    root = tmp_path_factory.mktemp("repeated")
    data, adapter = make_dataset(root / "data", IDS), write_adapter(root)
    command = [sys.executable, "-m", "tests.helpers.sampling", adapter, data, root / "r"]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return root / "r"


def test_the_page_of_paraphrases_has_the_table_a_chart_and_each_wording(
    browser: Browser, paraphrased: Path
) -> None:
    with visited(browser, paraphrased / "index.html") as page:
        facts = page.locator(".facts li").all_inner_texts()
        assert facts[0].startswith("12 of 12 questions were answered as published and in 2 paraphrases")
        assert facts[1] == "0.0% of these 12 questions have the same answer in all wordings"
        assert facts[2].startswith("50.0% of 24 answers to paraphrases")
        assert page.locator("main table tbody th").all_inner_texts() == ["ROUGE-L"]
        (chart,) = page.locator("#charts-0 svg").all()
        assert chart.locator("circle").count() == 4, "the mean and three wordings"
        first = page.locator(".row").first
        assert first.locator(".label").all_inner_texts() == ["published", "paraphrase-1", "paraphrase-2"]
        assert first.locator(".asked").all_inner_texts() == [QUESTIONS[0], *WORDS[0]]
        assert first.locator(".side.other .label").all_inner_texts() == ["paraphrase-2"]
        assert first.locator(".extra").inner_text() == WRONG


def test_questions_are_filtered_by_whether_their_answers_differ(browser: Browser, paraphrased: Path) -> None:
    with visited(browser, paraphrased / "index.html") as page:
        assert page.locator(".row").count() == 2 * len(IDS)
        set_filters(page, {"outcome": "same"})
        assert page.locator(".row").count() == 0
        set_filters(page, {"outcome": "other", "source": "b"})
        assert page.locator(".row .open").all_inner_texts() == ["b_000#1", "b_000#2"]
        set_filters(page, {"search": "whom does"})
        assert page.locator(".row .open").all_inner_texts() == ["b_000#1"]
        page.locator(".row").first.click()
        scores = page.locator("dialog tbody td").all_inner_texts()
        assert len(scores) == 3
        assert scores[0] == scores[1] != scores[2] == "0.0"


def test_the_page_of_repeats_names_an_answer_once(browser: Browser, repeated: Path) -> None:
    with visited(browser, repeated / "index.html") as page:
        assert page.locator("main h2").all_inner_texts() == ["Captioning", "Question answering", "Answers"]
        assert page.locator("#charts-0 circle, #charts-1 circle").count() == 2 * 3
        assert page.locator(".row").count() == 3 * len(IDS)
        set_filters(page, {"task": "1", "outcome": "same"})
        assert page.locator(".row").count() >= len(IDS)
        assert page.locator(".row").first.locator(".label").all_inner_texts() == ["seed-0, seed-1"]
        assert page.locator(".row").first.locator(".question").inner_text() == QUESTIONS[0]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(
    browser: Browser, paraphrased: Path, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 800}
    with visited(browser, paraphrased / "index.html", viewport=size, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_axe_finds_no_serious_fault(browser: Browser, paraphrased: Path, repeated: Path) -> None:
    for folder in (paraphrased, repeated):
        assert accessibility_faults(browser, folder / "index.html") == []


def test_on_paper_nothing_is_cut_and_no_control_stands(
    browser: Browser, paraphrased: Path, repeated: Path
) -> None:
    for folder in (paraphrased, repeated):
        assert faults_on_paper(browser, folder / "index.html") == []


def test_an_opened_item_shows_the_frames_that_were_shown(
    browser: Browser, paraphrased: Path, repeated: Path
) -> None:
    for folder in (paraphrased, repeated):
        with visited(browser, folder / "index.html") as page:
            assert page.locator("#list img").count() == 0
            page.locator(".row").first.click()
            answers = RunRecord.read(next(folder.glob("*[d0]/vqa"))).answers
            shown = next(one.frames for name, one in answers.items() if name.startswith("a_000#"))
            captions = page.locator("dialog figcaption").all_inner_texts()
            assert [int(one.split()[1].rstrip(",")) for one in captions] == list(shown)
            for picture in page.locator("dialog img").all():
                picture.evaluate("(image) => image.decode()")
                assert picture.evaluate("(image) => image.naturalWidth") > 0


def again_paraphrased(folder: Path, **options: bool) -> None:
    """Write the page of these paraphrases again."""
    names = ("published", "paraphrase-1", "paraphrase-2")
    report = ParaphrasesReport.model_validate_json((folder / "paraphrases.json").read_text())
    runs = {name: RunRecord.read(folder / name / "vqa") for name in names}
    data = load(str(folder.parent / "data"))
    write_paraphrases_page(folder, report, runs, data, progress=Progress(), **options)


def again_repeated(folder: Path) -> None:
    """Write the page of these repeats again."""
    tasks: tuple[AnswerTask, ...] = ("caption", "vqa")
    seeds = {
        name: {task: RunRecord.read(folder / name / task) for task in tasks} for name in ("seed-0", "seed-1")
    }
    data = load(str(folder.parent / "data"))
    write_repeats_page(folder, repeats_report(list(seeds.values())), seeds, data, progress=Progress())


def test_the_same_runs_give_the_same_bytes(paraphrased: Path, repeated: Path) -> None:
    for folder, again in ((paraphrased, again_paraphrased), (repeated, again_repeated)):
        files = [folder / "index.html", *sorted(folder.glob("pictures/**/*.jpg"))]
        before = [file.read_bytes() for file in files]
        assert len(files) > len(IDS)
        again(folder)
        assert [file.read_bytes() for file in files] == before


def test_a_page_tells_of_which_clips_it_has_no_pictures(
    browser: Browser, paraphrased: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("r", "data"):
        shutil.copytree(paraphrased.parent / name, tmp_path / name)
    monkeypatch.setattr(repeats_page, "MOST_PICTURED", 2)
    again_paraphrased(tmp_path / "r")
    assert len(list((tmp_path / "r" / "pictures").glob("frames/*"))) == 2
    with visited(browser, tmp_path / "r" / "index.html") as page:
        assert "2 of 6 clips" in page.inner_text("#pictures-note")
        page.locator(".row", has_text="b_000#1").click()
        assert page.inner_text("dialog .note").startswith("frames ")
    again_paraphrased(tmp_path / "r", pictures=False)
    assert list((tmp_path / "r" / "pictures").rglob("*.jpg")) == []


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", ["a_000", "b_000", HOSTILE_ID])
    records = [*json.loads((data / "vqa_and_captioning.json").read_text())[:2], hostile_record(HOSTILE_ID, 1)]
    write_annotations(data / "vqa_and_captioning.json", records)
    words = " ".join(HOSTILE.split()[:4]) + " </script><!--"
    in_other_words(data / "paraphrases.jsonl", ["a_000", "b_000", HOSTILE_ID], [(words, f"{words} again")])
    given = ("paraphrase", "--model", "blind", "--data", data, "--metrics", "ROUGE-L", "--run", "r")
    done = bench(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with visited(browser, tmp_path / "r" / "index.html") as page:
        assert page.title().startswith("Paraphrases asked of")
        assert page.locator(".row").count() == 3
        assert page.locator(".asked").nth(1).inner_text() == words
