"""`microg-bench judge`: have a language model rate answers by meaning, and hold it against people."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any

import typer
from rich.table import Table

from microg_bench.annotation.agreement import (
    AgreementReport,
    RateEntry,
    ScoreAgreement,
    agreements,
    metric_agreements,
    number,
    write_agreement,
)
from microg_bench.annotation.inquiry import OPTIONS
from microg_bench.annotation.judge import DEFAULT_JUDGE, Judge, JudgedRun
from microg_bench.annotation.judged_pairs import JudgedComparison, compare_judged
from microg_bench.annotation.judgement import JUDGEMENT_FILE, how_of
from microg_bench.annotation.ratings import answer_keys, draw_answers, read_ratings
from microg_bench.annotation.verdicts import SCHEMES
from microg_bench.cli.compare import comparison_json, difference_table
from microg_bench.cli.console import (
    AsJson,
    DefaultVerb,
    alarm,
    columns,
    interruptible,
    note,
    output,
    print_json,
)
from microg_bench.cli.options import with_options
from microg_bench.cli.run import COLLECT, EXHAUSTED, PENDING, Yes
from microg_bench.errors import UsageError
from microg_bench.judges import judge as judge_runs
from microg_bench.judges import judges_of, read_runs
from microg_bench.pages.rating_page import write_rating_page
from microg_bench.progress import RichProgress
from microg_bench.runs.budget import Estimate, dollars_words
from microg_bench.runs.preview import preview
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import comparable
from microg_bench.scoring.comparison_notes import difference_notes
from microg_bench.tasks import TASKS
from microg_bench.text import many, printable

EPILOG = """Examples:

    microg-bench judge runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --rubric short-answer --dry-run

    microg-bench judge runs/*/vqa --rubric short-answer --judge openai:gpt-5.4-mini --max-cost 5

    microg-bench judge compare runs/a/vqa runs/b/vqa

    microg-bench judge rate runs/a/vqa runs/b/vqa --out ratings

    microg-bench judge agreement runs/a/vqa runs/b/vqa --ratings ratings-ann.csv --ratings ratings-ben.csv
"""


class JudgeVerbs(DefaultVerb):
    """`judge RUN` is `judge answers RUN`."""

    default = "answers"


app = typer.Typer(
    cls=JudgeVerbs,
    help="Have a language model rate answers by meaning, and hold it against people.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)
RunsArgument = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Runs, or folders that hold them.")
]

DataOption = Annotated[
    str | None, typer.Option(help="Where the dataset is now.", show_default="that of the run")
]


@app.callback()
def judge() -> None:
    """Have a language model rate answers by meaning, and hold it against people."""


ANSWERS_EPILOG = """Examples:

    microg-bench judge answers runs/qwen2.5-vl-microg-4m-1a2b3c/vqa --rubric short-answer --dry-run

    microg-bench judge runs/a/caption runs/b/caption --rubric caption-facts --judge vllm:ORG/CHECKPOINT
"""


@app.command(epilog=ANSWERS_EPILOG)
@with_options(name for name in OPTIONS if name != "model")
def answers(
    runs: RunsArgument,
    rubric: Annotated[str, typer.Option(help=f"{', '.join(SCHEMES)}, or a .toml file with other words.")],
    judge_: Annotated[
        str | None,
        typer.Option(
            "--judge",
            help="Language model that judges, as ENGINE:MODEL.",
            show_default=f"{DEFAULT_JUDGE['model']} at a fixed commit",
        ),
    ] = None,
    data: DataOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked and what it would cost.")
    ] = False,
    yes: Yes = False,
    **given: Any,
) -> None:
    """Judge the answers of runs by a rubric; the verdicts lie in the folder of each run.

    The same command resumes. Judged scores stand apart from those of the protocols, and never in their ranks.
    """
    if dry_run:
        output().print("\n".join(_planned(judges_of(read_runs(runs), rubric, judge_, given, data))))
        return
    with interruptible("every verdict"):
        judged = judge_runs(*runs, rubric=rubric, model=judge_, data=data, yes=yes, **given)
    found = list(judged.values())
    output().print("\n".join(line for one in found for line in _lines(one)))
    _finish(found)


def _planned(judges: Sequence[Judge]) -> Iterator[str]:
    """What judging would ask and cost, and the first request."""
    for one in judges:
        steps = one.estimates()
        yield f"{one.run.path}: {_estimate(steps[0], one)}"
        yield from (
            f"  then {_estimate(step, one)}, fewer where a caption does not tell" for step in steps[1:]
        )
    yield f"\n{preview(judges[0].inquiry.configured(judges[0].queries, weights=False))}"


def _estimate(step: Estimate, one: Judge) -> str:
    if one.inquiry.price:
        return str(step)
    tokens = f"about {step.prompt_tokens:,} prompt tokens, at most {step.output_tokens:,} generated"
    return f"{many(step.requests, 'request')} ({tokens}; no price is known, or nothing is paid for)"


def _lines(found: JudgedRun) -> Iterator[str]:
    """The scores of a judged run, with what a reader must know of them."""
    if found.judgement is None:
        return
    one = found.judgement
    yield f"{printable(found.run.settings.title)}, judged by {printable(one.judge.title)}, {one.rubric}"
    for name, entry in one.scores.items():
        bounds = "" if entry.interval is None else " [{:.2f}, {:.2f}]".format(*entry.interval)
        yield f"  {name:<13} {entry.unavailable if entry.value is None else f'{entry.value:.2f}{bounds}'}"
    yield f"  {one.counts.words()}"
    if one.interval:
        intervals = {name: entry.interval for name, entry in one.scores.items() if entry.value is not None}
        yield from (f"  {line}" for line in one.interval.notes(intervals))
    yield f"  {printable(one.signature.long())}"
    yield f"  {found.folder / JUDGEMENT_FILE}"


def _finish(found: Sequence[JudgedRun]) -> None:
    """Say what is not done, and what makes verdicts doubtful.

    Raises:
        typer.Exit: something is not done.
    """
    judged = [one for one in found if one.judgement]
    if doubts := [
        f"{one.run.path}: {line}" for one in judged if one.judgement for line in one.judgement.flags
    ]:
        alarm("the judge may be partial", doubts)
    replies = [one for own in found for one in own.replies]
    if spent := sum(one.dollars or 0 for one in replies):
        note(f"cost: {dollars_words(spent)} so far")
    if len(judged) < len(found):
        note(f"requests {COLLECT}")
        raise typer.Exit(PENDING)
    if any(one.outcomes.exhausted for one in replies):
        note(EXHAUSTED)
        raise typer.Exit(1)
    counts = [one.judgement.counts for one in judged if one.judgement]
    if failed := sum(one.failed + one.unreadable for one in counts):
        note(f"{many(failed, 'request')} without a verdict; run the same command again to retry them")
        raise typer.Exit(1)


COMPARE_EPILOG = """Examples:

    microg-bench judge compare runs/a/vqa runs/b/vqa
"""


@app.command("compare", epilog=COMPARE_EPILOG)
def compare_verdicts(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Two or more judged runs.")],
    as_json: AsJson = False,
) -> None:
    """Compare judged runs item by item, where one judge judged all of them by the same rubric."""
    if len(runs) > len(ascii_uppercase):
        raise UsageError(f"give at most {len(ascii_uppercase)} runs to compare")
    if as_json:
        print_json([one for records in comparable(runs).values() for one in _json(records)])
        return
    for task, records in comparable(runs).items():
        letters = dict(zip((one.path for one in records), ascii_uppercase, strict=False))
        lines = [f"{letter}  {path}" for path, letter in letters.items()]
        output().print("\n".join([TASKS[task].title, *lines]))
        for one in compare_judged(records):
            output().print("\n".join(["", *_head(one)]))
            output().print(difference_table(one.comparisons, letters))
            output().print("\n".join(difference_notes(one.comparisons, letters)))


def _json(records: Sequence[RunRecord]) -> Iterator[dict[str, Any]]:
    for one in compare_judged(records):
        how = {"signature": one.how.long(), "items": one.items, "left_out": one.left_out}
        yield from ({**how, **comparison_json(pair)} for pair in one.comparisons)


def _head(one: JudgedComparison) -> Iterator[str]:
    yield f"judged alike: {printable(one.how.long())}"
    if one.left_out:
        yield f"{one.items:,} items were judged in all runs; {one.left_out:,} others are left out"


RATE_EPILOG = """Examples:

    microg-bench judge rate runs/a/vqa runs/b/vqa --out ratings --sample 200
"""


@app.command(epilog=RATE_EPILOG)
def rate(
    runs: RunsArgument,
    out: Annotated[Path, typer.Option(help="Folder for the page.")],
    sample: Annotated[int, typer.Option(help="Answers that are shown, of all runs.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    data: DataOption = None,
) -> None:
    """Write a page on which people rate answers, blind to the model; it needs no server and exports a CSV."""
    records = read_runs(runs)
    dataset = records[0].dataset(data)
    chosen = draw_answers(records, dataset, sample, seed)
    with RichProgress() as progress:
        page = write_rating_page(chosen, dataset, out, progress=progress)
    output().print(f"{page}: {many(len(chosen), 'answer')}")


AGREEMENT_EPILOG = """Examples:

    microg-bench judge agreement runs/a/vqa --ratings ratings-ann.csv --ratings ratings-ben.csv
"""


@app.command(epilog=AGREEMENT_EPILOG)
def agreement(
    runs: RunsArgument,
    ratings: Annotated[
        list[Path], typer.Option(help="CSV file that the page exported; may be repeated.", metavar="FILE")
    ],
) -> None:
    """Tell how far judges and metrics agree with people, and correct judged rates by the judge's errors.

    The agreement of each judge is kept beside its judgement, and shown wherever its scores are.
    """
    records = read_runs(runs)
    found = read_ratings(ratings, {key for run in records for key in answer_keys(run).values()})
    reports = agreements(records, found)
    for folder, report in reports.items():
        write_agreement(folder, report)
    output().print(correlations(metric_agreements(records, found), reports))
    for folder, report in reports.items():
        output().print("\n".join(["", *agreement_lines(folder, report)]))


def correlations(metrics: Mapping[str, ScoreAgreement], reports: Mapping[Path, AgreementReport]) -> Table:
    """A table of the rank correlations of metrics and of judged scores with people."""
    table = columns("score", "tau-b", "95% interval", "answers", right=("tau-b", "95% interval", "answers"))
    rows = list(metrics.items())
    judged = {how_of(one.signature).long(): one.scores for one in reports.values()}
    rows += [(f"{name}, {how}", score) for how, scores in judged.items() for name, score in scores.items()]
    for name, one in rows:
        bounds = " to ".join(f"{bound:+z.2f}" for bound in one.interval or ())
        table.add_row(printable(name), number(one.tau), bounds, str(one.items))
    return table


def agreement_lines(folder: Path, report: AgreementReport) -> Iterator[str]:
    """The agreement of a judge with people, and what follows for one run."""
    yield f"{folder}: {report.words()}"
    yield f"  alpha among people {number(report.people)}, with the judge {number(report.judge)}"
    for name in ("sensitivity", "specificity", "uncorrected", "corrected"):
        rate: RateEntry | None = getattr(report, name)
        if rate is not None:
            bounds = " [{:.3f}, {:.3f}]".format(*rate.interval) if rate.interval else ""
            yield f"  {name:<12} {number(rate.value, 3)}{bounds}, of {many(rate.of, 'answer')}"
    yield from (f"  {line}" for line in report.notes())
