"""The flow of a run, with a real engine and real clips; what goes wrong stays with its item."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from microg_bench.adapters.base import Adapter
from microg_bench.engines.base import Answered, Engine, FunctionEngine, Job, Outcome
from microg_bench.errors import RunError
from microg_bench.prompts import Instruction
from microg_bench.records import Clip, Failure, Prompt, Question, Request, Response, TaskName
from microg_bench.runs.budget import unshown_prompts
from microg_bench.runs.execute import nothing_shown
from microg_bench.runs.frames import decoded, whole_clips
from microg_bench.runs.record import RunRecord
from microg_bench.video.decode import Frames
from microg_bench.video.pool import DecodePool
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import OneByOne, Plain, execute, make_configuration, read
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow

QUESTIONS = (Question(text="Who?", answer="Ann"), Question(text="What?", answer="A pen"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Three clips, the second of which is broken, and one without a video."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for n in range(3):
        write_clip(folder / f"a_{n}.mp4", frames=30, fps=30, size=(64, 64))
        found.append(
            Clip(video_id=f"a_{n}", source="a", caption="c", questions=QUESTIONS, video=folder / f"a_{n}.mp4")
        )
    (folder / "a_1.mp4").write_bytes(b"broken")
    return [*found, Clip(video_id="a_3", source="a", caption="c")]


def run(
    root: Path, clips: list[Clip], engine: Engine, adapter: Adapter | None = None
) -> dict[TaskName, RunRecord]:
    """Ask both tasks of `clips`, four frames a clip; what is in the runs then."""
    spec = FrameSpec.parse(4, "uniform")
    one = make_configuration(clips, ("caption", "vqa"), adapter, spec, prompt="default")
    with DecodePool(workers=1) as pool:
        return execute(root, one, engine, partial(decoded, pool=pool, spec=spec))


def engine(function: Callable[[Job], str]) -> Engine:
    return FunctionEngine(function=function)


def test_frames_reach_the_engine_and_their_indices_the_journal(tmp_path: Path, clips: list[Clip]) -> None:
    seen: list[Frames | None] = []

    def function(job: Job) -> str:
        seen.append(job.frames)
        return f" {job.request.question} \n"

    records = run(tmp_path, [clips[0]], engine(function))
    assert [frames.indices if frames else None for frames in seen] == [(3, 11, 18, 26)] * 3
    assert len({id(frames) for frames in seen}) == 1, "the clip is decoded once for all its requests"
    answers = records["vqa"].answers
    assert [answer.answer for answer in answers.values()] == ["Who?", "What?"]
    assert [answer.text for answer in answers.values()] == [" Who? \n", " What? \n"]
    assert answers["a_0#2"].frames == (3, 11, 18, 26)


def test_a_clip_that_cannot_be_shown_fails_alone_with_its_reason(tmp_path: Path, clips: list[Clip]) -> None:
    records = run(tmp_path, clips, engine(lambda job: "fine"))
    assert sorted(records["caption"].answers) == ["a_0", "a_2"]
    assert sorted(records["vqa"].failures) == ["a_1#1", "a_1#2"]
    failures = records["caption"].failures
    assert failures["a_1"].stage == failures["a_3"].stage == "decode"
    assert "a_1.mp4" in failures["a_1"].reason
    assert "no video" in failures["a_3"].reason


def test_what_failed_is_asked_again_and_what_was_answered_is_not(tmp_path: Path, clips: list[Clip]) -> None:
    asked: list[str] = []

    def first(job: Job) -> str:
        if job.request.question == "Who?":
            raise RuntimeError("not yet")
        return "fine"

    def second(job: Job) -> str:
        asked.append(job.request.id)
        return "now"

    before = run(tmp_path, [clips[0], clips[2]], engine(first))
    assert sorted(before["vqa"].failures) == ["a_0#1", "a_2#1"]
    assert before["vqa"].failures["a_0#1"].reason == "RuntimeError: not yet"
    after = run(tmp_path, [clips[0], clips[2]], engine(second))
    assert asked == ["a_0#1", "a_2#1"]
    assert after["vqa"].failures == {}
    assert after["vqa"].answers["a_0#2"].answer == "fine"


class BadPrompt(Plain):
    name = "bad-prompt"

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        if request.task == "vqa":
            raise KeyError("template")
        return super().prompt(request, instruction, frames)


class BadParse(Plain):
    name = "bad-parse"

    def parse(self, request: Request, text: str) -> str:
        if request.question == "Who?":
            raise ValueError("odd")
        return text


def test_an_adapter_that_raises_is_named_in_the_failure(tmp_path: Path, clips: list[Clip]) -> None:
    records = run(tmp_path, [clips[0]], engine(lambda job: "fine"), BadPrompt())
    assert records["caption"].answers["a_0"].answer == "fine"
    failure = records["vqa"].failures["a_0#1"]
    assert (failure.stage, failure.reason) == ("prompt", "adapter bad-prompt: KeyError: 'template'")


def test_words_that_an_adapter_cannot_read_are_kept(tmp_path: Path, clips: list[Clip]) -> None:
    records = run(tmp_path, [clips[0]], engine(lambda job: "paid for"), BadParse())
    failure = records["vqa"].failures["a_0#1"]
    assert failure.stage == "parse"
    assert failure.response is not None and failure.response.text == "paid for"
    assert "a_0#2" in records["vqa"].answers


class Backwards(Engine):
    """Answers in the opposite order, fails one job, and forgets the last."""

    name = "backwards"

    def start(self) -> None:
        """Nothing to load."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        for job in reversed([job async for job in jobs][:-1]):
            name, outcome = job.request.id, None
            if job.request.question == "Who?":
                outcome = Failure(id=name, stage="engine", reason="refused")
            text = f"{name} {job.generation.max_tokens}"
            yield [(job, outcome or Response(id=name, text=text, finish_reason="length"))]


