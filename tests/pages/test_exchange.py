"""What the page of a run tells of what was sent and what came back, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import load
from microg_bench.pages.exchange import shapes, tokens
from microg_bench.pages.run_page import write_run_page
from microg_bench.progress import Progress
from microg_bench.prompts import find_template
from microg_bench.records import Answer, Image, Message, Prompt, Request, Response, Text, Video
from microg_bench.runs.messages import ONE_VIDEO, Sent
from microg_bench.runs.record import RunRecord
from tests.helpers.browser import accessibility_faults, visited
from tests.pages.conftest import make_run, make_settings, score_all
from tests.pages.test_run_page import choose

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def model_run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model on the sample set: token counts, thoughts, one cut answer, clips to be played."""
    folder, dataset = tmp_path_factory.mktemp("model"), load("sample")
    adapter = find_adapter("qwen3-vl")
    made = {
        "model": adapter.name,
        "adapter_sha256": source_sha256(adapter),
        "prompt": find_template("vqa", "default").identity,
    }

    def said(request: Request, number: int) -> Answer:
        counts = {"prompt_tokens": 1000 + number, "output_tokens": 30, "reasoning_tokens": 20}
        ended = "length" if number == 1 else "stop"
        return Answer(id=request.id, text="A cap.", answer="A cap.", finish_reason=ended, **counts)

    run = make_run(folder / "r", make_settings("vqa", dataset, **made), "sample", said)
    score_all([run])
    return write_run_page([RunRecord.read(run)], dataset, folder / "page", videos="copy", progress=Progress())


def test_an_item_tells_what_was_sent_and_what_it_took(browser: Browser, model_run_page: Path) -> None:
    with visited(browser, model_run_page) as page:
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        question = page.inner_text("#opened .question")
        assert page.inner_text("#opened .took") == (
            "response ended by itself · tokens: prompt 1,000, answer 10, thoughts 20"
        )
        page.locator("#opened .sent summary").click()
        [message] = page.locator("#opened .messages li").all()
        role, video, *text = message.inner_text().split("\n")
        assert (role, video) == ("user", "the clip, as one video")
        instruction = find_template("vqa", "default").render(
            Request(id="x#1", task="vqa", video_id="x", source="x", question=question)
        )
        assert "\n".join(text) == instruction.user
        page.keyboard.press("j")
        assert "response hit the token limit" in page.inner_text("#opened .took")
        assert choose_after_closing(page, outcome="length") == "1 of 84 items"


def choose_after_closing(page: Page, **filters: str) -> str:
    """As `choose`, once no item is open."""
    page.keyboard.press("Escape")
    return choose(page, **filters)


def test_endings_and_tokens_are_summed(browser: Browser, model_run_page: Path) -> None:
    with visited(browser, model_run_page) as page:
        page.get_by_role("link", name="Messages and tokens").click()
        told = page.locator("#exchange").inner_text()
        assert "ended by itself\t83" in told and "hit the token limit\t1" in told
        total = sum(1000 + number for number in range(84))
        assert f"prompt\t84\t{total:,}\t1,041.5" in told
        assert "answer\t84\t840\t10.0" in told and "thoughts\t84\t1,680\t20.0" in told
        assert page.locator("#sent-0 .messages li").count() == 1


def test_a_clip_beside_the_page_is_played(browser: Browser, model_run_page: Path) -> None:
    page = browser.new_page()  # a video that is left is a request that fails
    page.goto(model_run_page.as_uri())
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    video = page.locator("#opened video")
    video.evaluate("(one) => one.play()")
    page.wait_for_function("() => document.querySelector('#opened video').currentTime > 0")
    assert video.evaluate("(one) => Math.round(one.duration)") == 3
    page.close()


def test_histograms_tell_outcomes_apart(browser: Browser, model_run_page: Path) -> None:
    with visited(browser, model_run_page) as page:
        tile = page.locator("#tiles-0 [data-metric=ROUGE-L]")
        assert tile.locator(".key").inner_text().split("\n") == [
            "other answers: 83",
            "hit the token limit: 1",
        ]
        words = tile.locator("rect title").all_text_contents()
        assert sum(int(one.split()[0]) for one in words if one.endswith(": hit the token limit")) == 1


def test_counts_of_tokens_that_cannot_be_are_not_told() -> None:
    made = {"id": "a", "text": "x"}
    assert tokens(Response(**made, prompt_tokens=10**400, output_tokens=-5)) == [None, None, None]
    assert tokens(Response(**made, prompt_tokens=0, output_tokens=5, reasoning_tokens=9)) == [0, 0, 9]
    assert tokens(Response(**made, output_tokens=5)) == [None, 5, None]


def test_prompts_that_differ_in_the_question_alone_are_kept_once() -> None:
    def request(k: int) -> Request:
        return Request(id=f"a#{k}", task="vqa", video_id="a", source="a", question=f"Why {k}?")

    def prompt(k: int) -> Prompt:
        text = Text(text=f"Why {k}? Again: Why {k}?")
        return Prompt(messages=(Message(role="user", parts=(Video(), Image(frame=2), text)),))

    prompts = {f"a#{k}": prompt(k) for k in (1, 2)}
    other = Prompt(messages=(Message(role="system", parts=(Text(text="Be brief."),)),))
    asked = [(request(k), None) for k in (1, 2, 3, 4)]
    found, places = shapes([Sent({**prompts, "a#3": other})], [asked])
    assert found == [
        [["user", [ONE_VIDEO, 2, ["", " Again: ", ""]]]],
        [["system", [["Be brief."]]]],
    ]
    assert places == {"a#1": 0, "a#2": 0, "a#3": 1}


def test_axe_finds_no_serious_fault_in_what_is_unfolded(browser: Browser, model_run_page: Path) -> None:
    unfolded = model_run_page.with_name("unfolded.html")
    unfolded.write_text(model_run_page.read_text().replace("<details>", "<details open>"))
    assert accessibility_faults(browser, unfolded) == []
