"""The sharing of jobs among servers, on a clock that moves only where somebody waits for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest

from microg_bench.engines.base import Job, Outcome
from microg_bench.engines.chat_template import PromptError
from microg_bench.engines.http.errors import Kind, RequestError
from microg_bench.engines.http.pool import RetryPolicy, ServerPool
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Request, Response, Stage
from tests.engines.conftest import job_of, stream_of
from tests.engines.http.test_concurrency import Hand

Outcomes = list[Outcome]


@dataclass
class Scripted:
    """A server that does what a function of (job id, attempt) says: return an error, or None to answer."""

    script: Callable[[str, int], Exception | None] = lambda job, attempt: None
    label: str = "http://server"
    asked: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    times: list[float] = field(default_factory=list)
    hand: Hand | None = None

    async def ask(self, job: Job) -> Response:
        name = job.request.id
        self.asked[name] += 1
        self.order.append(name)
        if self.hand:
            self.times.append(self.hand.time)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        for _ in range(40):
            await asyncio.sleep(0)
        self.in_flight -= 1
        if (error := self.script(name, self.asked[name])) is not None:
            raise error
        return Response(id=name, text=f"{self.label} {name}")


def drain(pool: ServerPool, jobs: list[Job]) -> tuple[Outcomes, str]:
    """All outcomes, and the error that ended the stream."""
    outcomes: Outcomes = []

    async def collect() -> None:
        async for answered in pool.answer(stream_of(jobs)):
            outcomes.extend(outcome for _, outcome in answered)

    try:
        asyncio.run(asyncio.wait_for(collect(), 20))
    except EngineError as error:
        return outcomes, str(error)
    return outcomes, ""


def jobs(count: int) -> list[Job]:
    return [job_of(k) for k in range(count)]


def about(clip: str, number: int) -> Job:
    request = Request(id=f"{clip}#{number}", task="vqa", video_id=clip, source="s", question="?")
    return replace(job_of(0), request=request)


def test_the_first_request_of_a_clip_goes_ahead_where_servers_keep_what_they_are_shown() -> None:
    server = Scripted()
    asked = [about(f"clip{k % 4}", k) for k in range(32)]
    outcomes, error = drain(ServerPool([server], 8, clock=Hand().clock, keeps_media=True), asked)
    assert (error, len(outcomes), set(server.asked.values())) == ("", 32, {1})
    assert server.order[:4] == [f"clip{k}#{k}" for k in range(4)], "the others wait for these"
    assert server.most == 8


def test_what_waits_for_the_first_of_its_clip_goes_on_when_that_fails() -> None:
    server = Scripted(lambda job, attempt: RequestError("refused", "no") if job == "a#0" else None)
    outcomes, error = drain(
        ServerPool([server], 8, clock=Hand().clock, keeps_media=True), [about("a", k) for k in range(5)]
    )
    assert error == ""
    assert sorted(one.id for one in outcomes if isinstance(one, Response)) == ["a#1", "a#2", "a#3", "a#4"]


def test_every_job_is_answered_and_no_more_than_the_limit_are_in_flight() -> None:
    server = Scripted()
    outcomes, error = drain(ServerPool([server], max_concurrency=5, clock=Hand().clock), jobs(100))
    assert sorted(o.id for o in outcomes) == sorted(f"clip{k}" for k in range(100))
    assert (error, server.most, set(server.asked.values())) == ("", 5, {1})


@pytest.mark.parametrize("kind", ["retryable", "rate-limited"])
def test_what_is_worth_it_is_asked_again(kind: str) -> None:
    server = Scripted(lambda job, attempt: RequestError(kind, "no luck") if attempt < 3 else None)  # type: ignore[arg-type]
    outcomes, _ = drain(ServerPool([server], 4, clock=Hand().clock), jobs(10))
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert set(server.asked.values()) == {3}


def test_attempts_are_bounded_and_the_failure_is_worth_another_start() -> None:
    server = Scripted(lambda job, attempt: RequestError("retryable", "no luck") if job == "clip1" else None)
    outcomes, error = drain(ServerPool([server], 4, RetryPolicy(max_attempts=4), Hand().clock), jobs(3))
    (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert (failure.reason, failure.retryable) == ("no luck (asked 4 times)", True)
    assert (server.asked["clip1"], error) == (4, "")


@pytest.mark.parametrize(
    ("error", "stage"),
    [(RequestError("refused", "too large"), "engine"), (PromptError("too large"), "prompt")],
)
def test_what_is_refused_is_not_asked_again(error: Exception, stage: Stage) -> None:
    server = Scripted(lambda job, attempt: error)
    outcomes, _ = drain(ServerPool([server], 4, clock=Hand().clock), jobs(1))
    assert outcomes == [Failure(id="clip0", stage=stage, reason="too large", retryable=False)]
    assert server.asked["clip0"] == 1


def test_after_a_fatal_error_nothing_is_sent_and_what_was_in_flight_is_still_taken() -> None:
    server = Scripted(lambda job, attempt: RequestError("fatal", "key refused") if job == "clip20" else None)
    outcomes, error = drain(ServerPool([server], 4, clock=Hand().clock), jobs(500))
    assert error == "key refused"
    assert sum(server.asked.values()) < 30
    answered = {o.id for o in outcomes if isinstance(o, Response)}
    failed = [o for o in outcomes if isinstance(o, Failure)]
    assert failed
    assert all(failure.retryable and failure.reason == "key refused" for failure in failed)
    assert server.order[-1] != "clip20", "others were under way"
    assert set(server.asked) - {"clip20"} == answered
    assert len({o.id for o in outcomes}) == len(outcomes)


def test_nothing_is_sent_before_the_server_wants_it() -> None:
    hand = Hand()

    def script(job: str, attempt: int) -> RequestError | None:
        return (
            RequestError("rate-limited", "slow down", retry_after=40.0)
            if (job, attempt) == ("clip5", 1)
            else None
        )

    server = Scripted(script, hand=hand)
    drain(ServerPool([server], 1, clock=hand.clock), jobs(12))
    (gap,) = [
        later - sooner
        for sooner, later in zip(server.times, server.times[1:], strict=False)
        if later > sooner
    ]
    assert gap == pytest.approx(40.0)


def test_a_wait_that_is_too_long_ends_the_run_instead() -> None:
    server = Scripted(lambda job, attempt: RequestError("rate-limited", "slow down", retry_after=86400.0))
    outcomes, error = drain(ServerPool([server], 2, clock=Hand().clock), jobs(50))
    assert "86400 s" in error
    assert all(isinstance(o, Failure) and o.retryable for o in outcomes)


def test_many_jobs_given_up_in_a_row_end_the_run() -> None:
    server = Scripted(lambda job, attempt: RequestError("rate-limited", "500: broken"))
    outcomes, error = drain(
        ServerPool([server], 2, RetryPolicy(max_attempts=2, max_failures=5), Hand().clock), jobs(500)
    )
    assert "5 requests in a row" in error
    assert "500: broken" in error
    assert len(outcomes) < 20


def test_the_work_of_a_server_that_is_down_goes_to_the_other() -> None:
    down = Scripted(lambda job, attempt: RequestError("unreachable", "cannot be reached"), "unreachable")
    up = Scripted(label="up")
    outcomes, error = drain(ServerPool([down, up], 8, clock=Hand().clock), jobs(200))
    assert error == ""
    assert {o.text.split()[0] for o in outcomes if isinstance(o, Response)} == {"up"}
    assert len(outcomes) == 200
    assert sum(down.asked.values()) < 20


def test_a_server_that_comes_back_is_asked_again() -> None:
    hand = Hand()
    server = Scripted(
        lambda job, attempt: RequestError("unreachable", "cannot be reached") if hand.time < 140 else None
    )
    outcomes, error = drain(ServerPool([server], 4, clock=hand.clock), jobs(30))
    assert error == ""
    assert all(isinstance(outcome, Response) for outcome in outcomes)


def test_where_no_server_can_be_reached_for_long_the_run_ends() -> None:
    servers = [
        Scripted(lambda job, attempt: RequestError("unreachable", "cannot be reached")) for _ in range(2)
    ]
    outcomes, error = drain(ServerPool(servers, 4, clock=Hand().clock), jobs(100))
    assert "cannot be reached, for" in error
    assert len(outcomes) < 10
    assert all(isinstance(o, Failure) and o.retryable for o in outcomes)


def test_where_the_server_is_known_to_be_gone_the_run_ends_at_once() -> None:
    server = Scripted(lambda job, attempt: RequestError("unreachable", "cannot be reached"))
    _, error = drain(
        ServerPool([server], 4, clock=Hand().clock, ended=lambda: "it ended: no memory"), jobs(9)
    )
    assert error == "it ended: no memory"
    assert sum(server.asked.values()) <= 4


def test_the_requests_of_a_clip_go_to_one_server_and_the_clips_to_both() -> None:
    servers = [Scripted(label=name) for name in "ab"]
    work = [about(f"c{clip}", number) for clip in range(20) for number in range(6)]
    outcomes, _ = drain(ServerPool(servers, 6, clock=Hand().clock), work)
    homes: dict[str, set[str]] = {}
    for outcome in outcomes:
        assert isinstance(outcome, Response)
        homes.setdefault(outcome.id.partition("#")[0], set()).add(outcome.text[0])
    assert all(len(found) == 1 for found in homes.values())
    assert {name for found in homes.values() for name in found} == {"a", "b"}


def test_leaving_early_cancels_what_is_in_flight() -> None:
    started, ended = [], []

    class Slow:
        label = "slow"

        async def ask(self, job: Job) -> Response:
            started.append(job.request.id)
            try:
                await asyncio.sleep(0 if job.request.id == "clip0" else 60)
            finally:
                ended.append(job.request.id)
            return Response(id=job.request.id, text="")

    async def leave() -> None:
        stream = ServerPool([Slow()], 4).answer(stream_of(jobs(9)))
        assert [job.request.id for job, _ in await anext(stream)] == ["clip0"]
        await stream.aclose()

    asyncio.run(asyncio.wait_for(leave(), 20))
    assert sorted(started) == sorted(ended)


def test_an_answer_does_not_wait_for_the_next_job() -> None:
    async def slow_jobs() -> AsyncIterator[Job]:
        yield job_of(0)
        await asyncio.sleep(60)

    async def first() -> str:
        stream = ServerPool([Scripted()], 4).answer(slow_jobs())
        ((_, outcome),) = await anext(stream)
        await stream.aclose()
        return outcome.id

    assert asyncio.run(asyncio.wait_for(first(), 20)) == "clip0"


@pytest.mark.parametrize("kind", ["refused", "denied"])
def test_a_run_of_which_the_first_requests_are_refused_alike_ends(kind: Kind) -> None:
    server = Scripted(lambda job, attempt: RequestError(kind, f"400: request {job} has no use for images"))
    outcomes, error = drain(ServerPool([server], 64, clock=Hand().clock), jobs(500))
    assert error.startswith("the first 20 requests were refused alike, the last because 400: request clip")
    assert 20 <= sum(server.asked.values()) < 30
    assert len(outcomes) == len({outcome.id for outcome in outcomes})


def test_requests_that_are_refused_for_reasons_of_their_own_end_nothing() -> None:
    def script(job: str, attempt: int) -> RequestError:
        words = "abcdefghij"[int(job.removeprefix("clip")) % 10]
        return RequestError("refused", f"400: {words} is wrong")

    outcomes, error = drain(ServerPool([Scripted(script)], 4, clock=Hand().clock), jobs(150))
    assert (len(outcomes), error) == (150, "")


def test_a_run_of_which_requests_were_answered_before_goes_on_where_the_first_are_refused() -> None:
    server = Scripted(lambda job, attempt: RequestError("refused", "400: not this clip"))
    outcomes, error = drain(ServerPool([server], 4, clock=Hand().clock, answered=True), jobs(100))
    assert (len(outcomes), error) == (100, "")


def test_after_an_answer_only_denied_requests_end_a_run() -> None:
    def pool(kind: Kind) -> ServerPool:
        refused = RequestError(kind, "not for you")
        return ServerPool(
            [Scripted(lambda job, attempt: None if job == "clip0" else refused)], 1, clock=Hand().clock
        )

    outcomes, error = drain(pool("refused"), jobs(100))
    assert (len(outcomes), error) == (100, "")
    outcomes, error = drain(pool("denied"), jobs(100))
    assert error == "20 requests were refused alike, the last because not for you"
    assert len(outcomes) < 30


def test_requests_denied_between_answers_end_nothing() -> None:
    def script(job: str, attempt: int) -> RequestError | None:
        odd = int(job.removeprefix("clip")) % 2
        return RequestError("denied", "not for you") if odd else None

    outcomes, error = drain(ServerPool([Scripted(script)], 1, clock=Hand().clock), jobs(100))
    assert (len(outcomes), error) == (100, "")


def test_what_was_said_in_place_of_an_answer_is_kept() -> None:
    said = Response(id="clip0", text="The astron", output_tokens=3)
    server = Scripted(lambda job, attempt: RequestError("retryable", "half an answer", response=said))
    (failure,), _ = drain(ServerPool([server], 1, clock=Hand().clock), jobs(1))
    assert isinstance(failure, Failure)
    assert failure.response == said
