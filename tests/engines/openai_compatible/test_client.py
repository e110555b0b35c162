"""What a clip shows is sent once to a server that keeps it, and the model is shown the same."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from microg_bench.engines.base import Job
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Image, Request, Response, Text, Video
from tests.engines.conftest import AnswerAll, job_of, noise_frames
from tests.helpers.fault_server import FaultServer, OpenAIWire

pytestmark = pytest.mark.slow


class Keeping:
    """A server that answers with a hash of what it is shown, and keeps that under its id, as vLLM does."""

    def __init__(self, server: FaultServer, owner: str = "vllm") -> None:
        self.url = server.url
        self.kept: dict[str, str] = {}
        self.sent = self.named = self.unknown = 0  # requests with media, with ids alone, those not known
        self.keeps = True
        self.refuses: tuple[int, str] | None = None
        listed = OpenAIWire.models(["m"])
        listed["data"][0]["owned_by"] = owner
        server.routes["GET", "/v1/models"] = lambda call: (200, listed)
        server.routes["POST", "/v1/chat/completions"] = self.answer

    def answer(self, call: tuple[str, bytes, Any]) -> tuple[int, dict[str, Any]]:
        body = json.loads(call[1])
        media = [part for part in body["messages"][-1]["content"] if part["type"] != "text"]
        self.named += (by_id := all(part[part["type"]] is None for part in media))
        self.sent += not by_id
        if self.refuses and any(part["type"] == "video_url" for part in media):
            return self.refuses[0], OpenAIWire.error(*self.refuses)
        if by_id and not all(self.keeps and part["uuid"] in self.kept for part in media):
            self.unknown += 1
            return 400, OpenAIWire.error(400, "Cache miss for video at index 0 but data is not provided.")
        shown = [(part[part["type"]] or {"url": self.kept[part["uuid"]]})["url"] for part in media]
        self.kept |= {part["uuid"]: url for part, url in zip(media, shown, strict=True) if "uuid" in part}
        text = json.dumps([shown, body.get("media_io_kwargs")])
        return 200, OpenAIWire.answer(hashlib.sha256(text.encode()).hexdigest())


def started(server: Keeping, **options: Any) -> ServerEngine:
    engine = ServerEngine(Options(url=(server.url,), timeout=5.0, **options))
    engine.start()
    return engine


def about(clip: int, questions: int = 7) -> list[Job]:
    """Questions about one clip, of which one shows single frames."""
    frames = noise_frames(clip, count=3)
    jobs = []
    for k in range(questions):
        parts = (Image(frame=2), Image(frame=0)) if k == questions - 1 else (Video(),)
        request = Request(id=f"c{clip}#{k}", task="vqa", video_id=f"c{clip}", source="s", question="?")
        jobs.append(replace(job_of(clip, frames=frames, parts=(*parts, Text(text=f"{k}?"))), request=request))
    return jobs


def texts(outcomes: list[Any]) -> dict[str, str]:
    assert all(isinstance(one, Response) for one in outcomes), outcomes
    return {one.id: one.text for one in outcomes}


@pytest.mark.parametrize("media", ["video", "images"])
def test_the_frames_of_a_clip_are_sent_once_where_they_are_kept(
    server: FaultServer, answer_all: AnswerAll, media: str
) -> None:
    jobs = [job for clip in range(5) for job in about(clip)]
    plain = texts(answer_all(started(Keeping(server, owner="tests"), media=media), jobs))
    keeping = Keeping(server)
    assert texts(answer_all(started(keeping, media=media), jobs)) == plain
    assert len(set(plain.values())) == 10, "two views of each clip"
    # The single frames are kept as images only, and are something else than one video.
    assert (keeping.sent, keeping.named, keeping.unknown) == (10, 25, 0)


def test_what_the_server_keeps_no_more_is_sent_again(server: FaultServer, answer_all: AnswerAll) -> None:
    keeping = Keeping(server)
    engine = started(keeping, media="video")
    jobs = about(1, 4)
    first = texts(answer_all(engine, jobs))
    keeping.keeps = False
    assert texts(answer_all(engine, jobs)) == first
    assert keeping.sent == 2 + len(jobs)
    assert keeping.named - 2 == keeping.unknown > 0


def test_a_server_that_keeps_nothing_is_sent_everything(server: FaultServer, answer_all: AnswerAll) -> None:
    other = Keeping(server, owner="tests")
    texts(answer_all(started(other, media="video"), about(1)))
    assert (other.sent, other.named, other.kept) == (7, 0, {})


def test_a_clip_is_shown_as_one_video_where_the_server_takes_it(server: FaultServer) -> None:
    keeping = Keeping(server)
    assert ServerEngine.shows(Options(url=(server.url,))) == "video"
    assert ServerEngine.shows(Options(url=(server.url, server.url), checkpoint="m")) == "video"
    assert keeping.sent == 3
    assert ServerEngine.shows(Options(serve=True, checkpoint="org/m")) == "video"


def test_a_clip_is_shown_as_images_where_a_video_is_refused(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = Keeping(server)
    keeping.refuses = 400, "At most 0 video(s) may be provided in one prompt."
    assert ServerEngine.shows(Options(url=(server.url,))) == "images"
    assert "At most 0 video(s) may be provided" in caplog.text
    keeping.refuses = 500, "out of order"
    with pytest.raises(EngineError, match="out of order: --media says how clips are sent"):
        ServerEngine.shows(Options(url=(server.url,)))
    other = Keeping(server, owner="tests")
    assert ServerEngine.shows(Options(url=(server.url,))) == "images"
    assert other.sent == 0, "it is not asked"
