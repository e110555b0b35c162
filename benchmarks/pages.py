"""How long the page of a run of the whole benchmark takes to open: 1,238 clips, 7,528 questions.

Usage: ``python benchmarks/pages.py [--shared DIR] [--times N]``. The run is made with the baseline `blind` on
the real annotations; each clip gets eight pictures, since the baseline is shown none. Chromium opens the page
from the file system, each time in a new context; an opening lasts from the navigation to the painted list
that answers to the keyboard. Prints megabytes and seconds; exit status 1 where the median is above 2 s.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from microg_bench.pages.frames import Strip, jpegs
from microg_bench.pages.run_page import run_page
from microg_bench.runs.record import RunRecord, find_runs

DATA = Path("data", "microg4m", "vqa_and_captioning.json")
LIMIT = 2.0
FRAMES = 8
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def make_run(shared: Path, folder: Path) -> Path:
    """Both tasks on all annotations, scored with the metrics that are quick to compute."""
    command = [sys.executable, "-m", "microg_bench", "run", "--model", "blind", "--data", str(shared / DATA)]
    command += ["--metrics", "CIDEr,BLEU-4,ROUGE-L", "--run", str(folder / "run")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def make_page(run: Path, folder: Path) -> Path:
    """The page with eight pictures a clip: one file under many names."""
    runs = [RunRecord.read(path) for path in find_runs(run)]
    dataset = runs[0].dataset()
    noise = np.random.default_rng(0).integers(0, 255, (1, 24, 32, 3), dtype=np.uint8)
    [picture] = jpegs(noise.repeat(10, axis=1).repeat(10, axis=2))
    (folder / "one.jpg").write_bytes(picture)
    strips = {}
    for k, clip in enumerate(dataset.clips):
        pictures = folder / "frames" / f"{k:05d}"
        pictures.mkdir(parents=True)
        for index in range(FRAMES):
            os.link(folder / "one.jpg", pictures / f"{index}.jpg")
        strips[clip.video_id] = Strip(tuple((index, index / 3) for index in range(FRAMES)), pictures.name)
    file = folder / "index.html"
    file.write_bytes(run_page(runs, dataset, [run.item_scores() for run in runs], strips))
    return file


def opening(browser: Browser, file: Path) -> float:
    """Seconds until the list is painted and answers to a key."""
    page = browser.new_context(offline=True).new_page()
    page.set_default_timeout(60_000)
    begun = time.perf_counter()
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector("html[data-ready=yes]")
    page.evaluate(PAINTED)
    page.keyboard.press("j")
    page.wait_for_selector("#list .open:focus")
    seconds = time.perf_counter() - begun
    page.context.close()
    return seconds


def main() -> int:
    """Print one line; return 1 where a page opens too slowly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--times", type=int, default=7)
    given = parser.parse_args()
    if not (given.shared / DATA).is_file():
        parser.error(f"{given.shared / DATA} is missing: give the folder that holds it with --shared")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        file = make_page(make_run(given.shared, folder), folder)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        seconds = [opening(browser, file) for _ in range(given.times)]
        size = file.stat().st_size / 1e6
        browser.close()
    middle = float(np.median(seconds))
    print(
        f"page of {size:.1f} MB opens in {middle:.2f} s "
        f"(median of {len(seconds)}, {min(seconds):.2f} to {max(seconds):.2f}; limit {LIMIT:.0f} s)"
    )
    return int(middle > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
