"""What is asked and read by default; thoughts are told from the answer, and what is no answer is flagged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.adapters.base import Adapter, Baseline, flags, made_prompt, read_answer, split_thoughts
from microg_bench.adapters.references import OtherSources
from microg_bench.dataset.load import load
from microg_bench.prompts import Instruction
from microg_bench.records import THOUGHT_MARKS, Answer, Failure, Request, Response, Text, Thinking, Video
from microg_bench.scoring.predictions import read_predictions
from microg_bench.tasks import TASKS, items_of
from microg_bench.video.decode import Frames
from tests.helpers.runs import Plain

REQUEST = Request(id="a_000#1", task="vqa", video_id="a_000", source="a", question="Who?")
SAID = Response(id="a_000#1", text=" A man.\n", output_tokens=5, seconds=0.5)
OPENING, CLOSING = THOUGHT_MARKS[0]


def test_a_model_is_shown_8_frames_and_writes_short_answers_where_it_declares_nothing() -> None:
    assert (Plain.frames, Plain.sampling, Plain.sees_video) == (8, "uniform", True)
    assert (Plain.generation["caption"].max_tokens, Plain.generation["vqa"].max_tokens) == (256, 64)
    assert {one.temperature for one in Plain.generation.values()} == {0.0}
    assert (Baseline.sees_video, Baseline.engines) == (False, ("function",))


def test_the_video_stands_before_the_instruction_and_the_system_text_before_both() -> None:
    def asked(system: str) -> list[tuple[str, tuple[object, ...]]]:
        prompt = made_prompt(Plain(), REQUEST, Instruction(system=system, user="Who?"), None)
        return [(message.role, message.parts) for message in prompt.messages]

    user = ("user", (Video(), Text(text="Who?")))
    assert asked("") == [user]
    assert asked("Be brief.") == [("system", (Text(text="Be brief."),)), user]


class Repeats(Baseline):
    """A baseline that answers with the question."""

    name = "repeats"
    title = "Baseline: repeats"

    def answer(self, request: Request, descriptor: object, others: OtherSources) -> str:
        """The question."""
        return request.question or ""


def test_a_baseline_is_given_the_bare_question_and_describes_nothing() -> None:
    for question, text in (("Who?", "Who?"), (None, "")):
        request = REQUEST.model_copy(update={"question": question})
        (message,) = made_prompt(Repeats(), request, Instruction(system="s", user="u"), None).messages
        assert (message.role, message.parts) == ("user", (Text(text=text),))
    frames = Frames(np.zeros((1, 2, 2, 3), np.uint8), (0,), (0.0,), 30.0, 1, 1 / 30)
    with pytest.raises(TypeError, match="repeats"):
        Repeats().describe(frames)


class Odd(Adapter):
    """An adapter that returns what it should not."""

    name = "odd"
    title = "Odd"

    def prompt(self, *_: object) -> Any:
        """A text in the place of a prompt."""
        return "Who?"

    def parse(self, request: Request, text: str) -> Any:
        """Nothing, or an error where the text tells of one."""
        return int(text) if "no number" in text else None


def test_what_is_no_prompt_is_refused() -> None:
    with pytest.raises(TypeError, match="str"):
        made_prompt(Odd(), REQUEST, Instruction(system="", user="Who?"), None)


def test_an_answer_holds_what_was_said_and_shown() -> None:
    read = read_answer(Plain(), REQUEST, SAID, (1, 5), "0" * 16)
    assert read == Answer(**dict(SAID), answer="A man.", frames=(1, 5), clip_sha256="0" * 16)
    assert read_answer(Plain(), REQUEST, SAID) == Answer(**dict(SAID), answer="A man.")


@pytest.mark.parametrize(("text", "error"), [("A man.", "TypeError"), ("no number", "ValueError")])
def test_where_the_adapter_finds_no_answer_the_failure_holds_what_was_said_and_shown(
    text: str, error: str
) -> None:
    said = SAID.model_copy(update={"text": text})
    for frames, sha256 in (((1, 5), "0" * 16), (None, None)):
        failure = read_answer(Odd(), REQUEST, said, frames, sha256)
        assert isinstance(failure, Failure)
        assert (failure.id, failure.stage, failure.response) == (REQUEST.id, "parse", said)
        assert (failure.frames, failure.clip_sha256, failure.retryable) == (frames, sha256, False)
        assert "odd" in failure.reason and error in failure.reason


@pytest.mark.parametrize(("opening", "closing"), THOUGHT_MARKS)
def test_thoughts_are_taken_out_whatever_the_marks(opening: str, closing: str) -> None:
    said = f"{opening}\nThe user wants a caption.\n{closing}\n\nA man floats."
    assert split_thoughts(said) == ("The user wants a caption.", "\n\nA man floats.")
    assert split_thoughts(f"The user wants it.{closing}A man floats.") == (
        "The user wants it.",
        "A man floats.",
    )
    assert split_thoughts(f"{opening}The user wants") == ("The user wants", None)


@pytest.mark.parametrize(
    ("said", "thoughts", "answer"),
    [
        ("A man floats.", None, "A man floats."),
        ("", None, ""),
        ("<think></think>A man.", "", "A man."),
        ("<think>a</think>A man.<think>b</think> Two men.", "a\n\nb", "A man. Two men."),
        ("a</think>b</think>A man.", "a\n\nb", "A man."),
        ("<think>a<think>b</think>A man.", "a<think>b", "A man."),
        ("<think>a</think>A man. <think>b", "a\n\nA man.\n\nb", None),
        ("<think>a</think>", "a", ""),
        ("A <man> thinks.", None, "A <man> thinks."),
        ("<THINK>a</THINK>A man.", "a", "A man."),
        ('<think type="x">a</think >A man.', "a", "A man."),
        ("< think >a< / Think >A man.", "a", "A man."),
        ("<thinker>a</thinker>A man.", None, "<thinker>a</thinker>A man."),
        (
            "<|channel|>analysis<|message|>a<|end|>"
            "<|start|>assistant<|channel|>final<|message|>A man.<|return|>",
            "a",
            "A man.",
        ),
        ("<|start|>assistant<|channel|>final<|message|>A man.", "", "A man."),
        ("<|channel|>analysis<|message|>a", "a", None),
        ("A man.<|end|>", None, "A man.<|end|>"),
        (
            "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>A man.<|end_of_solution|>",
            "a",
            "A man.",
        ),
    ],
)
def test_what_is_thought_and_what_is_answered(said: str, thoughts: str | None, answer: str | None) -> None:
    assert split_thoughts(said) == (thoughts, answer)


def test_an_adapter_has_marks_of_its_own() -> None:
    declared = Thinking(marks=(("((", "))"),))
    assert split_thoughts("((hm))A man.", declared) == ("hm", "A man.")
    assert split_thoughts("<think>hm</think>", declared) == (None, "<think>hm</think>")


@pytest.mark.parametrize("part", ["<", "< ", "<think ", "<|end|>", "<|return|>", "&lt;", "okay, so "])
def test_a_text_full_of_what_is_nearly_a_mark_is_read_once(part: str) -> None:
    assert flags(part * 200_000 + " " * 200_000 + "</think>A man.") == ("thoughts",)


def test_a_text_full_of_marks_is_read_once() -> None:
    count = 200_000
    thoughts, answer = split_thoughts(OPENING * count + CLOSING * count + "A man.")
    assert answer == "A man."
    assert thoughts is not None and thoughts.startswith(OPENING)
    assert split_thoughts(OPENING * count) == (OPENING * (count - 1), None)


@pytest.mark.parametrize(
    "answer",
    [
        "<think>The clip shows a man.</think>A man floats.",
        "The clip shows a man.</think> A man floats.",
        "<think>The clip shows",
        "<|channel>thought\nThe clip<channel|>A man.",
        "Okay, let's see. The video shows a man.",
        "Okay, so I need to describe the clip.",
        "Alright, let me look at the frames.",
        "Got it, let's tackle this question.",
        "So, let’s see. The question is about the colour.",
        "Hmm, the frames show a man.",
        "First, I need to look at the frames.",
        "The user wants a caption of three seconds.",
        "The user is asking what the astronaut does.",
        "Okay, the user asks about the tool.",
        "Let me think about what is shown.",
        "We need to answer the question.",
        "Thinking Process:\n\n1. **Analyze the request**",
        "thought\nThe user wants a caption.",
        "&lt;think&gt;The clip shows a man.&lt;/think&gt; A man floats.",
        "<Scratchpad>The clip shows",
        "analysisThe user wants a caption.assistantfinalA man floats.",
        "Alright, so I'm looking at a video of an astronaut.",
        "Okay, so I’ve got this clip.",
        "Hmm. I am trying to tell what he holds.",
    ],
)
def test_an_answer_that_looks_like_thoughts_is_flagged(answer: str) -> None:
    assert flags(answer) == ("thoughts",)


@pytest.mark.parametrize(
    "answer",
    [
        "A man floats.",
        "Okay, here is a caption: a man floats.",
        "First, the astronaut opens the hatch.",
        "Now the camera turns.",
        "So far, three people are shown.",
        "The user interface of a laptop is shown.",
        "The user of the treadmill runs.",
        "Let us go to the module, says the astronaut.",
        "He says that we need to hurry.",
        "I cannot tell from the video.",
        "Thoughtful, she looks out of the window.",
        "So I'm looking at the Earth, he says.",
        "Okay, I have a tool in my hand.",
        "Analysis of blood samples by the assistant.",
        "A man &amp; a woman: 3 &lt; 5.",
        "Not mentioned.",
    ],
)
def test_an_answer_in_plain_words_is_not_flagged(answer: str) -> None:
    assert flags(answer) == ()


@pytest.mark.parametrize(
    ("answer", "reason", "found"),
    [
        (" \n", "stop", ("empty",)),
        ("A man", "length", ("truncated",)),
        ("", "content_filter", ("empty", "filtered")),
        ("I cannot.", "refusal", ("declined",)),
    ],
)
def test_an_answer_that_is_none_is_flagged(answer: str, reason: Any, found: tuple[str, ...]) -> None:
    assert flags(answer, reason) == found


def test_no_text_of_the_benchmark_looks_like_thoughts(shared: Path) -> None:
    clips = load(shared / "data" / "microg4m" / "vqa_and_captioning.json").clips
    texts = [
        text
        for clip in clips
        for text in (clip.caption or "", *(question.answer for question in clip.questions))
    ]
    for name, task in (("captions.json", "caption"), ("vqa.json", "vqa")):
        path = shared / "data" / "oracle" / "full" / name
        texts += read_predictions(path, task, items_of(TASKS[task], clips)).answers.values()
    assert len(texts) > 17_000
    assert [text for text in texts if "thoughts" in flags(text)] == []
