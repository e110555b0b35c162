"""Progress callbacks."""

import pytest

from microg_bench.errors import UsageError
from microg_bench.progress import ASKING, Periodic, Progress, shown
from microg_bench.records import Failure


class Clock:
    """The time, as a test sets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("microg_bench.progress.time.monotonic", lambda: self.now)


class Told(Progress):
    """Keeps what it is told, by name."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.calls.append(f"stage {name} {total} {done}")

    def advance(self) -> None:
        self.calls.append("advance")

    def failure(self, failure: Failure) -> None:
        self.calls.append(f"failure {failure.id}")

    def note(self, text: str) -> None:
        self.calls.append(f"note {text}")

    def confirm(self, question: str) -> None:
        self.calls.append(f"confirm {question}")


def test_everything_is_passed_on() -> None:
    told = Told()
    one = Periodic(told, ASKING)
    one.stage(ASKING, 9, 3)
    one.advance()
    one.failure(Failure(id="x", stage="engine", reason="no"))
    one.note("n")
    one.confirm("c")
    assert told.calls == ["stage asking 9 3", "advance", "failure x", "note n", "confirm c"]
    assert not one.acted


def test_it_acts_in_its_stage_at_most_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, acts = Clock(monkeypatch), []
    one = Periodic(Progress(), ASKING)
    one.act = lambda seconds, steps: acts.append((seconds, steps))
    one.stage("describing", 100)
    clock.now += 60
    one.advance()
    one.stage(ASKING, 100)
    for _ in range(50):
        clock.now += 1
        one.advance()
    assert acts == [(10.0, 10), (20.0, 20), (30.0, 30), (40.0, 40), (50.0, 50)] and one.acted
    one.stage("scoring", 3)
    clock.now += 60
    one.advance()
    assert len(acts) == 5


def test_what_takes_long_is_done_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, acts = Clock(monkeypatch), []
    one = Periodic(Progress(), ASKING, always=True)

    def act(seconds: float, _steps: int) -> None:
        acts.append(seconds)
        clock.now += 2.0  # 1% of 200 s

    one.act = act
    one.stage(ASKING, 1000)
    for _ in range(500):
        one.advance()
        clock.now += 1
    assert acts == [0.0, 202.0, 404.0]
    assert len(acts) * 2.0 <= 500 * Periodic.MOST_SHARE * 1.3


def test_a_callback_is_periodic_where_there_may_be_a_page() -> None:
    own = Told()
    with shown(own) as found:
        assert found is own
    for page, always in ((None, False), (True, True)):
        with shown(own, page) as found:
            assert isinstance(found, Periodic) and found.acted is always
    with pytest.raises(UsageError, match="progress"), shown("no"):  # type: ignore[arg-type]
        pass
