"""Prices, estimates and the budget that is kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.errors import UsageError
from microg_bench.progress import Progress
from microg_bench.records import (
    Clip,
    Failure,
    Generation,
    Image,
    Message,
    Prompt,
    Question,
    Request,
    Response,
    Text,
    Video,
)
from microg_bench.runs.budget import Budget, Price, estimate, find_price
from microg_bench.runs.execute import Outcomes, ask
from tests.helpers.runs import make_configuration, opened

PRICE = Price(date="2026-01-01", input=10, cached=1, output=100, batch=0.5, image=1000, second=200)


PROMPT = Prompt(messages=(Message(role="user", parts=(Video(), Text(text="x" * 300))),))
ASKED = (PROMPT, Generation(max_tokens=10))


def test_a_response_costs_what_its_tokens_cost_and_cached_ones_cost_less() -> None:
    response = Response(id="a", text="", prompt_tokens=1000, cached_tokens=400, output_tokens=20)
    assert PRICE.of(response) == pytest.approx((600 * 10 + 400 * 1 + 20 * 100) / 1e6)
    assert PRICE.of(response, batch=True) == pytest.approx(PRICE.of(response) / 2)
    dear = PRICE.model_copy(update={"cached": None})
    assert dear.of(response) == pytest.approx((1000 * 10 + 20 * 100) / 1e6)
    assert PRICE.of(response.model_copy(update={"from_cache": True})) == 0


def test_prompt_tokens_count_frames_stills_and_the_clip_itself() -> None:
    def prompt(*parts: Text | Video | Image) -> Prompt:
        return Prompt(messages=(Message(role="user", parts=parts),))

    text = PRICE.prompt_tokens(prompt(Text(text="x" * 300)), 8)
    assert PRICE.prompt_tokens(prompt(Text(text="x" * 300), Video()), 8) == text + 8 * 1000
    assert PRICE.prompt_tokens(prompt(Text(text="x" * 300), Video()), 0) == text + 3 * 200
    assert PRICE.prompt_tokens(prompt(Text(text="x" * 300), Image(frame=0)), 8) == text + 1000


def test_an_estimate_is_never_below_what_full_answers_cost() -> None:
    found = estimate([ASKED, ASKED], PRICE, frames=4)
    assert (found.requests, found.output_tokens) == (2, 20)
    assert found.dollars == pytest.approx((found.prompt_tokens * 10 + 20 * 100) / 1e6)
    assert estimate([ASKED], PRICE, 4, batch=True).dollars == estimate([ASKED], PRICE, 4).dollars / 2


@pytest.mark.parametrize(
    ("model", "same"),
    [("gpt-4o-2024-11-20", "gpt-4o"), ("gpt-4.1-mini", "gpt-4.1-mini"), ("gpt-5-2025-08-07", "gpt-5")],
)
def test_a_dated_model_has_the_price_of_its_name(model: str, same: str) -> None:
    found = find_price("openai", model)
    assert found is not None
    assert found == find_price("openai", same)


def test_every_shipped_price_is_dated_and_halved_by_the_batch_interface() -> None:
    for engine, model in (("openai", "gpt-4o"), ("gemini", "gemini-2.5-pro")):
        price = find_price(engine, model)
        assert price is not None
        assert (price.batch, price.date.year) == (0.5, 2026)
        assert price.cached is not None
        assert price.cached < price.input < price.output


def test_an_unknown_model_and_a_local_engine_have_no_price() -> None:
    assert find_price("openai", "gpt-4o-mini-audio") is None
    assert find_price("vllm", "gpt-4o") is None
    assert find_price("function", None) is None


def test_a_users_table_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[openai."gpt-4o"]\ndate = 2026-11-01\ninput = 1\noutput = 2\n')
    own = find_price("openai", "gpt-4o", file)
    assert own is not None
    assert (own.input, own.output) == (1, 2)
    assert find_price("openai", "gpt-4.1", file) == find_price("openai", "gpt-4.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[openai", "cannot be read"),
        ('[openai."m"]\ninput = 1\noutput = 2\n', "p.toml: --prices: openai.m: date: Field required"),
        ('[openai."m"]\ndate = 2026-01-01\ninput = -1\noutput = 2\n', "p.toml: --prices: openai.m: input: "),
        ("openai = 3\n", "cannot be read"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        find_price("openai", "m", file)
    with pytest.raises(UsageError, match="nowhere.toml"):
        find_price("openai", "m", tmp_path / "nowhere.toml")


class Metered(Engine):
    """Answers up to `width` jobs together, as many as it can get at once, and counts tokens."""

    name = "metered"
    width = 3

    def start(self) -> None:
        """Nothing to load."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        waiting: list[Job] = []
        pull = asyncio.ensure_future(anext(jobs, None))
        while True:
            await asyncio.wait({pull}, timeout=0.01)
            if pull.done() and (job := pull.result()) is not None:
                waiting.append(job)
                pull = asyncio.ensure_future(anext(jobs, None))
                if len(waiting) < self.width:
                    continue
            if not waiting and pull.done():
                return
            yield [
                (one, Response(id=one.request.id, text="x", prompt_tokens=100, output_tokens=5))
                for one in waiting
            ]
            waiting.clear()


