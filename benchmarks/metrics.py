"""The four lexical metrics on the full oracle predictions: this harness beside pycocoevalcap, in one run.

Usage: ``python benchmarks/metrics.py [--shared DIR]``. Prints seconds and their ratio for captions and
answers together. Both sides use the same texts, with white space made single, since the published METEOR
driver hangs on line breaks. The reduced paraphrase tables are timed both absent and present.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from microg_bench.metrics import score

NAMES = ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR")
Pairs = list[tuple[str, str]]


def load(shared: Path) -> list[Pairs]:
    """Captions and answers, each a list of candidate and reference."""
    folder = shared / "data/oracle/full"
    captions = json.loads((folder / "captions.json").read_text())
    answers = _answers(json.loads((folder / "vqa.json").read_text()))
    records = json.loads((shared / "data/microg4m/vqa_and_captioning.json").read_text())
    references = {record["video_id"]: record["caption"] for record in records}
    reference_answers = _answers(records)
    tasks = ((captions, references), (answers, reference_answers))
    return [[(_plain(ours[key]), _plain(theirs[key])) for key in theirs] for ours, theirs in tasks]


def _answers(records: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {
        (record["video_id"], pair["Q"].strip()): pair["A"]
        for record in records
        for pair in record["qa_pairs"]
    }


def _plain(text: str) -> str:
    return " ".join(text.split())


def published(tasks: list[Pairs], protocol: str) -> list[float]:
    """Scores of pycocoevalcap, called as its own evaluation does."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    values = []
    for pairs in tasks:
        sides = [{index: [{"caption": pair[side]}] for index, pair in enumerate(pairs)} for side in (0, 1)]
        if protocol == "coco":
            ours, theirs = (PTBTokenizer().tokenize(side) for side in sides)
        else:
            ours, theirs = ({key: [text[0]["caption"]] for key, text in side.items()} for side in sides)
        values.append(Cider().compute_score(theirs, ours)[0])
        values.append(Bleu(4).compute_score(theirs, ours, verbose=0)[0][3])
        values.append(Rouge().compute_score(theirs, ours)[0])
        values.append(Meteor().compute_score(theirs, ours)[0])
    return [100 * value for value in values]


def harness(tasks: list[Pairs], protocol: str) -> list[float]:
    """Scores of this harness."""
    values: list[float] = []
    for pairs in tasks:
        scores = score([pair[0] for pair in pairs], [pair[1] for pair in pairs], NAMES, protocol)
        values += [answer.value for answer in scores.values()]  # type: ignore[union-attr]
    return values


def timed(
    call: Callable[[list[Pairs], str], list[float]], tasks: list[Pairs], protocol: str
) -> tuple[float, list[float]]:
    """Seconds and scores."""
    start = time.perf_counter()
    values = call(tasks, protocol)
    return time.perf_counter() - start, values


def main() -> int:
    """Print one line a protocol and side; end with 1 where the two sides differ by more than 0.01."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    tasks = load(parser.parse_args().shared)
    worst = 0.0
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for protocol in ("paper", "coco"):
            slow, expected = timed(published, tasks, protocol)
            print(f"{protocol}: pycocoevalcap {slow:.1f} s")
            for state in ("first run of these references", "later runs"):
                fast, values = timed(harness, tasks, protocol)
                worst = max(worst, *(abs(a - b) for a, b in zip(values, expected, strict=True)))
                print(f"{protocol}: harness {fast:.1f} s, {slow / fast:.1f} times as fast ({state})")
    print(f"largest difference of a score: {worst:.1e}")
    return int(worst > 0.01)


if __name__ == "__main__":
    sys.exit(main())
