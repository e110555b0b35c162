import copy
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench.dataset import fetch
from microg_bench.dataset.load import load
from microg_bench.errors import DataError
from tests.helpers.datasets import record, write_annotations

MP4 = b"\0\0\0\x20ftypisom"


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return path


def test_an_archive_is_unpacked_and_a_second_time_left_alone(tmp_path: Path) -> None:
    bundle = archive(
        tmp_path / "videos.zip", {"videos/real/a/a_001.mp4": b"one", "videos/real/a/a_002.mp4": b"two"}
    )
    assert fetch.unpack(bundle, tmp_path / "out") == 2
    file = tmp_path / "out" / "videos" / "real" / "a" / "a_002.mp4"
    assert file.read_bytes() == b"two"
    before = file.stat().st_mtime_ns
    fetch.unpack(bundle, tmp_path / "out")
    assert file.stat().st_mtime_ns == before


def test_a_half_written_file_is_written_again(tmp_path: Path) -> None:
    bundle = archive(tmp_path / "videos.zip", {"a_001.mp4": b"whole"})
    (tmp_path / "a_001.mp4").write_bytes(b"wh")
    fetch.unpack(bundle, tmp_path)
    assert (tmp_path / "a_001.mp4").read_bytes() == b"whole"


def member(
    name: str, kind: int = 0, *, encrypted: bool = False, method: int = zipfile.ZIP_STORED
) -> zipfile.ZipInfo:
    """An entry of an archive, as a hostile program writes it."""
    info = zipfile.ZipInfo("x")
    info.filename = name  # which `ZipInfo` would change
    info.external_attr = (kind | 0o644 if kind else 0) << 16
    info.flag_bits = 0x800 | int(encrypted)
    info.compress_type = method
    return info


def hostile(path: Path, *members: zipfile.ZipInfo) -> Path:
    """An archive of a sound file, then these; no byte of them is packed."""
    with zipfile.ZipFile(path, "w") as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that occur twice
        bundle.writestr("sound.mp4", b"first")
        for info in members:
            method, flags = info.compress_type, info.flag_bits
            info.compress_type = zipfile.ZIP_STORED
            bundle.writestr(info, b"pwned")
            bundle.infolist()[-1].compress_type, bundle.infolist()[-1].flag_bits = method, flags
    return path


OUTSIDE = "would be written outside the folder"
CLASH = "would be the same file as an earlier member, or its folder"
MEMBERS = {
    "above": ([member("../evil.mp4")], OUTSIDE),
    "absolute": ([member("/evil.mp4")], OUTSIDE),
    "above from within": ([member("a/../../evil.mp4")], OUTSIDE),
    "backslash": ([member("..\\evil.mp4")], OUTSIDE),
    "drive": ([member("C:evil.mp4")], OUTSIDE),
    "dot": ([member(".")], "names no file"),
    "dots": ([member("./.")], "names no file"),
    "link": ([member("a.mp4", stat.S_IFLNK)], "is a link"),
    "link to a folder": ([member("a/", stat.S_IFLNK)], "is a link"),
    "device": ([member("a.mp4", stat.S_IFCHR)], "is no regular file"),
    "pipe": ([member("a.mp4", stat.S_IFIFO)], "is no regular file"),
    "folder that is a file": ([member("a/", stat.S_IFREG)], "is no regular file"),
    "long name": ([member("x" * 201)], "has a name that is too long, or lies too deep"),
    "long name in bytes": ([member("é" * 101)], "has a name that is too long, or lies too deep"),
    "deep": ([member("a/" * 16 + "b")], "has a name that is too long, or lies too deep"),
    "unprintable": ([member("a\x1b[31m.mp4")], "has a name that cannot be printed"),
    "encrypted": ([member("a.mp4", encrypted=True)], "is encrypted"),
    "bzip2": ([member("a.mp4", method=zipfile.ZIP_BZIP2)], "is packed by a method that is not supported"),
    "unknown method": ([member("a.mp4", method=97)], "is packed by a method that is not supported"),
    "twice": ([member("a.mp4"), member("a.mp4")], CLASH),
    "twice by a dot": ([member("a.mp4"), member("./a.mp4")], CLASH),
    "case": ([member("a/b.mp4"), member("A/B.mp4")], CLASH),
    "normal form": ([member("\u00e9.mp4"), member("e\u0301.mp4")], CLASH),
    "file, then folder": ([member("a"), member("a/b")], CLASH),
    "folder, then file": ([member("a/b"), member("a")], CLASH),
    "folder entry, then file": ([member("a/"), member("a")], CLASH),
    "file, then folder entry": ([member("a"), member("a/")], CLASH),
}


@pytest.mark.parametrize(("members", "reason"), MEMBERS.values(), ids=MEMBERS)
def test_an_unsafe_member_is_refused_before_anything_is_written(
    tmp_path: Path, members: list[zipfile.ZipInfo], reason: str
) -> None:
    bundle = hostile(tmp_path / "videos.zip", *copy.deepcopy(members))
    with pytest.raises(DataError) as caught:
        fetch.unpack(bundle, tmp_path / "out")
    assert str(caught.value) == f"{bundle}: {members[-1].filename[:100]!r}: {reason}"
    assert [path.name for path in tmp_path.iterdir()] == ["videos.zip"]


def test_folders_of_an_archive_may_have_entries_of_their_own(tmp_path: Path) -> None:
    bundle = hostile(
        tmp_path / "videos.zip", member("a/", stat.S_IFDIR), member("a/b.mp4", stat.S_IFREG), member("a/")
    )
    assert fetch.unpack(bundle, tmp_path / "out") == 2
    assert (tmp_path / "out" / "a" / "b.mp4").read_bytes() == b"pwned"


