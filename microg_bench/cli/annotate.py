"""`microg-bench annotate`: check captions and pairs, make questions, let people review them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.annotation.consistency import queries
from microg_bench.annotation.inquiry import OPTIONS
from microg_bench.annotation.question_stages import MOST_PER_CLIP, PAIRS_FILE, Made, QuestionMaker
from microg_bench.annotation.questions import PER_CLIP, UNANSWERABLE_SHARE
from microg_bench.annotation.reviews import (
    DISAGREEMENTS_FILE,
    MAX_BYTES,
    merge_pair_reviews,
    read_candidates,
    read_pair_reviews,
    write_reviewed,
)
from microg_bench.annotators import (
    CheckedTexts,
    annotate_check,
    annotate_questions,
    check_inquiry,
    question_maker,
)
from microg_bench.cli.console import AsJson, columns, interruptible, note, output, print_json
from microg_bench.cli.options import with_options
from microg_bench.cli.run import COLLECT, EXHAUSTED, PENDING, Yes
from microg_bench.curation.tables import read_rows
from microg_bench.dataset.load import load, locate
from microg_bench.errors import UsageError
from microg_bench.options import Options, flag
from microg_bench.pages.findings_page import write_findings_page
from microg_bench.pages.folder import check_free
from microg_bench.pages.pair_review_page import write_pair_review_page
from microg_bench.progress import RichProgress
from microg_bench.runs.budget import dollars_words
from microg_bench.runs.preview import preview
from microg_bench.runs.start import Outcomes
from microg_bench.text import many, printable

EPILOG = """Examples:

    microg-bench annotate check sample

    microg-bench annotate check my-data --model vllm:Qwen/Qwen3-8B --run checked --page checked-page
"""

app = typer.Typer(
    help="Check captions and pairs, make questions of captions, let people review them.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

DataArgument = Annotated[
    str, typer.Argument(help="sample, microg-4m, a dataset folder or an annotation file.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be asked and what it would cost.")]


@app.callback()
def annotate() -> None:
    """Check captions and pairs, make questions of captions, let people review them."""


CHECK_EPILOG = """Examples:

    microg-bench annotate check sample

    microg-bench annotate check my-data --model vllm:Qwen/Qwen3-8B --run checked --page checked-page
"""


@app.command(epilog=CHECK_EPILOG)
@with_options(OPTIONS)
def check(
    data: DataArgument,
    as_json: AsJson = False,
    page: Annotated[Path | None, typer.Option(help="Write a page of the findings into this folder.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model's answers.",
            show_default="one below annotations/, the same for the same options",
        ),
    ] = None,
    rubric: Annotated[str, typer.Option(help="What the model is asked: a name, or a .toml file.")] = "check",
    dry_run: DryRun = False,
    yes: Yes = False,
    **given: Any,
) -> None:
    """Look for captions and pairs that are inconsistent; exit status 1 if there are any.

    Without a model, rules look at the texts. With one, it is asked for contradictions and for what the
    caption does not support, too.
    """
    options = Options.of(given)
    if options.model is None:
        _needs_model(options, {"--dry-run": dry_run, "--run": run, "--rubric": rubric != "check"})
    elif dry_run:
        dataset = load(data)
        one = check_inquiry(dataset, rubric, options).configured(queries(dataset), weights=False)
        output().print(str(preview(one)))
        return
    if page:
        check_free(page)
    with interruptible():
        checked = annotate_check(data, run=run, rubric=rubric, yes=yes, **given)
    if checked.replies:
        finish(checked.replies.outcomes, checked.replies.usage.lines())
        note(*(f"no verdict on {clip}: {why}" for clip, why in checked.unread.items()))
    _tell(checked, as_json, page)


def _needs_model(options: Options, own: Mapping[str, Any]) -> None:
    """Refuse what only a model can be asked with.

    Raises:
        UsageError: naming the option.
    """
    given = {**own, **dict.fromkeys(map(flag, options.given()), True)}
    if refused := next((name for name, value in given.items() if value), None):
        raise UsageError("applies to a model only: give --model too", item=refused)


def _tell(checked: CheckedTexts, as_json: bool, page: Path | None) -> None:
    """Print findings and write their page; exit status 1 where there are any, or a verdict is not read."""
    dataset, found, unread = checked.dataset, checked.findings, checked.unread
    model = checked.replies.record.settings.title if checked.replies else None
    if page:
        note(str(write_findings_page(dataset, found, model, page)))
    if as_json:
        head = {"data": dataset.name, "fingerprint": dataset.fingerprint, "model": model}
        told = {**head, "findings": [one.model_dump() for one in found], "unread": dict(unread)}
        print_json(told)
    elif found:
        table = columns("item", "kind", "reason", whole=("item", "kind"))
        for one in found:
            table.add_row(*map(printable, (one.item, one.kind, one.reason)))
        output().print(table)
    else:
        output().print(f"no findings{f', but {len(unread):,} clips have no verdict' if unread else ''}")
    if found or unread:
        raise typer.Exit(1)


def finish(outcomes: Outcomes, usage: Iterable[str]) -> None:
    """Say what this start took and what is not done.

    Raises:
        typer.Exit: not everything was asked.
    """
    if outcomes.asked:
        note(*usage, *([f"cost: {dollars_words(outcomes.dollars)} so far"] if outcomes.dollars else []))
    if outcomes.pending:
        note(f"{many(outcomes.pending, 'request')} {COLLECT}")
        raise typer.Exit(PENDING)
    if outcomes.exhausted:
        note(EXHAUSTED)
        raise typer.Exit(1)


QUESTIONS_EPILOG = """Examples:

    microg-bench annotate questions my-data --model vllm:Qwen/Qwen3-8B --out my-questions --dry-run

    microg-bench annotate questions my-data --model vllm:Qwen/Qwen3-8B --out my-questions
