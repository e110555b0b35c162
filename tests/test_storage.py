import errno
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from microg_bench.errors import RunError
from microg_bench.storage import FolderLock, Journal, cause, file_sha256, read_journal, write_text


def recorded(path: Path) -> list[dict[str, object]]:
    return [record for _, record in read_journal(path)]


def write(path: Path, *records: dict[str, object]) -> None:
    with Journal(path) as journal:
        for record in records:
            journal.append(record)


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    records = [{"id": str(n), "text": "line\nbreak \u2028 🚀 \ud800"} for n in range(3)]
    write(tmp_path / "j", *records[:2])
    write(tmp_path / "j", records[2])
    assert list(read_journal(tmp_path / "j")) == list(enumerate(records, start=1))
    assert (tmp_path / "j").read_bytes().count(b"\n") == 3


def test_a_record_counts_as_soon_as_append_returns(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append({"id": "1"})
        assert list(read_journal(tmp_path / "j")) == [(1, {"id": "1"})]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_cut_off_wherever_it_tore(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "j", {"id": "1"}, {"id": "22"})
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-cut])
    with Journal(tmp_path / "j") as journal:
        assert journal.repaired
        journal.append({"id": "3"})
    expected = ["1", "22", "3"] if cut == 1 else ["1", "3"]  # only the line break was missing
    assert [record["id"] for record in recorded(tmp_path / "j")] == expected


def test_a_reader_passes_over_a_torn_last_line(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"id":"1"}\n{"id":"2')
    assert list(read_journal(tmp_path / "j")) == [(1, {"id": "1"})]


@pytest.mark.parametrize("line", [b"garbage", b"[1]", b"\xff\xfe", b"", b'{"id":' * 100_000])
def test_damage_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "j").write_bytes(b'{"id":"1"}\n' + line + b'\n{"id":"3"}\n')
    with pytest.raises(RunError, match=r"j: line 2: damaged"):
        list(read_journal(tmp_path / "j"))


def test_a_missing_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path / "none")) == []


FULL = "the disk is full: free space, then run the same command again"


def test_a_full_device_is_one_clear_error_and_is_left_alone(tmp_path: Path) -> None:
    device = tmp_path / "full"  # a link, so that no fault of the code takes away the device itself
    device.symlink_to("/dev/full")
    told = f"full: cannot be written: {FULL} to resume; every answer before it is safe"
    with Journal(device) as journal, pytest.raises(RunError, match=told):
        journal.append({"id": "1"})
    assert os.path.lexists(device)


def test_a_disk_that_fills_up_loses_nothing_and_is_resumed(disk: Path) -> None:
    (disk / "other").write_bytes(bytes(40_000))
    done = 0
    with Journal(disk / "j") as journal:
        with pytest.raises(
            RunError, match=f"disk/j: cannot be written: {FULL} to resume; every answer before"
        ):
            while True:
                journal.append({"id": done, "text": "x" * 3_000})
                done += 1
        assert done > 0
        assert [record["id"] for record in recorded(disk / "j")] == list(range(done))
    (disk / "other").unlink()
    write(disk / "j", {"id": done})
    assert [record["id"] for record in recorded(disk / "j")] == list(range(done + 1))


def test_a_result_for_which_there_is_no_space_leaves_the_one_before(disk: Path) -> None:
    write_text(disk / "card.json", "before")
    with pytest.raises(RunError, match=f"card.json: cannot be written: {FULL}$"):
        write_text(disk / "card.json", "x" * 100_000)
    assert {path.name: path.read_text() for path in disk.iterdir()} == {"card.json": "before"}