def test_an_archive_of_very_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_MEMBERS", 2)
    bundle = hostile(tmp_path / "videos.zip", member("a"), member("b"))
    with pytest.raises(DataError, match=r"videos\.zip: holds more than 2 files"):
        fetch.unpack(bundle, tmp_path / "out")


NAMES = st.text(st.sampled_from("ab./\\:A\0\n é"), max_size=6)


@given(st.lists(st.tuples(NAMES, st.sampled_from([0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR])), max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_archive_is_unpacked_into_its_folder_or_refused(names: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = hostile(folder / "videos.zip", *(member(*one) for one in names))
        try:
            count = fetch.unpack(bundle, folder / "out")
            assert count == sum(path.is_file() for path in (folder / "out").rglob("*"))
        except DataError as error:
            assert str(error).startswith(f"{bundle}: ")
            assert not (folder / "out").exists()
        assert {path.name for path in folder.iterdir()} <= {"videos.zip", "out"}


def test_a_bomb_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_UNPACKED", 10)
    bundle = archive(tmp_path / "videos.zip", {"a.mp4": b"x" * 11})
    with pytest.raises(DataError, match="would unpack to more than"):
        fetch.unpack(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "videos.zip").write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match="videos.zip: damaged archive"):
        fetch.unpack(tmp_path / "videos.zip", tmp_path / "out")


def test_an_archive_that_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "videos.zip", {"a.mp4": b"x" * 100})
    data = bytearray(path.read_bytes())
    data[data.index(b"xxx")] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"videos.zip: damaged archive \(.*Bad CRC"):
        fetch.unpack(path, tmp_path / "out")


def test_a_file_that_no_clip_is_as_large_as_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FILE", 10)
    bundle = archive(tmp_path / "videos.zip", {"a.mp4": b"x" * 11})
    with pytest.raises(DataError, match="'a.mp4': is larger than"):
        fetch.unpack(bundle, tmp_path / "out")


# The hub library reads its environment when it is imported, so that it is imported in a child process.
FETCH = """
import sys
from microg_bench.dataset.fetch import fetch
from microg_bench.dataset.load import fetched_folder
from microg_bench.errors import MicrogError
try:
    print(fetch(fetched_folder(), *sys.argv[1:]))
except MicrogError as error:
    sys.exit(str(error))
"""


def fetched(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FETCH, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("offline", ["1", "0"])
def test_without_a_network_the_user_is_told_what_to_do(tmp_path: Path, offline: str) -> None:
    env = {"HF_HUB_OFFLINE": offline, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = fetched(env={**env, "MICROG_BENCH_DATA": str(tmp_path / "set")})
    assert done.returncode == 1
    assert "no connection to the hub" in done.stderr
    assert "hf download LEI-QI-233/MicroG-4M" in done.stderr
    assert "Traceback" not in done.stderr


COMMIT = "0123456789abcdef0123456789abcdef01234567"
API = "/api/datasets/LEI-QI-233/MicroG-4M"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs: one dataset at one commit, with the files of `folder`."""

    folder: Path
    downloads: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in (API, f"{API}/revision/main", f"{API}/revision/{COMMIT}"):
            names = [{"rfilename": file.name} for file in self.folder.iterdir()]
            self._send(json.dumps({"id": "LEI-QI-233/MicroG-4M", "sha": COMMIT, "siblings": names}).encode())
        elif path.startswith(f"{API}/tree/"):
            files = [self._entry(file) for file in self.folder.iterdir()]
            self._send(json.dumps(files).encode())
        elif "/resolve/" in path:
            file = self.folder / path.rpartition("/")[2]
            if self.command == "GET":
                self.downloads.append(file.name)
            self._send(file.read_bytes())
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_HEAD = do_GET

    def _entry(self, file: Path) -> dict[str, object]:
        return {
            "type": "file",
            "path": file.name,
            "size": file.stat().st_size,
            "oid": self._hash(file.read_bytes()),
        }

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{self._hash(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    @staticmethod
    def _hash(content: bytes) -> str:
        return hashlib.sha1(content).hexdigest()

    def log_message(self, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose hub is a server on loopback."""
    Hub.folder, Hub.downloads = tmp_path / "hub", []
    Hub.folder.mkdir()
    write_annotations(Hub.folder / "vqa_and_captioning.json", [record("a_001"), record("a_002")])
    archive(
        Hub.folder / "videos.zip", {"videos/real/a/a_001.mp4": MP4 + b"one", "videos/real/a/a_002.mp4": MP4}
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "HF_HUB_DISABLE_XET": "1",
            "MICROG_BENCH_DATA": str(tmp_path / "MicroG-4M"),
        }
        server.shutdown()


def test_the_dataset_is_downloaded_unpacked_and_pinned(
    tmp_path: Path, hub: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fetched(env=hub)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == COMMIT
    folder = tmp_path / "MicroG-4M"
    assert (folder / "videos" / "real" / "a" / "a_002.mp4").read_bytes() == MP4
    assert json.loads((folder / "fetched.json").read_text())["revision"] == COMMIT
    monkeypatch.setenv("MICROG_BENCH_DATA", hub["MICROG_BENCH_DATA"])
    dataset = load("microg-4m")
    assert (dataset.name, len(dataset.clips), dataset.has_video) == ("microg-4m", 2, True)
    assert sorted(Hub.downloads) == ["videos.zip", "vqa_and_captioning.json"]
    assert fetched(env=hub).returncode == 0
    assert len(Hub.downloads) == 2, "what is there is not downloaded again"


def test_a_revision_that_the_hub_does_not_have_is_named(hub: dict[str, str]) -> None:
    done = fetched("abc123", env=hub)
    assert done.returncode == 1
    assert "LEI-QI-233/MicroG-4M at abc123" in done.stderr
    assert "Traceback" not in done.stderr
