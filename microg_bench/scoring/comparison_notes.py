"""What a reader of compared runs must know: what the differences rest on, and what else differs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import IntervalEntry
from microg_bench.scoring.compare import Comparison, other_clips, other_inputs
from microg_bench.scoring.intervals import LEVEL, METHOD, RESAMPLES, smallest_p, tries_of
from microg_bench.text import listed, many, printable


def pair_name(one: Comparison, letters: Mapping[Path, str]) -> str:
    """Which run is subtracted from which; `letters` name the runs by their paths."""
    return f"{letters[one.first.path]} − {letters[one.second.path]}"


def difference_notes(found: Sequence[Comparison], letters: Mapping[Path, str]) -> Iterator[str]:
    """What intervals and p-values rest on; all have the same source videos."""
    count = found[0].difference.clusters
    how = IntervalEntry(
        method=METHOD, level=LEVEL, clusters="source", cluster_count=count, resamples=RESAMPLES, seed=0
    )
    differences = {f"{one.metric} {pair_name(one, letters)}": one.difference for one in found}
    yield from how.notes({name: one.interval for name, one in differences.items()})
    if count > 1:
        tries = tries_of(len({(one.first.path, one.second.path) for one in found}))
        yield f"p: exchanges of {count} source videos, never below {smallest_p(count, tries):.4f}"


def comparison_remarks(records: Sequence[RunRecord], letters: Mapping[Path, str]) -> Iterator[str]:
    """What a reader must know of the answers that are compared, and which clips or inputs were others."""
    for record in records:
        yield from (f"{letters[record.path]}: {printable(line)}" for line in record.scorecard.remarks())
    for first, second in combinations(records, 2):
        pair = f"{letters[first.path]} and {letters[second.path]}"
        if clips := other_clips(first, second):
            yield f"{pair} were shown other files of {many(len(clips), 'clip')}: {listed(clips)}"
        if requests := other_inputs(first, second):
            of = f"{many(len(requests), 'request')}: {listed(requests)}"
            yield f"{pair} have inputs of other sizes, by the tokens of the prompts of {of}"
