from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("wordcloud")

from matplotlib.figure import Figure

from microg_bench.dataset.stats import Stats, stats
from microg_bench.errors import MissingExtraError
from microg_bench.plots import sheet
from microg_bench.plots.sheet import CLOUD_HEIGHT, CLOUD_WIDTH, draw_sheet, word_cloud
from tests.helpers.datasets import record, write_annotations
from tests.helpers.figures import crowded, svg_words

pytestmark = pytest.mark.heavy

TITLES = {
    "sources": "Clips by source video",
    "words": "Question words",
    "answers": "Questions that can be answered",
    "duplicates": "Texts with a near-duplicate",
    "caption": "Length of captions in words",
    "question": "Length of questions in words",
    "answer": "Length of answers in words",
    "captions": "Most common words of captions",
    "questions": "Most common words of questions",
    "answer words": "Most common words of answers",
}


def counted(folder: Path, records: list[Any], actions: str | None = None) -> Stats:
    write_annotations(folder / "vqa_and_captioning.json", records)
    if actions is not None:
        (folder / "actions.csv").write_text(f"video_id,movie_or_real,person_id,action\n{actions}")
    return stats(str(folder))


def shown(found: Stats, folder: Path) -> set[str]:
    """The titles of the panels that are drawn."""
    png, svg = draw_sheet(found, folder)
    assert (png.name, svg.name) == ("dataset.png", "dataset.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    known = {*TITLES.values(), "Groups of actions", "People a clip"}
    return {word for word in svg_words(svg) if word in known or word.startswith("Action labels")}


def test_the_sample_has_all_panels(tmp_path: Path) -> None:
    actions = {"Action labels (48)", "Groups of actions", "People a clip"}
    assert shown(stats("sample"), tmp_path) == actions | set(TITLES.values())


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is crowded on each sheet that is drawn."""
    found = []
    real = sheet.save

    def look(figure: Figure, path: Path) -> list[Path]:
        found.append(crowded(figure))
        return real(figure, path)

    monkeypatch.setattr(sheet, "save", look)
    return found


def test_the_real_dataset_fills_a_sheet_on_which_nothing_touches(
    shared: Path, tmp_path: Path, kept: list[list[str]]
) -> None:
    found = shown(stats(str(shared / "data" / "microg4m")), tmp_path)
    assert found == {*TITLES.values(), "Action labels (13,261)", "Groups of actions", "People a clip"}
    words = set(svg_words(tmp_path / "dataset.svg"))
    assert {"microg4m: 1,237 clips of 18 source videos", "4,986", "3,983", "752 (10.0%)"} <= words
    assert {"watch (a person)", "talk to", "push (an object)", "push (another person)"} <= words
    assert kept == [[]]


def test_a_sheet_has_no_panel_for_what_is_not_there(tmp_path: Path, kept: list[list[str]]) -> None:
    captions = [{"video_id": f"a_{k}", "caption": f"Blue cable {k}."} for k in range(3)]
    found = shown(counted(tmp_path / "c", captions), tmp_path / "c")
    assert found == {TITLES[name] for name in ("sources", "duplicates", "caption", "captions")}
    questions = [{key: value for key, value in record("a_1").items() if key != "caption"}]
    found = shown(counted(tmp_path / "q", questions), tmp_path / "q")
    assert found == set(TITLES.values()) - {TITLES["caption"], TITLES["captions"]}
    blank = [{"video_id": "a_1", "caption": ""}]
    found = shown(counted(tmp_path / "b", blank), tmp_path / "b")
    assert found == {TITLES[name] for name in ("sources", "duplicates", "caption")}
    bare = [{"video_id": "a_1", "caption": None}]
    assert shown(counted(tmp_path / "n", bare), tmp_path / "n") == {TITLES["sources"]}
    assert kept == [[]] * 4


def test_movies_alone_or_one_action_alone_are_drawn(tmp_path: Path) -> None:
    found = shown(counted(tmp_path, [record("a_1")], "m_1,m,1,12\n"), tmp_path)
    assert found == {*TITLES.values(), "Action labels (1)", "Groups of actions", "People a clip"}


def test_hostile_names_and_long_texts_are_drawn(tmp_path: Path, kept: list[list[str]]) -> None:
    names = ["$x_{1}$_1", "_\u202ehidden\x7f_1", "a" * 190 + "_1", "<!-- & ]]>_1", "名前_1"]
    records = [record(name) for name in names]
    records[0]["caption"] = "word{$} " * 5000 + "\x1b \ud800 " + "x" * 5000
    assert shown(counted(tmp_path / "$d{", records), tmp_path) == set(TITLES.values())
    words = set(svg_words(tmp_path / "dataset.svg"))
    assert {"$x_{1}$", "hidden", "$d{: 5 clips of 5 source videos"} <= words
    assert kept == [[]]


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_sheet(stats("sample"), tmp_path / name)
    for ending in ("png", "svg"):
        one, two = (tmp_path / name / f"dataset.{ending}" for name in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()


def test_a_common_word_stands_larger() -> None:
    picture = word_cloud({"orbit": 1000, "module": 10})
    assert picture.shape == (CLOUD_HEIGHT, CLOUD_WIDTH, 3)
    assert (picture != word_cloud({"orbit": 10, "module": 1000})).any()
    assert (picture == word_cloud({"orbit": 1000, "module": 10})).all()


@pytest.mark.parametrize("library", ["matplotlib", "wordcloud"])
def test_a_missing_library_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'microg-bench\[plots\]'"):
        draw_sheet(stats("sample"), tmp_path / "s")
    assert not (tmp_path / "s").exists()
