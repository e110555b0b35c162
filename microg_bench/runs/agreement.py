"""Whether what lies in the folder of a run belongs together, and is whole."""

from contextlib import suppress
from typing import Any

from microg_bench.errors import MicrogError
from microg_bench.runs.record import JOURNAL_FILE, SCORECARD_FILE, STATISTICS_FILE, RunRecord
from microg_bench.tasks import TASKS
from microg_bench.text import many

TOGETHER = "usage of all tasks together"


def disagreement(run: RunRecord) -> str:
    """How journal and scorecard of a scored run disagree, and what to do, in words; empty where they agree.

    Raises:
        RunError: its journal or scorecard is damaged.
    """
    counts = run.scorecard.counts
    claimed, held = (counts.answered, counts.failed), (len(run.answers), len(run.failures))
    if claimed == held:
        return ""
    told = f"{JOURNAL_FILE} holds {many(held[0], 'answer')} and {many(held[1], 'failure')}"
    other = f"{SCORECARD_FILE} is of {claimed[0]:,} and {claimed[1]:,}"
    again = f"run `microg-bench score {run.path}` to score what is there"
    return f"{told}, but {other}: {again}, or the run's command again to ask the rest"


def without_statistics(run: RunRecord) -> str:
    """That the scores of single items are not at hand, and what to do; empty where they are."""
    if run.has_statistics:
        return ""
    again = f"run `microg-bench score {run.path}` again"
    return f"{STATISTICS_FILE} is missing, so there are no scores of single items: {again}"


def shared_usage(run: RunRecord) -> list[bool]:
    """Of each start, whether its usage is that of all tasks that were asked in it together."""
    others: list[object] = []
    for task in TASKS:
        with suppress(MicrogError):  # there is none, or it is damaged: nothing is known of it
            if task != run.settings.task:
                others += (start.get("usage") for start in RunRecord.read(run.path.parent / task).starts)
    return [bool(start.get("usage")) and start["usage"] in others for start in run.starts]


def told_starts(run: RunRecord) -> list[dict[str, Any]]:
    """The starts of a run as they are shown: a usage of several tasks together is named so."""
    return [
        {(TOGETHER if shared and name == "usage" else name): value for name, value in start.items()}
        for start, shared in zip(run.starts, shared_usage(run), strict=True)
    ]
