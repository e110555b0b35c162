import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from microg_bench.dataset import fetch
from microg_bench.dataset.load import load
from microg_bench.errors import DataError
from tests.helpers.datasets import record, write_annotations


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


@pytest.mark.parametrize(
    "name", ["../evil.mp4", "/evil.mp4", "a/../../evil.mp4", "..\\evil.mp4", "C:evil.mp4"]
)
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    bundle = archive(tmp_path / "videos.zip", {name: b"x"})
    with pytest.raises(DataError, match="outside the folder"):
        fetch.unpack(bundle, tmp_path / "out")
    assert not list(tmp_path.rglob("evil.mp4"))


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.mp4")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "videos.zip", "w") as bundle:
        bundle.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        fetch.unpack(tmp_path / "videos.zip", tmp_path / "out")


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


@pytest.mark.parametrize(
    ("flag", "message"), [("damaged", "Bad CRC"), ("encrypted", "encrypted"), ("method", "not supported")]
)
def test_an_archive_that_cannot_be_unpacked_is_named(tmp_path: Path, flag: str, message: str) -> None:
    path = archive(tmp_path / "videos.zip", {"a.mp4": b"x" * 100})
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    if flag == "damaged":
        data[data.index(b"xxx")] ^= 1
    elif flag == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    else:
        data[8] = data[central + 10] = 97
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"videos.zip: damaged archive \(.*{message}"):
        fetch.unpack(path, tmp_path / "out")


def test_a_file_that_no_clip_is_as_large_as_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FILE", 10)
    bundle = archive(tmp_path / "videos.zip", {"a.mp4": b"x" * 11})
    with pytest.raises(DataError, match="holds a file of more than"):
        fetch.unpack(bundle, tmp_path / "out")


# The hub library reads its environment when it is imported, so that it is imported in a child process.
FETCH = """
import sys
from microg_bench.dataset.fetch import fetch, fetched_folder
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
    archive(Hub.folder / "videos.zip", {"videos/real/a/a_001.mp4": b"one", "videos/real/a/a_002.mp4": b"two"})
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
    assert (folder / "videos" / "real" / "a" / "a_002.mp4").read_bytes() == b"two"
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