def test_a_read_only_file_system_is_named(disk: Path) -> None:
    (disk / "there").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    advice = (
        "the file system is read-only: make it writable or give another folder, then run the same command"
    )
    with pytest.raises(RunError, match=f"card.json: cannot be written: {advice} again"):
        write_text(disk / "card.json", "x")
    with pytest.raises(RunError, match=f"disk/there: cannot be written to: {advice}"):
        FolderLock(disk / "there")
    with pytest.raises(RunError, match=f"disk/new: cannot be created: {advice}"):
        FolderLock(disk / "new")
    with pytest.raises(RunError, match=f"disk/j: cannot be opened for writing: {advice} again to resume"):
        Journal(disk / "j")


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this process may read only. Root may write everywhere, so it is nobody for a while."""
    root, nobody = os.geteuid() == 0, 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if root:
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_to_is_named(read_only: Path) -> None:
    with pytest.raises(RunError, match="cannot be written: no permission to write there"):
        write_text(read_only / "card.json", "x")
    with pytest.raises(RunError, match="cannot be written to: no permission to write there"):
        FolderLock(read_only)


def failing(number: int) -> Callable[[int], None]:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_quota_that_shows_when_flushing_takes_the_lines_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "j", {"id": "1"})
    monkeypatch.setattr("microg_bench.storage.SYNC_SECONDS", -1)
    told = (
        "j: cannot be flushed to the disk: the disk quota is used up: free space, then run the same command "
        "again to resume; the answers of the last second may be lost"
    )
    journal = Journal(tmp_path / "j")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EDQUOT))
        with pytest.raises(RunError, match=told):
            journal.append({"id": "2"})
        assert [record["id"] for record in recorded(tmp_path / "j")] == ["1"]
        with pytest.raises(RunError, match=told):
            journal.close()
    journal.close()
    with Journal(tmp_path / "j") as again:
        again.append({"id": "2"})
    assert [record["id"] for record in recorded(tmp_path / "j")] == ["1", "2"]


def test_lines_are_flushed_when_more_than_a_second_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, flushed, fsync = 100.0, [], os.fsync
    monkeypatch.setattr("microg_bench.storage.time.monotonic", lambda: now)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(now), fsync(descriptor)))
    with Journal(tmp_path / "j") as journal:
        for now in (100.5, 101.0, 101.5, 102.0, 102.5, 103.0):
            journal.append({"id": str(now)})
        assert flushed == [101.5, 103.0]
    assert flushed == [101.5, 103.0, 103.0], "the last lines when it is closed"
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o644 & ~umask()


def umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def test_a_folder_that_cannot_be_locked_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / ".lock").touch()
    before = sorted(tmp_path.rglob("*"))

    def full(lock: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("filelock.FileLock.acquire", full)
    for folder in (tmp_path / "there", tmp_path / "new" / "below"):
        with pytest.raises(RunError, match="cannot be written to"):
            FolderLock(folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_disk_that_is_full_when_closing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = os.close

    def full(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.ENOSPC, "full")

    journal = Journal(tmp_path / "j")
    journal.append({"id": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", full)
        with pytest.raises(RunError, match=f"cannot be flushed to the disk: {FULL}"):
            journal.close()


def test_an_error_without_a_known_remedy_is_told_as_it_is() -> None:
    assert cause(OSError(errno.EIO, "Input/output error")) == "Input/output error"
    assert cause(OSError()) == "OSError"


def test_a_journal_in_which_nothing_was_written_is_removed(tmp_path: Path) -> None:
    write(tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time_locks_a_folder_and_made_folders_go_with_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "a" / "b")
    with pytest.raises(RunError, match="a/b: another process is writing"):
        FolderLock(tmp_path / "a" / "b")
    lock.release()
    again = FolderLock(tmp_path / "a" / "b")
    again.release(remove=["nothing"])
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"], "these were there before"
    (tmp_path / "c").mkdir()
    lock = FolderLock(tmp_path / "c" / "d" / "e")
    (tmp_path / "c" / "d" / "e" / "run.json").write_text("{}")
    lock.release(remove=["run.json"])
    assert list((tmp_path / "c").iterdir()) == []


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


FILL = """
import resource, sys
from pathlib import Path
from microg_bench.errors import RunError
from microg_bench.storage import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Journal(Path(sys.argv[1])) as journal:
    try:
        for n in range(100):
            journal.append({"id": str(n), "text": "x" * 100})
    except RunError as error:
        print(n, error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="this system has no file size limit")
def test_when_no_more_can_be_written_every_whole_line_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "j")], capture_output=True, text=True, check=True
    )
    number = int(done.stdout.split()[0])
    assert number > 0
    limit = "the limit on the size of a file is reached: raise it, then run the same command again to resume"
    assert f"{limit}; every answer before it is safe" in done.stdout
    content = (tmp_path / "j").read_bytes()
    assert [json.loads(line)["id"] for line in content.splitlines()] == [str(n) for n in range(number)]
    assert content.endswith(b"\n"), "the part of a line that still fitted was taken back"


def test_a_journal_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be opened"):
        Journal(tmp_path)
    assert list(tmp_path.iterdir()) == []
