"""Sweeps: one model asked with every number of frames and every prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset
from microg_bench.errors import UsageError
from microg_bench.options import Options, flag
from microg_bench.progress import Show, shown
from microg_bench.runs.configure import configure
from microg_bench.scorecard import Scorecard
from microg_bench.storage import write_text
from microg_bench.tables.markdown import sweep_table

SWEEP_FILE = "sweep.md"


class Sweep(dict[str, Results]):
    """The results of a sweep by the name of the configuration, such as ``frames8-default``."""

    def __init__(self, folder: Path, results: Mapping[str, Results]) -> None:
        super().__init__(results)
        self.folder = folder

    def cards(self) -> dict[str, list[Scorecard]]:
        """The scorecards of each configuration, one a task."""
        return {name: list(results.values()) for name, results in self.items()}

    def table(self) -> str:
        """One table a task in Markdown, one row a configuration."""
        return sweep_table(self.cards())


def sweep(  # noqa: PLR0913 - what varies, and the arguments of `evaluate`
    model: str,
    data: str | Path | Dataset | None = None,
    tasks: str | Sequence[str] = ("caption", "vqa"),
    *,
    run: str | Path,
    frames: Sequence[int] = (),
    prompts: Sequence[str] = (),
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Sweep:
    """Evaluate one model with every number of frames and every prompt; each clip is decoded once for all.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`.
        tasks: as in `evaluate`.
        run: the folder of the sweep; a folder for each configuration is made below it.
        frames: numbers of frames; none takes the adapter's.
        prompts: names of prompts or .toml files; none takes the default.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `frames`, `prompt` and `batch`.

    Returns:
        The results by the name of the configuration, such as ``frames8-default``.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; frames that are not counted.
    """
    name, dataset = (None, data) if isinstance(data, Dataset) else (data, None)
    given = {"model": model, "data": name, "tasks": tasks, **options}
    root, found = Path(run), {}
    counts: Sequence[int | None] = frames or [None]
    with shown(progress) as callback:
        for count, prompt in product(counts, prompts or ["default"]):
            one = configure(Options.of(given, {"frames": count, "prompt": prompt}), dataset, callback.note)
            dataset = one.dataset
            if len(frames) > 1 and one.frames and one.frames.count is None:
                reason = f"{one.frames} sets the number of frames itself: sweep prompts alone"
                raise UsageError(reason, item=flag("sampling"))
            label = "-".join([*([f"frames{count}"] if count is not None else []), Path(prompt).stem])
            if label in found:
                reason = f"two configurations have the name {label}: give each number and prompt once"
                raise UsageError(reason)
            own = one.shard_folder(root)
            found[label] = one, {task: own / label / task for task in one.tasks}
        results = Sweep(own, in_loop(run_variants(found, own, callback, yes)))
    if not one.options.shard:
        write_text(root / SWEEP_FILE, results.table())
    return results
