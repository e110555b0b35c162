"""Compares judged runs pair by pair, where one judge judged all of them in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from microg_bench.annotation.judgement import Judgement, judgements, statistics
from microg_bench.errors import DataError, RunError
from microg_bench.metrics.base import Ratio
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Signature
from microg_bench.scoring.compare import Comparison, pairwise
from microg_bench.scoring.intervals import RESAMPLES, Clusters
from microg_bench.text import listed


@dataclass(frozen=True)
class JudgedComparison:
    """Runs that were judged in the same way, `how`: all pairs of them under each score.

    `items` have a readable verdict in all runs; `left_out` are those of any run that do not.
    """

    how: Signature
    judgements: tuple[Judgement, ...]
    comparisons: tuple[Comparison, ...]
    items: int
    left_out: int


def compare_judged(runs: Sequence[RunRecord], resamples: int = RESAMPLES) -> list[JudgedComparison]:
    """The comparisons of `runs`, two or more of one task, for each judge and rubric that judged all of them.

    Raises:
        RunError: a run was not judged, or its judgement is damaged or out of date.
        DataError: no judge judged all of them in the same way, or they have no judged item in common.
    """
    if len({run.settings.fingerprint for run in runs}) > 1:
        raise DataError("they have other references: they cannot be compared", item=_named(runs))
    found = [{one.how.long(): one for one in judgements(run).values()} for run in runs]
    for run, own in zip(runs, found, strict=True):
        if not own:
            raise RunError(f"has not been judged: run `microg-bench judge {run.path}` first", path=run.path)
    common = [name for name in found[0] if all(name in own for own in found)]
    if not common:
        told = "; ".join(listed(list(own), 2) for own in found)
        raise DataError(f"no judge judged all of them in the same way ({told})", item=_named(runs))
    return [compare_alike(runs, [own[name] for own in found], resamples) for name in common]


def compare_alike(
    runs: Sequence[RunRecord], judged: Sequence[Judgement], resamples: int = RESAMPLES
) -> JudgedComparison:
    """The comparison of runs by judgements of one judge and rubric, one a run, on the items that all have.

    Raises:
        DataError: they have no judged item in common.
    """
    ids = [{item.id for item in one.items} for one in judged]
    shared = set.intersection(*ids)
    if not shared:
        raise DataError("no item was judged in all of them", item=_named(runs))
    kept = [sorted((item for item in one.items if item.id in shared), key=attrgetter("id")) for one in judged]
    clusters = Clusters.of([item.source for item in kept[0]])
    comparisons = tuple(
        one
        for score in judged[0].scores
        for one in pairwise(
            score,
            Ratio,
            [(run, statistics(items, score)) for run, items in zip(runs, kept, strict=True)],
            clusters,
            resamples,
        )
    )
    left_out = len(set.union(*ids)) - len(shared)
    return JudgedComparison(judged[0].how, tuple(judged), comparisons, len(shared), left_out)


def _named(runs: Sequence[RunRecord]) -> str:
    return " and ".join(str(run.path) for run in runs)
