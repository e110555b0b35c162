"""Prices, estimates and the budget that is kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.errors import UsageError
from microg_bench.progress import Progress
from microg_bench.prompts import Instruction
from microg_bench.records import (
    Answer,
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
from microg_bench.runs.budget import (
    CONFIRM_ABOVE,
    Budget,
    Price,
    confirm,
    dollars_words,
    estimate,
    expected_frames,
    find_price,
    open_budget,
    price_day,
    unshown_prompts,
)
from microg_bench.runs.execute import ask, open_work
from microg_bench.runs.start import Outcomes
from microg_bench.video.decode import Frames
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import Plain, make_configuration, opened

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
    assert PRICE.of(Response(id="a", text="", prompt_tokens=1000)) == pytest.approx(1000 * 10 / 1e6)
    assert PRICE.of(Response(id="a", text="", output_tokens=20)) == pytest.approx(20 * 100 / 1e6)


def test_a_price_says_what_it_leaves_out() -> None:
    least = Price(date="2026-01-01", input=0, output=0)
    assert (least.cached, least.batch, least.image, least.second) == (None, 1.0, 1500, 300)
    bounds = {
        "input": (0, None),
        "output": (0, None),
        "cached": (0, None),
        "batch": (0, 1),
        "image": (0, None),
    }
    for name, (low, high) in {**bounds, "second": (0, None)}.items():
        given = {"date": "2026-01-01", "input": 1, "output": 1}
        assert getattr(Price(**{**given, name: low}), name) == low
        with pytest.raises(ValidationError):
            Price(**{**given, name: -1e-9})
        if high is not None:
            with pytest.raises(ValidationError):
                Price(**{**given, name: high + 1e-9})


def test_the_most_that_an_answer_costs_is_its_prompt_and_the_longest_answer() -> None:
    tokens = 300 / 3 + 50 + 4 * 1000
    assert PRICE.prompt_tokens(PROMPT, 4) == tokens
    most = (tokens * 10 + 10 * 100) / 1e6
    assert PRICE.at_most(PROMPT, 4, ASKED[1]) == pytest.approx(most)
    assert PRICE.at_most(PROMPT, 4, ASKED[1], batch=True) == pytest.approx(most / 2)


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
    assert found.prompt_tokens == 2 * PRICE.prompt_tokens(PROMPT, 4)
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
    file = tmp_path / "dated.toml"
    file.write_text('[openai."gpt-4o-2024-11-20"]\ndate = 2026-11-01\ninput = 3\noutput = 4\n')
    dated = find_price("openai", "gpt-4o-2024-11-20", file)
    assert dated is not None
    assert (dated.input, dated.output) == (3, 4), "before the name without its date"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[openai", "cannot be read"),
        ("sources = 1\nopenai = 3\n[gemini.m]\ndate = 2026-01-01\ninput = 1\noutput = 2\n", "cannot be read"),
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


def jobs(*names: str) -> list[Job]:
    asked = [Request(id=name, task="caption", video_id=name, source="s") for name in names]
    return [Job(request, PROMPT, None, ASKED[1]) for request in asked]


MOST = PRICE.at_most(PROMPT, 0, ASKED[1])


def said(name: str, **tokens: int) -> Response:
    return Response(id=name, text="x", **tokens)


def test_what_is_in_flight_or_pending_counts_until_it_is_settled() -> None:
    first, second = jobs("a", "b")
    budget = Budget(PRICE, limit=10 * MOST, spent=1.0, pending=0.25)
    assert budget.committed == 1.25

    async def reserve() -> list[bool]:
        return [await Budget.reserve(one, job) for one in (Budget(PRICE), budget) for job in (first, second)]

    assert asyncio.run(reserve()) == [True, True, False, False]
    budget.limit = 1.25 + 2 * MOST + 1e-12
    assert asyncio.run(reserve()) == [True] * 4
    assert budget.committed == pytest.approx(1.25 + 2 * MOST)
    assert budget.reserved([first]) == MOST
    assert budget.reserved([first, second]) == 2 * MOST
    budget.settle(first, said("a", prompt_tokens=100, output_tokens=5))
    assert budget.spent == pytest.approx(1.0 + (100 * 10 + 5 * 100) / 1e6)
    budget.settle(second, Failure(id="b", stage="engine", reason="busy"))
    assert budget.committed == pytest.approx(budget.spent + 0.25)


def test_a_request_that_just_fits_is_asked() -> None:
    budget = Budget(PRICE, limit=MOST)
    assert asyncio.run(budget.reserve(jobs("a")[0]))
    assert not budget.exhausted


def test_a_request_waits_until_those_before_it_are_cheaper_than_they_might_have_been() -> None:
    first, second, third = jobs("a", "b", "c")
    budget = Budget(PRICE, limit=1.5 * MOST)

    async def ask_three() -> list[bool]:
        assert await budget.reserve(first)
        budget.settle(first, said("a", prompt_tokens=0, output_tokens=0))
        assert await budget.reserve(second)
        waiting = asyncio.ensure_future(budget.reserve(third))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        budget.settle(second, said("b", prompt_tokens=0, output_tokens=0))
        return [await waiting]

    assert asyncio.run(asyncio.wait_for(ask_three(), 20)) == [True]
    assert not budget.exhausted


@pytest.mark.parametrize(("batch", "share"), [(False, 1.0), (True, 0.5)])
def test_what_an_earlier_start_asked_costs_what_it_tells_and_nothing_more(batch: bool, share: float) -> None:
    budget = Budget(PRICE, batch=batch)
    budget.settle(None, said("a"))
    assert budget.spent == 0
    budget.settle(None, said("a", prompt_tokens=100, output_tokens=5))
    assert budget.spent == pytest.approx(share * (100 * 10 + 5 * 100) / 1e6)


def test_an_answer_from_the_cache_is_free_whatever_it_tells() -> None:
    (job,) = jobs("a")
    budget = Budget(PRICE)
    asyncio.run(budget.reserve(job))
    budget.settle(job, Response(id="a", text="x", from_cache=True))
    assert budget.committed == 0


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        (None, 0),
        (FrameSpec(count=8), 8),
        (FrameSpec(count=5, how="endpoints"), 5),
        (FrameSpec(how="fps", rate=2), 6),
        (FrameSpec(how="all"), 90),
    ],
)
def test_the_frames_of_a_clip_that_is_not_decoded_are_those_of_three_seconds(
    spec: FrameSpec | None, frames: int
) -> None:
    assert expected_frames(spec) == frames


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0.0, "$0.0000"),
        (0.0123, "$0.0123"),
        (0.0999, "$0.0999"),
        (0.1, "$0.10"),
        (0.5, "$0.50"),
        (1234.5, "$1,234.50"),
    ],
)
def test_small_change_has_more_digits(amount: float, words: str) -> None:
    assert dollars_words(amount) == words


class Asked(Progress):
    """Keeps what it is told and asked."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.questions: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def confirm(self, question: str) -> None:
        self.questions.append(question)


