"""Shards of a run are joined and scored."""

from pathlib import Path
from typing import Any

from microg_bench.api import raise_all, score_and_save
from microg_bench.dataset.load import Dataset
from microg_bench.options import Options
from microg_bench.progress import Show, shown
from microg_bench.runs.merge import merge
from microg_bench.scorecard import Scorecard


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
    return [record.scorecard for record in records]
