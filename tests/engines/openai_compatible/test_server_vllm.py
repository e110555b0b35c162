"""The engine `server` against a real vLLM server on loopback, which it starts and ends itself."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.registry import ENGINES
from microg_bench.options import Options

if missing := ENGINES["vllm"].missing() + ENGINES["server"].missing():
    pytest.skip(f"not installed here: {', '.join(missing)} (make test-vllm)", allow_module_level=True)

import psutil

from microg_bench.engines.http.faults import Fault
from microg_bench.engines.openai_compatible.client import ChatServer
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Generation, Request, Response, Text, Video
from microg_bench.structured import misfit
from tests.engines.conftest import AnswerAll, grey_frames, job_of, noise_frames
from tests.helpers.schemas import VERDICT
from tests.helpers.tiny_qwen import CONTEXT

START = """
import sys
from microg_bench.options import Options
from microg_bench.engines.openai_compatible.server import ServerEngine
ServerEngine(Options(checkpoint=sys.argv[1], serve=True)).start()
"""


@pytest.fixture(scope="module")
def served(tiny_qwen: Path) -> Iterator[ServerEngine]:
    engine = ServerEngine(
        Options(checkpoint=str(tiny_qwen), serve=True, media="video", max_model_len=CONTEXT)
    )
    engine.start()
    yield engine
    engine.close()


def joined(served: ServerEngine, **options: Any) -> ServerEngine:
    """An engine that is given the address of the server."""
    url = served._access[0].where.removesuffix("/v1")
    engine = ServerEngine(Options(url=(url,), **options))
    engine.start()
    return engine


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def test_a_video_is_answered_as_transformers_answers_it(
    tiny_qwen: Path, served: ServerEngine, answer_all: AnswerAll
) -> None:
    # Plain grey survives JPEG unchanged, and four frames have the same positions in both.
    jobs = [job_of(k, frames=grey_frames([10 + 40 * k, 240, 30 * k, 120])) for k in range(4)]
    yardstick = TransformersEngine(Options(checkpoint=str(tiny_qwen), dtype="float32"))
    yardstick.start()
    wanted = responses(answer_all(yardstick, jobs))
    got = responses(answer_all(served, jobs))
    assert [(o.text, o.prompt_tokens, o.finish_reason) for o in got] == [
        (o.text, o.prompt_tokens, o.finish_reason) for o in wanted
    ]


def test_whatever_is_written_fits_its_schema(served: ServerEngine, answer_all: AnswerAll) -> None:
    jobs = [
        replace(
            job_of(k, parts=(Text(text=f"Judge {k}."),)),
            frames=None,
            generation=Generation(max_tokens=160, answer_schema=VERDICT, temperature=k % 2, seed=k),
        )
        for k in range(8)
    ]
    for said in responses(answer_all(served, jobs)):
        assert misfit(said.text, VERDICT, said.finish_reason) is None


def test_the_questions_of_a_clip_share_its_frames(served: ServerEngine, answer_all: AnswerAll) -> None:
    frames = noise_frames(77)
    jobs = [
        replace(
            job_of(0, frames=frames, parts=(Video(), Text(text=f"Question {k}?"))),
            request=Request(id=f"shared#{k}", task="vqa", video_id="shared", source="s"),
        )
        for k in range(6)
    ]
    first = responses(answer_all(served, jobs[:1]))
    others = responses(answer_all(served, jobs[1:]))
    assert first[0].cached_tokens == 0
    assert all((other.cached_tokens or 0) >= 32 for other in others)


@pytest.mark.parametrize("media", ["video", "images"])
def test_what_the_server_keeps_is_named_by_its_id_and_answered_alike(
    served: ServerEngine, answer_all: AnswerAll, monkeypatch: pytest.MonkeyPatch, media: str
) -> None:
    jobs = [
        replace(
            job_of(clip, frames=noise_frames(clip + 80), parts=(Video(), Text(text=f"Question {k}?"))),
            request=Request(id=f"c{clip}#{k}", task="vqa", video_id=f"c{clip}", source="s"),
        )
        for clip in range(3)
        for k in range(4)
    ]
    whole = joined(served, media=media)
    whole._body.keeps_media = False
    wanted = responses(answer_all(whole, jobs))
    sent: list[str] = []
    send = ChatServer._send

    async def noted(server: ChatServer, body: dict[str, Any]) -> Any:
        said = await send(server, body)
        shown = body["messages"][-1]["content"][0]
        sent.append("refused" if isinstance(said, Fault) else "whole" if shown[shown["type"]] else "by id")
        return said

    monkeypatch.setattr(ChatServer, "_send", noted)
    got = responses(answer_all(joined(served, media=media), jobs))
    assert [(o.id, o.text, o.prompt_tokens) for o in got] == [(o.id, o.text, o.prompt_tokens) for o in wanted]
    assert Counter(sent) == {"whole": 3, "by id": 9}


def test_a_model_that_takes_videos_is_shown_them(served: ServerEngine, tiny_qwen: Path) -> None:
    url = served._access[0].where
    assert ServerEngine.shows(Options(url=(url,))) == "video"
    assert ServerEngine.shows(Options(url=(url,), checkpoint=str(tiny_qwen))) == "video"


def test_the_version_of_the_server_is_told(served: ServerEngine) -> None:
    assert served.provenance()["servers"] == "started here"
    assert served.provenance()["vllm"] == import_module("vllm").__version__


def test_images_are_answered_by_address_with_the_only_model(
    served: ServerEngine, answer_all: AnswerAll
) -> None:
    outcomes = responses(answer_all(joined(served), [job_of(k) for k in range(8)]))
    assert len({outcome.text for outcome in outcomes}) > 4
    assert all(outcome.output_tokens == 16 for outcome in outcomes)


def test_a_prompt_that_does_not_fit_fails_alone(served: ServerEngine, answer_all: AnswerAll) -> None:
    long = job_of(0, parts=(Video(), Text(text="Who? " * CONTEXT)))
    outcome, other = answer_all(served, [long, job_of(1)])
    assert isinstance(outcome, Failure)
    assert not outcome.retryable
    assert "400" in outcome.reason
    assert str(CONTEXT) in outcome.reason
    assert isinstance(other, Response)


def test_another_model_than_is_served_is_refused_with_what_is(served: ServerEngine, tiny_qwen: Path) -> None:
    with pytest.raises(EngineError, match=r"unknown model 'gpt-4o'.*known: " + str(tiny_qwen)):
        joined(served, checkpoint="gpt-4o")


def test_an_engine_argument_that_vllm_refuses_ends_the_start_with_its_words(tiny_qwen: Path) -> None:
    before = set(Path(tempfile.gettempdir()).glob("microg-bench-server-*"))
    engine = ServerEngine(
        Options(checkpoint=str(tiny_qwen), serve=True, engine_args={"kv_cache_dtype": "none"})
    )
    with pytest.raises(EngineError, match=r"ended \(status 2\).*kv-cache-dtype"):
        engine.start()
    for log in set(Path(tempfile.gettempdir()).glob("microg-bench-server-*")) - before:
        log.unlink()


def test_the_server_ends_with_the_process_that_started_it(tiny_qwen: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", START, str(tiny_qwen)], env={**os.environ})
    deadline = time.monotonic() + 60
    children: list[psutil.Process] = []
    while not children and time.monotonic() < deadline:
        time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert children
    assert not alive


def test_a_server_that_is_killed_on_the_way_ends_the_run_with_what_is_open(
    tiny_qwen: Path, answer_all: AnswerAll
) -> None:
    """In a process of its own: what is measured is how it ends."""
    code = Path(__file__).parents[2] / "helpers" / "dying_server.py"
    done = subprocess.run(
        [sys.executable, "-m", f"tests.helpers.{code.stem}", str(tiny_qwen)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert "the server that was started here ended" in told["error"]
    assert told["answered"] >= 1
    assert told["failed"] >= 1
    assert told["left"] == 0
    assert told["answered"] + told["failed"] == told["distinct"]
