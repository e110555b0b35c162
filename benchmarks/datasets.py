"""Datasets of any size for benchmarks: texts of the sample set, repeated, with six questions a clip."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import SAMPLE_FOLDER

QUESTIONS = 6  # of a clip
A_SOURCE = 70  # clips; MicroG-4M has 69 on average


def make_dataset(folder: Path, clips: int, videos: Sequence[bytes]) -> Path:
    """Write annotations, as Parquet, and a video file for each clip.

    Args:
        folder: is made.
        clips: how many.
        videos: contents of video files. The first clips of a source have a copy of each, the others are links
            to these.
    """
    import polars

    folder.mkdir(parents=True)
    polars.DataFrame(list(annotations(clips))).write_parquet(folder / "vqa_and_captioning.parquet")
    for number in range(clips):
        file, cut = _video(folder, number), number % A_SOURCE
        if cut < len(videos):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(videos[cut])
        else:
            os.link(_video(folder, number - cut + cut % len(videos)), file)
    return folder


def annotations(clips: int) -> Iterator[dict[str, Any]]:
    """So many records; no two questions of a clip are the same."""
    records = json.loads((SAMPLE_FOLDER / "vqa_and_captioning.json").read_text())
    for number in range(clips):
        record = records[number % len(records)]
        pairs = (record["qa_pairs"] * QUESTIONS)[:QUESTIONS]
        pairs = [{**pair, "Q": f"{pair['Q']} ({k})"} for k, pair in enumerate(pairs)]
        yield {"video_id": _name(number), "caption": record["caption"], "qa_pairs": pairs}


def _name(number: int) -> str:
    return f"source{number // A_SOURCE}_{number % A_SOURCE:03}"


def _video(folder: Path, number: int) -> Path:
    name = _name(number)
    return folder / "videos" / name.partition("_")[0] / f"{name}.mp4"
