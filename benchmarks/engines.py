"""The engine `vllm` beside vLLM used plainly, on a tiny checkpoint; and what the harness costs by itself.

    python -m benchmarks.engines [--clips 70] [--rounds 5] [--tokens 64]    in the environment with vLLM
    python -m benchmarks.engines --overhead [--requests 1000000]            in any

A clip is asked for a caption and six answers. `ours` is the harness itself: clips are decoded while others
are answered, and answers go into journals. `one at a time` is one call of `LLM.generate` a request, the clip
decoded for each, as evaluation scripts do it (on the first clips only: its pace does not change). `all at
once` is one call of `LLM.generate` with every prompt ready-made and every clip decoded before the clock
starts: the limit. Each runs in a fresh process, in turn; loading the model is not timed. `--tokens` are those
of every answer, `--pair` those of two frames in the prompt, `--at-once` the prompts computed together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from microg_bench.adapters import find_adapter
from microg_bench.engines.base import EngineOptions
from microg_bench.engines.function import FunctionEngine
from microg_bench.prompts import find_template
from microg_bench.records import Clip, Request, TaskName
from microg_bench.resources import sample_folder
from microg_bench.runs.execute import Execution
from microg_bench.runs.folder import RunFolder
from microg_bench.runs.frames import FrameStream, decoded, nothing_shown
from microg_bench.runs.plan import Work, plan
from microg_bench.runs.prepare import Prepared, prepare
from microg_bench.runs.settings import Options
from microg_bench.torchvision_repair import ensure_torchvision, repaired_children
from microg_bench.video import DecodePool, decode

TASKS: tuple[TaskName, ...] = ("caption", "vqa")
SIDES = ("ours", "one at a time", "all at once")
QUESTIONS = 6
PAIR = 256  # tokens of two frames at most; the published checkpoint's processor makes 391 of these clips
FEW = 6  # clips for the slow side
ANNOTATIONS = "vqa_and_captioning.json"


def make_dataset(folder: Path, clips: int) -> Path:
    """Copies of the sample clips under other ids, with six questions each."""
    sample = sample_folder()
    videos = {path.stem: path for path in (sample / "videos").rglob("*.mp4")}
    records = json.loads((sample / ANNOTATIONS).read_text())
    copies = []
    for number in range(clips):
        record = records[number % len(records)]
        source, _, cut = record["video_id"].rpartition("_")
        name = f"{source}c{number}_{cut}"
        pairs = (record["qa_pairs"] * QUESTIONS)[:QUESTIONS]
        pairs = [{**pair, "Q": f"{pair['Q']} ({k})"} for k, pair in enumerate(pairs)]
        copies.append({**record, "video_id": name, "qa_pairs": pairs})
        place = folder / "videos" / "real" / name.rpartition("_")[0] / f"{name}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(videos[record["video_id"]])
    (folder / ANNOTATIONS).write_text(json.dumps(copies))
    return folder


def prepared(options: argparse.Namespace) -> Prepared:
    """A run of both tasks."""
    return prepare(
        Options(
            model="qwen2.5-vl",
            engine="vllm",
            checkpoint=str(options.checkpoint),
            data=str(options.data),
            tasks=TASKS,
            max_tokens=options.tokens,
            at_once=options.at_once,
        )
    )


def ours(run: Prepared, folder: Path) -> dict[str, float]:
    """The harness: decoders, engine and journals at work together."""
    from microg_bench.engines.vllm import VllmEngine

    engine = VllmEngine(EngineOptions(checkpoint=run.options.checkpoint, at_once=run.options.at_once))
    work = list(plan(run.clips, TASKS, {}))
    with ExitStack() as stack:
        pool = stack.enter_context(DecodePool(workers=2))
        stack.callback(engine.close)
        engine.start()
        assert run.spec is not None
        seconds, folders = execute(run, engine, decoded(work, pool, run.spec, ahead=4), folder)
    responses = [
        record
        for task in folders
        for line in (folder / task / "journal.jsonl").read_text().splitlines()
        if (record := json.loads(line))["type"] == "response"
    ]
    assert len(responses) == sum(len(one.requests) for one in work)
    sent = sum(record["prompt_tokens"] for record in responses)
    return {
        "clips": len(work),
        "seconds": seconds,
        "sent": sent,
        "cached": sum(record["cached_tokens"] for record in responses),
    }


def execute(run: Prepared, engine: Any, frames: FrameStream, root: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of asking everything in `frames`, and the folders written to."""
    with ExitStack() as stack:
        folders = {
            task: stack.enter_context(RunFolder(root / task, run.settings(task), run.options, {}))
            for task in run.tasks
        }
        execution = Execution(run.adapter, engine, folders, run.templates)
        start = time.perf_counter()
        asyncio.run(execution.run(frames))
        return time.perf_counter() - start, folders


