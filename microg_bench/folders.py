"""Folders that are written whole: filled beside their place, then put there.

A folder is filled in a hidden one, `.microg-bench-*.part`, which its process holds locked. What a process
that was killed has left is known by the lock that nobody holds. The next that writes there removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from microg_bench.errors import RunError
from microg_bench.storage import cause

_PREFIX, _SUFFIX = ".microg-bench-", ".part"
_NEW, _OLD = "new", "old"


@contextmanager
def whole_folder(out: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `out` when the block ends well; else nothing changes.

    Args:
        out: the folder to write; it need not exist.
        check: raises where what is at `out` must stay; is called before and after the block.

    Raises:
        RunError: it cannot be written.
    """
    check(out)
    try:
        with _hidden_beside(out) as hidden:
            yield hidden / _NEW / out.name
            with _locked(out.parent):
                check(out)
                _replace(out, hidden)
    except OSError as error:
        raise RunError(f"cannot be written: {cause(error)}", path=out) from error


def absent(out: Path) -> None:
    """The check of a folder that replaces none.

    Raises:
        RunError: there is one.
    """
    if out.exists():
        raise RunError("exists: give another folder", path=out)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that lies in it.

    What a kill leaves of it is removed when the next folder is written beside it.

    Raises:
        RunError: it cannot be removed; it is still there then.
    """
    try:
        with _hidden_beside(path) as hidden:
            path.rename(hidden / _NEW / path.name)
    except OSError as error:
        raise RunError(f"cannot be removed: {cause(error)}", path=path) from error


@contextmanager
def _hidden_beside(out: Path) -> Iterator[Path]:
    """A hidden folder that this process holds locked, with places for the new and the old `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with _locked(out.parent):
        _remove_abandoned(out.parent)
        hidden = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, out.parent))
        held = _opened(hidden)
        with suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        (hidden / _NEW / out.name).mkdir(parents=True)
        (hidden / _OLD).mkdir()
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(held)


def _replace(out: Path, hidden: Path) -> None:
    """Put the new folder at `out`; where it cannot come, what was there is put back."""
    new, old = hidden / _NEW / out.name, hidden / _OLD / out.name
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        _put_back(hidden)
        raise


def _put_back(hidden: Path) -> None:
    """Put a folder that was moved away back to its place, where no other has come."""
    for old in (hidden / _OLD).glob("*"):
        place = hidden.parent / old.name
        if not place.exists():
            old.rename(place)


def _remove_abandoned(parent: Path) -> None:
    """Remove the hidden folders in `parent` that no process holds; `parent` is locked."""
    for hidden in parent.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            held = _opened(hidden)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where it is held
                _put_back(hidden)
                shutil.rmtree(hidden)
            finally:
                os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process looks for what is abandoned in `folder`, or replaces a folder there."""
    descriptor = _opened(folder)
    try:
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
