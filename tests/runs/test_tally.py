"""What a start took: tokens, and a wall clock told apart by what the engine did."""

from itertools import count

import pytest

from microg_bench.records import Response
from microg_bench.runs import tally as module
from microg_bench.runs.tally import Tally


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second later each time it is read."""
    ticks = count(1)
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(ticks)))


def test_time_with_and_without_a_request_is_told_apart(clock: None) -> None:
    tally = Tally(_since=0.0)
    tally.opened()
    tally.opened()
    tally.closed()
    tally.closed()
    tally.opened()
    tally.closed()
    tally.clips = 2
    summary = tally.summary(decoding=7.0)
    assert summary["seconds"] == {"generating": 2.0, "waiting": 2.0, "decoding": 7.0}
    assert summary["clips_per_second"] == 0.5


def test_a_request_that_never_came_back_counts_until_the_end(clock: None) -> None:
    tally = Tally(_since=0.0)
    tally.opened()
    assert tally.summary(0.0)["seconds"]["generating"] == 1.0


def test_tokens_are_those_of_requests_that_were_asked() -> None:
    tally = Tally()
    tally.answered(Response(id="a", text="", prompt_tokens=10, cached_tokens=4, output_tokens=3))
    tally.answered(Response(id="b", text=""))
    tally.answered(Response(id="c", text="", prompt_tokens=10, output_tokens=3, shared=True))
    summary = tally.summary(0.0)
    assert [summary[name] for name in ("answers", "shared")] == [3, 1]
    assert [summary[f"{kind}_tokens"] for kind in ("prompt", "cached", "output")] == [10, 4, 3]
