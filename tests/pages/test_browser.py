"""The eye of the tests of pages: what a page does wrong is seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.browser import visited

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WRONG = {
    "a picture from the network": '<img src="http://example.org/a.png">',
    "a picture above the folder": '<img src="../a.png">',
    "a fetch": '<script>fetch("http://example.org/").catch(() => {})</script>',
    "a socket": '<script>try { new WebSocket("ws://localhost:1/") } catch {}</script>',
    "a script that throws": "<script>throw new Error('no')</script>",
    "a dialog": "<script>alert(1)</script>",
    "a picture that is missing": '<img src="gone.png">',
    "a frame": '<iframe src="https://example.org/"></iframe>',
    "a style from the network": '<link rel="stylesheet" href="https://example.org/a.css">',
}


def write(folder: Path, body: str) -> Path:
    folder.mkdir()
    file = folder / "index.html"
    file.write_text(f"<!doctype html><title>t</title>{body}")
    return file


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_what_a_page_does_wrong_is_seen(browser: Browser, tmp_path: Path, body: str) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(AssertionError), visited(browser, write(tmp_path / "page", body)) as page:
        page.wait_for_load_state("networkidle")


def test_a_page_that_keeps_to_itself_passes(browser: Browser, tmp_path: Path) -> None:
    file = write(tmp_path / "page", "<style>b { color: red }</style><img src='a.svg'><b>hello</b>")
    (file.parent / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    with visited(browser, file) as page:
        assert page.inner_text("b") == "hello"
