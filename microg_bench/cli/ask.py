"""`microg-bench caption`, `vqa` and `run`: ask a model about clips, write its answers down, score them.

The three verbs take the same options; `run` alone says with `--tasks` what to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli import options as o
from microg_bench.cli.score import make_scoring, score_runs
from microg_bench.cli.show import ProgressWatcher, dry_run, errors_console, output, usage_lines
from microg_bench.errors import UsageError
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.session import Outcome
from microg_bench.runs.settings import make_options, read_config
from microg_bench.runs.start import run_folders, start

VERBS = {
    "caption": "Let a model caption the clips, and score the captions.",
    "vqa": "Let a model answer questions about the clips, and score the answers.",
    "run": "Caption and answer in one go; each clip is decoded once for both.",
}
INTERRUPTED = 130
WAITING = 75  # what sysexits.h calls a temporary failure: start the same command again later

Run = Annotated[
    Path | None, typer.Option(help="Run folder; default: one below runs/, the same for the same options.")
]
Config = Annotated[
    Path | None, typer.Option(help="Options from a TOML file, or the run.json of a run to repeat.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be asked and what it would cost.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Spend money without asking first.")]
Tasks = Annotated[
    str | None, typer.Option(help="Comma-separated: caption, vqa.", rich_help_panel="What is asked")
]
NoTasks = Annotated[str | None, typer.Option("--tasks", hidden=True)]


def _command(verb: str) -> Callable[..., None]:
    """The function behind `verb`; typer reads its signature."""

    def command(
        run: Run = None,
        config: Config = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        **given: Any,
    ) -> None:
        if verb != "run":
            if given["tasks"] is not None:
                raise UsageError(f"`{verb}` is one task; `microg-bench run --tasks` asks several")
            given["tasks"] = verb
        _ask(verb, o.read(given), config, run, yes, dry_run)

    command.__doc__ = VERBS[verb]
    tasks = Tasks if verb == "run" else NoTasks
    return o.with_options(command, {"tasks": tasks, **o.ASKING, **o.SCORING})


def _ask(
    verb: str, given: dict[str, Any], config: Path | None, run: Path | None, yes: bool, show_only: bool
) -> None:
    from_file, repeat = read_config(config) if config else ({}, None)
    options = make_options(from_file, given)
    changes_nothing = options == make_options(from_file, {"tasks": given["tasks"]})
    prepared = prepare(options, repeat if changes_nothing else None)
    scoring = make_scoring(options)
    if show_only:
        output().print(dry_run(prepared))
        return
    paths = run_folders(prepared, run, several=verb == "run")
    _announce(prepared, list(paths.values()))
    outcome = watched(lambda watcher: start(prepared, paths, watcher), yes)
    cards = score_runs(list(paths.values()), scoring, options.data)
    output().print("\n".join(f"{task}: {path}" for task, path in paths.items()))
    finish(outcome, cards)


def watched(ask: Callable[[ProgressWatcher], Outcome], yes: bool) -> Outcome:
    """Let `ask` work under a progress bar and say what it took; `yes` stands for every consent to a cost.

    Raises:
        typer.Exit: it was interrupted, or its requests are with a vendor.
    """
    try:
        with ProgressWatcher(yes) as watcher:
            outcome = ask(watcher)
    except KeyboardInterrupt:
        errors_console().print("interrupted: every answer is kept; start the same command again to go on")
        raise typer.Exit(INTERRUPTED) from None
    for line in usage_lines(outcome):
        errors_console().print(line, markup=False, soft_wrap=True)
    if outcome.waiting:
        errors_console().print(
            f"{outcome.waiting} requests are with the vendor; start the same command again to collect them"
        )
        raise typer.Exit(WAITING)
    return outcome


def finish(outcome: Outcome, cards: Sequence[Scorecard]) -> None:
    """Say what is not done, and how to go on.

    Raises:
        typer.Exit: something is not.
    """
    if failures := sum(card.failures for card in cards):
        errors_console().print(f"{failures} requests failed; start the same command again to retry them")
    if outcome.exhausted:
        errors_console().print("stopped at --max-cost; start the same command with a higher one to go on")
    if outcome.exhausted or failures:
        raise typer.Exit(1)


def _announce(prepared: Prepared, paths: list[Path]) -> None:
    dataset = prepared.dataset
    where = ", ".join(map(str, paths))
    errors_console().print(f"{prepared.adapter.title} on {dataset.name}, into {where}", markup=False)
    if dataset.repeated:
        names = ", ".join(dataset.repeated)
        errors_console().print(f"repeated ids, of which the last caption counts: {names}", markup=False)


def _epilog(verb: str) -> str:
    return (
        f"Examples:  `microg-bench {verb} --model nearest-clip --data sample`  ·  "
        f"`microg-bench {verb} --model qwen2.5-vl --data MicroG-4M --limit 20 --dry-run`  ·  "
        f"`microg-bench {verb} --model openai:gpt-4o --max-cost 5`"
    )


def register(app: typer.Typer) -> None:
    """Add the three verbs to `app`."""
    for verb in VERBS:
        app.command(verb, epilog=_epilog(verb))(_command(verb))
