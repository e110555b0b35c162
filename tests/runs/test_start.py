"""What a start took: tokens, and a wall clock told apart by what the engine did."""

from itertools import count

import numpy as np
import pytest

from microg_bench.records import Failure, Message, Prompt, Request, Response, Text, Video
from microg_bench.runs import start as module
from microg_bench.runs.start import Usage, prompted
from microg_bench.submissions.load import PackedRequest
from microg_bench.video.decode import Frames


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second later each time it is read."""
    ticks = count(1)
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(ticks)))


def test_time_with_and_without_a_request_is_told_apart(clock: None) -> None:
    usage = Usage(_since=0.0)
    usage.opened()
    usage.opened()
    usage.closed()
    usage.closed()
    usage.opened()
    usage.closed()
    usage.clips, usage.decoding = 2, 7.0
    summary = usage.to_json()
    assert summary["seconds"] == {"generating": 2.0, "waiting": 2.0, "decoding": 7.0}
    assert summary["clips_per_second"] == 0.5


def test_a_request_that_never_came_back_counts_until_the_end(clock: None) -> None:
    usage = Usage(_since=0.0)
    usage.opened()
    assert usage.to_json()["seconds"]["generating"] == 1.0


def test_tokens_are_those_of_requests_that_were_asked() -> None:
    usage = Usage()
    usage.count(Response(id="a", text="", prompt_tokens=10, cached_tokens=4, output_tokens=3))
    usage.count(Response(id="b", text=""))
    usage.count(Response(id="c", text="", prompt_tokens=10, output_tokens=3, from_cache=True))
    usage.count(Failure(id="d", stage="engine", reason="busy"))
    summary = usage.to_json()
    assert [summary[name] for name in ("answers", "from_cache", "failures")] == [3, 1, 1]
    assert [summary[f"{kind}_tokens"] for kind in ("prompt", "cached", "output")] == [10, 4, 3]


def test_a_request_is_told_with_the_size_of_its_frames() -> None:
    request = Request(id="a", task="caption", video_id="a", source="s")
    prompt = Prompt(messages=(Message(role="user", parts=(Video(), Text(text="?"))),))
    pixels = np.zeros((9, 4, 6, 3), np.uint8)
    frames = Frames(pixels, tuple(range(9)), tuple(k / 30 for k in range(9)), 30.0, 90, 3.0)
    told = prompted(request, prompt, frames)
    assert {name: told[name] for name in ("frames", "width", "height", "fps")} == {
        "frames": 9, "width": 6, "height": 4, "fps": 3.0,
    }  # fmt: skip
    assert PackedRequest.model_validate(told).fps == 3.0
    bare = prompted(request, prompt)
    assert bare == {"id": "a", "sha256": told["sha256"]}
    other = prompt.model_copy(update={"messages": (Message(role="user", parts=(Text(text="?"),)),)})
    assert prompted(request, other)["sha256"] != told["sha256"]


def test_a_prefix_cache_that_nothing_is_known_of_is_not_told() -> None:
    usage = Usage()
    usage.count(Response(id="a", text="", prompt_tokens=10, output_tokens=3))
    assert "tokens: 10 in prompts, 3 generated" in usage.lines() and usage.to_json()["cached_tokens"] == 0