def plain(run: Prepared, side: str) -> dict[str, float]:
    """The class that vLLM has for offline use."""
    ensure_torchvision()
    import vllm
    from transformers import AutoProcessor
    from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

    vllm.ModelRegistry.register_model(
        "Qwen2_5_VLForConditionalGeneration", Qwen2_5_VLForConditionalGeneration
    )
    with repaired_children():
        model = vllm.LLM(
            run.options.checkpoint,
            dtype="float32",
            max_num_seqs=run.options.at_once,
            block_size=32,
            enforce_eager=True,
            enable_prefix_caching=True,
        )
    processor = AutoProcessor.from_pretrained(run.options.checkpoint)
    settings = vllm.SamplingParams(
        max_tokens=run.settings("caption").generation.max_tokens, temperature=0.0, detokenize=True
    )
    assert run.spec is not None
    if side == "one at a time":
        works = list(plan(run.clips[:FEW], TASKS, {}))
        outputs = []
        start = time.perf_counter()
        for request, clip in requests_of(works):
            outputs += model.generate(raw_prompt(run, processor, request, clip), settings, use_tqdm=False)
    else:
        works = list(plan(run.clips, TASKS, {}))
        shown: dict[str, Any] = {}
        prompts = [raw_prompt(run, processor, *one, shown) for one in requests_of(works)]
        start = time.perf_counter()
        outputs = model.generate(prompts, settings, use_tqdm=False)
    seconds = time.perf_counter() - start
    sent = sum(len(output.prompt_token_ids) for output in outputs)
    cached = sum(output.num_cached_tokens for output in outputs)
    return {"clips": len(works), "seconds": seconds, "sent": sent, "cached": cached}


def requests_of(works: list[Work]) -> Iterator[tuple[Request, Clip]]:
    """Each request with its clip."""
    return ((request, one.clip) for one in works for request in one.requests)


def raw_prompt(
    run: Prepared, processor: Any, request: Request, clip: Clip, shown: dict[str, Any] | None = None
) -> Any:
    """A prompt for `LLM.generate`; a clip that `shown` holds is not decoded again."""
    from microg_bench.engines._chat import render
    from microg_bench.engines.vllm import _video

    assert clip.video is not None
    assert run.spec is not None
    frames = shown.get(clip.video_id) if shown is not None else None
    frames = frames or decode(clip.video, run.spec)
    if shown is not None:
        shown[clip.video_id] = frames
    prompt = run.adapter.prompt(request, run.templates[request.task].render(request), frames)
    raw = {"prompt": render(processor, prompt), "multi_modal_data": {"video": [_video(frames)]}}
    # Or all copies of a clip would be one to vLLM.
    return raw if shown is None else {**raw, "multi_modal_uuids": {"video": [clip.video_id]}}


