"""Checkpoints that cannot be loaded, each told in one line; the hub is a server on loopback."""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from microg_bench.engines import checkpoint
from microg_bench.engines.checkpoint import Checkpoint, content_sha256, locate
from microg_bench.engines.registry import ENGINES
from microg_bench.errors import EngineError
from microg_bench.options import Options
from tests.helpers.hub_cache import COMMIT, fill_cache

pytestmark = pytest.mark.slow

Hub = Callable[..., list[str]]
needs_transformers = pytest.mark.skipif(
    bool(ENGINES["transformers"].missing()), reason="the extra transformers is not installed"
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A function that opens a hub, beside an empty cache.

    The hub answers everything with one status, error code and body; the list fills with the paths asked of
    it about models.
    """
    servers = []

    def answer_with(status: int, code: str, body: bytes = b"") -> list[str]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "org/tiny" in self.path:
                    asked.append(self.path)
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        return asked

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    if hasattr(huggingface_hub, "close_session"):  # a session keeps the proxies that it was opened with
        huggingface_hub.close_session()
    yield answer_with
    for server in servers:
        server.shutdown()
        server.server_close()


def fault(checkpoint: str | None, **options: Any) -> str:
    """The one line that starting the engine ends with."""
    from microg_bench.engines.transformers.engine import TransformersEngine

    with pytest.raises(EngineError) as caught:
        TransformersEngine(Options(checkpoint=checkpoint, **options)).start()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert locate(str(tmp_path), "v1") == Checkpoint(str(tmp_path), offline=True)


@pytest.mark.parametrize(
    ("checkpoint", "complaint"),
    [
        (None, "no checkpoint given"),
        ("/no/such/folder", "/no/such/folder: no such checkpoint folder"),
        ("./folder", "./folder: no such checkpoint folder"),
        ("weights/qwen/7b", "weights/qwen/7b: no such checkpoint folder"),
        ("two words", "two words: neither a folder here nor a hub id"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_at_once(checkpoint: str | None, complaint: str) -> None:
    assert fault(checkpoint).startswith(complaint)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "holds no config.json" in fault(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"")
    assert "must be a folder" in fault(str(tmp_path / "weights.bin"))


def test_without_network_and_cache_nothing_can_be_loaded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    message = fault("org/tiny")
    assert message.startswith("org/tiny: not a folder here, not in the hub cache")
    assert "the hub cannot be reached" in message


@pytest.mark.parametrize("revision", [None, "v1"])
def test_what_is_loaded_is_the_commit_that_the_hub_named(hub: Hub, revision: str | None) -> None:
    hub(200, "", json.dumps({"id": "org/tiny", "sha": COMMIT}).encode())
    assert locate("org/tiny", revision) == Checkpoint("org/tiny", COMMIT, offline=False, commit=COMMIT)


@needs_transformers
def test_a_hub_that_does_not_answer_is_asked_once_and_the_cached_copy_loaded(
    hub: Hub, tiny_qwen: Path, tmp_path: Path
) -> None:
    from microg_bench.engines.transformers.engine import TransformersEngine

    asked = hub(500, "")
    commit = fill_cache(tmp_path / "cache", tiny_qwen)
    engine = TransformersEngine(Options(checkpoint="org/tiny"))
    engine.start()
    assert engine.provenance()["commit"] == commit
    assert asked == ["/api/models/org/tiny"]


@pytest.mark.parametrize(
    ("status", "code", "complaint"),
    [
        (403, "GatedRepo", "accept them at https://huggingface.co/org/tiny"),
        (401, "RepoNotFound", "nor a model on the hub that you may read"),
        (404, "RevisionNotFound", "the hub has no revision 'v9' of it"),
        (500, "", "the hub cannot be reached"),
    ],
)
def test_a_refusal_of_the_hub_is_told_in_one_line(hub: Hub, status: int, code: str, complaint: str) -> None:
    asked = hub(status, code)
    assert complaint in fault("org/tiny", revision="v9")
    assert asked == ["/api/models/org/tiny/revision/v9"]


def spoil_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def lose_a_layer(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "layers.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def lose(*names: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def set_config(**entries: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return spoil


@needs_transformers
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lose("model.safetensors"), "no file named model.safetensors"),
        (spoil_weights, "cannot be loaded: SafetensorError"),
        (lose_a_layer, "weights are missing, such as model.language_model.layers.1."),
        (lose("tokenizer.json", "tokenizer_config.json"), "are its files missing?"),
        (lose("chat_template.jinja"), "has no chat template"),
        (set_config(model_type="martian"), "does not recognize this architecture"),
        (
            set_config(model_type="martian", auto_map={"AutoConfig": "code.Config"}),
            "runs code of its own; if you trust its authors",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused(
    tiny_qwen: Path, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny_qwen, folder)
    spoil(folder)
    message = fault(str(folder))
    assert message.startswith(f"{folder}: ")
    assert complaint in message


@needs_transformers
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"attn_implementation": "telepathy"}, "telepathy"),
        ({"device_map": "moon"}, "moon"),
    ],
)
def test_an_impossible_option_is_refused(tiny_qwen: Path, options: dict[str, Any], complaint: str) -> None:
    assert complaint in fault(str(tiny_qwen), **options)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights that were written long ago, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = tmp_path / "weights"
    for name, content in {"config.json": b"{}", "parts/a.bin": b"aa", "parts/b.bin": b"bb"}.items():
        put(folder / name, content)
    return folder


def put(file: Path, content: bytes, age: int = 100) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    then = file.stat().st_mtime_ns - age * 10**9
    os.utime(file, ns=(then, then))


def digest(folder: Path | str) -> str | None:
    return content_sha256(str(folder), lambda text: None)


def test_a_folder_is_known_by_the_names_and_contents_of_its_files(weights: Path, tmp_path: Path) -> None:
    pairs = [(str(path.relative_to(weights)), path.read_bytes()) for path in weights.rglob("*.*")]
    hashes = sorted([name, hashlib.sha256(content).hexdigest()] for name, content in pairs)
    own = hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
    assert digest(weights) == own
    assert digest(Path(shutil.copytree(weights, tmp_path / "copy"))) == own, "where it is says nothing"
    for name in (".git/HEAD", ".cache/x", "__pycache__/code.pyc", "parts/.DS_Store"):
        put(weights / name, b"x")
    assert digest(weights) == own
    found = {own}
    for name, content in {"parts/a.bin": b"ab", "parts/c.bin": b""}.items():
        put(weights / name, content, age=50)
        found.add(str(digest(weights)))
    (weights / "parts").rename(weights / "other")
    found.add(str(digest(weights)))
    assert len(found) == 4


def test_what_is_no_folder_has_no_digest(weights: Path) -> None:
    assert [digest(name) for name in ("org/name", weights / "none", weights / "config.json", "")] == [
        None
    ] * 4
    assert content_sha256(None, print) is None


def test_a_link_counts_as_what_it_leads_to(weights: Path, tmp_path: Path) -> None:
    own = digest(weights)
    shutil.move(weights / "parts" / "a.bin", tmp_path / "blob")
    (weights / "parts" / "a.bin").symlink_to(tmp_path / "blob")
    assert digest(weights) == own
    (weights / "loop").symlink_to(weights)
    (weights / "broken").symlink_to("nowhere")
    assert digest(weights) == own, "a folder is read once, and a broken link leads to nothing"
    put(tmp_path / "blob", b"other", age=50)
    assert digest(weights) != own


def test_only_what_has_changed_is_read_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    sha256 = checkpoint.file_sha256

    def counted(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    monkeypatch.setattr(checkpoint, "file_sha256", counted)
    own = digest(weights)
    assert sorted(read) == ["a.bin", "b.bin", "config.json"]
    assert digest(weights) == own
    assert len(read) == 3
    put(weights / "parts" / "a.bin", b"zz", age=50)
    other = digest(weights)
    assert (other != own, read[3:]) == (True, ["a.bin"])
    put(weights / "parts" / "b.bin", b"yy", age=0)
    assert len({own, other, digest(weights), digest(weights)}) == 3
    assert read[4:] == ["b.bin", "b.bin"], "a file that was just written may change within the same moment"


def test_other_content_of_the_same_size_and_time_is_noticed(weights: Path, tmp_path: Path) -> None:
    own, file = digest(weights), weights / "parts" / "a.bin"
    state = file.stat()
    file.write_bytes(b"zz")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    edited = digest(weights)
    put(tmp_path / "unpacked", b"yy")
    os.utime(tmp_path / "unpacked", ns=(state.st_atime_ns, state.st_mtime_ns))
    (tmp_path / "unpacked").replace(file)
    assert len({own, edited, digest(weights)}) == 3


@pytest.mark.parametrize("content", [b"", b"[]", b'{"config.json": 3, "parts/a.bin": [2, 3]}', b"\xff"])
def test_a_damaged_memory_is_forgotten(weights: Path, tmp_path: Path, content: bytes) -> None:
    own = digest(weights)
    (memo,) = (tmp_path / "xdg").rglob("*.json")
    memo.write_bytes(content)
    assert digest(weights) == own
    memo.unlink()
    memo.mkdir()
    assert digest(weights) == own, "nor is one that cannot be written a reason to fail"


def test_reading_that_takes_long_is_told(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    content_sha256(str(weights), told.append)
    (weights / "config.json").touch()
    monkeypatch.setattr(checkpoint, "_LARGE", 1)
    content_sha256(str(weights), told.append)
    content_sha256(str(weights), told.append)
    assert told == [f"identifying the weights in {weights}"] * 2


def test_weights_that_cannot_be_read_are_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoint, "file_sha256", denied)
    with pytest.raises(EngineError, match=r"weights/.*: cannot be read: Permission denied"):
        digest(weights)