def test_answers_in_any_order_find_their_item_and_none_is_forgotten(
    tmp_path: Path, clips: list[Clip]
) -> None:
    records = run(tmp_path, [clips[0], clips[2]], Backwards())
    assert records["caption"].answers["a_0"].text == "a_0 8"
    assert records["caption"].answers["a_0"].finish_reason == "length"
    assert records["vqa"].failures["a_0#1"].reason == "refused"
    forgotten = records["vqa"].failures["a_2#2"]
    assert forgotten.retryable
    assert "without an answer" in forgotten.reason


def test_outcomes_that_come_together_are_written_to_their_own_runs(tmp_path: Path, clips: list[Clip]) -> None:
    class Together(Backwards):
        async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
            pairs: list[tuple[Job, Outcome]] = [pair async for some in super().answer(jobs) for pair in some]
            yield pairs

    records = run(tmp_path, [clips[0], clips[2]], Together())
    assert sorted(records["caption"].answers) == ["a_0", "a_2"]
    assert sorted(records["vqa"].answers) == ["a_0#2"]
    assert sorted(records["vqa"].failures) == ["a_0#1", "a_2#1", "a_2#2"]


def test_an_adapter_that_never_works_stops_the_run_after_twenty_faults(tmp_path: Path) -> None:
    asked: list[str] = []

    class Never(Plain):
        def parse(self, request: Request, text: str) -> str:
            raise ValueError("odd")

    def function(job: Job) -> str:
        asked.append(job.request.id)
        return "paid for"

    clips = [Clip(video_id=f"a_{n}", source="a", caption="c") for n in range(30)]
    one = make_configuration(clips, adapter=Never())
    with pytest.raises(RunError, match=r"stopped: adapter plain: ValueError: odd \(parse\), 20 requests"):
        execute(tmp_path, one, OneByOne(function=function))
    assert len(asked) == 20
    failures = read(tmp_path, one)["caption"].failures
    said = [failure.response.text for failure in failures.values() if failure.response]
    assert said == ["paid for"] * 20


