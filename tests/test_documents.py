"""The documents: their links lead somewhere, and they name nothing that moves."""

import re
from pathlib import Path

import pytest

from tests.helpers.documents import PAGES, ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in anchors(target), f"{target}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_folder_is_named_by_a_digest_that_moves(page: Path) -> None:
    digest = r"runs/\S+-(?!1a2b3c)[0-9a-f]{6}\b|submissions/\S+-[0-9a-f]{8}\b"
    assert re.findall(digest, page.read_text(encoding="utf-8")) == []


def ignored() -> set[str]:
    return set((ROOT / ".gitignore").read_text().split())


def test_what_the_commands_of_the_readme_write_is_no_part_of_the_checkout() -> None:
    written = re.findall(r" --(?:out|run) (\w[\w.]*)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(written) == {"site", "sweeps", "predictions.parquet"}
    assert {"/site/", "/sweeps/", "/predictions.parquet", "/runs/"} <= ignored()


def links(page: Path) -> list[tuple[Path, str]]:
    """The files, with the headings, that the links of a page lead to."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    local = [one for one in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in one]
    parts = [one.partition("#") for one in local]
    return [(page.parent / name if name else page, heading) for name, _, heading in parts]


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}
