"""Text files from elsewhere: encodings, packed files, bounds, and bytes of any kind."""

import codecs
import contextlib
import gzip
import json
import lzma
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench import storage
from microg_bench.errors import DataError
from microg_bench.storage import open_plain, read_bytes, read_json, read_strict_json, read_text

TEXT = "Ärmel,漢字,🚀\nb\n"
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def written(folder: Path, content: bytes, name: str = "a.csv") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("text", [TEXT, "plain\n", ""])
@pytest.mark.parametrize("encoding", MARKED)
def test_a_marked_text_is_read_in_its_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    assert read_text(written(tmp_path, MARKED[encoding] + text.encode(encoding))) == text.encode()


def test_text_without_a_mark_is_utf_8(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, TEXT.encode())) == TEXT.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("cp1252", errors="ignore"), "a.csv: line 1: is not UTF-8 text; save it as UTF-8"),
        (b"a\nb\nM\xfcller\n", "a.csv: line 3: is not UTF-8 text; save it as UTF-8"),
        (codecs.BOM_UTF8 + b"a\n\xfc", "a.csv: line 2: is not UTF-8 text"),
        (codecs.BOM_UTF16_LE + b"abc", "a.csv: is not UTF-16-LE text"),
        (codecs.BOM_UTF32_LE + b"abcd", "a.csv: is not UTF-32-LE text"),
        (
            "a\nb".encode("utf-16-le"),
            "a.csv: line 1: holds a NUL character: it is no text, or UTF-16 without",
        ),
        (b"PK\x03\x04 sheet", "a.csv: is packed (zip, or an Excel workbook): unpack it, or pack it by gzip"),
        (b"\x28\xb5\x2f\xfd frame", "a.csv: is packed (zstd): unpack it, or pack it by gzip or xz"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(written(tmp_path, content))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.xz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_packed_files_are_known_by_their_content(tmp_path: Path, name: str, pack: type[bytes]) -> None:
    path = written(tmp_path, pack(TEXT.encode()), name)
    assert read_text(path) == TEXT.encode()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_parts_follow_one_another(tmp_path: Path, pack: type[bytes]) -> None:
    parts = [pack(part) for part in (b"one\n", b"", b"two\n" * 10_000)]
    assert read_text(written(tmp_path, b"".join(parts))) == b"one\n" + b"two\n" * 10_000
    assert read_text(written(tmp_path, (bytes(8)).join(parts) + bytes(16))).startswith(b"one\ntwo\n")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_packed_file_that_is_cut_or_damaged_is_named(tmp_path: Path, pack: type[bytes]) -> None:
    packed = pack(TEXT.encode() * 100)
    for content in (packed[:-10], packed[:20] + bytes(20) + packed[40:], packed + b"more"):
        with pytest.raises(DataError, match=r"a\.csv: is broken (gzip|xz) data: "):
            read_text(written(tmp_path, content))


def test_what_is_packed_twice_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: is not UTF-8 text"):
        read_text(written(tmp_path, gzip.compress(gzip.compress(TEXT.encode()))))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_the_limit_is_that_of_the_unpacked_text(tmp_path: Path, pack: type[bytes]) -> None:
    path = written(tmp_path, pack(b"x" * 2**20))
    assert len(read_text(path, 2**20)) == 2**20
    path = written(tmp_path, pack(b"x" * (2**20 + 1)))
    with pytest.raises(DataError, match="holds more than 1 MiB, unpacked"):
        read_text(path, 2**20)


def test_a_file_of_very_many_packed_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_PARTS", 100)
    path = written(tmp_path, gzip.compress(b"a") * 100)
    assert read_text(path) == b"a" * 100
    with pytest.raises(DataError, match="broken gzip data: it has more than 100 parts"):
        read_text(written(tmp_path, gzip.compress(b"") * 101))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file"):
        read_text(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_text(tmp_path)


def test_json_of_very_many_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_JSON_VALUES", 10)
    assert read_json(written(tmp_path, b"[" + b"1, " * 9 + b"1]")) == [1] * 10
    for content in (b"[" + b"1, " * 10 + b"1]", b"[" * 6 + b'{"a": [{}, {}, {}]}' + b"]" * 6):
        with pytest.raises(DataError, match="a.csv: holds more than 10 values"):
            read_json(written(tmp_path, content))


@pytest.mark.parametrize("encoding", MARKED)
def test_json_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    content = [{"caption": TEXT}]
    text = json.dumps(content, ensure_ascii=False).encode(encoding)
    assert read_json(written(tmp_path, MARKED[encoding] + text)) == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[\n1,\n]", "not JSON: .* in line [23]"),
        (b"[" + b"1" * 5000 + b"]", "not JSON: Exceeds the limit"),
        (b"[" * 200_000, "not JSON: nested too deeply"),
        (b"", "not JSON: .* in line 1"),
    ],
)
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_json(written(tmp_path, content))


STARTS = st.sampled_from(
    [b"", *MARKED.values(), b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"PK\x03\x04"]
)
PACKERS = st.sampled_from([bytes, gzip.compress, lzma.compress])


@given(STARTS, st.binary(max_size=60), PACKERS, st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_text_or_one_named_fault(
    start: bytes, rest: bytes, pack: type[bytes], cut: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        packed = pack(start + rest)
        path = written(Path(name), packed[: len(packed) - cut] if cut < 20 else packed)
        for read in (read_text, read_json):
            try:
                read(path)
            except DataError as error:
                assert str(error).startswith(f"{path}: ")
                assert len(str(error).splitlines()) == 1


def test_only_a_plain_file_is_opened(tmp_path: Path) -> None:
    file = written(tmp_path, b"{}")
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
    with open_plain(file) as opened:
        assert opened.read() == b"{}"
    for name in ("link", "pipe", "folder", "socket"):
        with pytest.raises(DataError, match=f"{name}: is not a plain file"):
            open_plain(tmp_path / name)
        with pytest.raises(DataError, match=f"{name}: is not a plain file"):
            read_bytes(tmp_path / name, plain=True)
    with pytest.raises(DataError, match="is not a plain file"):
        open_plain(Path("/dev/zero"))
    with pytest.raises(DataError, match="no such file"):
        open_plain(tmp_path / "nothing")


def test_strict_json_is_read_within_its_bound(tmp_path: Path) -> None:
    file = written(tmp_path, b'{"a": 1}')
    assert read_strict_json(file, 8) == {"a": 1}
    with pytest.raises(DataError, match="is larger than 7 bytes"):
        read_strict_json(file, 7)
    with pytest.raises(DataError, match="a.csv: damaged: not JSON: "):
        read_strict_json(written(tmp_path, gzip.compress(b"{}")))


def test_strict_json_holds_no_more_values_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_JSON_VALUES", 3)
    assert read_strict_json(written(tmp_path, b"[1, 2, 3]")) == [1, 2, 3]
    with pytest.raises(DataError, match="holds more than 3 values"):
        read_strict_json(written(tmp_path, b"[1, 2, 3, 4]"))
