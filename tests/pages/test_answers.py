"""What the page of a run says of thoughts, failures and answers that are none, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.dataset.load import load
from microg_bench.records import Answer, Failure, Request, Response
from tests.helpers.browser import visited
from tests.pages.conftest import HOSTILE, make_run, make_settings, score_all, write_page
from tests.pages.test_run_page import PHONE, choose

if TYPE_CHECKING:
    from playwright.sync_api import Browser

THOUGHTS = f"thoughts {HOSTILE}"


def thinking_page(folder: Path) -> Path:
    """The page of a run on the sample set that thinks: half of it failed, the rest is empty or thoughts."""

    def said(request: Request, number: int) -> Answer | Failure:
        if number % 2:
            response = Response(id=request.id, text=f"<think>{THOUGHTS}", finish_reason="length")
            reason = "the model was still thinking at the limit of 8 tokens"
            return Failure(id=request.id, stage="thinking", reason=reason, response=response)
        text = "Okay, let's see." if number else ""
        return Answer(id=request.id, text=text, answer=text, reasoning=THOUGHTS, served_model="other-model")

    settings = make_settings("caption", load("sample"), thinking="low", checkpoint="asked-model")
    score_all([make_run(folder / "r", settings, "sample", said)])
    return write_page(folder / "r", folder / "page")


def test_what_the_scores_rest_on_stands_above_them(browser: Browser, tmp_path: Path) -> None:
    with visited(browser, thinking_page(tmp_path)) as page:
        head = page.inner_text("header")
        assert "7 of 14 requests answered, 7 failed" in head and "thinking low" in head
        assert page.inner_text("header .badge") == "no benchmark"
        banner = page.locator(".banner").inner_text().splitlines()
        assert banner == [
            "Do not rely on these scores",
            "7 of 14 requests failed (thinking): the model was still thinking at the limit of 8 tokens",
            "1 of 7 answers is empty",
            "6 of 7 answers look like thinking, not like an answer",
            "in all, 7 of 7 answers are one of these",
        ]
        assert page.locator(".remarks li").all_inner_texts() == [
            "made on the sample set of 14 clips: no benchmark",
            "answered by other-model, not asked-model as asked: 7 of 7 answers",
        ]


@pytest.mark.parametrize("view", [PHONE, {}], ids=["phone", "desktop"])
def test_thoughts_are_folded_up_beside_the_answer(browser: Browser, tmp_path: Path, view: dict) -> None:
    with visited(browser, thinking_page(tmp_path), **view) as page:
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        for details in page.locator("#list .thoughts").all():
            assert "thoughts <script>document.title='broken'" in details.inner_text()
        page.evaluate("() => document.querySelectorAll('.thoughts').forEach((one) => { one.open = false; })")
        first = page.locator("#list .thoughts").first
        assert first.inner_text() == "thoughts"
        first.locator("summary").click()
        assert "U+202E" in first.inner_text()
        assert page.locator("#opened[open]").count() == 0  # unfolding opens nothing else
        assert choose(page, outcome="thinks") == "6 of 14 items"
        assert page.locator("#list .badge.bad").first.inner_text() == "looks like thinking"
        assert choose(page, outcome="failed") == "7 of 14 items"
        assert page.inner_text("#list .failure").startswith("failed (thinking): the model was still thinking")
        assert page.locator("[onerror]").count() == 0
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_thoughts_without_end_are_cut(browser: Browser, tmp_path: Path) -> None:
    def said(request: Request, _number: int) -> Answer:
        return Answer(id=request.id, text="A man.", answer="A man.", reasoning="so " * 10_000)

    score_all([make_run(tmp_path / "r", make_settings("caption", load("sample")), "sample", said)])
    file = write_page(tmp_path / "r", tmp_path / "page")
    assert file.stat().st_size < 400_000
    with visited(browser, file) as page:
        assert page.locator(".banner").count() == 0
        text = page.locator("#list .thoughts .text").first.text_content() or ""
        assert text.endswith("… (30,000 characters in all, see journal.jsonl)")
