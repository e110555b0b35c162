import asyncio

import pytest

from microg_bench.engines._ask_error import kind_of, retry_after
from microg_bench.engines._pace import Clock, Pace
from microg_bench.engines._remote import Patience


class Hand:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 100.0
        self.clock = Clock(now=lambda: self.time, sleep=self.sleep, chance=lambda: 0.5)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def fill(pace: Pace) -> int:
    while pace.room():
        pace.begin()
    return pace.under_way


def round_trip(pace: Pace, hand: Hand, complaints: int = 0) -> None:
    """All requests that may be under way are sent, and come back; the first few of them as complaints."""
    hand.time += 1
    begun = hand.time
    sent = fill(pace)
    hand.time += 1
    for number in range(sent):
        if number < complaints:
            pace.cut(begun)
        else:
            pace.grow()
        pace.end()


def test_the_limit_doubles_each_round_trip_until_the_first_complaint() -> None:
    hand = Hand()
    pace = Pace(50, hand.clock)
    limits = []
    for _ in range(5):
        limits.append(pace.limit)
        round_trip(pace, hand)
    assert limits == [8, 16, 32, 50, 50]


def test_after_a_complaint_it_grows_by_one_a_round_trip() -> None:
    hand = Hand()
    pace = Pace(64, hand.clock)
    round_trip(pace, hand, complaints=1)
    low = pace.limit
    for _ in range(4):
        round_trip(pace, hand)
    assert low + 2 < pace.limit < low + 5


def test_many_complaints_of_one_round_trip_halve_the_limit_once() -> None:
    hand = Hand()
    pace = Pace(64, hand.clock)
    round_trip(pace, hand, complaints=8)
    assert pace.limit == 4
    round_trip(pace, hand, complaints=4)
    assert pace.limit == 2


def test_one_request_may_always_go_and_the_most_is_never_passed() -> None:
    hand = Hand()
    pace = Pace(3, hand.clock)
    for _ in range(9):
        round_trip(pace, hand)
        assert pace.limit <= 3
    for _ in range(9):
        round_trip(pace, hand, complaints=3)
    assert fill(pace) == 1


def test_nothing_may_be_sent_before_the_hold_is_over() -> None:
    hand = Hand()
    pace = Pace(8, hand.clock)
    pace.hold(30)
    pace.hold(10)
    assert pace.opens_in() == 30
    hand.time += 29.9
    assert not pace.room()
    hand.time += 0.1
    assert pace.room()


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
        (400, "refused"), (401, "fatal"), (403, "fatal"), (404, "fatal"), (402, "fatal"), (408, "again"),
        (409, "again"), (413, "refused"), (422, "refused"), (429, "busy"), (500, "busy"), (503, "busy"),
        (529, "busy"), (302, "refused"),
    ],
)  # fmt: skip
def test_a_status_means_what_it_means(status: int, kind: str) -> None:
    assert kind_of(status) == kind


def test_the_wait_doubles_up_to_its_bound_and_chance_takes_a_part_of_it() -> None:
    patience = Patience(first_wait=1, longest_wait=10)
    assert [patience.wait(asked, 1.0) for asked in range(6)] == [0, 1, 2, 4, 8, 10]
    assert patience.wait(3, 0.25) == 1
