"""Who is admitted to the leaderboard: whole runs, whose files tell of one and the same."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from microg_bench.errors import RunError
from microg_bench.report.part import Part
from microg_bench.runs.scorecard import ModelEntry, Scorecard
from microg_bench.runs.settings import Settings

MAX_FRAMES = 100_000


def check_admissible(path: Path, part: Part) -> None:
    """Accept a complete run on a whole dataset, whose scorecard is of its settings and its answers.

    Args:
        path: named in errors.
        part: the run.

    Raises:
        RunError: it is not complete, asks only some of the clips, or its files tell of different runs.
    """
    card, settings, answers = part.card, part.settings, part.state.answers
    if card.status != "complete" or card.failures or card.missing or card.foreign or part.state.failures:
        raise RunError(f"{path}: is not complete ({card.status}), so it cannot stand on a leaderboard")
    if settings.clips is not None:
        raise RunError(f"{path}: asks {len(settings.clips)} clips only, not the whole dataset")
    if card.items != len(answers):
        raise RunError(
            f"{path}: holds {len(answers)} answers, its scorecard is of {card.items}; score it again"
        )
    if not _is_of(card, settings):
        raise RunError(f"{path}: run.json and scorecard.json tell of different runs")


def _is_of(card: Scorecard, settings: Settings) -> bool:
    try:
        claimed = Settings.model_validate(card.settings)
    except ValidationError:
        return False
    count = card.model.frame_count if card.model else None
    model = ModelEntry(name=settings.model, title=settings.title, frames=settings.frames, frame_count=count)
    told = 0 <= (count or 0) <= MAX_FRAMES
    return told and (claimed, card.model, card.fingerprint) == (settings, model, settings.fingerprint)
