"""The command line: thin verbs that parse, call and print. `main` is the entry point `microg-bench`."""

from __future__ import annotations

import sys

import typer

from microg_bench import __version__
from microg_bench.cli import (
    ask,
    compare,
    data,
    doctor,
    export,
    har,
    leaderboard,
    models,
    plots,
    prompts,
    report,
    score,
    submit,
    sweep,
    tables,
)
from microg_bench.cli.show import errors_console
from microg_bench.errors import MicrogError

app = typer.Typer(
    name="microg-bench",
    help="Benchmark video-language models on life in microgravity.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    epilog="Try it without any model:  `microg-bench run --model nearest-clip --data sample`",
)
ask.register(app)
sweep.register(app)
score.register(app)
compare.register(app)
tables.register(app)
plots.register(app)
report.register(app)
export.register(app)
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(data.app, name="data")
app.add_typer(submit.app, name="submit")
app.add_typer(har.app, name="har")
doctor.register(app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"microg-bench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Benchmark video-language models on life in microgravity."""


def main() -> None:
    """Run the command line; an error meant for the user becomes one line and exit status 1."""
    try:
        app()
    except MicrogError as error:
        errors_console().print(
            f"error: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True
        )
        sys.exit(1)
