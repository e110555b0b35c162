"""`microg-bench curate`: make a dataset of footage."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import DefaultVerb, columns, interruptible, note, output
from microg_bench.cli.options import LabelMapOption
from microg_bench.curation.folder import CurationFolder, read_curation
from microg_bench.curation.footage import find_footage
from microg_bench.curation.recipe import STAGES, read_curation_recipe
from microg_bench.curation.release import write_card, write_dataset, write_disagreements
from microg_bench.curation.reviews import CAPTION, merge_reviews, read_reviews
from microg_bench.curation.run import Curation, CurationPlan, processors
from microg_bench.curation.stages import judged_otherwise
from microg_bench.curation.taxonomy import FILE as TAXONOMY
from microg_bench.curation.taxonomy import read_taxonomy
from microg_bench.dataset.labels import DEFAULT, read_label_map
from microg_bench.errors import UsageError
from microg_bench.pages.review_page import read_prefill, write_review_page
from microg_bench.progress import RichProgress
from microg_bench.text import many, unknown

EPILOG = """Examples:

    microg-bench curate footage/ --out station --dry-run

    microg-bench curate footage/ --out station --manifest footage.csv

    microg-bench curate review station --out station-review

    microg-bench curate merge station ann.csv ben.csv --out station-data
"""


class Curate(DefaultVerb):
    """`curate VIDEO` is `curate run VIDEO`."""

    default = "run"


app = typer.Typer(
    cls=Curate,
    help="Make a dataset of footage: cut clips, judge each, and let people review them.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback()
def curate() -> None:
    """Make a dataset of footage: cut clips, judge each, and let people review them."""


RUN_EPILOG = """Examples:

    microg-bench curate run footage/ --out station --dry-run

    microg-bench curate run flight.mp4 --out flight --detector hog --stages trim,person,cut
"""


@app.command(epilog=RUN_EPILOG)
def run(
    videos: Annotated[list[Path], typer.Argument(help="Videos, and folders that hold them.")],
    out: Annotated[Path, typer.Option(help="Folder of the curation; it is continued where it exists.")],
    recipe: Annotated[str, typer.Option(help="paper, or a .toml file with all values.")] = "paper",
    detector: Annotated[
        str, typer.Option(help="What finds persons: d-fine, rt-detrv2, hog, or a plugin.")
    ] = "d-fine",
    stages: Annotated[str, typer.Option(help="Stages to run, with commas between.")] = ",".join(STAGES),
    manifest: Annotated[
        Path | None, typer.Option(help="CSV file with origin, licence and mission of each video.")
    ] = None,
    num_workers: Annotated[
        int | None, typer.Option(min=1, help="Processes.", show_default="one a processor")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Torch device of the detector.", show_default="a GPU, if any"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what is open, try one clip, and stop.")
    ] = False,
) -> None:
    """Cut footage into clips of three seconds, and judge each: persons, cuts, motion, tracks, key frames.

    Nothing is deleted: a clip that is rejected stays, with the reason.
    """
    names = tuple(part.strip() for part in stages.split(",") if part.strip())
    if not names:
        raise UsageError(f"names none of {', '.join(STAGES)}", item="--stages")
    if wrong := [name for name in names if name not in STAGES]:
        raise UsageError(unknown("stage", wrong[0], STAGES), item="--stages")
    chosen = tuple(stage for stage in STAGES if stage in names)
    found = find_footage(videos, out, manifest)
    with interruptible("every clip"), RichProgress() as progress:
        one = Curation(
            found.files,
            out,
            read_curation_recipe(recipe),
            detector,
            chosen,
            num_workers or processors(),
            device,
            progress,
            found.others,
        )
        if dry_run:
            plan = one.plan()
            show_plan(plan)
            raise typer.Exit(int(bool(plan.faults)))
        folder = one.run()
    show_verdicts(folder, chosen)
    note_earlier(len(folder.earlier))
    note_otherwise(folder)
    if one.faults:
        raise typer.Exit(1)


def show_plan(plan: CurationPlan) -> None:
    """Print what a curation would do."""
    output().print(
        f"{many(plan.footage, 'video')} of {plan.seconds / 3600:.2f} hours give about "
        f"{many(plan.clips, 'clip')}: {plan.cut:,} are cut, {plan.judged:,} are judged"
    )
    if plan.left:
        hours, minutes = divmod(round(plan.left / 60), 60)
        output().print(f"the rest takes about {hours} h {minutes:02d} min, by one clip that was tried")
    if plan.untried:
        note(f"how long the rest takes is not told, since a dry run fetches no weights: {plan.untried}")
    note_earlier(plan.earlier)
    for name in plan.short:
        note(f"{name}: gives no clip: it is shorter than one")
    for name, fault in plan.faults.items():
        note(f"{name}: {fault}")


def note_earlier(count: int) -> None:
    """Say how many clips are there, but do not count."""
    if count:
        note(f"of earlier settings or files, kept and not counted: {many(count, 'clip')}")


def note_otherwise(folder: CurationFolder) -> None:
    """Say how many clips were not judged by the recipe and detector that the curation tells."""
    if others := judged_otherwise(folder, folder.clips):
        note(
            f"{len(others):,} clips were judged by another recipe or detector ({others[0]} is the first): "
            "give their footage, too, to judge them again; a dataset with such clips is not released"
        )


def show_verdicts(folder: CurationFolder, stages: tuple[str, ...]) -> None:
    """Print how many clips each stage passed."""
    table = columns("stage", "clips", "passed", "rejected")
    for stage in stages:
        found = [
            own[stage] for clip, own in folder.verdicts.items() if stage in own and folder.is_current(clip)
        ]
        passed = sum(one.passed for one in found)
        table.add_row(stage, str(len(found)), str(passed), str(len(found) - passed))
    output().print(table)
    output().print(f"{len(folder.accepted()):,} of {many(len(folder.pieces), 'clip')} passed: {folder.path}")


TaxonomyOption = Annotated[
    Path, typer.Option("--taxonomy", help="Definitions of actions, as TOML.", show_default="the shipped one")
]
FolderArgument = Annotated[Path, typer.Argument(help="Folder of a curation.")]

REVIEW_EPILOG = """Examples:

    microg-bench curate review station --out station-review

    microg-bench curate review station --out second-pass --only station/disagreements.csv
