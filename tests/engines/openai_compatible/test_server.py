import base64
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from microg_bench.engines.http.pool import RetryPolicy
from microg_bench.engines.openai_compatible import local_server as serving
from microg_bench.engines.openai_compatible.server import ServerEngine, _access
from microg_bench.engines.registry import engine_class
from microg_bench.errors import EngineError, MissingExtraError, UsageError
from microg_bench.options import Options
from microg_bench.records import Failure, Request, Response, Text, ThinkingLevel, Video
from tests.engines.conftest import AnswerAll, grey_frames, job_of
from tests.helpers.fault_server import FaultServer
from tests.helpers.hub_cache import fill_cache
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow

QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.001, unreachable_pause=0.05, unreachable_timeout=1.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("OPENAI_API_KEY", "MICROG_BENCH_SERVER_KEY"):
        monkeypatch.delenv(name, raising=False)
    with FaultServer() as running:
        yield running


def make(*servers: FaultServer, **options: Any) -> ServerEngine:
    wanted = {"url": tuple(server.url for server in servers), "timeout": 5.0, **options}
    return ServerEngine(Options(**wanted), policy=QUICK)


def refusal(engine: ServerEngine) -> str:
    with pytest.raises(EngineError) as caught:
        engine.start()
    return str(caught.value)