"""


@app.command(epilog=QUESTIONS_EPILOG)
@with_options(OPTIONS)
def questions(
    data: DataArgument,
    out: Annotated[
        Path, typer.Option(help="Folder of what is asked and made; it is continued where it exists.")
    ],
    per_clip: Annotated[
        int, typer.Option(min=1, max=MOST_PER_CLIP, help="Pairs of question and answer a clip.")
    ] = PER_CLIP,
    unanswerable: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the pairs that the caption does not answer.")
    ] = UNANSWERABLE_SHARE,
    limit: Annotated[
        int | None, typer.Option(help="Only the first K clips.", show_default="all", metavar="<int>")
    ] = None,
    rubrics: Annotated[
        Path | None,
        typer.Option(help="Folder of own rubrics, STAGE.toml.", show_default="the shipped ones"),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    **given: Any,
) -> None:
    """Make questions and answers of the captions of a dataset, for people to review.

    A model proposes candidates, rates each, and answers its question again from the caption alone; those
    that hold and differ from one another are chosen.
    """
    how: dict[str, Any] = {
        "per_clip": per_clip,
        "unanswerable": unanswerable,
        "limit": limit,
        "rubrics": rubrics,
    }
    if dry_run:
        return _show_expected(question_maker(data, Options.of(given), out, **how))
    pairs = out / PAIRS_FILE
    before = pairs.read_bytes() if pairs.is_file() else None
    with interruptible():
        made = annotate_questions(data, out=out, yes=yes, **how, **given)
    if before not in (None, pairs.read_bytes() if pairs.is_file() else None):
        note(f"{pairs}: these pairs replace others; reviews of pairs that have changed do not count")
    for stage, replies in made.replies.items():
        if replies.outcomes.asked:
            note(f"{stage}:", *replies.usage.lines())
    _finish_questions(made, out)
    return None


def _show_expected(maker: QuestionMaker) -> None:
    """Print the first request of each stage, and what all stages would cost at most."""
    dollars = 0.0
    for stage, one in maker.expected():
        shown = preview(one)
        output().print(f"== {stage}: {many(len(one.texts), 'request')} at most\n{shown}\n")
        dollars += shown.estimate.dollars if shown.estimate else 0.0
    if dollars:
        output().print(f"all stages: about {dollars_words(dollars)} at most")


def _finish_questions(made: Made, out: Path) -> None:
    """Say what was made, and what is not done.

    Raises:
        typer.Exit: something is not done.
    """
    spent = [one.dollars for one in made.replies.values() if one.dollars]
    if spent:
        note(f"cost: {dollars_words(sum(spent))} so far")
    facts = made.facts
    if facts is None:
        return finish(next(one for one in made.replies.values() if not one.is_whole).outcomes, ())
    share = facts.unanswerable / facts.pairs if facts.pairs else 0.0
    output().print(
        f"{many(facts.pairs, 'pair')} for {many(facts.clips, 'clip')} "
        f"of {many(facts.candidates, 'candidate')}, {share:.1%} unanswerable: {out / PAIRS_FILE}"
    )
    note(f"no person has reviewed them yet: `microg-bench annotate review {out} --out DIR`")
    if facts.without_caption:
        note(f"left out: {many(facts.without_caption, 'clip')} without a caption")
    if facts.short:
        first = next(iter(facts.short))
        note(
            f"with fewer than {facts.per_clip} pairs: {many(len(facts.short), 'clip')} ({first} is the first)"
        )
    if facts.failures:
        note(f"{facts.failures:,} queries failed; run the same command again to retry them")
        raise typer.Exit(1)
    return None


REVIEW_EPILOG = """Examples:

    microg-bench annotate review my-questions --videos my-data --out my-review

    microg-bench annotate review my-questions --out second-pass --only my-data/disagreements.csv