def compare(options: argparse.Namespace) -> None:
    """Run every side in turn and print what came out."""
    from tests.helpers.tiny_qwen import build_tiny_qwen

    taken: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = build_tiny_qwen(Path(scratch, "checkpoint"), pair=options.pair)
        data = make_dataset(Path(scratch, "data"), options.clips)
        for turn in range(options.rounds):
            for side in options.sides:
                command = [sys.executable, "-m", "benchmarks.engines", "--side", side]
                command += ["--checkpoint", str(checkpoint), "--data", str(data)]
                command += ["--folder", str(Path(scratch, f"run{turn}")), "--tokens", str(options.tokens)]
                command += ["--at-once", str(options.at_once), "--pair", str(options.pair)]
                environment = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1"}
                done = subprocess.run(
                    command, env={**environment, **os.environ}, capture_output=True, check=False, text=True
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                taken[side].append(json.loads(done.stdout.splitlines()[-1]))
                print(
                    f"{side}: {pace(taken[side][-1]):.2f} clips/s, load {os.getloadavg()[0]:.1f}", flush=True
                )
    report(taken)


def pace(one: dict[str, float]) -> float:
    """Clips a second."""
    return one["clips"] / one["seconds"]


def report(taken: dict[str, list[dict[str, float]]]) -> None:
    """Print a line a side. The ratio is the median of the ratios within a round."""
    print(f"\n{'':26}{'clips/s':>9}{'ours, times':>13}{'tokens sent':>13}{'cached':>9}{'computed':>10}")
    for side, rounds in taken.items():
        ratio = statistics.median(pace(a) / pace(b) for a, b in zip(taken["ours"], rounds, strict=True))
        middle = statistics.median(map(pace, rounds))
        sent, cached = rounds[0]["sent"], rounds[0]["cached"]
        share = f"{1 - cached / sent:.1%}"
        print(f"{side:26}{middle:>9.2f}{ratio:>13.2f}{sent:>13.0f}{cached:>9.0f}{share:>10}")


def overhead(requests: int) -> None:
    """An instant engine answers a generated stream; print the pace, and the memory on the way."""
    clip_requests = QUESTIONS + 1
    marks = {10_000, 100_000, requests}

    def work() -> Iterator[Work]:
        for number in range(-(-requests // clip_requests)):
            name = f"source{number // 10}_{number}"
            asked = [Request(id=name, task="caption", video_id=name, source=f"source{number // 10}")]
            asked += [
                Request(
                    id=f"{name}#{k}",
                    task="vqa",
                    video_id=name,
                    source=f"source{number // 10}",
                    question=f"What is the astronaut number {k} holding?",
                )
                for k in range(1, clip_requests)
            ]
            yield Work(Clip(video_id=name, source=f"source{number // 10}"), tuple(asked))

    run = prepare(Options(model="constant", data="sample", tasks=TASKS))
    answered = 0
    before = last = 0.0

    def count() -> None:
        nonlocal answered, last
        answered += 1
        if answered in marks:
            now = time.perf_counter()
            print(
                f"{answered:>9} requests: {answered / (now - before):>7.0f} a second,"
                f" {resident():.0f} MB resident",
                flush=True,
            )

    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folders = {
            task: stack.enter_context(RunFolder(Path(scratch, task), run.settings(task), run.options, {}))
            for task in TASKS
        }
        engine = FunctionEngine(function=lambda job: "An astronaut holds on to a blue handrail.")
        templates = {task: find_template(task, "default") for task in TASKS}
        execution = Execution(find_adapter("constant"), engine, folders, templates, on_answer=count)
        before = time.perf_counter()
        asyncio.run(execution.run(nothing_shown(work())))


def resident() -> float:
    """Resident megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Compare the sides, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=EngineOptions().at_once)
    parser.add_argument("--pair", type=int, default=PAIR)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.overhead:
        overhead(options.requests)
    elif options.side:
        run = prepared(options)
        print(json.dumps(ours(run, options.folder) if options.side == "ours" else plain(run, options.side)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
