"""`microg-bench caption`, `vqa` and `run`: ask a model about clips, write its answers down, score them.

The three verbs take the same options; `run` alone says with `--tasks` what to ask.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.adapters.registry import is_file, name_it
from microg_bench.api import Results, run_configuration
from microg_bench.cli.console import (
    AsJson,
    interruptible,
    note,
    output,
    print_json,
    unscored,
    warn_of_doubts,
)
from microg_bench.cli.options import ASKING, SCORING, read_config, with_options
from microg_bench.errors import UsageError
from microg_bench.options import OF_PERSONS, Options, flag
from microg_bench.progress import shown
from microg_bench.runs.budget import dollars_words
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.preview import preview
from microg_bench.settings import Settings
from microg_bench.text import many

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

VERBS = {
    "caption": "Let a model caption the clips, and score the captions.",
    "vqa": "Let a model answer questions about the clips, and score the answers.",
    "run": "Caption, answer, or name the actions of persons; each clip is decoded once for all tasks.",
}
COLLECT = "are pending in the batch API; run the same command again to collect them"
EXHAUSTED = "stopped at --max-cost; run the same command with a higher one to continue"
PENDING = 75  # what sysexits.h calls a temporary failure: run the same command again later

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Spend money without a question.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be asked and what it costs; ask nothing.")
]
Pictures = Annotated[
    bool,
    typer.Option("--pictures/--no-pictures", help="Show frames that the model was shown, of some clips."),
]


def _command(verb: str) -> Callable[..., None]:
    """The function behind `verb`; typer reads its signature."""

    def command(
        run: Annotated[
            Path | None,
            typer.Option(help="Run folder.", show_default="one below runs/, the same for the same options"),
        ] = None,
        config: Annotated[
            Path | None, typer.Option(help="Options from a TOML file, or the run.json of a run to repeat.")
        ] = None,
        dry_run: DryRun = False,
        yes: Yes = False,
        page: Annotated[
            bool | None,
            typer.Option(
                "--page/--no-page",
                help="Write page.html as the run goes.",
                show_default="where it takes more than 10 seconds",
            ),
        ] = None,
        as_json: AsJson = False,
        **given: Any,
    ) -> None:
        from_file, repeat = read_config(config) if config else ({}, None)
        tasks = {} if verb == "run" else {"tasks": verb}
        options = Options.of(from_file, given, tasks)
        if config:
            _check_code(config, from_file, given)
        named = options.url if given["url"] is None else ()
        one = configure(options, note=note, named_by_file=named)
        if repeat and options == Options.of(from_file, tasks):
            _check_repeats(one, repeat)
        heading = f"{one.title} on {one.dataset.name}"
        root = one.shard_folder(run or one.default_folder)
        several = verb == "run" or run is None
        paths = {task: root / task if several else root for task in one.tasks}
        if dry_run:
            shown_first = preview(one, paths)
            print_json(shown_first.to_json()) if as_json else output().print(str(shown_first))
            return
        note(f"{heading}, into {', '.join(map(str, paths.values()))}")
        if one.dataset.repeated:
            note(f"repeated ids, of which the last caption counts: {', '.join(one.dataset.repeated)}")
        with interruptible(), shown("rich", page) as progress:
            results = asyncio.run(run_configuration(one, paths, progress, yes))
        if as_json:
            print_json(runs_json(results))
        else:
            tables = [] if options.shard else [results.table()]
            output().print("\n".join([*tables, *(f"{task}: {path}" for task, path in paths.items())]))
        if options.shard:
            note(unscored(options.shard, root.parent))
        finish([results], scored=not options.shard)

    command.__doc__ = VERBS[verb]
    names = [*ASKING, *SCORING]
    left_out = () if verb == "run" else ("tasks", *OF_PERSONS)
    return with_options([name for name in names if name not in left_out])(command)


def _check_code(config: Path, from_file: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a file that has code run where the command line does not.

    Raises:
        UsageError: naming the option to add to the command.
    """
    if from_file.get("trust_remote_code") and given["trust_remote_code"] is None:
        reason = "a file cannot allow the code of a checkpoint to run: add this option to the command"
        raise UsageError(f"{reason} if you trust its authors", path=config, item=flag("trust_remote_code"))
    if from_file.get("ray_address") and given["ray_address"] is None:
        reason = "a file cannot name a cluster, which runs code: add this option to the command"
        raise UsageError(f"{reason} if it is yours", path=config, item=flag("ray_address"))
    model = str(from_file.get("model", ""))
    if is_file(model) and given["model"] is None:
        raise UsageError(f"a file cannot have an adapter's file run: {name_it(model)}", path=config)


def _check_repeats(one: Configuration, settings: Settings) -> None:
    """Refuse to repeat a run with settings other than it had.

    Raises:
        UsageError: the first setting that differs is named.
    """
    if changed := settings.difference(one.settings(settings.task)):
        raise UsageError(f"this would not repeat that run ({changed})", item="--config")


def runs_json(results: Results) -> list[dict[str, Any]]:
    """The runs of an evaluation as JSON; a run that is not scored has no scorecard."""
    return [
        {
            "task": task,
            "folder": str(record.path),
            "scorecard": results[task].to_json() if task in results else None,
        }
        for task, record in results.records.items()
    ]


def finish(results: Iterable[Results], scored: bool = True) -> None:
    """Say what this start took, what is not done, how to go on, and whether the scores say little.

    Raises:
        typer.Exit: something is not done.
    """
    found = list(results)
    outcomes = found[0].outcomes
    scored = scored and not outcomes.pending
    records = [one for own in found for one in own.records.values()] if scored else []
    lines = [line for one in found for line in one.usage.lines()] if outcomes.asked else []
    if outcomes.asked and outcomes.dollars is not None:
        lines.append(f"cost: {dollars_words(outcomes.dollars)} so far")
    note(*lines)
    if outcomes.pending:
        note(f"{many(outcomes.pending, 'request')} {COLLECT}")
        raise typer.Exit(PENDING)
    if failed := max(one.outcomes.failed for one in found):
        note(f"{many(failed, 'request')} failed; run the same command again to retry them")
    if outcomes.exhausted:
        note(EXHAUSTED)
    warn_of_doubts({str(record.path): record.scorecard for record in records})
    if failed or outcomes.exhausted:
        raise typer.Exit(1)


for verb in VERBS:
    epilog = (
        f"Examples:  `microg-bench {verb} --model nearest-clip --data sample`  ·  "
        f"`microg-bench {verb} --model qwen2.5-vl --data MicroG-4M --limit 20 --dry-run`  ·  "
        f"`microg-bench {verb} --model gpt-5.4 --max-cost 5`"
    )
    app.command(verb, epilog=epilog)(_command(verb))
