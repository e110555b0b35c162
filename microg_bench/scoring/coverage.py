"""What is to be known before answers are compared: requests that have none, and answers that are sampled."""

from __future__ import annotations

from collections.abc import Iterable

from microg_bench.records import AnswerTask
from microg_bench.runs.record import RunRecord
from microg_bench.tasks import TASKS
from microg_bench.text import many


def asked_count(run: RunRecord) -> int:
    """How many requests a run has, with or without an answer.

    Raises:
        RunError: the run is damaged.
    """
    return run.scorecard.counts.requests if run.is_scored else len(run.answers) + len(run.failures)


def is_whole(run: RunRecord) -> bool:
    """Whether a run is scored, with an answer to each request; see `asked_count`."""
    return run.is_scored and run.scorecard.counts.answered == run.scorecard.counts.requests


def lacking(task: AnswerTask, asked: int, answered: Iterable[int], what: str) -> tuple[str, ...]:
    """Why no score of a task is compared and what to do, a sentence; nothing where all was answered.

    Args:
        task: the task.
        asked: how many requests each run has.
        answered: how many of them have an answer, of each run.
        what: what the runs are called, such as ``repeats``.
    """
    missing = sorted({asked - count for count in answered})
    if not any(missing):
        return ()
    counts = " to ".join(f"{count:,}" for count in dict.fromkeys([missing[0], missing[-1]]))
    return (
        f"{TASKS[task].title}: no score could be compared, since {what} have no answer to {counts} of "
        f"{many(asked, 'request')}: run the same command again to ask these",
    )


def is_sampled(run: RunRecord) -> bool:
    """Whether answers differ by chance: sampled, or by a model that rejected the temperature 0."""
    if run.settings.engine == "function":  # a baseline
        return False
    return run.settings.generation.temperature > 0 or "temperature" in run.rejected


def sampling(run: RunRecord) -> tuple[str, ...]:
    """That answers differ by chance, a sentence; nothing where they do not."""
    if not is_sampled(run):
        return ()
    temperature = run.settings.generation.temperature
    how = "at a temperature of its own" if "temperature" in run.rejected else f"temperature {temperature:g}"
    return (
        f"The model sampled its answers ({how}): some differ by chance alone, so that a share of other "
        "answers shows no dependence",
    )
