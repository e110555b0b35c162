"""Shards of a run are joined and scored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microg_bench.api import raise_all, score_and_save
from microg_bench.dataset.load import Dataset
from microg_bench.options import Options
from microg_bench.progress import Show, shown
from microg_bench.runs.merge import merge
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.storage import write_text
from microg_bench.sweeps import SWEEP_FILE
from microg_bench.tables.markdown import sweep_table


def merge_runs(
    *shards: str | Path,
    out: str | Path,
    data: str | Path | Dataset | None = None,
    progress: Show = "rich",
    **options: Any,
) -> list[Scorecard]:
    """Join the shards of a run into one run, and score it; it equals the run of one start over all clips.

    Args:
        shards: the folders of the shards, or folders that hold them. Shards of several tasks or
            configurations are joined one by one.
        out: the folder to write; there must be none yet.
        data: where the dataset is; None takes the place that the shards were started with.
        progress: as in `evaluate`.
        options: any option of `microg_bench.options.ScoringOptions`; those of the shards count else.

    Raises:
        RunError: a folder is no shard, or one of another run; a shard is missing, there twice, or has not
            ended; or `out` exists, or cannot be written.
        DataError: the dataset cannot be read, or has other references than the run's.
    """
    with shown(progress) as callback:
        records, dataset = merge([Path(one) for one in shards], Path(out), data, callback)
        scoring = Options.of(records[0].options, options)
        _, errors = score_and_save(records, scoring, dataset, callback)
    raise_all(errors)
    if swept := configurations(records, Path(out)):
        write_text(Path(out) / SWEEP_FILE, sweep_table(swept))
    return [record.scorecard for record in records]


def configurations(records: Sequence[RunRecord], folder: Path) -> dict[str, list[Scorecard]]:
    """The scorecards of each configuration of a sweep in `folder`, by its name; none where it is no sweep.

    Configurations with fewer frames come first.
    """
    models = {(record.settings.model, record.settings.checkpoint) for record in records}
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.path.relative_to(folder).parent.as_posix(), []).append(record)
    if len(models) != 1 or "." in found or len(found) < 2:
        return {}
    ordered = sorted(found.items(), key=lambda item: (_frames(item[1][0]), item[0]))
    return {name: [record.scorecard for record in own] for name, own in ordered}


def _frames(record: RunRecord) -> int:
    frames = record.settings.frames
    return (frames.count or 0) if frames else 0