def test_the_only_model_needs_no_name(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = make(server)
    engine.start()
    assert engine.provenance()["model"] == "m"
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    (body,) = server.bodies
    assert body["max_tokens"] == 16
    assert "repetition_penalty" not in body


def test_the_address_may_lack_the_version_of_the_interface(server: FaultServer) -> None:
    engine = make(url=(server.url.removesuffix("/v1") + "/",))
    engine.start()
    assert engine.provenance()["servers"] == server.url


def test_of_several_models_one_must_be_named(server: FaultServer) -> None:
    server.models = ["b", "a"]
    assert refusal(make(server)) == f"{server.url} serves 2 models: name one of them (a, b)"
    told = refusal(make(server, checkpoint="c"))
    assert told == f"{server.url}: unknown model 'c' (known: a, b): name one with --checkpoint"


def test_the_weights_of_an_adapter_go_by_the_name_of_the_only_model(server: FaultServer) -> None:
    def named(**options: Any) -> str:
        return ServerEngine.served_name("org/weights", Options(**{"url": (server.url,), **options}))

    server.models = ["folder/of/weights"]
    assert named() == "folder/of/weights"
    assert named(serve=True) == named(url=()) == "org/weights"
    server.models = ["org/weights"]
    assert named() == "org/weights"
    for several in (["a", "b"], ["a", "org/weights"], [], ["two\nlines"]):
        server.models = several
        assert named() == "org/weights"
    with pytest.raises(EngineError, match="nothing listens there|cannot be reached"):
        named(url=("http://127.0.0.1:1/v1",))


def test_the_name_of_a_model_that_holds_the_key_is_not_taken(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROG_BENCH_SERVER_KEY", "sk-0123456789")
    server.models = ["weights-sk-0123456789"]
    assert ServerEngine.served_name("org/weights", Options(url=(server.url,))) == "org/weights"


def test_a_server_that_applies_settings_of_the_checkpoint_is_told_not_to(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    listed = server.wire.models(["m"])
    listed["data"][0]["owned_by"] = "vllm"
    server.routes["GET", "/v1/models"] = lambda call: (200, listed)
    engine = make(server)
    engine.start()
    answer_all(engine, [job_of(0)])
    assert server.bodies[0]["repetition_penalty"] == 1.0
    assert server.bodies[0]["top_k"] == -1


def test_neutral_settings_that_the_model_rejects_are_left_out(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    listed = server.wire.models(["m"])
    listed["data"][0]["owned_by"] = "sglang"
    server.routes["GET", "/v1/models"] = lambda call: (200, listed)
    engine = make(server)
    engine.rejected.add("min_p")
    engine.start()
    server.script = lambda question, attempt: "top_k"
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert engine.rejected == {"min_p", "top_k"}
    assert server.bodies[-1].keys() & {"min_p", "top_k", "repetition_penalty"} == {"repetition_penalty"}


def test_the_version_of_a_vllm_server_is_recorded(server: FaultServer, answer_all: AnswerAll) -> None:
    listed = server.wire.models(["m"])
    listed["data"][0]["owned_by"] = "vllm"
    server.routes["GET", "/v1/models"] = lambda call: (200, listed)
    server.routes["GET", "/version"] = lambda call: (200, {"version": "0.32.0\nmore"})
    engine = make(server)
    engine.start()
    assert engine.provenance()["vllm"] == "0.32.0"
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.served_version == "0.32.0"
    said = server.wire.answer("x") | {"system_fingerprint": "fp_1"}
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(1)])
    assert isinstance(outcome, Response)
    assert outcome.served_version == "fp_1"


@pytest.mark.parametrize("said", [(404, b""), (200, b"<html>"), (200, ["0.32.0"]), (200, {})])
def test_a_vllm_server_may_keep_its_version_to_itself(server: FaultServer, said: tuple[int, Any]) -> None:
    listed = server.wire.models(["m"])
    listed["data"][0]["owned_by"] = "vllm"
    server.routes["GET", "/v1/models"] = lambda call: (200, listed)
    server.routes["GET", "/version"] = lambda call: said
    engine = make(server)
    engine.start()
    assert "vllm" not in engine.provenance()


@pytest.mark.parametrize(
    ("level", "sent"),
    [
        ("on", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("medium", {"reasoning_effort": "medium"}),
    ],
)
def test_how_the_model_thinks_is_set_in_each_request(
    server: FaultServer, answer_all: AnswerAll, level: ThinkingLevel, sent: dict[str, Any]
) -> None:
    engine = make(server)
    engine.thinking = ServerEngine.thinking_switches[level]
    engine.start()
    answer_all(engine, [job_of(0)])
    (body,) = server.bodies
    assert {name: body.get(name) for name in sent} == sent


def test_a_server_without_a_chat_template_cannot_be_told_how_to_think(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    engine = make(server)
    engine.thinking = ServerEngine.thinking_switches["off"]
    engine.start()
    server.script = lambda question, attempt: "chat_template_kwargs"
    with pytest.raises(EngineError, match="level of thinking that is asked for is not known there"):
        answer_all(engine, [job_of(k) for k in range(9)])
    assert all("chat_template_kwargs" in body for body in server.bodies)


def test_frames_travel_as_one_video_with_their_true_times(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = make(server, media="video")
    engine.start()
    answer_all(engine, [job_of(0, frames=grey_frames([10, 200, 90]))])
    (body,) = server.bodies
    content = body["messages"][0]["content"]
    assert [piece["type"] for piece in content] == ["video_url", "text"]
    kind, *frames = content[0]["video_url"]["url"].split(",")
    assert kind == "data:video/jpeg;base64"
    assert all(base64.b64decode(frame).startswith(b"\xff\xd8") for frame in frames)
    assert len(frames) == 3
    assert body["media_io_kwargs"]["video"] == {
        "num_frames": -1, "fps": 30.0, "frames_indices": [0, 44, 89], "total_num_frames": 90, "duration": 3.0,
    }  # fmt: skip


def test_a_clip_travels_as_its_own_file(server: FaultServer, answer_all: AnswerAll, tmp_path: Path) -> None:
    file, text = write_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "clip.txt"
    text.write_bytes(b"no film")
    engine = make(server, media="clip")
    engine.start()
    bare = replace(job_of(0), frames=None)
    good, missing, wrong, gone = (
        replace(bare, video=video, request=job_of(k).request)
        for k, video in enumerate((file, None, text, tmp_path / "gone.mp4"))
    )
    outcomes = answer_all(engine, [good, missing, wrong, gone])
    assert isinstance(outcomes[0], Response)
    (body,) = server.bodies
    url = body["messages"][0]["content"][0]["video_url"]["url"]
    assert url == "data:video/mp4;base64," + base64.b64encode(file.read_bytes()).decode()
    reasons = [outcome.reason for outcome in outcomes[1:] if isinstance(outcome, Failure)]
    assert "none was delivered" in reasons[0]
    assert "clip.txt" in reasons[1]
    assert "gone.mp4: cannot be read" in reasons[2]


def test_several_servers_share_the_work_by_clip(server: FaultServer, answer_all: AnswerAll) -> None:
    jobs = [
        replace(job_of(0), request=Request(id=f"c{clip}#{k}", task="vqa", video_id=f"c{clip}", source="s"))
        for clip in range(12)
        for k in range(5)
    ]
    with FaultServer() as other:
        for one in (server, other):
            one.script = lambda question, attempt: "slow"
        engine = make(server, other, max_concurrency=10)
        engine.start()
        outcomes = answer_all(engine, jobs)
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert server.asked.total() + other.asked.total() == 60
    assert min(server.asked.total(), other.asked.total()) >= 10


def test_the_work_of_a_server_that_dies_goes_to_the_other(server: FaultServer, answer_all: AnswerAll) -> None:
    with ExitStack() as stack:
        dying = stack.enter_context(FaultServer())
        engine = make(dying, server, max_concurrency=8)
        engine.start()
        stack.close()
        outcomes = answer_all(engine, [job_of(k) for k in range(50)])
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert server.answered.total() == 50


def test_run_variants_with_the_same_request_in_flight_together_get_their_own_outcomes(
    server: FaultServer, answer_all: AnswerAll
) -> None:
    both = threading.Barrier(2, timeout=20)

    def script(question: str, attempt: int) -> str:
        both.wait()
        return "400" if question == "Two?" else ""

    server.script = script
    engine = make(server)
    engine.start()
    one, two = (job_of(0, parts=(Video(), Text(text=text))) for text in ("One?", "Two?"))
    assert one.request == two.request
    first, second = answer_all(engine, [one, two])
    assert isinstance(first, Response)
    assert first.text == "text: One?"
    assert isinstance(second, Failure)


def test_the_model_that_the_server_names_is_recorded(server: FaultServer, answer_all: AnswerAll) -> None:
    engine = make(server)
    engine.start()
    said = server.wire.answer("x") | {"model": "m-2025-01-31"}
    server.routes["POST", "/v1/chat/completions"] = lambda call: (200, said)
    (outcome,) = answer_all(engine, [job_of(0)])
    assert isinstance(outcome, Response)
    assert outcome.served_model == "m-2025-01-31"


def test_every_server_must_serve_the_model(server: FaultServer) -> None:
    with FaultServer() as other:
        other.models = ["n"]
        assert refusal(make(server, other)) == f"{other.url}: unknown model 'm' (known: n)"
        assert refusal(make(other, server)) == f"{server.url}: unknown model 'n' (known: m)"
    assert refusal(make(server, other)) == f"{other.url} cannot be reached: connection refused"


def test_a_key_is_sent_where_there_is_one(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.keys = {"token-abcdef"}
    told = refusal(make(server))
    assert "401" in told
    assert "MICROG_BENCH_SERVER_KEY" in told
    monkeypatch.setenv("MICROG_BENCH_SERVER_KEY", "token-abcdef")
    make(server).start()


def test_the_key_of_openai_is_not_sent_in_the_clear(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert _access("http://gpu-box:8000/v1").key == "EMPTY"
    assert _access("https://gateway.example/v1").key == "sk-openai"
    assert _access("http://localhost:8000/v1").key == "sk-openai"
    monkeypatch.setenv("MICROG_BENCH_SERVER_KEY", "token-abcdef")
    with pytest.raises(EngineError, match="MICROG_BENCH_SERVER_KEY would be sent unencrypted: use https"):
        _access("http://gpu-box:8000/v1")
    assert _access("HTTPS://gpu-box:8000/v1").key == "token-abcdef"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "needs --url"),
        ({"serve": True, "url": ("http://h/v1",), "checkpoint": "c"}, "either --serve or --url"),
        ({"url": ("http://h/v1", "http://g/v1", "http://h/v1/")}, "--url: http://h/v1 is there twice"),
        ({"serve": True}, "needs a checkpoint"),
        ({"url": ("http://h/v1",), "tensor_parallel_size": 2}, "--tensor-parallel-size: needs --serve"),
        ({"url": ("http://h/v1",), "port": 8000}, "--port: needs --serve"),
        ({"url": ("http://h/v1",), "batch_size": 2}, "--batch-size: engine server does not take it"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ServerEngine.check(Options(**options))


def test_it_is_found_by_name() -> None:
    assert engine_class("server") is ServerEngine


# A server that is started here: how its process is watched and ended. The real one: test_server_vllm.py.

STAND_IN = """
import subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
(port,) = [int(one.removeprefix("--port=")) for one in sys.argv if one.startswith("--port=")]
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
DYING = """
import sys
sys.stderr.write("INFO loading\\nRuntimeError: no memory left\\nINFO goodbye\\n")
sys.exit(3)
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return str(folder)


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let another program run in place of vLLM's server."""
    (tmp_path / "stand_in.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(serving.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(serving, "find_spec", lambda name: object())
    monkeypatch.setattr(serving, "MODULE", "stand_in")


def test_without_vllm_nothing_can_be_started(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="--serve needs an extra"):
        make(serve=True, checkpoint=model).start()


def test_a_port_in_use_is_told(
    server: FaultServer, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN)
    told = refusal(make(serve=True, checkpoint=model, port=server.port))
    assert told == f"port {server.port} cannot be used: Address already in use: choose another --port"


def test_a_folder_that_is_no_model_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN)
    assert "not a model checkpoint" in refusal(make(serve=True, checkpoint=str(tmp_path)))


def test_a_server_that_is_killed_says_so(model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = DYING.replace("sys.exit(3)", "import os\nos.kill(os.getpid(), 9)")
    stand_in(monkeypatch, tmp_path, killed.replace("sys.stderr.write", "print"))
    assert "ended (status -9): it was killed by SIGKILL (log: " in refusal(make(serve=True, checkpoint=model))


def test_a_server_that_dies_at_the_start_says_why_and_leaves_its_log(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, DYING)
    told = refusal(make(serve=True, checkpoint=model))
    assert "ended (status 3): RuntimeError: no memory left" in told
    assert told.endswith("INFO goodbye")
    (log,) = tmp_path.glob("microg-bench-server-*.log")
    assert str(log) in told
    assert "INFO loading" in log.read_text()


def test_the_whole_process_group_ends_and_nothing_is_left(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN.replace('"id": "m"', f'"id": "{model}"'))
    engine = make(serve=True, checkpoint=model)
    engine.start()
    assert engine._local is not None
    process = engine._local._process
    assert process is not None
    assert serving._alive(process)
    engine.close()
    engine.close()
    assert process.poll() is not None
    assert not serving._alive(process)
    assert not list(tmp_path.glob("microg-bench-server-*"))


def test_a_start_that_fails_ends_the_server_too(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path, STAND_IN)  # it serves another name
    engine = make(serve=True, checkpoint=model)
    started: list[Any] = []
    real = serving.subprocess.Popen

    def popen(*arguments: Any, **named: Any) -> Any:
        started.append(real(*arguments, **named))
        return started[0]

    monkeypatch.setattr(serving.subprocess, "Popen", popen)
    assert "unknown model" in refusal(engine)
    assert started[0].poll() is not None
    assert not serving._alive(started[0])


def test_a_server_started_here_loads_the_commit_that_is_told(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    commit = fill_cache(tmp_path / "cache", Path(model))
    stand_in(monkeypatch, tmp_path, STAND_IN.replace('"id": "m"', '"id": "org/tiny"'))
    engine = make(serve=True, checkpoint="org/tiny")
    engine.start()
    try:
        assert engine._local is not None
        assert engine._local._process is not None
        command = list(engine._local._process.args)  # type: ignore[arg-type]
        assert f"--revision={commit}" in command
        assert engine.provenance()["commit"] == commit
    finally:
        engine.close()


def test_the_options_become_flags_of_vllm() -> None:
    options = Options(
        checkpoint="org/model",
        tensor_parallel_size=2,
        max_model_len=4096,
        gpu_memory_utilization=0.5,
        trust_remote_code=True,
        engine_args={"limit_mm_per_prompt": {"video": 1}, "enforce_eager": False, "lora_modules": ["a", "b"]},
    )
    flags = " ".join(serving._command(options, 8000)[3:])
    for wanted in (
        "--model=org/model",
        "--host=127.0.0.1 --port=8000",
        "--tensor-parallel-size=2",
        "--max-model-len=4096",
        "--gpu-memory-utilization=0.5",
        "--trust-remote-code",
        "--max-num-seqs=64",
        "--served-model-name=org/model",
        '--limit-mm-per-prompt={"video": 1}',
        "--no-enforce-eager",
        "--lora-modules a b",
    ):
        assert wanted in flags
    assert "--revision" not in flags
    assert sys.executable not in flags
