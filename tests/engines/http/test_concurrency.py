import asyncio

import pytest

from microg_bench.engines.http.errors import kind_of, retry_after
from microg_bench.engines.http.pool import Clock, ConcurrencyLimiter, RetryPolicy


class Hand:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0
        self.clock = Clock(now=lambda: self.time, sleep=self.sleep, chance=lambda: 0.5)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def fill(limiter: ConcurrencyLimiter) -> int:
    while limiter.available():
        limiter.acquire()
    return limiter.in_flight


def round_trip(limiter: ConcurrencyLimiter, hand: Hand, overloads: int = 0) -> None:
    """All requests that may be in flight are sent, and answered; the first few by an overload."""
    hand.time += 1
    sent_at = hand.time
    sent = fill(limiter)
    hand.time += 1
    for number in range(sent):
        if number < overloads:
            limiter.decrease(sent_at)
        else:
            limiter.increase()
        limiter.release()


def test_the_limit_doubles_each_round_trip_until_the_first_overload() -> None:
    hand = Hand()
    limiter = ConcurrencyLimiter(50, hand.clock)
    limits = []
    for _ in range(5):
        limits.append(limiter.limit)
        round_trip(limiter, hand)
    assert limits == [8, 16, 32, 50, 50]


def test_after_a_overload_it_grows_by_one_a_round_trip() -> None:
    hand = Hand()
    limiter = ConcurrencyLimiter(64, hand.clock)
    round_trip(limiter, hand, overloads=1)
    low = limiter.limit
    for _ in range(4):
        round_trip(limiter, hand)
    assert low + 2 < limiter.limit < low + 5


def test_many_overloads_of_one_round_trip_halve_the_limit_once() -> None:
    hand = Hand()
    limiter = ConcurrencyLimiter(64, hand.clock)
    round_trip(limiter, hand, overloads=8)
    assert limiter.limit == 4
    round_trip(limiter, hand, overloads=4)
    assert limiter.limit == 2


def test_one_request_may_always_go_and_the_most_is_never_passed() -> None:
    hand = Hand()
    limiter = ConcurrencyLimiter(3, hand.clock)
    for _ in range(9):
        round_trip(limiter, hand)
        assert limiter.limit <= 3
    for _ in range(9):
        round_trip(limiter, hand, overloads=3)
    assert fill(limiter) == 1


def test_nothing_may_be_sent_before_the_pause_is_over() -> None:
    hand = Hand()
    limiter = ConcurrencyLimiter(8, hand.clock)
    limiter.pause(30)
    limiter.pause(10)
    assert limiter.paused_for() == 30
    hand.time += 29.9
    assert not limiter.available()
    hand.time += 0.1
    assert limiter.available()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 37.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:48:37 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, wall=lambda: 784111740.0) == seconds  # 08:49:00 of that day


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "refused"), (401, "fatal"), (403, "denied"), (404, "fatal"), (402, "fatal"), (408, "retryable"),
        (409, "retryable"), (413, "refused"), (422, "refused"), (429, "rate-limited"), (500, "rate-limited"),
        (503, "rate-limited"), (529, "rate-limited"), (302, "refused"),
    ],
)  # fmt: skip
def test_a_status_means_what_it_means(status: int, kind: str) -> None:
    assert kind_of(status) == kind


def test_the_wait_doubles_up_to_its_bound_and_chance_takes_a_part_of_it() -> None:
    policy = RetryPolicy(initial_backoff=1, max_backoff=10)
    assert [policy.backoff(attempts, 1.0) for attempts in range(6)] == [0, 1, 2, 4, 8, 10]
    assert policy.backoff(3, 0.25) == 1
