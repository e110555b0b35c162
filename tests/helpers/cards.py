"""Scorecards made by hand, for tests of figures."""

from __future__ import annotations

from typing import Any

from microg_bench.runs.scorecard import FloorEntry, ModelEntry, Scorecard, ScoreEntry, SliceEntry
from tests.helpers.runs import make_settings

METRICS = ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-VQA", "BERTScore")
SLICES = {
    "source": ("FXv9AZl3fw4", "QvTmdIhYnes", "PrqcwH8LhDU"),
    "question word": ("what", "who", "other"),
    "answerable": ("present", "absent"),
}


def make_card(
    title: str = "A model", value: float = 20.0, frames: int = 8, prompt: str = "default", **changed: Any
) -> Scorecard:
    """A scorecard of all metrics, which are as far from `value` as they stand from the first."""
    task = changed.get("task", "vqa")
    settings = make_settings(
        task=task, title=title, frames=f"uniform:{frames}", prompt=f"{task}-{prompt}@1:0a1b2c3d"
    )
    scores = {name: value + 7 * k for k, name in enumerate(METRICS)}
    kinds = SLICES if task == "vqa" else {"source": SLICES["source"]}
    values: dict[str, Any] = {
        "status": "complete",
        "task": task,
        "protocol": "paper",
        "items": 90,
        "dataset": "refs",
        "fingerprint": "f" * 64,
        "model": ModelEntry(name="m", title=title, frames=f"uniform:{frames}", frame_count=frames),
        "scores": {
            name: ScoreEntry(value=one, interval=(one - 3, one + 4), signature=f"{name}|p:paper|n:90|v:1")
            for name, one in scores.items()
        },
        "floors": {"blind": FloorEntry(title="Floor: blind", scores={"CIDEr": 12.0, "BLEU-4": 14.0})},
        "slices": {
            kind: {
                name: SliceEntry(items=30 - k, scores={m: one - 5 * k for m, one in scores.items()})
                for k, name in enumerate(names)
            }
            for kind, names in kinds.items()
        },
        "settings": settings.model_dump(mode="json"),
    }
    return Scorecard.model_validate({**values, **changed})
