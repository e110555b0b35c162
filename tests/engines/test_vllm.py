import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines import ENGINES, EngineOptions, Job, engine_class

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.engines.transformers import TransformersEngine
from microg_bench.engines.vllm import VllmEngine
from microg_bench.errors import EngineError
from microg_bench.records import Failure, Generation, Image, Request, Response, Text, Video
from tests.engines.conftest import AnswerAll, grey_frames, job_of, noise_frames
from tests.helpers.datasets import bench
from tests.helpers.tiny_qwen import CONTEXT, SPECIAL_TOKENS

ROOT = Path(__file__).resolve().parents[2]
LEVELS = [10, 240, 30, 200, 60, 160, 90, 120, 250]


@pytest.fixture(scope="module")
def engine(tiny_qwen: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(EngineOptions(checkpoint=str(tiny_qwen)))
    engine.start()
    yield engine
    engine.close()


def about(clip: str, job: Job, id: str = "") -> Job:
    """`job` asked about `clip`: vLLM may take the frames of a clip from its cache."""
    return replace(job, request=Request(id=id or clip, task="vqa", video_id=clip, source="s"))


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def seen_levels(engine: VllmEngine, answer_all: AnswerAll, job: Job) -> list[int]:
    """The grey level of every frame that enters the vision tower, in its order."""
    entered: list[Any] = []

    def watch(model: Any) -> Any:
        return model.visual.register_forward_pre_hook(
            lambda module, args, kwargs: entered.append(args[0] if args else kwargs["x"]), with_kwargs=True
        )

    (handle,) = engine._llm.apply_model(watch)
    responses(answer_all(engine, [job]))
    handle.remove()
    (patches,) = entered
    # A patch is (channel, 2 frames, 14, 14) of bytes, which the tower itself normalises; the frames of
    # `grey_frames` become 8 × 6 patches each.
    red = patches.reshape(-1, 8 * 6, 3, 2, 14, 14)[:, :, 0].float().mean(dim=(1, 3, 4)).flatten()
    return [round(level) for level in red.tolist()]


def test_every_job_is_answered_once_with_clean_text(engine: VllmEngine, answer_all: AnswerAll) -> None:
    outcomes = responses(answer_all(engine, [job_of(k) for k in range(6)]))
    assert len({outcome.text for outcome in outcomes}) == 6
    for outcome in outcomes:
        assert outcome.text.isascii()
        assert (outcome.stop, outcome.output_tokens) == ("length", 16)
        assert outcome.seconds > 0


def test_the_greedy_text_is_that_of_transformers(
    tiny_qwen: Path, engine: VllmEngine, answer_all: AnswerAll
) -> None:
    jobs = [about(f"parity{k}", job_of(k, frames=noise_frames(k, count=4))) for k in range(6)]
    yardstick = TransformersEngine(EngineOptions(checkpoint=str(tiny_qwen), dtype="float32"))
    yardstick.start()
    wanted = responses(answer_all(yardstick, jobs))
    got = responses(answer_all(engine, jobs))
    assert [(o.text, o.prompt_tokens) for o in got] == [(o.text, o.prompt_tokens) for o in wanted]


def test_exactly_the_delivered_frames_reach_the_model_in_order(
    engine: VllmEngine, answer_all: AnswerAll
) -> None:
    even, odd = grey_frames(LEVELS[:8]), grey_frames(LEVELS)
    assert seen_levels(engine, answer_all, about("even", job_of(0, frames=even))) == LEVELS[:8]
    assert seen_levels(engine, answer_all, about("odd", job_of(0, frames=odd))) == [*LEVELS, LEVELS[-1]]


def test_an_image_part_shows_the_frame_that_it_names(engine: VllmEngine, answer_all: AnswerAll) -> None:
    parts = (Image(frame=3), Text(text="where?"), Image(frame=1))
    job = about("stills", job_of(0, frames=grey_frames(LEVELS), parts=parts))
    assert seen_levels(engine, answer_all, job) == [200, 200, 240, 240]


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
    assert outcome.stop == "end"
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
    (answered,) = [outcome for outcome in outcomes if isinstance(outcome, Response)]
    tokens = answered.prompt_tokens
    assert failed[1].reason == (
        f"{tokens} prompt tokens and up to {CONTEXT} new ones"
        f" exceed the model's context of {CONTEXT} by {tokens}"
    )
    assert failed[2].reason == "the prompt shows frame 9, but 9 frames were delivered"


def test_no_more_jobs_are_taken_than_are_worked_on(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VllmEngine, "at_once", 3)
    taken, answered, most = 0, 0, 0

    async def jobs() -> AsyncIterator[Job]:
        nonlocal taken, most
        for k in range(12):
            taken += 1
            most = max(most, taken - answered)
            yield job_of(k)
            await asyncio.sleep(0)

    async def collect() -> None:
        nonlocal answered
        async for _ in engine.answer(jobs()):
            answered += 1

    asyncio.run(collect())
    assert (taken, answered, most) == (12, 12, 3)


def test_a_job_that_comes_late_does_not_wait_for_the_others(engine: VllmEngine) -> None:
    first_answers: list[str] = []

    async def jobs() -> AsyncIterator[Job]:
        yield about("long", job_of(0, generation=Generation(max_tokens=400)))
        await asyncio.sleep(0.05)
        yield about("late", job_of(1, generation=Generation(max_tokens=2)))

    async def collect() -> None:
        async for outcome in engine.answer(jobs()):
            first_answers.append(outcome.id)

    asyncio.run(collect())
    assert first_answers == ["late", "long"]


def test_an_error_of_the_stream_is_not_swallowed(engine: VllmEngine) -> None:
    async def jobs() -> AsyncIterator[Job]:
        raise OSError("disk full")
        yield job_of(0)

    async def collect() -> None:
        async for _ in engine.answer(jobs()):
            pass

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(collect())


def test_provenance_names_what_moves_the_output(engine: VllmEngine) -> None:
    import vllm

    known = engine.provenance()
    assert known["vllm"] == vllm.__version__
    assert known["context"] == str(CONTEXT)
    assert known["model_class"] == "Qwen2_5_VLForConditionalGeneration"
    assert (known["device"], known["dtype"]) == ("cpu", "float32")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"checkpoint": "/no/such/folder"}, "no such checkpoint folder"),
        ({"dtype": "int4"}, "dtype 'int4' is not one of"),
        ({"attention": "sdpa"}, "engine vllm has no attention"),
    ],
)
def test_what_cannot_be_started_is_told_in_one_line(
    tiny_qwen: Path, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        VllmEngine(EngineOptions(**{"checkpoint": str(tiny_qwen)} | wrong)).start()
    assert "\n" not in str(caught.value)


def test_an_architecture_that_vllm_does_not_know_is_named(tiny_qwen: Path, tmp_path: Path) -> None:
    for file in tiny_qwen.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((tiny_qwen / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"]}))
    with pytest.raises(EngineError, match="NoSuchModel") as caught:
        VllmEngine(EngineOptions(checkpoint=str(tmp_path))).start()
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


def test_a_killed_vllm_gives_back_what_was_under_way(tiny_qwen: Path) -> None:
    repaired = os.pathsep.join([str(Path(__file__).parents[1] / "helpers" / "children"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.dying_vllm", str(tiny_qwen)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": repaired, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    answered, *failed = told["outcomes"]
    assert answered["id"] == "clip0"
    assert answered["text"]
    assert {outcome["id"] for outcome in failed} == {"clip1", "clip2"}
    assert all(outcome["retryable"] for outcome in failed)
    assert told["error"].startswith("vLLM died: ")
    assert told["started"] > 0
    assert told["left"] == 0


def test_it_is_found_by_name() -> None:
    assert engine_class("vllm") is VllmEngine
