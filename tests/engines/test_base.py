"""What all engines share."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from microg_bench.engines.base import Answered, Engine, Job


@dataclass
class Noted(Engine):
    """Notes what is done with it."""

    name = "noted"
    life: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.life.append("start")

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        for answered in ():
            yield answered


def test_an_engine_is_started_once() -> None:
    engine = Noted()
    assert not engine.started
    engine.start_once()
    engine.start_once()
    assert engine.started and engine.life == ["start"]
