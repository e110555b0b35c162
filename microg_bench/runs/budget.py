"""What a run costs: list prices, an estimate before anything is asked, and a limit that is kept."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from microg_bench.adapters.base import made_prompt
from microg_bench.engines.vendors import undated
from microg_bench.errors import UsageError
from microg_bench.records import Generation, Image, Prompt, Record, Request, Response, Text, first_fault
from microg_bench.text import many

if TYPE_CHECKING:
    from microg_bench.engines.base import Job, Outcome
    from microg_bench.progress import Progress
    from microg_bench.runs.configure import Configuration
    from microg_bench.runs.execute import Work
    from microg_bench.runs.record import RunRecord
    from microg_bench.video.sampling import FrameSpec

_SHIPPED = Path(__file__).with_name("prices.toml")
_MILLION = 1_000_000
_CHARACTERS_PER_TOKEN = 3.0  # fewer than English text has, so that an estimate is not too low
_FRAMING = 50  # tokens of a chat's frame
CONFIRM_ABOVE = 1.0  # US dollars
OLD_DAYS = 90  # of a price
CLIP_S = 3.0
CLIP_FPS = 30.0  # of MicroG-4M


class Price(Record):
    """US dollars for a million tokens; see `prices.toml`. `batch` is the factor of the batch API."""

    date: date
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, ge=0, le=1)
    image: float = Field(default=1500, ge=0)
    second: float = Field(default=300, ge=0)

    def of(self, response: Response, batch: bool = False) -> float:
        """Dollars for one response, by the tokens that the vendor counted; 0 for one from the cache."""
        if response.from_cache:
            return 0.0
        cached = response.cached_tokens or 0
        fresh = (response.prompt_tokens or 0) - cached
        rate = self.input if self.cached is None else self.cached
        dollars = fresh * self.input + cached * rate + (response.output_tokens or 0) * self.output
        return dollars / _MILLION * (self.batch if batch else 1.0)

    def at_most(self, prompt: Prompt, frames: int, generation: Generation, batch: bool = False) -> float:
        """Dollars, about, for a prompt whose answer is as long as it may be."""
        tokens = self.prompt_tokens(prompt, frames, generation.answer_schema)
        dollars = tokens * self.input + generation.max_tokens * self.output
        return dollars / _MILLION * (self.batch if batch else 1.0)

    def prompt_tokens(self, prompt: Prompt, frames: int, schema: str | None = None) -> int:
        """About how many tokens a prompt has that shows `frames` frames, or the clip itself at 0.

        The `schema` of its answer is one of its texts.
        """
        parts = [part for message in prompt.messages for part in message.parts]
        letters = sum(len(part.text) for part in parts if isinstance(part, Text)) + len(schema or "")
        stills = sum(isinstance(part, Image) for part in parts)
        videos = len(parts) - stills - sum(isinstance(part, Text) for part in parts)
        shown = frames * self.image if frames else CLIP_S * self.second
        return round(letters / _CHARACTERS_PER_TOKEN + _FRAMING + stills * self.image + videos * shown)


def find_price(engine: str, model: str | None, file: Path | None = None) -> Price | None:
    """The price of `model` at `engine`: from `file`, else from the shipped table; None where neither has it.

    Raises:
        UsageError: `file` cannot be read or holds something else than prices.
    """
    for table in ([_read(file)] if file else []) + [_read(_SHIPPED)]:
        prices = table.get(engine, {})
        for name in (model or "", undated(model or "")):
            if name in prices:
                return prices[name]
    return None


@cache
def _read(file: Path) -> dict[str, dict[str, Price]]:
    """Prices by engine and model."""
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", path=file, item="--prices") from error
    content.pop("sources", None)
    if not all(isinstance(models, dict) for models in content.values()):
        reason = 'cannot be read: give tables such as [openai."gpt-4o"]'
        raise UsageError(reason, path=file, item="--prices")
    return {
        engine: {model: _price(file, f"{engine}.{model}", given) for model, given in models.items()}
        for engine, models in content.items()
    }


def _price(file: Path, name: str, given: Any) -> Price:
    try:
        return Price.model_validate(given)
    except ValidationError as error:
        raise UsageError(f"{name}: {first_fault(error)}", path=file, item="--prices") from error


def price_day(price: Price, today: date) -> str:
    """Of which day a price is, and how old where that is more than `OLD_DAYS` before `today`."""
    days = (today - price.date).days
    old = f" ({days} days old: the vendor may have changed them)" if days > OLD_DAYS else ""
    return f"prices of {price.date}{old}"


@dataclass(frozen=True)
class Estimate:
    """What asking would take, about: answers are taken to be as long as they may be."""

    requests: int
    prompt_tokens: int
    output_tokens: int
    dollars: float

    def __add__(self, other: Estimate) -> Estimate:
        """Both together."""
        pairs = ((getattr(one, field.name) for one in (self, other)) for field in fields(self))
        return Estimate(*map(sum, pairs))

    def __str__(self) -> str:
        return (
            f"about {dollars_words(self.dollars)} at most for {many(self.requests, 'request')} (about "
            f"{self.prompt_tokens:,} prompt tokens, at most {self.output_tokens:,} generated)"
        )


def estimate(
    asked: Iterable[tuple[Prompt, Generation]], price: Price, frames: int, batch: bool = False
) -> Estimate:
    """The estimate for prompts whose clips are not decoded yet: each is to show `frames` frames."""
    requests = prompts = outputs = 0
    for prompt, generation in asked:
        requests += 1
        prompts += price.prompt_tokens(prompt, frames, generation.answer_schema)
        outputs += generation.max_tokens
    factor = price.batch if batch else 1.0
    dollars = factor * (prompts * price.input + outputs * price.output) / _MILLION
    return Estimate(requests, prompts, outputs, dollars)


def unshown_prompts(one: Configuration, requests: Iterable[Request]) -> Iterator[tuple[Request, Prompt]]:
    """Each request with its prompt, for which no clip is decoded.

    Requests for which the adapter makes none are left out: they fail before anything is paid for.
    """
    for request in requests:
        instruction = one.templates[request.task].render(request)
        prompt = None
        with suppress(Exception):  # an adapter is somebody else's code
            prompt = made_prompt(one.adapter, request, instruction, None)
        if prompt is not None:
            yield request, one.asked(prompt)


def expected_frames(spec: FrameSpec | None) -> int:
    """How many frames a spec takes of a clip of three seconds; 0 where none are decoded."""
    return 0 if spec is None else spec.count or round(CLIP_S * (spec.rate or CLIP_FPS))


def dollars_words(amount: float) -> str:
    """`$12.34`, with more digits for small change."""
    return f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.4f}"


@dataclass
class Budget:
    """Keeps what is spent and what is in flight below a limit, over all run variants that share an engine.

    Args:
        price: what tokens cost.
        limit: dollars that may be spent in all, None for no limit.
        batch: whether the batch API is used.
        spent: dollars that earlier starts have spent.
        pending: dollars, at most, for what earlier starts left in batches that have not ended.
    """

    price: Price
    limit: float | None = None
    batch: bool = False
    spent: float = 0.0
    pending: float = 0.0
    exhausted: bool = False
    _reserved: dict[Job, float] = field(default_factory=dict)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, job: Job) -> bool:
        """Wait until `job` can be paid for whatever it comes to; False where it cannot."""
        frames = 0 if job.frames is None else len(job.frames.indices)
        price = self.price.at_most(job.prompt, frames, job.generation, self.batch)
        while self.limit is not None and self.committed + price > self.limit:
            if not self._reserved or self.batch:  # a batch is answered after this start
                self.exhausted = True
                return False
            self._freed.clear()
            await self._freed.wait()
        self._reserved[job] = price
        return True

    @property
    def committed(self) -> float:
        """Dollars spent, and reserved for what is in flight or pending."""
        return self.spent + self.pending + sum(self._reserved.values())

    def reserved(self, jobs: Iterable[Job]) -> float:
        """Dollars that are reserved for `jobs`."""
        return sum(self._reserved[job] for job in jobs)

    def settle(self, job: Job | None, outcome: Outcome) -> None:
        """Count what a response cost: where its tokens are not told, what it may cost at most.

        The job is None if an earlier start asked it.
        """
        reserved = 0.0 if job is None else self._reserved.pop(job, 0.0)
        said = outcome if isinstance(outcome, Response) else outcome.response
        if said is not None:
            told = said.prompt_tokens is not None or said.from_cache
            self.spent += self.price.of(said, self.batch) if told else reserved
        self._freed.set()


def open_budget(one: Configuration, records: Iterable[RunRecord]) -> Budget | None:
    """The budget of a start, with what earlier starts have spent; None where no price is known."""
    price, options = one.price, one.options
    if price is None:
        return None
    spent = sum(price.of(said, options.batch) for record in records for said in record.responses)
    return Budget(price, options.max_cost, options.batch, spent)


def confirm(
    budget: Budget, work: Iterable[Work], progress: Progress, yes: bool, today: date | None = None
) -> None:
    """Tell what `work` would cost, and ask before much money is spent without a limit.

    `today` is the day from which the age of a price is seen, by default the current one.

    Raises:
        UsageError: it is not confirmed.
    """
    found = list(work)
    frames = {variant.configuration.decoded for one in found for variant, _ in one.requests}
    asked = (
        (prompt, variant.configuration.generation(request.task))
        for one in found
        for variant, requests in one.requests
        for request, prompt in unshown_prompts(variant.configuration, requests)
    )
    expected = estimate(asked, budget.price, max(map(expected_frames, frames)), budget.batch)
    dated = price_day(budget.price, today or date.today())
    progress.note(f"cost: {expected}; {dated}")
    if not yes and budget.limit is None and expected.dollars > CONFIRM_ABOVE:
        progress.confirm(f"this may cost {dollars_words(expected.dollars)} by {dated}")