"""


@app.command(epilog=REVIEW_EPILOG)
def review(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder for the page.")],
    only: Annotated[Path | None, typer.Option(help="CSV file with a column item: only these pairs.")] = None,
    videos: Annotated[
        str | None, typer.Option(help="Dataset folder with the videos.", show_default="DATA")
    ] = None,
) -> None:
    """Write a page on which people accept, edit or reject pairs; it needs no server and exports a CSV."""
    chosen = {row["item"] for _, row in read_rows(only, ("item",), MAX_BYTES)} if only else None
    made = read_candidates(locate(data))
    footage = load(videos) if videos else None
    with RichProgress() as progress:
        page = write_pair_review_page(load(data), made, out, only=chosen, videos=footage, progress=progress)
    output().print(str(page))


MERGE_EPILOG = """Examples:

    microg-bench annotate merge my-questions ann.csv ben.csv --out my-data

    microg-bench annotate merge my-questions ann.csv ben.csv --final second.csv --out my-data
"""


@app.command(epilog=MERGE_EPILOG)
def merge(
    data: DataArgument,
    reviews: Annotated[list[Path], typer.Argument(help="CSV files that the page exported.")],
    out: Annotated[Path, typer.Option(help="Folder of the accepted pairs; there must be none yet.")],
    final: Annotated[
        list[Path] | None, typer.Option(help="Review of a second pass, which decides alone.", metavar="FILE")
    ] = None,
) -> None:
    """Join reviews, report how far annotators agree, and write the accepted pairs in the published layout."""
    dataset = load(data)
    found = read_pair_reviews(reviews, dataset)
    last = read_pair_reviews(final or (), dataset, deciding=True)
    merged = merge_pair_reviews(dataset, found.found, last.found)
    annotators = len({one.annotator for one in (*found.found, *last.found)})
    facts = write_reviewed(dataset, merged, annotators, out)
    table = columns("agreement on", "alpha", "units", "annotators", right=("alpha", "units", "annotators"))
    for name, one in (("taking pairs", facts.taking), ("accept, edit or reject", facts.decision)):
        alpha = "n/a" if one.alpha is None else f"{one.alpha:.3f}"
        table.add_row(name, alpha, str(one.units), str(one.coders))
    output().print(table)
    if outdated := sorted({*found.outdated, *last.outdated}):
        told = ", ".join(f"{item} ({annotator})" for item, annotator in outdated)
        note(f"{len(outdated)} reviews do not count, since their pairs have changed: {told}")
    if merged.unreviewed:
        note(
            f"{facts.unreviewed:,} pairs are not reviewed, and left out ({merged.unreviewed[0]} is the first)"
        )
    if facts.disagreements:
        note(f"annotators differ on {many(facts.disagreements, 'pair')}: {out / DISAGREEMENTS_FILE}")
    if facts.open:
        note(f"{facts.open} of these are left out until a second pass decides (--final)")
    output().print(f"{facts.accepted:,} of {many(facts.pairs, 'pair')}, {facts.edited:,} edited: {out}")
