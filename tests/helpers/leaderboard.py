"""What tests do on the page of the leaderboard, and what they read there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

OWN = "#board tbody[data-kind=model] tr.model"


def names(page: Page, kind: str = "model") -> list[str]:
    """The first cells of the rows of one kind, in order; the hostile one is called H."""
    cells = page.locator(f"#board tr.{kind} th[scope=row] > :first-child").all_inner_texts()
    return ["H" if cell.startswith("<script>") else cell for cell in cells]


def our_board(page: Page, task: str = "vqa") -> None:
    """Show the board of the test's own references."""
    page.locator(f"#tasks [data-task={task}]").click()
    page.locator("#protocol").select_option(index=1)


def published_board(page: Page, task: str) -> None:
    """Show the board of the paper's references, on which only published rows are."""
    page.locator(f"#tasks [data-task={task}]").click()
    page.locator("#protocol").select_option(index=0)


def help_of(cell: Locator) -> str:
    """What a cell or heading says of itself."""
    return cell.get_attribute("data-help") or ""


def sort(page: Page, column: str) -> list[str]:
    page.locator(f"#board thead button[data-sort='{column}']").click()
    return names(page)