class Thinker(Engine):
    """Answers each question as a thinking model does: with what the test has it say."""

    name = "thinker"

    def __init__(self, **said: dict[str, Any]) -> None:
        super().__init__()
        self.said = said

    def start(self) -> None:
        """Nothing to load."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        async for job in jobs:
            kind = (job.request.question or "caption").rstrip("?").lower()
            yield [(job, Response(id=job.request.id, **self.said[kind]))]


def test_thoughts_are_kept_beside_the_answer_and_not_in_it(tmp_path: Path, clips: list[Clip]) -> None:
    engine = Thinker(
        caption={"text": "<think>A caption.</think> A man floats. "},
        who={"text": "Ann", "reasoning": "Who is it?"},
        what={"text": "so</think>A pen", "reasoning": "What is it?"},
    )
    records = run(tmp_path, [clips[0]], engine)
    answers = records["caption"].answers | records["vqa"].answers
    assert [(one.answer, one.text, one.reasoning) for one in answers.values()] == [
        ("A man floats.", " A man floats. ", "A caption."),
        ("Ann", "Ann", "Who is it?"),
        ("A pen", "A pen", "What is it?\n\nso"),
    ]
    assert RunRecord.read(tmp_path / "vqa").answers == records["vqa"].answers


def test_the_log_probability_of_thoughts_is_none_of_the_answer(tmp_path: Path, clips: list[Clip]) -> None:
    engine = Thinker(
        caption={"text": "A man floats.", "logprob": -2.5},
        who={"text": "Ann", "reasoning": "Who is it?", "logprob": -2.5},
        what={"text": "<think>So.</think>A pen", "logprob": -2.5},
    )
    records = run(tmp_path, [clips[0]], engine)
    assert [one.logprob for one in records["caption"].answers.values()] == [-2.5]
    assert [one.logprob for one in records["vqa"].answers.values()] == [None, None]
    assert b"logprob" not in (tmp_path / "vqa" / "journal.jsonl").read_bytes()


def test_thoughts_without_an_answer_are_a_failure_of_their_own(tmp_path: Path, clips: list[Clip]) -> None:
    engine = Thinker(
        caption={"text": "", "finish_reason": "length", "reasoning_tokens": 256, "output_tokens": 256},
        who={"text": "<think>Who is", "finish_reason": "length", "output_tokens": 64},
        what={"text": " ", "reasoning": "What is it?"},
    )
    records = run(tmp_path, [clips[0]], engine)
    assert not records["caption"].answers and not records["vqa"].answers
    (caption,), (who, what) = records["caption"].failures.values(), records["vqa"].failures.values()
    advice = "raise --max-tokens, or lower --thinking"
    assert caption.reason == f"the model was still thinking at the limit of 8 tokens: {advice}"
    assert who.reason == f"the model was still thinking at the limit of 8 tokens: {advice}"
    assert what.reason == "the model thought and gave no answer"
    assert {one.stage for one in (caption, who, what)} == {"thinking"}
    # What was paid for is kept.
    assert who.response is not None and who.response.text == "<think>Who is"
    assert [one.output_tokens for one in RunRecord.read(tmp_path / "vqa").responses] == [64, None]


def test_a_model_that_only_thinks_stops_the_run(tmp_path: Path) -> None:
    questions = tuple(Question(text=f"Who {n}?", answer="Ann") for n in range(30))
    clip = Clip(video_id="a_0", source="a", questions=questions)
    one = make_configuration([clip], ("vqa",))
    with pytest.raises(RunError, match="stopped: the model thought and gave no answer, 30 requests in a row"):
        execute(tmp_path, one, FunctionEngine(function=lambda job: "<think>so"), nothing_shown)


@pytest.mark.parametrize("found", [None, 3, b"Ann", ["Ann"]])
def test_a_parse_that_returns_no_text_is_a_failure(tmp_path: Path, clips: list[Clip], found: object) -> None:
    class Silent(Plain):
        def parse(self, request: Request, text: str) -> str:
            return found if request.question == "Who?" else text  # type: ignore[return-value]

    records = run(tmp_path, [clips[0]], engine(lambda job: "Ann"), Silent())
    (failure,) = records["vqa"].failures.values()
    assert (failure.stage, failure.id) == ("parse", "a_0#1")
    assert failure.reason.endswith(f"TypeError: parse() returns {type(found).__name__}, not a text")
    assert failure.response is not None and failure.response.text == "Ann"
    assert failure.frames == (3, 11, 18, 26)
    assert list(records["vqa"].answers) == ["a_0#2"]


@pytest.mark.parametrize("made", [None, "What is it?"])
def test_a_prompt_that_is_none_is_a_failure(tmp_path: Path, clips: list[Clip], made: object) -> None:
    class Silent(Plain):
        def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
            if request.question == "Who?":
                return made  # type: ignore[return-value]
            return super().prompt(request, instruction, frames)

    records = run(tmp_path, [clips[0]], engine(lambda job: "Ann"), Silent())
    (failure,) = records["vqa"].failures.values()
    assert (failure.stage, failure.id) == ("prompt", "a_0#1")
    assert failure.reason.endswith(f"TypeError: prompt() returns {type(made).__name__}, not a Prompt")
    assert list(records["vqa"].answers) == ["a_0#2"]
    one = make_configuration([clips[0]], ("caption", "vqa"), Silent())
    assert [request.id for request, _ in unshown_prompts(one, one.requests["a_0"])] == ["a_0", "a_0#2"]


def test_an_answer_tells_the_file_that_was_shown(tmp_path: Path, clips: list[Clip]) -> None:
    digest = hashlib.sha256((clips[0].video or Path()).read_bytes()).hexdigest()[:16]
    records = run(tmp_path / "frames", [clips[0]], engine(lambda job: "Ann"))
    assert {one.clip_sha256 for one in records["vqa"].answers.values()} == {digest}
    one = make_configuration([clips[0]])
    records = execute(tmp_path / "clip", one, engine(lambda job: "Ann"), whole_clips)
    assert records["caption"].answers["a_0"].clip_sha256 == digest
    records = execute(tmp_path / "none", one, engine(lambda job: "Ann"), nothing_shown)
    assert records["caption"].answers["a_0"].clip_sha256 is None


def test_answers_that_could_not_be_written_are_told_and_asked_again(disk: Path) -> None:
    questions = tuple(Question(text=f"Who {n}?", answer="Ann") for n in range(32))
    one = make_configuration([Clip(video_id="a_0", source="a", questions=questions)], ("vqa",))
    told = (
        r"journal.jsonl: cannot be written: the disk is full: free space, .* to resume; every answer before "
        r"it is safe; 32 answers not recorded and to be asked again: a_0#1, a_0#2, a_0#3, …"
    )
    with pytest.raises(RunError, match=told):
        execute(disk, one, engine(lambda job: "x" * 3_000))
    assert list(disk.iterdir()) == [], "nothing was recorded: no run is there"
    records = execute(disk, one, engine(lambda job: "Ann"))
    assert len(records["vqa"].answers) == 32
