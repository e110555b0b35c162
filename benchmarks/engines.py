"""The engine `vllm` beside vLLM used plainly, on a tiny checkpoint; and what the harness costs by itself.

    python -m benchmarks.engines [--clips 70] [--rounds 5] [--tokens 64]    in the environment with vLLM
    python -m benchmarks.engines --overhead [--requests 1000000]            in any

A clip is asked for a caption and six answers. `ours` is the harness itself: clips are decoded while others
are answered, and answers go into journals. `one at a time` is one call of `LLM.generate` a request, the clip
decoded for each, as evaluation scripts do it (on the first clips only: its pace does not change). `all at
once` is one call of `LLM.generate` with every prompt ready-made and every clip decoded before the clock
starts: the limit. Each runs in a fresh process, in turn; loading the model is not timed. `--tokens` are
those of every answer, `--pair` those of two frames, `--max-concurrency` the prompts computed together.
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

from benchmarks.datasets import QUESTIONS, make_dataset
from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.engines.base import Engine, FunctionEngine
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip, Request, TaskName
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import Execution, Variant, Work, nothing_shown, open_work
from microg_bench.runs.frames import FrameStream, decoded
from microg_bench.runs.record import RunRecord
from microg_bench.torchvision_repair import ensure_torchvision, repaired_children
from microg_bench.video.decode import decode
from microg_bench.video.pool import DecodePool

TASKS: tuple[TaskName, ...] = ("caption", "vqa")
SIDES = ("ours", "one at a time", "all at once")
PAIR = 256  # tokens of two frames at most; the published checkpoint's processor makes 391 of these clips
FEW = 6  # clips for the slow side


def configured(options: argparse.Namespace) -> Configuration:
    """A run of both tasks."""
    return configure(
        Options(
            model="qwen2.5-vl",
            engine="vllm",
            checkpoint=str(options.checkpoint),
            data=str(options.data),
            tasks=TASKS,
            max_tokens=options.tokens,
            max_concurrency=options.max_concurrency,
        )
    )


def ours(one: Configuration, folder: Path) -> dict[str, float]:
    """The harness: decoders, engine and journals at work together."""
    assert one.frames is not None
    engine = one.engine(one.engine_options)
    with ExitStack() as stack:
        variant = opened(stack, one, folder)
        work = list(open_work([variant]))
        pool = stack.enter_context(DecodePool(workers=2))
        stack.callback(engine.close)
        engine.start()
        seconds = timed(Execution(engine, Progress()), decoded(work, pool, one.frames))
    answers = [answer for record in variant.records.values() for answer in record.answers.values()]
    assert len(answers) == sum(map(len, work))
    return {
        "clips": len(work),
        "seconds": seconds,
        "sent": sum(answer.prompt_tokens or 0 for answer in answers),
        "cached": sum(answer.cached_tokens or 0 for answer in answers),
    }


def opened(stack: ExitStack, one: Configuration, folder: Path) -> Variant:
    """The runs of both tasks in `folder`, until the stack ends."""
    records = {
        task: stack.enter_context(RunRecord.open(folder / task, one.settings(task), one.given, {}))
        for task in TASKS
    }
    return Variant(one, records)


def timed(execution: Execution, frames: FrameStream[Work]) -> float:
    """Seconds of asking everything in `frames`."""
    start = time.perf_counter()
    asyncio.run(execution.run(frames))
    return time.perf_counter() - start


def plain(one: Configuration, side: str) -> dict[str, float]:
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
            one.engine_options.checkpoint,
            dtype="float32",
            max_num_seqs=one.options.max_concurrency,
            block_size=32,
            enforce_eager=True,
            enable_prefix_caching=True,
        )
    processor = AutoProcessor.from_pretrained(one.engine_options.checkpoint)
    settings = vllm.SamplingParams(
        max_tokens=one.generation("caption").max_tokens, temperature=0.0, detokenize=True
    )
    clips = one.clips[:FEW] if side == "one at a time" else one.clips
    asked = [(request, clip) for clip in clips for request in one.requests[clip.video_id]]
    if side == "one at a time":
        outputs = []
        start = time.perf_counter()
        for request, clip in asked:
            outputs += model.generate(raw_prompt(one, processor, request, clip), settings, use_tqdm=False)
    else:
        shown: dict[str, Any] = {}
        prompts = [raw_prompt(one, processor, request, clip, shown) for request, clip in asked]
        start = time.perf_counter()
        outputs = model.generate(prompts, settings, use_tqdm=False)
    seconds = time.perf_counter() - start
    sent = sum(len(output.prompt_token_ids) for output in outputs)
    cached = sum(output.num_cached_tokens for output in outputs)
    return {"clips": len(clips), "seconds": seconds, "sent": sent, "cached": cached}


def raw_prompt(
    one: Configuration, processor: Any, request: Request, clip: Clip, shown: dict[str, Any] | None = None
) -> Any:
    """A prompt for `LLM.generate`; a clip that `shown` holds is not decoded again."""
    from microg_bench.engines.chat_template import render
    from microg_bench.engines.vllm.engine import _video

    assert clip.video is not None
    assert one.frames is not None
    frames = shown.get(clip.video_id) if shown is not None else None
    frames = frames or decode(clip.video, one.frames)
    if shown is not None:
        shown[clip.video_id] = frames
    prompt = one.adapter.prompt(request, one.templates[request.task].render(request), frames)
    raw = {"prompt": render(processor, prompt), "multi_modal_data": {"video": [_video(frames)]}}
    # Or all copies of a clip would be one to vLLM.
    return raw if shown is None else {**raw, "multi_modal_uuids": {"video": [clip.video_id]}}


def compare(options: argparse.Namespace) -> None:
    """Run every side in turn and print what came out."""
    from tests.helpers.tiny_qwen import build_tiny_qwen

    taken: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = build_tiny_qwen(Path(scratch, "checkpoint"), pair=options.pair)
        videos = [path.read_bytes() for path in sorted((SAMPLE_FOLDER / "videos").rglob("*.mp4"))]
        data = make_dataset(Path(scratch, "data"), options.clips, videos)
        for turn in range(options.rounds):
            for side in options.sides:
                command = [sys.executable, "-m", "benchmarks.engines", "--side", side]
                command += ["--checkpoint", str(checkpoint), "--data", str(data)]
                command += ["--folder", str(Path(scratch, f"run{turn}")), "--tokens", str(options.tokens)]
                command += ["--max-concurrency", str(options.max_concurrency), "--pair", str(options.pair)]
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


def generated(variant: Variant, requests: int) -> Iterator[Work]:
    """Work that asks for at least `requests` answers."""
    for number in range(-(-requests // (QUESTIONS + 1))):
        source = f"source{number // 10}"
        clip = Clip(video_id=f"{source}_{number}", source=source)
        asked = [Request(id=clip.video_id, task="caption", video_id=clip.video_id, source=source)]
        asked += [
            Request(
                id=f"{clip.video_id}#{k}",
                task="vqa",
                video_id=clip.video_id,
                source=source,
                question=f"What is the astronaut number {k} holding?",
            )
            for k in range(1, QUESTIONS + 1)
        ]
        yield Work(clip, ((variant, tuple(asked)),))


class Pace(Progress):
    """Prints the pace and the memory at some numbers of requests."""

    def __init__(self, *marks: int) -> None:
        self.marks = marks
        self.answered = 0
        self.start = time.perf_counter()

    def advance(self) -> None:
        """Count a request."""
        self.answered += 1
        if self.answered in self.marks:
            pace = self.answered / (time.perf_counter() - self.start)
            print(
                f"{self.answered:>9} requests: {pace:>7.0f} a second, {resident():.0f} MB resident",
                flush=True,
            )


def overhead(requests: int) -> None:
    """An instant engine answers a generated stream; print the pace, and the memory on the way."""
    one = configure(Options(model="constant", data="sample", tasks=TASKS))
    engine: Engine = FunctionEngine(function=lambda job: "An astronaut holds on to a blue handrail.")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        variant = opened(stack, one, Path(scratch))
        execution = Execution(engine, Pace(10_000, 100_000, requests))
        timed(execution, nothing_shown(generated(variant, requests)))


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
    parser.add_argument("--max-concurrency", type=int, default=Options().max_concurrency)
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
        one = configured(options)
        print(json.dumps(ours(one, options.folder) if options.side == "ours" else plain(one, options.side)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
