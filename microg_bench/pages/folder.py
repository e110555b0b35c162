"""Output folders: written whole, then renamed into their place; files from elsewhere are left alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from microg_bench.errors import UsageError
from microg_bench.folders import whole_folder
from microg_bench.storage import write_bytes

MARKER = ".microg-bench-pages"


class PageFolder:
    """A folder of pages that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names: set[str] = set()

    def write(self, name: str, content: bytes) -> None:
        """Write one file; `name` is relative, with slashes.

        Raises:
            ValueError: `name` leaves the folder.
            RunError: it cannot be written.
        """
        place = PurePosixPath(name)
        if not place.parts or ".." in place.parts or place.is_absolute():
            raise ValueError(f"{name!r} leaves the folder")
        write_bytes(self._path / place, content)
        self.names.add(str(place))


@contextmanager
def new_folder(out: Path) -> Iterator[PageFolder]:
    """Write a folder of pages; it appears at `out` when the block ends well, else nothing changes.

    Raises:
        UsageError: at `out` is something that was not written here, or holds files from elsewhere.
        RunError: it cannot be written.
    """
    with whole_folder(out, check_free) as new:
        folder = PageFolder(new)
        yield folder
        # The marker lists all files, so that a later call knows what it may replace.
        folder.write(MARKER, "".join(f"{name}\n" for name in sorted({*folder.names, MARKER})).encode())


def check_free(out: Path) -> None:
    """Accept a place that is empty, or holds nothing but pages that were written here.

    Raises:
        UsageError: anything else.
    """
    if out.name in ("", ".."):
        raise UsageError("give a folder with a name of its own", path=out)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError("is a link or a file; give a folder", path=out)
    try:
        marker = out / MARKER
        text = marker.read_text(encoding="utf-8", errors="replace") if marker.is_file() else ""
        files = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
        found = {path.relative_to(out).as_posix() for path in files}
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", path=out) from error
    if foreign := sorted(found - set(text.splitlines())):
        raise UsageError(
            f"holds files that are not of these pages ({foreign[0]}); give another folder", path=out
        )
