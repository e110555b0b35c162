import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from microg_bench.engines.base import Job
from microg_bench.engines.registry import ENGINES, engine_class
from microg_bench.options import Options, takes

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.engines.vllm.arguments import _CODE, _PLUGINS, OPTION_OF, _known, arguments
from microg_bench.engines.vllm.engine import VllmEngine
from microg_bench.errors import EngineError, UsageError
from microg_bench.privacy import secrets_in
from microg_bench.records import (
    ENABLE_THINKING,
    Failure,
    Generation,
    Image,
    Request,
    Response,
    Text,
    ThinkingLevel,
    Video,
)
from microg_bench.torchvision_repair import ensure_torchvision
from microg_bench.video.transforms import parse_transforms, transformed
from tests.engines.conftest import (
    AnswerAll,
    answers,
    frames_of,
    grey_frames,
    job_of,
    noise_frames,
    variants_of,
)
from tests.helpers.datasets import bench
from tests.helpers.hub_cache import fill_cache
from tests.helpers.tiny_qwen import CONTEXT, SPECIAL_TOKENS

ROOT = Path(__file__).resolve().parents[3]
LEVELS = [10, 240, 30, 200, 60, 160, 90, 120, 250]


@pytest.fixture(scope="module")
def engine(tiny_qwen: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(Options(checkpoint=str(tiny_qwen)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")  # for `seen_levels`
        engine.start()
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """The one event loop that an engine lives in."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def answer_all(loop: asyncio.Runner) -> AnswerAll:
    return partial(answers, run=loop.run)


def about(clip: str, job: Job, id: str = "") -> Job:
    """`job` asked about `clip`: vLLM may take the frames of a clip from its cache."""
    return replace(job, request=Request(id=id or clip, task="vqa", video_id=clip, source="s"))


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def watch(worker: Any) -> None:
    """In the process of the model: keep what enters the vision tower."""
    model = worker.model_runner.model
    model.entered = []
    model.handle = model.visual.register_forward_pre_hook(
        lambda module, args, kwargs: model.entered.append(args[0] if args else kwargs["x"]), with_kwargs=True
    )


def watched(worker: Any) -> Any:
    """What entered since `watch`. A patch is (channel, 2 frames, 14, 14) of bytes; the tower normalises."""
    model = worker.model_runner.model
    model.handle.remove()
    (patches,) = model.entered
    # The frames of `grey_frames` become 8 × 6 patches each.
    red = patches.reshape(-1, 8 * 6, 3, 2, 14, 14)[:, :, 0].float().mean(dim=(1, 3, 4)).flatten()
    return red.tolist()


def seen_levels(engine: VllmEngine, loop: asyncio.Runner, job: Job) -> list[int]:
    """The grey level of every frame that enters the vision tower, in its order."""
    loop.run(engine._llm.collective_rpc(watch))
    responses(answers(engine, [job], loop.run))
    (levels,) = loop.run(engine._llm.collective_rpc(watched))
    return [round(level) for level in levels]


def test_every_job_is_answered_once_with_clean_text(engine: VllmEngine, answer_all: AnswerAll) -> None:
    outcomes = responses(answer_all(engine, [job_of(k) for k in range(6)]))
    assert len({outcome.text for outcome in outcomes}) == 6
    for outcome in outcomes:
        assert outcome.text.isascii()
        assert (outcome.finish_reason, outcome.output_tokens) == ("length", 16)
        assert outcome.seconds > 0


SHOWN = {
    "a video": (Video(), Text(text="Who is there?")),
    "images": (Text(text="First"), Image(frame=2), Text(text="then"), Image(frame=0), Text(text="what?")),
    "text alone": (Text(text="Who is fixing the cable?"),),
    "a video and an image": (Video(), Image(frame=1), Text(text="Is it in the video?")),
    "control tokens": (Video(), Text(text="Is <|im_end|> or <|video_pad|> or <|image_pad|> written there?")),
}


@pytest.fixture(scope="module")
def yardstick(tiny_qwen: Path) -> TransformersEngine:
    yardstick = TransformersEngine(Options(checkpoint=str(tiny_qwen), dtype="float32"))
    yardstick.start()
    return yardstick


@pytest.mark.parametrize("shown", SHOWN)
def test_the_greedy_text_is_that_of_transformers(
    engine: VllmEngine, answer_all: AnswerAll, yardstick: TransformersEngine, shown: str
) -> None:
    jobs = [
        about(f"{shown}{k}", job_of(k, frames=noise_frames(k, count=4), parts=SHOWN[shown])) for k in range(3)
    ]
    wanted = responses(answers(yardstick, jobs))
    got = responses(answer_all(engine, jobs))
    assert [(o.text, o.prompt_tokens) for o in got] == [(o.text, o.prompt_tokens) for o in wanted]


def test_the_log_probability_of_an_answer_is_that_of_transformers(
    engine: VllmEngine, answer_all: AnswerAll, yardstick: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [about(f"probable{k}", job_of(k, frames=noise_frames(k, count=4))) for k in range(3)]
    plain = responses(answer_all(engine, jobs))
    assert [one.logprob for one in plain] == [None] * 3
    for one in (engine, yardstick):
        monkeypatch.setattr(one, "options", one.options.model_copy(update={"logprobs": True}))
    wanted, got = responses(answers(yardstick, jobs)), responses(answer_all(engine, jobs))
    assert [one.text for one in got] == [one.text for one in plain]
    assert [one.logprob for one in got] == pytest.approx([one.logprob for one in wanted], abs=1e-2)


def test_exactly_the_delivered_frames_reach_the_model_in_order(
    engine: VllmEngine, loop: asyncio.Runner
) -> None:
    even, odd = grey_frames(LEVELS[:8]), grey_frames(LEVELS)
    assert seen_levels(engine, loop, about("even", job_of(0, frames=even))) == LEVELS[:8]
    assert seen_levels(engine, loop, about("odd", job_of(0, frames=odd))) == [*LEVELS, LEVELS[-1]]


@pytest.mark.parametrize("name", ["reverse", "shuffle", "freeze"])
def test_changed_frames_reach_the_model_though_the_clip_was_shown_before(
    engine: VllmEngine, loop: asyncio.Runner, name: str
) -> None:
    clip, levels = f"clip to {name}", LEVELS[:8]
    plain = grey_frames(levels)
    changed, order = transformed(plain, parse_transforms([name]), clip)
    expected = [levels[plain.indices.index(index)] for index in order]
    assert expected != levels
    assert seen_levels(engine, loop, about(clip, job_of(0, frames=plain))) == levels
    assert seen_levels(engine, loop, about(clip, job_of(0, frames=changed))) == expected


def test_transformed_frames_are_those_that_transformers_gets(
    engine: VllmEngine, answer_all: AnswerAll, yardstick: TransformersEngine
) -> None:
    # Of these sizes, and those that follow from them, the processor resizes none.
    noise = np.random.default_rng(0).integers(0, 256, (4, 168, 224, 3), dtype=np.uint8)
    plain = frames_of(noise)
    given = (
        (),
        ("rotate:0",),
        ("rotate:90",),
        ("rotate:180",),
        ("mirror",),
        ("crop:0.5",),
        ("reverse", "mirror"),
    )
    shown = [transformed(plain, parse_transforms(names), "one clip")[0] for names in given]
    jobs = [about("one clip", job_of(0, frames=frames)) for frames in shown]
    got = [responses(answer_all(engine, [job]))[0] for job in jobs]
    wanted = [responses(answers(yardstick, [job]))[0] for job in jobs]
    assert [(one.text, one.prompt_tokens) for one in got] == [(one.text, one.prompt_tokens) for one in wanted]
    assert len({one.text for one in got}) == len(given), "each is another input"


def test_an_image_part_shows_the_frame_that_it_names(engine: VllmEngine, loop: asyncio.Runner) -> None:
    parts = (Image(frame=3), Text(text="where?"), Image(frame=1))
    job = about("stills", job_of(0, frames=grey_frames(LEVELS), parts=parts))
    assert seen_levels(engine, loop, job) == [200, 200, 240, 240]


def test_the_questions_of_a_clip_share_its_frames(engine: VllmEngine, answer_all: AnswerAll) -> None:
    frames = noise_frames(77)
    jobs = [
        about("shared", job_of(0, frames=frames, parts=(Video(), Text(text=f"Question {k}?"))), f"shared#{k}")
        for k in range(6)
    ]
    together = responses(answer_all(engine, jobs))
    cached = [response.cached_tokens or 0 for response in together]
    assert sum(tokens == 0 for tokens in cached) == 1
    assert all(tokens >= 32 for tokens in cached if tokens)
    alone = [about(f"alone{k}", job) for k, job in enumerate(jobs)]
    apart = responses(answer_all(engine, alone))
    assert [response.cached_tokens for response in apart] == [0] * 6
    assert [response.text for response in apart] == [response.text for response in together]


def test_a_prompt_without_frames_is_answered(engine: VllmEngine, answer_all: AnswerAll) -> None:
    blind = replace(job_of(0, parts=(Text(text="Who is there?"),)), frames=None)
    assert responses(answer_all(engine, [blind]))[0].text


def test_an_answer_that_ends_by_itself_says_so(engine: VllmEngine, answer_all: AnswerAll) -> None:
    # At this temperature the silenced special tokens are written too, stop tokens among them.
    warm = Generation(max_tokens=1500, temperature=2.0, seed=3)
    (outcome,) = responses(answer_all(engine, [job_of(1, generation=warm)]))
    assert outcome.finish_reason == "stop"
    assert outcome.output_tokens is not None
    assert outcome.output_tokens < 1500
    assert not any(token in outcome.text for token in SPECIAL_TOKENS)


def test_sampling_repeats_by_seed_and_differs_by_request(engine: VllmEngine, answer_all: AnswerAll) -> None:
    def sampled(seed: int, count: int) -> list[str]:
        warm = Generation(max_tokens=16, temperature=1.0, seed=seed)
        jobs = [about("warm", job_of(0, generation=warm), f"warm#{k}") for k in range(count)]
        return [response.text for response in responses(answer_all(engine, jobs))]

    assert sampled(7, 3)[:2] == sampled(7, 2)
    assert len(set(sampled(7, 3))) == 3
    assert sampled(7, 3) != sampled(8, 3)


def test_run_variants_with_the_same_request_get_their_own_answers_as_if_alone(
    engine: VllmEngine, answer_all: AnswerAll
) -> None:
    warm = Generation(max_tokens=48, temperature=1.0, top_p=0.9, seed=0)
    jobs = variants_of(about("variants", job_of(1, generation=warm)))
    assert len({job.request.id for job in jobs}) == 1
    alone = [responses(answer_all(engine, [job]))[0].text for job in jobs]
    assert len(set(alone)) == len(jobs)
    together = responses(answer_all(engine, jobs))
    assert [response.text for response in together] == alone


def test_a_prompt_that_does_not_fit_fails_alone(engine: VllmEngine, answer_all: AnswerAll) -> None:
    long = about("fits", job_of(0, parts=(Video(), Text(text="Who? " * CONTEXT))), "fits#1")
    endless = about("fits", job_of(0, generation=Generation(max_tokens=CONTEXT)), "fits#2")
    good = about("fits", job_of(0), "fits#3")
    unseen = about("fits", job_of(0, parts=(Image(frame=9), Text(text="What?"))), "fits#4")
    undelivered = replace(about("fits", job_of(0), "fits#5"), frames=None)
    outcomes = answer_all(engine, [long, endless, good, unseen, undelivered])
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [outcome.id for outcome in failed] == ["fits#1", "fits#2", "fits#4", "fits#5"]
    assert {(outcome.stage, outcome.retryable) for outcome in failed} == {("prompt", False)}
    assert [outcome.id for outcome in outcomes if isinstance(outcome, Response)] == ["fits#3"]
    assert re.fullmatch(
        rf"fits: \d+ prompt tokens and up to 16 new ones exceed the model's context of {CONTEXT} by \d+",
        failed[0].reason,
    )
    assert failed[1].reason == (
        f"fits: up to {CONTEXT} new tokens leave no room for a prompt in the model's context of {CONTEXT}"
    )
    assert failed[2].reason == "the prompt shows frame 9, but 9 frames were delivered"


def test_as_many_jobs_wait_as_are_worked_on_and_no_more(
    engine: VllmEngine, loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "options", engine.options.model_copy(update={"max_concurrency": 3}))
    taken, answered, most = 0, 0, 0

    async def jobs() -> AsyncIterator[Job]:
        nonlocal taken, most
        for k in range(16):
            taken += 1
            most = max(most, taken - answered)
            yield job_of(k)
            await asyncio.sleep(0)

    async def collect() -> None:
        nonlocal answered
        async for finished in engine.answer(jobs()):
            answered += len(finished)

    loop.run(collect())
    assert (taken, answered, most) == (16, 16, 6)


def test_a_job_that_comes_late_does_not_wait_for_the_others(engine: VllmEngine, loop: asyncio.Runner) -> None:
    first_answers: list[str] = []

    async def jobs() -> AsyncIterator[Job]:
        yield about("long", job_of(0, generation=Generation(max_tokens=400)))
        await asyncio.sleep(0.05)
        yield about("late", job_of(1, generation=Generation(max_tokens=2)))

    async def collect() -> None:
        async for answered in engine.answer(jobs()):
            first_answers.extend(outcome.id for _, outcome in answered)

    loop.run(collect())
    assert first_answers == ["late", "long"]


def test_an_error_of_the_stream_is_not_swallowed(engine: VllmEngine, loop: asyncio.Runner) -> None:
    async def jobs() -> AsyncIterator[Job]:
        raise OSError("disk full")
        yield job_of(0)

    async def collect() -> None:
        async for _ in engine.answer(jobs()):
            pass

    with pytest.raises(OSError, match="disk full"):
        loop.run(collect())


def test_provenance_names_what_moves_the_output(engine: VllmEngine) -> None:
    import vllm

    known = engine.provenance()
    assert known["vllm"] == vllm.__version__
    assert known["context"] == str(CONTEXT)
    assert known["model_class"] == "Qwen2_5_VLForConditionalGeneration"
    assert (known["device"], known["dtype"]) == ("cpu", "float32")


def test_what_cannot_be_started_is_told_in_one_line() -> None:
    with pytest.raises(EngineError, match="no such checkpoint folder") as caught:
        VllmEngine(Options(checkpoint="/no/such/folder")).start()
    assert "\n" not in str(caught.value)


OPTIONS: dict[str, Any] = {
    "tensor_parallel_size": 2,
    "pipeline_parallel_size": 3,
    "gpu_memory_utilization": 0.7,
    "max_model_len": 1024,
    "quantization": "fp8",
    "max_concurrency": 5,
    "engine_args": {"swap_space": 1, "enable_prefix_caching": False},
}


def test_the_input_is_as_large_as_it_is_stated(
    engine: VllmEngine, tiny_qwen: Path, answer_all: AnswerAll
) -> None:
    shown = (Video(), Image(frame=0))
    size = {"shortest_edge": 4 * 28 * 28, "longest_edge": 12 * 28 * 28}
    stated = {"videos.size": size, "images.size": size, "videos.cap_pixels_per_frame": False}
    options = Options(checkpoint=str(tiny_qwen), processor_args=stated)
    jobs = [about(f"stated {k}", job_of(0, parts=(part, Text(text="Who?")))) for k, part in enumerate(shown)]
    other, wanted = VllmEngine(options), TransformersEngine(options)
    other.start()
    wanted.start()
    try:
        found = [one.prompt_tokens for one in answers(other, jobs) if isinstance(one, Response)]
        facts = other.provenance()
    finally:
        other.close()
    assert found == [one.prompt_tokens for one in answers(wanted, jobs) if isinstance(one, Response)]
    assert found != [one.prompt_tokens for one in answer_all(engine, jobs) if isinstance(one, Response)]
    assert len(found) == 2
    inputs = {name: value for name, value in wanted.provenance().items() if name.startswith(("videos", "im"))}
    assert inputs and facts | inputs == facts


def test_options_reach_vllm_under_its_own_names() -> None:
    given = arguments(Options(checkpoint="model", **OPTIONS))
    assert given["model"] == "model"
    assert given["tensor_parallel_size"] == 2
    assert given["pipeline_parallel_size"] == 3
    assert "replicas" not in given
    assert given["gpu_memory_utilization"] == 0.7
    assert given["max_model_len"] == 1024
    assert given["quantization"] == "fp8"
    assert given["max_num_seqs"] == 5
    assert given["swap_space"] == 1
    assert given["enable_prefix_caching"] is False
    assert "revision" not in given


@pytest.mark.parametrize("name", [*OPTION_OF, "tokenizer", "tokenizer-revision"])
def test_what_has_an_option_is_no_engine_argument(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is set here by --") as caught:
        VllmEngine.check(Options(engine_args={name: 1}))
    assert "\n" not in str(caught.value)


def test_an_engine_argument_that_vllm_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match="has no engine argument 'enforce_eagre': did you mean enforce_eager"
    ):
        VllmEngine.check(Options(engine_args={"enforce_eagre": True}))


def test_the_arguments_are_read_in_the_source_of_vllm() -> None:
    ensure_torchvision()
    known = {field.name for field in fields(import_module("vllm").AsyncEngineArgs)}
    assert _known(server=False) == known
    assert known < _known(server=True)
    assert known >= set(OPTION_OF)
    assert {*_CODE, *_PLUGINS} - _known(server=True) == {"config"}  # which the server's parser takes apart
    assert all(takes("vllm", option) for option in OPTION_OF.values())
    assert set(secrets_in(dict.fromkeys(_known(server=True), "x"))) == {"hf_token", "api_key"}


def test_no_gpu_and_no_build_for_the_cpu_is_told(tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    platforms: Any = import_module("vllm.platforms")
    monkeypatch.setattr(platforms.current_platform, "is_unspecified", lambda: True)
    with pytest.raises(EngineError, match="finds no GPU here and is not built for the CPU"):
        VllmEngine(Options(checkpoint=str(tiny_qwen))).start()


def test_weights_that_cannot_be_read_are_told_in_one_line(
    tiny_qwen: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_qwen, tmp_path / "torn")
    weights = tmp_path / "torn" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(EngineError, match=r"torn: cannot be loaded: \S*SafetensorError") as caught:
        VllmEngine(Options(checkpoint=str(tmp_path / "torn"))).start()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_an_architecture_that_vllm_does_not_know_is_named(tiny_qwen: Path, tmp_path: Path) -> None:
    for file in tiny_qwen.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((tiny_qwen / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"]}))
    with pytest.raises(EngineError, match="NoSuchModel") as caught:
        VllmEngine(Options(checkpoint=str(tmp_path))).start()
    assert "\n" not in str(caught.value)


def test_the_command_line_captions_with_vllm_and_asks_nothing_twice(tiny_qwen: Path, tmp_path: Path) -> None:
    command = ("caption", "--model", "qwen2.5-vl", "--engine", "vllm", "--checkpoint", tiny_qwen)
    chosen = (*command, "--data", "sample", "--limit", "3", "--metrics", "ROUGE-L", "--run", "r")
    first = bench(*chosen, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert not [line for line in first.stderr.splitlines() if "arning" in line or "INFO" in line]
    journal = (tmp_path / "r" / "journal.jsonl").read_bytes()
    lines = [json.loads(line) for line in journal.splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 3
    assert all(line["answer"].strip() for line in lines)
    assert all(len(line["frames"]) == 9 for line in lines)
    second = bench(*chosen, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "loading" not in second.stderr
    assert (tmp_path / "r" / "journal.jsonl").read_bytes() == journal


def ended(tiny_qwen: Path, how: str) -> dict[str, Any]:
    """What a process tells whose vLLM was ended; it must leave nothing behind, and the terminal alone."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.dying_vllm", str(tiny_qwen), how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["started"] > 0
    assert told["left"] == 0
    return told


def test_a_killed_vllm_gives_back_what_was_under_way(tiny_qwen: Path) -> None:
    told = ended(tiny_qwen, "killed")
    answered, *failed = told["outcomes"]
    assert answered["id"] == "clip0"
    assert answered["text"]
    assert {outcome["id"] for outcome in failed} == {"clip1", "clip2"}
    assert all(outcome["retryable"] for outcome in failed)
    assert told["error"].startswith("EngineError: vLLM died: ")


def test_an_interrupt_ends_vllm_and_nothing_else_is_said(tiny_qwen: Path) -> None:
    told = ended(tiny_qwen, "interrupted")
    assert told["outcomes"][0]["id"] == "clip0"
    assert told["error"] == "KeyboardInterrupt: "


def test_the_commit_that_was_loaded_is_told(
    tiny_qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    commit = fill_cache(tmp_path / "cache", tiny_qwen)
    engine = VllmEngine(Options(checkpoint="org/tiny"))
    engine.start()
    try:
        assert engine.provenance()["commit"] == commit
    finally:
        engine.close()


def test_it_is_found_by_name() -> None:
    assert engine_class("vllm") is VllmEngine


@pytest.mark.parametrize("level", ["on", "off"])
def test_thoughts_are_those_that_transformers_gives(thinking_qwen: Path, level: ThinkingLevel) -> None:
    options = Options(checkpoint=str(thinking_qwen))
    jobs = [job_of(k, frames=noise_frames(k, count=4)) for k in range(4)]
    found: list[list[str]] = []
    for kind in (TransformersEngine, VllmEngine):
        engine = kind(options, thinking=ENABLE_THINKING[level])
        engine.start()
        found.append([response.text for response in responses(answers(engine, jobs))])
        engine.close()
    assert found[0] == found[1]
    assert all(text.startswith("<think>") for text in found[1]) == (level == "on")
    assert any("</think>" in text for text in found[1]) or level == "off"
