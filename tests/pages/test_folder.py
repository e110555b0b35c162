from __future__ import annotations

from pathlib import Path

import pytest

from microg_bench.errors import RunError, UsageError
from microg_bench.pages.folder import MARKER, new_folder


def write(out: Path, *names: str) -> None:
    with new_folder(out) as folder:
        for name in names:
            folder.write(name, b"x")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_pages_are_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page"
    write(out, "index.html", "frames/0/1.jpg", "frames/0/2.jpg")
    write(out, "index.html", "frames/0/2.jpg")
    assert files(tmp_path) == [f"deep/page/{name}" for name in (MARKER, "frames/0/2.jpg", "index.html")]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "page").mkdir()
    write(tmp_path / "page", "index.html")
    assert files(tmp_path / "page") == [MARKER, "index.html"]


@pytest.mark.parametrize("foreign", ["mine.txt", "frames/0/mine.txt", "new/mine.txt"])
def test_a_file_from_elsewhere_is_left_alone(tmp_path: Path, foreign: str) -> None:
    out = tmp_path / "page"
    write(out, "index.html", "frames/0/1.jpg")
    (out / foreign).parent.mkdir(parents=True, exist_ok=True)
    (out / foreign).write_text("mine")
    before = files(tmp_path)
    with pytest.raises(UsageError, match=f"not of these pages \\({foreign}\\)"):
        write(out, "index.html")
    assert files(tmp_path) == before


def test_a_file_that_comes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "page"
    write(out, "index.html")
    with pytest.raises(UsageError, match=r"mine\.txt"), new_folder(out) as folder:
        folder.write("index.html", b"new")
        (out / "mine.txt").write_text("mine")
    assert (out / "index.html").read_bytes() == b"x" and files(tmp_path / "page")[-1] == "mine.txt"


def test_nothing_changes_where_writing_ends_badly(tmp_path: Path) -> None:
    out = tmp_path / "page"
    write(out, "index.html")
    with pytest.raises(ZeroDivisionError), new_folder(out) as folder:
        folder.write("index.html", b"new")
        raise ZeroDivisionError
    assert files(tmp_path) == [f"page/{MARKER}", "page/index.html"]
    assert (out / "index.html").read_bytes() == b"x"


def test_what_was_there_is_put_back_where_the_new_cannot_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page"
    write(out, "index.html")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.parent.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(RunError, match="no permission to write there"):
        write(out, "other.html")
    assert files(tmp_path) == [f"page/{MARKER}", "page/index.html"]


def test_a_link_a_file_and_a_folder_without_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for out in (tmp_path / "file", tmp_path / "link", Path(), tmp_path / ".."):
        with pytest.raises(UsageError, match="give a folder"):
            write(out, "index.html")
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["../a", "/a", "", "a/../../b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leaves the folder"):
        write(tmp_path / "page", name)
    assert files(tmp_path) == []
