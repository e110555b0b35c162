"""The components of pages in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from microg_bench.pages.shell import render
from tests.helpers.browser import visited

pytestmark = pytest.mark.heavy

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BODY = """{% extends "base.html" %}
{% import "components/help.html" as help %}
{% block body %}<main><h1>Title</h1>
<table><tr><th>{{ help.explained("CIDEr", said) }}</th>
<th><button id="sort" data-help="sorts by B">B</button></th></tr></table>
<pre>{{ "line\\n" * 200 }}</pre>
</main>{% endblock %}"""
SAID = "<b>consensus</b> of n-grams"


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """A page with a heading that explains itself, and one that sorts, too."""
    (tmp_path / "own.html").write_text(BODY)
    (tmp_path / "own.js").write_text('"use strict";\n')
    file = tmp_path / "index.html"
    file.write_bytes(render("own", ["help"], {}, tmp_path, title="T", said=SAID))
    return file


def test_a_heading_explains_itself_to_keyboard_and_pointer(browser: Browser, page_file: Path) -> None:
    with visited(browser, page_file) as page:
        tip, heading = page.locator("#help"), page.locator(".explained")
        assert not tip.is_visible()
        page.keyboard.press("Tab")
        assert tip.inner_text() == SAID and heading.get_attribute("aria-describedby") == "help"
        page.keyboard.press("Escape")
        assert not tip.is_visible() and heading.get_attribute("aria-describedby") is None
        page.hover("#sort")
        assert tip.inner_text() == "sorts by B"
        page.hover("#help")
        assert tip.is_visible()
        page.hover("h1")
        assert not tip.is_visible()
        page.keyboard.press("Tab")
        assert tip.inner_text() == "sorts by B"
        page.keyboard.press("Shift+Tab")
        assert tip.inner_text() == SAID


def test_a_heading_explains_itself_to_a_finger(browser: Browser, page_file: Path) -> None:
    view = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 800}}
    with visited(browser, page_file, **view) as page:
        tip = page.locator("#help")
        page.tap("#sort")
        assert tip.inner_text() == "sorts by B"
        box = tip.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
        page.tap("h1")
        assert not tip.is_visible()
        page.tap(".explained")
        assert tip.inner_text() == SAID


def test_numbers_that_round_to_nothing_have_no_sign(browser: Browser, page_file: Path) -> None:
    with visited(browser, page_file) as page:
        numbers = page.evaluate(
            "() => [-0.001, -0, 0.004, -0.006, null].map((one) => microg.dom.number(one))"
        )
        assert numbers == ["0.00", "0.00", "0.00", "-0.01", "n/a"]
        signed = page.evaluate("() => [-0.001, 0, 0.001, 2, -2].map((one) => microg.dom.signed(one))")
        assert signed == ["0.00", "0.00", "0.00", "+2.00", "-2.00"]
