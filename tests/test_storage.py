import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from microg_bench.errors import RunError
from microg_bench.storage import Journal, read_journal


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


def test_a_full_device_is_one_clear_error() -> None:
    with pytest.raises(RunError, match=r"No space left on device; every answer before it is safe"):
        Journal(Path("/dev/full")).append({"id": "1"})


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
    assert "every answer before it is safe" in done.stdout
    content = (tmp_path / "j").read_bytes()
    assert [json.loads(line)["id"] for line in content.splitlines()] == [str(n) for n in range(number)]
    assert content.endswith(b"\n"), "the part of a line that still fitted was taken back"


def test_a_journal_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be opened"):
        Journal(tmp_path)
    assert list(tmp_path.iterdir()) == []