"""


@app.command(epilog=REVIEW_EPILOG)
def review(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Folder for the page.")],
    only: Annotated[
        Path | None, typer.Option(help="CSV file with a column video_id: only these clips.")
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Show clips that a stage rejected, too.")
    ] = False,
    prefill: Annotated[
        Path | None, typer.Option(help="CSV file with video_id, caption, mission, crew, place, equipment.")
    ] = None,
    taxonomy: TaxonomyOption = TAXONOMY,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Write a page on which people accept, label and caption clips; it needs no server and exports a CSV."""
    labels = read_label_map(label_map)
    curation = read_curation(folder)
    chosen = set(read_prefill(only, curation.verdicts)) if only else None
    with RichProgress() as progress:
        page = write_review_page(
            curation,
            read_taxonomy(labels, taxonomy),
            out,
            only=chosen,
            rejected=rejected,
            prefill=read_prefill(prefill, curation.verdicts) if prefill else None,
            progress=progress,
        )
    note_earlier(len(curation.earlier))
    note_otherwise(curation)
    output().print(str(page))


MERGE_EPILOG = """Examples:

    microg-bench curate merge station ann.csv ben.csv --out station-data

    microg-bench curate merge station ann.csv ben.csv --final second.csv --out station-data
"""


@app.command(epilog=MERGE_EPILOG)
def merge(
    folder: FolderArgument,
    reviews: Annotated[list[Path], typer.Argument(help="CSV files that the page exported.")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; there must be none yet.")],
    final: Annotated[
        list[Path] | None, typer.Option(help="Review of a second pass, which decides alone.", metavar="FILE")
    ] = None,
    label_map: LabelMapOption = DEFAULT,
) -> None:
    """Join reviews, report how far annotators agree, and write the dataset of the accepted clips."""
    labels = read_label_map(label_map)
    curation = read_curation(folder)
    found = read_reviews(reviews, curation, labels)
    last = read_reviews(final or (), curation, labels, deciding=True)
    merged = merge_reviews(curation, found.found, last.found)
    names = dict(zip(labels.ids, labels.names, strict=True))
    table = columns("agreement on", "alpha", "units", "annotators", right=("alpha", "units", "annotators"))
    rows = {"taking clips": merged.decision, **{names[one]: two for one, two in merged.by_action.items()}}
    for name, one in rows.items():
        alpha = "n/a" if one.alpha is None else f"{one.alpha:.3f}"
        table.add_row(name, alpha, str(one.units), str(one.coders))
    output().print(table)
    note_earlier(len(curation.earlier))
    note_otherwise(curation)
    if outdated := sorted({*found.outdated, *last.outdated}):
        told = ", ".join(f"{clip} ({annotator})" for clip, annotator in outdated)
        note(f"{len(outdated)} reviews do not count, since their clips have changed: {told}")
    if merged.open:
        note(
            f"{len(merged.open)} clips passed all stages and are not reviewed ({merged.open[0]} is the first)"
        )
    path = folder / "disagreements.csv"
    write_disagreements(merged.disagreements, path)
    if merged.disagreements:
        captions = sum(one.what == CAPTION for one in merged.disagreements)
        items = many(len(merged.disagreements), "item")
        note(f"annotators differ on {items}, {captions} of them captions: {path}")
    if merged.ties:
        note(f"{merged.ties} are ties: actions.csv lacks them until a second pass decides (--final)")
    write_dataset(curation, merged, out)
    output().print(f"{many(len(merged.accepted), 'clip')}: {out}")


RELEASE_EPILOG = """Examples:

    microg-bench curate release station-data --title "Life on the station"
"""


@app.command(epilog=RELEASE_EPILOG)
def release(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset that `curate merge` wrote.")],
    title: Annotated[
        str | None, typer.Option(help="Of the card.", show_default="the name of the folder")
    ] = None,
) -> None:
    """Write the dataset card; origin and licence of all footage must be known."""
    output().print(str(write_card(dataset, title or dataset.resolve().name)))
