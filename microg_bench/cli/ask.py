"""`microg-bench caption`, `vqa` and `run`: ask a model about clips, write its answers down, score them.

The three verbs take the same options; `run` alone says with `--tasks` what to ask.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from microg_bench.cli import options as o
from microg_bench.cli.score import make_scoring, score_runs
from microg_bench.cli.show import ProgressWatcher, dry_run, errors_console, output
from microg_bench.errors import UsageError
from microg_bench.records import TaskName
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.settings import make_options, read_config
from microg_bench.runs.start import run_folders, start

VERBS = {
    "caption": "Let a model caption the clips, and score the captions.",
    "vqa": "Let a model answer questions about the clips, and score the answers.",
    "run": "Caption and answer in one go; each clip is decoded once for both.",
}
LISTS = ("tasks", "clips", "metrics")
INTERRUPTED = 130


def _command(verb: str) -> Callable[..., None]:
    """The function behind `verb`; typer reads its signature."""

    def command(
        model: o.Model = None,
        tasks: o.Tasks = None,
        data: o.Data = None,
        frames: o.Frames = None,
        sampling: o.Sampling = None,
        prompt: o.Prompt = None,
        limit: o.Limit = None,
        clips: o.Clips = None,
        engine: o.Engine = None,
        checkpoint: o.Checkpoint = None,
        revision: o.Revision = None,
        dtype: o.Dtype = None,
        attention: o.Attention = None,
        device_map: o.DeviceMap = None,
        batch_size: o.BatchSize = None,
        decoders: o.Decoders = None,
        trust_remote_code: o.RemoteCode = None,
        seed: o.Seed = None,
        metrics: o.Metrics = None,
        protocol: o.Protocol = None,
        sentence_model: o.SentenceModel = None,
        bertscore_model: o.BertscoreModel = None,
        bertscore_layers: o.BertscoreLayers = None,
        bertscore_idf: o.BertscoreIdf = None,
        bertscore_rescale: o.BertscoreRescale = None,
        bf16: o.Bf16 = None,
        run: o.Run = None,
        config: o.Config = None,
        dry_run: o.DryRun = False,
    ) -> None:
        given = dict(locals())
        for name in ("run", "config", "dry_run", "verb"):
            given.pop(name, None)
        _ask(verb, _read(verb, given), config, run, dry_run)

    command.__doc__ = VERBS[verb]
    if verb != "run":
        command.__annotations__["tasks"] = o.NoTasks
    return command


def _read(verb: str, given: dict[str, Any]) -> dict[str, Any]:
    """What was typed, with comma-separated lists taken apart and the verb's own task."""
    if verb != "run" and given["tasks"] is not None:
        raise UsageError(f"`{verb}` is one task; `microg-bench run --tasks` asks several")
    if verb != "run":
        given["tasks"] = verb
    for name in LISTS:
        given[name] = o.split(given[name])
    return given


def _ask(verb: str, given: dict[str, Any], config: Path | None, run: Path | None, show_only: bool) -> None:
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
    _start(prepared, paths)
    cards = score_runs(list(paths.values()), scoring, options.data)
    output().print("\n".join(f"{task}: {path}" for task, path in paths.items()))
    if failures := sum(card.failures for card in cards):
        errors_console().print(f"{failures} requests failed; start the same command again to retry them")
        raise typer.Exit(1)


def _start(prepared: Prepared, paths: dict[TaskName, Path]) -> None:
    try:
        with ProgressWatcher() as watcher:
            start(prepared, paths, watcher)
    except KeyboardInterrupt:
        errors_console().print("interrupted: every answer is kept; start the same command again to go on")
        raise typer.Exit(INTERRUPTED) from None


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
        f"`microg-bench {verb} --model qwen2.5-vl --data MicroG-4M --limit 20 --dry-run`"
    )


def register(app: typer.Typer) -> None:
    """Add the three verbs to `app`."""
    for verb in VERBS:
        app.command(verb, epilog=_epilog(verb))(_command(verb))
