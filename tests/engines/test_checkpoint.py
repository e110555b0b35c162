"""Checkpoints that cannot be loaded, each told in one line; the hub is a server on loopback."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from microg_bench.engines.checkpoint import Checkpoint, locate
from microg_bench.engines.registry import ENGINES
from microg_bench.errors import EngineError
from microg_bench.options import Options
from tests.helpers.hub_cache import COMMIT, fill_cache

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
