"""The program `microg-bench`; the module of a verb is imported when the verb is used."""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from microg_bench import __version__
from microg_bench.errors import MicrogError
from microg_bench.text import printable

# The module of each verb below `microg_bench.cli`, and its line in the list of verbs.
VERBS = {
    "caption": ("run", "Let a model caption the clips, and score the captions."),
    "vqa": ("run", "Let a model answer questions about the clips, and score the answers."),
    "run": ("run", "Caption, answer, or name the actions of persons in one go."),
    "sweep": ("sweep", "Ask one model with every number of frames and every prompt."),
    "probe": ("probe", "Ask a model again with changed frames: does it look at the clip?"),
    "repeat": ("repeat", "Ask a model that samples several times: how much of a score is chance?"),
    "paraphrase": ("paraphrase", "Ask a model the same questions in other words: do its answers change?"),
    "score": ("score", "Score a run again, or a predictions file from elsewhere."),
    "compare": ("compare", "Compare runs item by item, with intervals and p-values."),
    "judge": ("judge", "Have a language model rate answers by meaning, and hold it against people."),
    "runs": ("runs", "List runs, show one, remove some, or join the shards of one."),
    "drift": ("drift", "Ask a sample of a run again, and compare the answers and their scores."),
    "measure": ("measure", "Measure what a model takes on this machine: time, memory, size."),
    "tables": ("tables", "Regenerate the tables of the paper."),
    "plots": ("plots", "Draw how runs scored."),
    "report": ("report", "Write a page with everything that a run answered."),
    "export": ("export", "Write scores for a model card, or predictions as a table."),
    "leaderboard": ("leaderboard", "Build the pages of the leaderboard."),
    "models": ("models", "List the models, show one, start a new one, or check it."),
    "prompts": ("prompts", "List the prompts, or show one as a model gets it."),
    "data": ("data", "Check a dataset, count what it holds, or fetch MicroG-4M."),
    "curate": ("curate", "Make a dataset of footage: cut clips, judge each, review, release."),
    "annotate": ("annotate", "Check captions and pairs, make questions of captions, let people review them."),
    "submit": ("submit", "Pack a run for the leaderboard, or check what was packed."),
    "har": ("har", "Score human action recognition, or convert its annotations."),
    "doctor": ("doctor", "List what is installed and usable here, and how to install the rest."),
}


class Verbs(TyperGroup):
    """A group that imports the module of a verb when the verb is used, not to list it."""

    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb, or while they are listed only its name and line."""
        if cmd_name not in VERBS:
            return None
        module_name, line = VERBS[cmd_name]
        if self._listing:
            return TyperCommand(cmd_name, help=line)
        module: Any = import_module(f"microg_bench.cli.{module_name}")
        command: Any = typer.main.get_command(module.app)
        return getattr(command, "commands", {}).get(cmd_name, command)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of the program."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


app = typer.Typer(
    name="microg-bench",
    cls=Verbs,
    help="Benchmark video-language models on life in microgravity.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    epilog="Try it without any model:  `microg-bench run --model nearest-clip --data sample`",
)


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
        typer.secho(printable(f"error: {error}"), fg="red", bold=True, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