def start(root: Path, limit: float | None) -> tuple[int, Outcomes]:
    """Ask ten questions under a limit; how many have an answer afterwards, and what the start came to."""
    prices = root.with_suffix(".toml")
    prices.write_text("[metered.m]\ndate = 2026-01-01\ninput = 10\ncached = 1\noutput = 100\n")
    questions = tuple(Question(text=f"q{k}?", answer="a") for k in range(10))
    one = make_configuration(
        [Clip(video_id="a_0", source="a", questions=questions)], ("vqa",), engine=Metered,
        checkpoint="m", prompt="plain", prices=str(prices), max_cost=limit, max_tokens=10,
    )  # fmt: skip
    with opened(root, one) as variant:
        outcomes = asyncio.run(ask([variant], root, Progress(), yes=True))
        return len(variant.records["vqa"].answers), outcomes


def test_what_is_spent_never_passes_the_limit_and_a_higher_one_resumes(tmp_path: Path) -> None:
    one, root = (100 * 10 + 5 * 100) / 1e6, tmp_path / "run"
    answered, outcomes = start(root, 8 * one)
    assert outcomes.exhausted
    assert 1 <= answered <= 8
    assert outcomes.dollars == pytest.approx(answered * one)
    again, outcomes = start(root, 8 * one)
    assert outcomes.dollars is not None
    assert outcomes.dollars <= 8 * one
    everything, outcomes = start(root, None)
    assert (everything, outcomes.exhausted) == (10, False)
    assert outcomes.dollars == pytest.approx(10 * one)
    assert again >= answered


def test_a_limit_below_one_request_asks_nothing(tmp_path: Path) -> None:
    answered, outcomes = start(tmp_path / "run", 1e-9)
    assert (answered, outcomes.exhausted, outcomes.dollars) == (0, True, 0.0)
    assert outcomes.recorded == ()
    assert not (tmp_path / "run").exists()


def test_a_batch_that_the_limit_cannot_pay_for_is_not_waited_for() -> None:
    """Nothing of it is answered in this start, so that nothing reserved comes back."""
    asked = [Request(id=name, task="caption", video_id=name, source="s") for name in ("a", "b")]
    jobs = [Job(request, PROMPT, None, ASKED[1]) for request in asked]
    budget = Budget(PRICE, limit=1.5 * PRICE.at_most(PROMPT, 0, ASKED[1], batch=True), batch=True)

    async def reserve() -> list[bool]:
        return [await budget.reserve(job) for job in jobs]

    assert asyncio.run(asyncio.wait_for(reserve(), 20)) == [True, False]
    assert budget.exhausted


def test_an_answer_whose_count_cannot_be_costs_the_most_that_it_may() -> None:
    job = Job(Request(id="a", task="caption", video_id="a", source="s"), PROMPT, None, ASKED[1])
    budget = Budget(PRICE)
    said = Response(id="a", text="A man.")
    asyncio.run(budget.reserve(job))
    budget.settle(job, Failure(id="a", stage="engine", reason="an impossible count", response=said))
    assert budget.spent == pytest.approx(PRICE.at_most(PROMPT, 0, ASKED[1]))