def confirmed(
    root: Path,
    budget: Budget,
    yes: bool = False,
    frames: tuple[int | None, ...] = (None,),
    today: date | None = None,
) -> Asked:
    """What is told and asked before ten questions of 8 tokens, in a variant for each number of frames."""
    clips = [Clip(video_id="a_0", source="a", questions=[Question(text="q?", answer="a")] * 10)]
    progress = Asked()
    with ExitStack() as stack:
        variants = []
        for number, count in enumerate(frames):
            spec = None if count is None else FrameSpec(count=count)
            one = make_configuration(clips, ("vqa",), frames=spec, prompt="plain")
            variants.append(stack.enter_context(opened(root / str(number), one)))
        confirm(budget, open_work(variants), progress, yes, today)
    return progress


def test_more_than_a_dollar_without_a_limit_is_asked_for(tmp_path: Path) -> None:
    one_dollar = Price(date="2026-01-01", input=0, output=1e6 / 80)
    more = one_dollar.model_copy(update={"output": 1.1e6 / 80})
    assert CONFIRM_ABOVE == 1.0
    for price, limit, yes, asked in (
        (one_dollar, None, False, False),
        (more, None, False, True),
        (more, None, True, False),
        (more, 5.0, False, False),
    ):
        found = confirmed(tmp_path, Budget(price, limit), yes)
        assert len(found.notes) == 1
        assert dollars_words(80 * price.output / 1e6) in found.notes[0]
        assert [dollars_words(1.1) in question for question in found.questions] == [True] * asked


@pytest.mark.parametrize(("today", "old"), [(date(2026, 4, 1), ""), (date(2026, 4, 2), "91 days old")])
def test_a_price_of_more_than_ninety_days_is_marked(tmp_path: Path, today: date, old: str) -> None:
    price = Price(date="2026-01-01", input=0, output=1e6)
    asked = confirmed(tmp_path, Budget(price), today=today)
    for told in (price_day(price, today), asked.notes[0], asked.questions[0]):
        assert "prices of 2026-01-01" in told
        assert old in told
        assert bool(old) == ("days old" in told)


def test_the_cost_is_told_for_the_most_frames_of_all_variants_and_for_the_batch_interface(
    tmp_path: Path,
) -> None:
    price = Price(date="2026-01-01", input=1e6, output=0, image=1000, batch=0.5)
    told = confirmed(tmp_path / "1", Budget(price), frames=(2, 5)).notes[0]
    alone = confirmed(tmp_path / "2", Budget(price), frames=(5, 5)).notes[0]
    assert told == alone
    half = confirmed(tmp_path / "3", Budget(price, batch=True), frames=(5, 5)).questions[0]
    whole = confirmed(tmp_path / "4", Budget(price), frames=(5, 5)).questions[0]
    dollars = [float(text.rpartition("$")[2].split()[0].replace(",", "")) for text in (half, whole)]
    assert dollars[1] == 2 * dollars[0] > 10 * 5 * 1000


def test_a_start_counts_what_earlier_ones_have_spent(tmp_path: Path) -> None:
    prices = tmp_path / "p.toml"
    prices.write_text("[function.m]\ndate = 2026-01-01\ninput = 10\noutput = 100\nbatch = 0.5\n")
    clips = [Clip(video_id=name, source="a", caption="c") for name in ("a", "b")]
    one = make_configuration(clips, checkpoint="m", prices=str(prices), max_cost=7.0)
    with opened(tmp_path / "r", one) as variant:
        record = variant.records["caption"]
        for name in ("a", "b"):
            record.add(Answer(id=name, text="x", answer="x", prompt_tokens=100, output_tokens=5))
        budget = open_budget(one, [record])
        assert budget is not None
        assert (budget.limit, budget.batch) == (7.0, False)
        assert budget.spent == pytest.approx(2 * (100 * 10 + 5 * 100) / 1e6)
        unpriced = make_configuration(clips)
        assert open_budget(unpriced, [record]) is None


class Silent(Plain):
    """Makes no prompt of the second clip."""

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        if request.video_id == "b":
            raise ValueError
        return super().prompt(request, instruction, frames)


def test_requests_without_a_prompt_cost_nothing() -> None:
    clips = [Clip(video_id=name, source="a", caption="c") for name in ("a", "b", "c")]
    one = make_configuration(clips, adapter=Silent())
    requests = [request for some in one.requests.values() for request in some]
    assert [request.id for request, _ in unshown_prompts(one, requests)] == ["a", "c"]
