"""Pages in a real browser: each request and each error of a page is seen; nothing may leave its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Headless Chromium; the test is skipped where there is none.

    No event loop of asyncio can be run in this thread meanwhile, so runs are made in child processes.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on PATH, so pages cannot be looked at")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def visited(
    browser: Browser, file: Path, folder: Path | None = None, address: str = "", **context: Any
) -> Iterator[Page]:
    """Open a page; when the block ends, it has asked for nothing outside its folder and nothing went wrong.

    Args:
        browser: that of the fixture of this name.
        file: the page.
        folder: what may be read; the folder of `file` by default.
        address: what stands after # in the address.
        context: how it is looked at, as `browser.new_context` takes it (`viewport`, `color_scheme`, ...).
    """
    root = (folder or file.parent).resolve()
    asked: list[str] = []
    wrong: list[str] = []
    view = browser.new_context(offline=True, **context)
    page = view.new_page()
    page.set_default_timeout(15_000)
    view.on("request", lambda request: asked.append(request.url))
    view.on("requestfailed", lambda request: wrong.append(f"{request.url}: {request.failure}"))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    try:
        page.goto(file.resolve().as_uri() + (f"#{address}" if address else ""))
        yield page
        assert asked, "the browser told of no request, not even that for the page"
        assert [url for url in asked if not is_inside(url, root)] == []
        assert wrong == []
    finally:
        view.close()


LOOKS: tuple[dict[str, Any], ...] = (
    {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
)


def accessibility_faults(browser: Browser, file: Path, address: str = "") -> list[str]:
    """What axe-core calls serious or critical, on a light desktop and on a dark phone: rules and elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    faults = []
    for look in LOOKS:
        with visited(browser, file, address=address, **look) as page:
            violations = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        faults += [
            f"{look['color_scheme']}: {one['id']}: {[node['html'] for node in one['nodes']]}"
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    return faults


# What can be written into or scrolls, and what is cut since paper does not scroll.
ON_PAPER = """() => {
    const shown = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility());
    const scrolls = (one) => /auto|scroll|hidden|clip/.test(getComputedStyle(one).overflow);
    const larger = (one) => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1;
    const page = document.documentElement;
    const faults = {
        "control": shown.filter((one) => one.matches("input, select, textarea, video")),
        "cut": shown.filter((one) => scrolls(one) && larger(one) && one.clientWidth > 1),
        "wider than the paper": page.scrollWidth > innerWidth ? [page] : [],
    };
    const told = (fault) => faults[fault].map((one) => `${fault}: ${one.cloneNode().outerHTML}`);
    return Object.keys(faults).flatMap(told);
}"""
PAPER = {"width": 703, "height": 1032}  # A4 within margins of 12 mm, in CSS pixels


def faults_on_paper(browser: Browser, file: Path, address: str = "", upright: bool = True) -> list[str]:
    """Elements that are printed though they are controls, or that are cut: what is wrong, and the element."""
    size = PAPER if upright else {"width": PAPER["height"], "height": PAPER["width"]}
    with visited(browser, file, address=address, viewport=size) as page:
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        return cast(list[str], page.evaluate(ON_PAPER))


def is_inside(url: str, root: Path) -> bool:
    """Whether a browser that asks for `url` reads a file below the folder `root`, which is resolved."""
    parts = urlsplit(url)
    if parts.scheme in ("blob", "data"):
        return True
    return (
        parts.scheme == "file"
        and not parts.netloc
        and Path(unquote(parts.path)).resolve().is_relative_to(root)
    )


def set_filters(page: Page, filters: Mapping[str, str]) -> None:
    """Set the controls of a page by their ids; each is set once the list shows what the one before chose."""
    for name, value in filters.items():
        page.evaluate("() => document.getElementById('list').append(microg.dom.el('i', { id: 'old' }))")
        control = page.locator(f"#{name}")
        if name == "search":
            control.fill(value)
        else:
            control.select_option(value)
        page.wait_for_selector("#old", state="detached")
