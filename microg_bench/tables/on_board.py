"""Tables of what models take on board: rows of one task, one set of references and one kind of hardware."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from microg_bench.errors import MicrogError
from microg_bench.records import TaskName
from microg_bench.runs.cost import QUANTITIES, Measurement, Quantity, read_cost, throughput
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, Scorecard, ScoreEntry
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import many, markdown

CLIPS = "clips measured"  # the heading of their number


@dataclass(frozen=True)
class OnBoardRow:
    """A scored run with one of its measurements.

    `run_tokens_per_second` is the throughput of the run on this hardware, None where it is not known; see
    `throughput`.
    """

    run: RunRecord
    measurement: Measurement
    run_tokens_per_second: float | None = None

    @property
    def card(self) -> Scorecard:
        """Its scorecard."""
        return self.run.scorecard

    def score(self, metric: str) -> ScoreEntry:
        """Its score by a metric, without a value where there is none."""
        return self.card.scores.get(metric, ScoreEntry())

    def notes(self) -> Iterator[str]:
        """What a reader must know of its values, a line each."""
        one = self.measurement
        told = ", ".join(filter(None, (one.engine.get("dtype"), self.run.settings.quantization)))
        failed = f", {one.failed:,} failed" if one.failed else ""
        yield (
            f"engine {self.run.settings.engine} ({told}), {many(one.requests, 'request')} "
            f"about {many(one.clips, 'clip')}{failed}, {one.measured[:10]}"
        )
        if rate := self.run_tokens_per_second:
            yield f"the run itself, many requests at a time: {significant(rate)} tokens/s"
        yield from (f"{name.replace('_', ' ')}: not known, {why}" for name, why in one.unknown.items())
        if one.hardware.gpus and self.run.settings.engine == "vllm":
            yield "vLLM takes memory for its cache ahead, as --gpu-memory-utilization says"


@dataclass(frozen=True)
class OnBoardTable:
    """Rows that may be compared: one task, protocol, set of references and kind of hardware."""

    rows: tuple[OnBoardRow, ...]

    @property
    def first(self) -> Scorecard:
        """A scorecard of these."""
        return self.rows[0].card

    @property
    def task(self) -> TaskName:
        """The task."""
        return self.rows[0].run.settings.task

    @property
    def hardware(self) -> str:
        """The hardware, as all rows have it."""
        return self.rows[0].measurement.hardware.title

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the task that any row has a score of, in the order of the task."""
        known = TASKS[self.task].metrics
        return tuple(name for name in known if any(row.score(name).value is not None for row in self.rows))

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{TASKS[self.task].title} on {self.first.dataset}, on board: {self.hardware}"


def on_board_tables(runs: Iterable[RunRecord]) -> tuple[list[OnBoardTable], list[MicrogError]]:
    """The tables of all measurements of `runs`, and the error of each run whose own cannot be used."""
    groups: dict[tuple[str, str, str, str], list[OnBoardRow]] = {}
    errors: list[MicrogError] = []
    for run in runs:
        try:
            found = read_cost(run)
            rates = throughput(run) if found else {}
        except MicrogError as error:
            errors.append(error)
            continue
        card = run.scorecard
        for one in found.measurements if found else ():
            title = one.hardware.title
            key = (card.task, card.protocol, card.fingerprint, title)
            groups.setdefault(key, []).append(OnBoardRow(run, one, rates.get(title)))
    return [OnBoardTable(tuple(groups[key])) for key in sorted(groups)], errors


def front(points: Sequence[tuple[float, float]], lower: bool) -> list[int]:
    """The places of the points that no other is better than: their Pareto front, in the order of x.

    A point (x, y) is worse than another that is at least as good in both and better in one. A high y is good,
    and a low x where `lower`, else a high x. Of equal points all are on the front. Points are compared as
    tables show them: x with three significant digits, y with two decimals.
    """
    sign = -1 if lower else 1
    good = [(sign * as_shown(x), round(y, 2)) for x, y in points]
    best = [
        place
        for place, one in enumerate(good)
        if not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in good)
    ]
    return sorted(best, key=lambda place: points[place])


def quantity_words(quantity: Quantity, one: Measurement) -> str:
    """A value with three significant digits; n/a where there is none."""
    value = quantity.of(one)
    return "n/a" if value is None else significant(value)


def as_shown(value: float) -> float:
    """The number that `significant` shows."""
    return float(significant(value).replace(",", ""))


def significant(value: float) -> str:
    """A number of at least 0 with three significant digits, and all digits before its point."""
    if value >= 100:
        return f"{value:,.0f}"
    shown = f"{value:.3g}"
    return f"{value:.9f}".rstrip("0") if "e" in shown else shown


def to_markdown(one: OnBoardTable) -> str:
    """A table in Markdown: scores ×100 and what was measured."""
    columns = [f"{quantity.name} {'↓' if quantity.lower else '↑'}" for quantity in QUANTITIES]
    rows = [
        [
            markdown(row.card.title),
            f"{row.measurement.clips:,}",
            *(_score(row.score(name)) for name in one.metrics),
            *(quantity_words(quantity, row.measurement) for quantity in QUANTITIES),
        ]
        for row in one.rows
    ]
    headings = [CLIPS, *one.metrics, *columns]
    sample = [] if one.first.is_benchmark else [f"**{NO_BENCHMARK.capitalize()}.**", ""]
    lines = [
        markdown(one.title),
        "",
        *sample,
        *table(["Model", *headings], rows, "l" + "r" * len(headings)),
        "",
        "- asked one request at a time, after a warm-up",
        *(f"- {markdown(row.card.title)}: {markdown(note)}" for row in one.rows for note in row.notes()),
    ]
    return "\n".join(lines) + "\n"


def _score(entry: ScoreEntry) -> str:
    return "n/a" if entry.value is None else f"{entry.value:.2f}"


def to_json(one: OnBoardTable) -> dict[str, Any]:
    """A table as JSON; times in seconds, sizes in bytes."""
    return {
        "task": one.task,
        "protocol": one.first.protocol,
        "dataset": one.first.dataset,
        "fingerprint": one.first.fingerprint,
        "hardware": one.hardware,
        "rows": [
            {
                "model": row.card.title,
                "scores": {name: row.score(name).value for name in one.metrics},
                "run_tokens_per_second": row.run_tokens_per_second,
                **row.measurement.model_dump(mode="json"),
            }
            for row in one.rows
        ],
    }
