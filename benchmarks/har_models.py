"""Clips a second of `har predict`, decoding and all, beside the bare forward pass of the same clips.

python -m benchmarks.har_models [MODEL] [--copies N] [--rounds N] [--threads N]

The clips are those of the sample set, several times over, each decoded anew; the weights are random. The
start of the decoding processes counts. The passes take turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from microg_bench.dataset.labels import read_label_map
from microg_bench.har.checkpoints import build
from microg_bench.har.clips import decoded, shown
from microg_bench.har.logits import logits_of
from microg_bench.har.predict import PredictOptions, Recogniser, predict
from microg_bench.har.recipe import read_recipe
from microg_bench.persons.keyframes import load_key_frames
from microg_bench.video.pool import DecodePool


def main() -> None:
    """Measure, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="SLOWONLY_4x16_R50")
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    labels, recipe = read_label_map(), read_recipe(given.model)
    sample = load_key_frames("sample", labels, split="all")
    items = [
        replace(one, video_id=f"{one.video_id}-{k}") for k in range(given.copies) for one in sample.items
    ]
    key_frames = replace(sample, items=tuple(items))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build(recipe, len(labels)).eval().to(device)
    one = Recogniser(network, recipe, labels.ids, "random", "0" * 64)
    options = PredictOptions(checkpoint="random", batch=given.batch, device=str(device))
    with DecodePool(2) as pool:
        ready = [
            shown(item, cast(Any, pixels), recipe.input.short_side)
            for item, pixels in decoded(key_frames.items, recipe.input, pool)
        ]
    whole, bare = [], []
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            predict(one, key_frames, Path(folder) / "run", options)
            whole.append(time.perf_counter() - began)
        began = time.perf_counter()
        for k in range(0, len(ready), given.batch):
            logits_of(network, device, ready[k : k + given.batch])
        bare.append(time.perf_counter() - began)
    clips = len(key_frames)
    print(f"{given.model} on {device}, {given.threads} threads, batches of {given.batch}")
    print(
        f"har predict: {clips / min(whole):.2f} clips/s, bare forward pass: {clips / min(bare):.2f} clips/s"
    )
    print(f"ratio: {min(bare) / min(whole):.3f} (target 0.9)")


if __name__ == "__main__":
    main()
