"""Tables of judged scores, apart from those of the protocols: each is of one judge and rubric."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.annotation.agreement import AgreementReport, number, read_agreement
from microg_bench.annotation.judgement import Judgement, judgements
from microg_bench.annotation.verdicts import SCHEMES
from microg_bench.errors import MicrogError
from microg_bench.privacy import outgoing
from microg_bench.records import TaskName
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import NO_BENCHMARK, SAMPLE_FINGERPRINT, ScoreEntry
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import markdown, markdown_code

UNKNOWN_AGREEMENT = "agreement with people unknown"


@dataclass(frozen=True)
class JudgedRow:
    """A judged run, its judgement without anything private, and how far its judge agrees with people."""

    run: RunRecord
    judgement: Judgement
    agreement: AgreementReport | None

    @property
    def title(self) -> str:
        """What tables call the model."""
        return self.run.settings.title

    def notes(self) -> Iterator[str]:
        """What a reader must know of its scores, a line each."""
        yield self.judgement.counts.words()
        yield from self.judgement.flags
        if self.agreement and self.agreement.corrected:
            rate = self.agreement.corrected
            low, high = rate.interval or (0.0, 1.0)
            share = f"{number(rate.value, 3)} [{low:.3f}, {high:.3f}]"
            yield f"share of right answers, corrected by the errors of the judge: {share}"


@dataclass(frozen=True)
class JudgedTable:
    """Runs of one task and one set of references that were judged in the same way."""

    rows: tuple[JudgedRow, ...]

    @property
    def first(self) -> Judgement:
        """A judgement: all have the same judge, rubric, task and references."""
        return self.rows[0].judgement

    @property
    def task(self) -> TaskName:
        """The task."""
        return self.first.task

    @property
    def columns(self) -> tuple[str, ...]:
        """The scores."""
        return SCHEMES[self.first.rubric].scores

    @property
    def lower_is_better(self) -> tuple[str, ...]:
        """The scores of which the lowest is best."""
        return SCHEMES[self.first.rubric].lower_is_better

    @property
    def agreement(self) -> str:
        """How far the judge agrees with people: by the rating of most answers, or that it is not known."""
        known = [row.agreement for row in self.rows if row.agreement]
        return max(known, key=lambda one: one.answers).words() if known else UNKNOWN_AGREEMENT

    @property
    def name(self) -> str:
        """Judge, rubric and agreement."""
        values = self.first.signature.values
        return f"{values['rubric']} by {values['judge']}; {self.agreement}"


def judged_tables(runs: Iterable[RunRecord]) -> tuple[list[JudgedTable], list[MicrogError]]:
    """The tables of all judgements of `runs`, and the error of each run whose judgements cannot be used."""
    groups: dict[tuple[str, str, str], list[JudgedRow]] = {}
    errors: list[MicrogError] = []
    for run in runs:
        try:
            found = [_row(run, folder, one) for folder, one in judgements(run).items()]
        except MicrogError as error:
            errors.append(error)
            continue
        finally:
            run.forget()
        for row in found:
            one = row.judgement
            groups.setdefault((one.task, one.fingerprint, one.how.long()), []).append(row)
    return [JudgedTable(tuple(groups[key])) for key in sorted(groups)], errors


def _row(run: RunRecord, folder: Path, one: Judgement) -> JudgedRow:
    agreement = read_agreement(folder, one)
    public = {name: outgoing(getattr(one, name)) for name in ("signature", "judge", "dataset")}
    flags = tuple(map(outgoing, one.flags))
    return JudgedRow(run, one.model_copy(update={**public, "flags": flags}), agreement)


def to_markdown(judged: JudgedTable) -> str:
    """A table in Markdown: scores ×100 with their intervals, and what must be read with them."""
    first = judged.first
    columns = [f"{name} ↓" if name in judged.lower_is_better else name for name in judged.columns]
    rows = [
        [markdown(row.title), str(len(row.judgement.items)), *_cells(row.judgement, judged.columns)]
        for row in judged.rows
    ]
    sample = [f"**{NO_BENCHMARK.capitalize()}.**", ""] if first.fingerprint == SAMPLE_FINGERPRINT else []
    lines = [
        f"Judged: {TASKS[first.task].title} on {markdown(first.dataset)}, {markdown(judged.name)}",
        "",
        *sample,
        *table(["Model", "items", *columns], rows, "lr" + "r" * len(columns)),
        "",
        *(f"- {markdown(row.title)}: {markdown(note)}" for row in judged.rows for note in row.notes()),
        f"- judged alike: {markdown_code(first.how.long())}",
    ]
    return "\n".join(lines) + "\n"


def _cells(one: Judgement, columns: Sequence[str]) -> list[str]:
    return [_cell(one.scores[name]) for name in columns]


def _cell(entry: ScoreEntry) -> str:
    if entry.value is None:
        return "n/a"
    bounds = " [{:.2f}, {:.2f}]".format(*entry.interval) if entry.interval else ""
    return f"{entry.value:.2f}{bounds}"


def to_json(judged: JudgedTable) -> dict[str, Any]:
    """A table as JSON."""
    first = judged.first
    return {
        "task": first.task,
        "rubric": first.rubric,
        "judge": first.judge.model_dump(mode="json"),
        "signature": first.how.long(),
        "agreement": judged.agreement,
        "dataset": first.dataset,
        "fingerprint": first.fingerprint,
        "rows": [
            {
                "model": row.title,
                "scores": {
                    name: one.model_dump(mode="json", include={"value", "interval", "unavailable"})
                    for name, one in row.judgement.scores.items()
                },
                "counts": row.judgement.counts.model_dump(mode="json"),
                "notes": list(row.notes()),
            }
            for row in judged.rows
        ],
    }
