"""The tables of repeats and of paraphrases in Markdown: each mean score, and what it varies by."""

from collections.abc import Sequence

from microg_bench.scoring.paraphrases import ParaphrasesReport
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from microg_bench.tables.markdown import table
from microg_bench.tasks import TASKS
from microg_bench.text import markdown

COLUMNS = ("Mean", "95% interval", "Within", "Between", "Lowest", "Highest")
WORDING_COLUMNS = (*COLUMNS, "One question", "In other words", "p")


def repeats_table(report: RepeatsReport) -> str:
    """One table a task, one row a metric."""
    return "\n".join(_repeats(one, report) for one in report.tasks)


def _repeats(one: TaskRepeats, report: RepeatsReport) -> str:
    notes = [
        *report.warnings,
        *repeats_facts(one),
        "within: standard deviation of one repeat's score by the chance of sampling; between: by the choice "
        "of source videos; the interval of the mean holds both",
    ]
    rows = [[markdown(name), *cells(score)] for name, score in one.metrics.items()]
    return _table(one, COLUMNS, rows, notes)


def paraphrases_table(report: ParaphrasesReport) -> str:
    """A table, one row a metric."""
    one = report.wordings
    notes = [
        *report.warnings,
        *paraphrases_facts(report),
        "within: standard deviation of the score by the words, where each question is asked in one of its "
        "wordings by chance; between: by the choice of source videos; the interval of the mean holds both",
        "one question: standard deviation of the score of a single question by its words; in other words: "
        "score of the paraphrases less that as published, with its 95% interval",
    ]
    rows = [[markdown(name), *wording_cells(report, name)] for name in one.metrics]
    return _table(one, WORDING_COLUMNS, rows, notes)


def repeats_facts(one: TaskRepeats) -> list[str]:
    """How many requests of a task were answered, and how many of these alike."""
    return [
        f"{one.items:,} of {one.asked:,} requests were answered in each of {len(one.answered)} repeats",
        f"{share(one.same)} of these {one.items:,} requests have the same answer in all repeats",
    ]


def paraphrases_facts(report: ParaphrasesReport) -> list[str]:
    """How many questions were answered in all wordings, and how many of these alike."""
    one = report.wordings
    return [
        f"{one.items:,} of {one.asked:,} questions were answered as published and in {report.paraphrases} "
        "paraphrases each",
        f"{share(one.same)} of these {one.items:,} questions have the same answer in all wordings",
        f"{share(report.other)} of {report.compared:,} answers to paraphrases, whose question as published "
        "was answered too, are other than the answer to that",
    ]


def _table(one: TaskRepeats, columns: Sequence[str], rows: list[list[str]], notes: Sequence[str]) -> str:
    lines = [f"{TASKS[one.task].title}\n", *table(["Metric", *columns], rows, "l" + "r" * len(columns))]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def cells(score: RepeatedScore) -> list[str]:
    """What the columns of `COLUMNS` hold."""
    bounds = f"{score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else "n/a"
    between = "n/a" if score.between is None else f"{score.between:.2f}"
    values = [min(score.scores), max(score.scores)]
    return [f"{score.mean:.2f}", bounds, f"{score.within:.2f}", between, *(f"{one:.2f}" for one in values)]


def wording_cells(report: ParaphrasesReport, metric: str) -> list[str]:
    """What the columns of `WORDING_COLUMNS` hold."""
    effect = report.effects[metric]
    bounds = f" ({effect.interval[0]:+.2f} to {effect.interval[1]:+.2f})" if effect.interval else ""
    p = "n/a" if effect.p is None else f"{effect.p:.3f}"
    own = [f"{effect.spread:.2f}", f"{effect.difference:+.2f}{bounds}", p]
    return [*cells(report.wordings.metrics[metric]), *own]


def share(part: float | None) -> str:
    """A share from 0 to 1 in percent; None is not available."""
    return "n/a" if part is None else f"{part:.1%}"
