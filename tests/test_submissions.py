"""The submissions of this repository. CI checks each with `microg-bench submit check`."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "results" / "submissions"


def test_the_baselines_were_submitted_first() -> None:
    names = {path.name.rpartition("-")[0] for path in FOLDER.iterdir() if path.is_dir()}
    assert {"constant-caption", "constant-vqa", "blind-caption", "blind-vqa"} <= names
