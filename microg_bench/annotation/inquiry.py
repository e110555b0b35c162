"""Asks a language model about texts, as a run: journal, resumption, response cache, limit of cost, batches.

A query is known by what it is about and by a hash of what is asked: where the text changes, it is asked anew,
and no answer to another text counts.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from microg_bench.annotation.model import TextModel
from microg_bench.dataset.load import Dataset
from microg_bench.engines.base import Engine
from microg_bench.errors import UsageError
from microg_bench.options import Options, about, flag
from microg_bench.progress import Progress
from microg_bench.prompts import Rubric
from microg_bench.records import Clip, Failure, Record, Request, Withdrawal
from microg_bench.runs.budget import (
    CONFIRM_ABOVE,
    Estimate,
    Price,
    dollars_words,
    estimate,
    open_budget,
    unshown_prompts,
)
from microg_bench.runs.configure import Configuration, check_cost, identified, resolve
from microg_bench.runs.execute import Variant, ask
from microg_bench.runs.record import RUN_FILE, RunRecord, TextRecord
from microg_bench.runs.start import Outcomes, Usage, provenance
from microg_bench.structured import read_json
from microg_bench.tasks import Item

_GROUPS = ("Model", "Engine", "Server", "Cost")
_LEFT_OUT = {"transforms", "num_workers", "replicas", "ray_address", "media", "jpeg_quality", "detail"}
# The options of a language model that reads texts.
OPTIONS = tuple(
    name for name in Options.model_fields if about(name).group in _GROUPS and name not in _LEFT_OUT
)
_NO_PRICE = Price(date=date.min, input=0, output=0)


class Query(Record):
    """What is asked about one thing: its name, its source video, and the fields of the rubric."""

    name: str
    source: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Replies:
    """What became of queries: the JSON of each answer, or its failure, by the name of the query.

    `missing` were not asked: the limit of cost was reached, or they are pending in a batch. `dollars` were
    spent by all starts; None where no price is known.
    """

    folder: Path
    answers: Mapping[str, Any]
    failures: Mapping[str, Failure]
    missing: tuple[str, ...]
    outcomes: Outcomes
    usage: Usage
    record: RunRecord
    dollars: float | None

    @property
    def is_whole(self) -> bool:
        """Whether every query has an answer in the schema, or has failed."""
        return not self.missing


@dataclass(frozen=True)
class Inquiry:
    """What a language model is asked about a dataset in the words of one rubric.

    Args:
        rubric: the words, and the schema of an answer.
        options: the model with its engine; `OPTIONS` are those that count.
        dataset: what the texts belong to; a run is resumed on the same one only.
    """

    rubric: Rubric
    options: Options
    dataset: Dataset

    @cached_property
    def _plain(self) -> Configuration:
        """The configuration without a query.

        Raises:
            UsageError, EngineError: as `configure`.
        """
        options = self.options
        for name in sorted(options.model_fields_set):
            if name not in OPTIONS and getattr(options, name) != Options.model_fields[name].get_default():
                raise UsageError("does not apply to a model that reads texts", item=flag(name))
        if options.model is None:
            raise UsageError("give a model, e.g. vllm:ORG/CHECKPOINT", item=flag("model"))
        one = replace(
            resolve(options, texts=(TextModel(options.model, self.rubric), self.rubric)), dataset=self.dataset
        )
        check_cost(one)
        return one

    @property
    def price(self) -> Price | None:
        """What tokens cost; None where it is not known, or nothing is paid for."""
        return self._plain.price

    @cached_property
    def model(self) -> Configuration:
        """The model with the content of its weights; see `configured`."""
        return identified(self._plain)

    def configured(self, queries: Iterable[Query], weights: bool = True) -> Configuration:
        """The run that asks `queries`; without `weights`, those in a local folder are not looked at.

        Raises:
            UsageError, EngineError: as `configure`.
            DataError: the rubric does not render.
        """
        return self._configured(dict(self._requests(queries)), weights)

    def _configured(self, requests: Mapping[str, Request], weights: bool = True) -> Configuration:
        texts = tuple(Item(request, "") for request in requests.values())
        clips = tuple(Clip(video_id=one.request.video_id, source=one.request.source) for one in texts)
        return replace(self.model if weights else self._plain, clips=clips, texts=texts)

    def _requests(self, queries: Iterable[Query]) -> Iterator[tuple[str, Request]]:
        """Each query with its request."""
        for one in queries:
            text = self.rubric.fill(**one.fields)
            name = f"{one.name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"
            yield one.name, Request(id=name, task="text", video_id=name, source=one.source, question=text)

    async def ask(
        self,
        queries: Sequence[Query],
        folder: Path,
        progress: Progress,
        yes: bool = False,
        fault: Callable[[str, Any], str | None] | None = None,
        engine: Engine | None = None,
    ) -> Replies:
        """Ask what has no answer yet in the run at `folder`; other inquiries may share the `engine`.

        `fault` says why an answer to the query of a name cannot be used though it fits the schema; the next
        start withdraws it and asks again.

        Raises:
            UsageError, EngineError, RunError, DataError: as `evaluate`.
        """
        requests = dict(self._requests(queries))
        one = self._configured(requests)
        options = {**one.given, "rubric": str(one.templates["text"].identity)}
        with TextRecord.open(folder, one.settings("text"), options, provenance()) as record:
            if fault:
                record.add(*_faulty(requests, record, fault))
            variant = Variant(one, {"text": record})
            outcomes = await ask([variant], folder, progress, yes, engine)
        budget = open_budget(one, [record])
        return _found(requests, record, outcomes, variant.usage, budget.spent if budget else None)


def expected(one: Configuration) -> Estimate:
    """What an inquiry takes at most; dollars are 0 where no price is known."""
    prompts = unshown_prompts(one, (item.request for item in one.texts))
    asked = ((prompt, one.generation("text")) for _, prompt in prompts)
    return estimate(asked, one.price or _NO_PRICE, 0, one.options.batch)


def confirmed(
    model: Inquiry, steps: Iterable[tuple[Configuration, Path]], progress: Progress, yes: bool
) -> bool:
    """Whether money may be spent on inquiries of one `model`: asks where what is left of all costs much.

    `steps` are what each asks, with its folder; they are not looked at where nothing has to be confirmed.
    Where a part of the requests of one is answered, that part of its cost is left out.

    Raises:
        UsageError: it is not confirmed.
    """
    if yes or model.price is None or model.options.max_cost is not None:
        return yes
    dollars = sum(expected(one).dollars * _share_left(one, folder) for one, folder in steps)
    if dollars > CONFIRM_ABOVE:
        progress.confirm(f"all of this may cost {dollars_words(dollars)} at most")
    return dollars > CONFIRM_ABOVE


def _share_left(one: Configuration, folder: Path) -> float:
    answered = len(TextRecord.read(folder).answers) if (folder / RUN_FILE).is_file() else 0
    return max(0.0, 1 - answered / len(one.texts))


def _faulty(
    requests: Mapping[str, Request], record: RunRecord, fault: Callable[[str, Any], str | None]
) -> Iterator[Withdrawal]:
    for name, request in requests.items():
        answer = record.answers.get(request.id)
        if answer and (reason := fault(name, read_json(answer.answer))):
            yield Withdrawal(id=request.id, reason=reason)


def _found(
    requests: Mapping[str, Request],
    record: RunRecord,
    outcomes: Outcomes,
    usage: Usage,
    dollars: float | None,
) -> Replies:
    ids = {name: request.id for name, request in requests.items()}
    said = {name: record.answers[one] for name, one in ids.items() if one in record.answers}
    failed = {name: record.failures[one] for name, one in ids.items() if one in record.failures}
    return Replies(
        folder=record.path,
        answers={name: read_json(one.answer) for name, one in said.items()},
        failures=failed,
        missing=tuple(name for name in ids if name not in said and name not in failed),
        outcomes=outcomes,
        usage=usage,
        record=record,
        dollars=dollars,
    )
