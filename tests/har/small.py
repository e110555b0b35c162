"""Small tables of actions for tests: a few boxes with scores, as a model's evaluation writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from microg_bench import har
from microg_bench.scorecard import Scorecard

IDS = har.read_label_map().ids
BOX_A, BOX_B = "0.1,0.1,0.5,0.9", "0.2,0.2,0.6,0.8"
TRUTH = f"a_001,10,{BOX_A},12,0\na_001,10,{BOX_A},17,0\nb_001,10,{BOX_B},12,0\n"


def box(video: str, place: str, scores: Sequence[float], ids: Sequence[int] = IDS) -> str:
    """The rows of one box in frame 10, one per action."""
    return "".join(
        f"{video},0010,{place},{number},{score}\n" for number, score in zip(ids, scores, strict=True)
    )


def rising(start: float) -> list[float]:
    """A score for each action, all different."""
    return [start + 0.25 * place for place in range(len(IDS))]


# Row 1 begins the box of a_001, row 51 that of b_001.
DETECTIONS = box("a_001", BOX_A, rising(-8.0)) + box("b_001", BOX_B, rising(-9.125))


def write(folder: Path, detections: str = DETECTIONS, truth: str = TRUTH) -> tuple[Path, Path]:
    """Write both tables to `folder`."""
    (folder / "d.csv").write_text(detections)
    (folder / "g.csv").write_text(truth)
    return folder / "d.csv", folder / "g.csv"


def scored(detections: Path, truth: Path, resamples: int = 0) -> Scorecard:
    """The scorecard of two tables."""
    labels = har.read_label_map()
    found = har.read_detections(detections, labels)
    return har.evaluate(found, har.read_ground_truth(truth, labels), labels, resamples=resamples)
