"""Scorecards made by hand, for tests of tables, plots and exports."""

from __future__ import annotations

from typing import Any

from microg_bench.scorecard import BaselineEntry, Counts, ModelEntry, Scorecard, ScoreEntry, Signature
from microg_bench.settings import PromptId
from microg_bench.slices import SliceEntry
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import make_settings

METRICS = ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-VQA", "BERTScore")
SLICES = {
    "source": ("FXv9AZl3fw4", "QvTmdIhYnes", "PrqcwH8LhDU"),
    "question_word": ("what", "who", "other"),
    "answerable": ("answerable", "unanswerable"),
}


def signature(metric: str, **values: str) -> Signature:
    """A signature of 90 items under the paper's protocol, with these values beside or instead."""
    return Signature(metric=metric, values={"protocol": "paper", "items": "90", "version": "1", **values})


def make_card(
    title: str = "A model", value: float = 20.0, frames: int = 8, prompt: str = "default", **changed: Any
) -> Scorecard:
    """A scorecard of all metrics, each 7 above the one before it, from `value` on."""
    task = changed.get("task", "vqa")
    asked = PromptId(id=f"{task}-{prompt}", version=1, hash="0a1b2c3d")
    settings = make_settings(task=task, title=title, frames=FrameSpec(count=frames), prompt=asked)
    scores = {name: value + 7 * k for k, name in enumerate(METRICS)}
    kinds = SLICES if task == "vqa" else {"source": SLICES["source"]}
    values: dict[str, Any] = {
        "status": "complete",
        "task": task,
        "protocol": "paper",
        "items": 90,
        "counts": Counts(answered=90),
        "dataset": "refs",
        "fingerprint": "f" * 64,
        "model": ModelEntry(name="m", title=title, frames=FrameSpec(count=frames), frame_count=frames),
        "scores": {
            name: ScoreEntry(value=one, interval=(one - 3, one + 4), signature=signature(name))
            for name, one in scores.items()
        },
        "baselines": {
            "blind": BaselineEntry(title="Baseline: blind", scores={"CIDEr": 12.0, "BLEU-4": 14.0})
        },
        "slices": {
            kind: {
                name: SliceEntry(items=30 - k, scores={m: one - 5 * k for m, one in scores.items()})
                for k, name in enumerate(names)
            }
            for kind, names in kinds.items()
        },
        "settings": settings,
    }
    return Scorecard.model_validate({**values, **changed})


def with_settings(card: Scorecard, **changed: Any) -> Scorecard:
    """The scorecard with other settings of its run."""
    assert card.settings is not None
    return card.model_copy(update={"settings": card.settings.model_copy(update=changed)})
