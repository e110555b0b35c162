"""`microg-bench curate`: make a dataset of footage."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from microg_bench.cli.console import columns, interruptible, note, output
from microg_bench.curation.folder import CurationFolder
from microg_bench.curation.footage import find_footage
from microg_bench.curation.recipe import STAGES, read_curation_recipe
from microg_bench.curation.run import Curation, CurationPlan, processors
from microg_bench.errors import UsageError
from microg_bench.progress import RichProgress
from microg_bench.text import unknown

EPILOG = """Examples:

    microg-bench curate footage/ --out station --dry-run

    microg-bench curate footage/ --out station --manifest footage.csv

    microg-bench curate flight.mp4 --out flight --detector hog --stages trim,person,cut
"""


class Curate(TyperGroup):
    """A group whose first verb may be left out: `curate VIDEO` is `curate run VIDEO`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add the verb where none is given."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Curate,
    help="Make a dataset of footage: cut clips, and judge each.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback()
def curate() -> None:
    """Make a dataset of footage: cut clips, and judge each."""


@app.command(epilog=EPILOG)
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is open, and stop.")] = False,
) -> None:
    """Cut footage into clips of three seconds, and judge each: persons, cuts, motion, tracks, key frames.

    Nothing is deleted: a clip that is rejected stays, with the reason.
    """
    names = tuple(part.strip() for part in stages.split(",") if part.strip())
    if wrong := [name for name in names if name not in STAGES]:
        raise UsageError(unknown("stage", wrong[0], STAGES), item="--stages")
    chosen = tuple(stage for stage in STAGES if stage in names)
    footage = find_footage(videos, manifest)
    with interruptible("every clip"), RichProgress() as progress:
        one = Curation(
            footage,
            out,
            read_curation_recipe(recipe),
            detector,
            chosen,
            num_workers or processors(),
            device,
            progress,
        )
        if dry_run:
            return show_plan(one.plan())
        folder = one.run()
    show_verdicts(folder, chosen)
    if one.faults:
        raise typer.Exit(1)


def show_plan(plan: CurationPlan) -> None:
    """Print what a curation would do."""
    output().print(
        f"{plan.footage} videos of {plan.seconds / 3600:.2f} hours give about {plan.clips:,} clips: "
        f"{plan.cut:,} are cut, {plan.judged:,} are judged"
    )
    for name, fault in plan.faults.items():
        note(f"{name}: {fault}")


def show_verdicts(folder: CurationFolder, stages: tuple[str, ...]) -> None:
    """Print how many clips each stage passed."""
    table = columns("stage", "clips", "passed", "rejected")
    for stage in stages:
        found = [own[stage] for own in folder.verdicts.values() if stage in own]
        passed = sum(one.passed for one in found)
        table.add_row(stage, str(len(found)), str(passed), str(len(found) - passed))
    output().print(table)
    output().print(f"{len(folder.accepted()):,} of {len(folder.clips):,} clips passed: {folder.path}")
