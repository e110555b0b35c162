"""What the page of a run in progress costs: 10,000 answers recorded with and without it.

Usage: ``python benchmarks/live_page.py [--items N] [--times N]``, in half a minute. Answers are written to a
journal one by one, with a pause of half a millisecond in place of a model, which is faster than any. The page
is written as often as it may be, without a least time between two, so that only its share of the time bounds
it. Prints that share, in seconds of the processor; the ratio of the times with and without the page, which
moves with all else that the machine does; and how long one writing takes when all is answered. Exit status 1
where the median share is above 0.02.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from microg_bench.options import Options
from microg_bench.pages.live_page import LivePage
from microg_bench.progress import ASKING, Periodic, Progress
from microg_bench.records import Answer
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import PAGE_FILE, provenance
from microg_bench.storage import write_json

LIMIT = 0.02
QUESTIONS = 10  # of a clip
PAUSE_S = 0.0005


class OftenPeriodic(Periodic):
    """Acts as often as its share of the time allows, and adds up what it takes."""

    EVERY_S = 0.0

    def __init__(self, page: LivePage) -> None:
        super().__init__(Progress(), ASKING, always=True)
        self.spent, self.page, self.act = 0.0, page, self.timed

    def timed(self, seconds: float, steps: int) -> None:
        """Write the page."""
        begun = time.process_time()
        self.page.write(seconds, steps)
        self.spent += time.process_time() - begun


def configured(folder: Path, items: int) -> Configuration:
    """A run of `items` questions."""
    pairs = [{"Q": f"What is seen in part {k} of the clip?", "A": "A cap floats."} for k in range(QUESTIONS)]
    clips = [
        {"video_id": f"a{k:05d}_000", "caption": "A cap floats.", "qa_pairs": pairs}
        for k in range(items // QUESTIONS)
    ]
    write_json(folder / "refs.json", clips)
    return configure(Options.of({"model": "constant", "data": str(folder / "refs.json"), "tasks": "vqa"}))


def recorded(one: Configuration, folder: Path, paged: bool) -> tuple[float, float]:
    """Seconds that it takes to record an answer to each question, and those of the processor for the page."""
    with RunRecord.open(folder, one.settings("vqa"), {}, provenance()) as run:
        often = OftenPeriodic(LivePage(folder / PAGE_FILE, {"vqa": run}, one, Progress()))
        progress: Progress = often if paged else Progress()
        items = one.items["vqa"]
        progress.stage(ASKING, len(items))
        begun = time.perf_counter()
        for item in items:
            time.sleep(PAUSE_S)
            run.add(Answer(id=item.request.id, text="A man floats.", answer="A man floats."))
            progress.advance()
        return time.perf_counter() - begun, often.spent


def writing(one: Configuration, folder: Path) -> float:
    """Processor seconds of one writing of the page, when all is answered."""
    run = RunRecord.read(folder)
    page = LivePage(folder / PAGE_FILE, {"vqa": run}, one, Progress())
    page.write(1.0, 1)
    begun = time.process_time()
    page.write(1.0, 1)
    return time.process_time() - begun


def main() -> int:
    """Print two lines; return 1 where the page costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    ratios, shares = [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        one = configured(root, given.items)
        for k in range(given.times):
            plain, _ = recorded(one, root / f"plain{k}", paged=False)
            paged, spent = recorded(one, root / f"paged{k}", paged=True)
            ratios.append(paged / plain)
            shares.append(spent / paged)
        last = writing(one, root / "paged0")
        size = (root / "paged0" / PAGE_FILE).stat().st_size
    share = statistics.median(shares)
    print(f"share of the time: {_told(shares)}; limit {LIMIT}")
    print(f"time with the page / without: {_told(ratios)}")
    print(f"one writing, {given.items:,} answers: {1000 * last:.1f} ms, {size / 1000:.0f} kB")
    return int(share > LIMIT)


def _told(values: list[float]) -> str:
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})"


if __name__ == "__main__":
    sys.exit(main())
