"""The conformance suite tells an author what is wrong, in the author's words."""

import socket
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.conformance import _LEVELS, check_adapter, check_import
from microg_bench.adapters.registry import MODEL_ENGINES, find_adapter, registered
from microg_bench.engines.registry import ENGINES, engine_class
from microg_bench.prompts import Instruction
from microg_bench.records import Generation, Image, Message, Prompt, Request, Text, Thinking, Video
from microg_bench.video.decode import Frames


class Good(Adapter):
    """An adapter as it should be."""

    name = "good-model"
    title = "Good"
    checkpoint = "org/good"


def problems(adapter: Adapter) -> list[str]:
    return [check.problem for check in check_adapter(adapter) if check.problem]


def test_it_names_all_engines() -> None:
    unknown = problems(type("Changed", (Good,), {"engines": ("vlm",)})())[0]
    assert set(unknown.rpartition(" of ")[2].split(", ")) == set(ENGINES)
    known = problems(type("Changed", (Good,), {"engines": tuple(ENGINES)})())
    assert not any("engines" in problem for problem in known)


def test_a_sound_adapter_passes() -> None:
    assert problems(Good()) == []


@pytest.mark.parametrize("name", [found.name for found in registered()])
def test_every_registered_adapter_passes(name: str) -> None:
    assert problems(find_adapter(name)) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": "Good Model"}, "name 'Good Model': use lower-case letters"),
        ({"title": "a\nb"}, "tables print it"),
        ({"title": 3}, "title is 3, not str"),
        ({"frames": "8"}, "frames is '8', not int"),
        ({"frames": 0}, "frames and sampling: the number of frames must be 1 to"),
        ({"sampling": "often"}, "frames and sampling: unknown sampling 'often'"),
        ({"engines": ["vllm"]}, "engines is ['vllm'], not tuple"),
        ({"engines": ("vlm",)}, "name one or more of vllm, transformers"),
        ({"engines": ()}, "name one or more of vllm"),
        ({"generation": {}}, "generation lacks caption: give generation = {'caption'"),
        (
            {"generation": {**Good.generation, "vqa": Generation(answer_schema='{"type": "array"}')}},
            "generation for vqa: answer schema: cannot be used: it must describe an object",
        ),
        ({"checkpoint": None}, "checkpoint is None: name a hub id"),
        ({"revision": 7}, "revision is 7, not str or None"),
    ],
)
def test_an_incomplete_declaration_is_named(fields: dict[str, Any], problem: str) -> None:
    changed = type("Changed", (Good,), fields)
    assert any(problem in found for found in problems(changed())), problems(changed())


class Bad(Good):
    """Overridden below; `parts` are those of its user message."""

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        return Prompt(messages=(Message(role="user", parts=self.parts(instruction, frames)),))

    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Video(), Text(text=instruction.user))


class QuestionFirst(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Text(text=instruction.user), Video())


class Backwards(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Image(frame=2), Image(frame=1), Text(text=instruction.user))


class TooMany(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Image(frame=99), Text(text=instruction.user))


class ShowsNothing(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Text(text=instruction.user),)


class OwnWords(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        return (Video(), Text(text="What is this?"))


class Paints(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        assert frames is not None
        frames.pixels[:] = 0
        return super().parts(instruction, frames)


class Moody(Bad):
    calls = 0

    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        Moody.calls += 1
        return (Video(), Text(text=f"{Moody.calls} {instruction.user}"))


class ReadsFile(Bad):
    def parts(self, instruction: Instruction, frames: Frames | None) -> Any:
        Path(__file__).read_text()
        return super().parts(instruction, frames)


class Calls(Good):
    def parse(self, request: Request, text: str) -> str:
        socket.socket().connect_ex(("127.0.0.1", 9))
        return text


class Spawns(Good):
    def parse(self, request: Request, text: str) -> str:
        subprocess.run(["true"], check=True)
        return text


class Picky(Good):
    def parse(self, request: Request, text: str) -> str:
        return text.split("Answer:")[1]


class NotText(Good):
    def parse(self, request: Request, text: str) -> str:
        return np.str_ if len(text) > 9 else text  # type: ignore[return-value]


class Broken(Good):
    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        raise KeyError("template")


class Rooted(Good):
    def __init__(self) -> None:
        self.helper = lambda text: text


@pytest.mark.parametrize(
    ("adapter", "problem"),
    [
        (QuestionFirst, "vqa: the question is before the frames"),
        (Backwards, "the frames are out of order: [2, 1]"),
        (TooMany, "it shows frame 99, but 8 were delivered"),
        (ShowsNothing, "the prompt shows nothing"),
        (OwnWords, "the question is not in the prompt word for word"),
        (Paints, "read-only"),
        (Moody, "two calls of prompt() with the same request give different prompts"),
        (ReadsFile, "an adapter opens nothing"),
        (Calls, "socket."),
        (Spawns, "subprocess.Popen"),
        (Picky, "raises IndexError"),
        (NotText, "not a string"),
        (Broken, "KeyError: 'template'"),
        (Rooted, "lambda"),
    ],
)
def test_what_fails_is_said_in_words(adapter: type[Adapter], problem: str) -> None:
    assert any(problem in found for found in problems(adapter())), problems(adapter())


def test_a_generic_adapter_passes() -> None:
    assert problems(find_adapter("server:org/model")) == []


THINKING: dict[str, Any] = {"engines": ("vllm", "server")}


@pytest.mark.parametrize(
    ("thinking", "problem"),
    [
        ({"switches": {"gemini": {"on": {}}}}, "switches for gemini, which is not among the engines"),
        ({"switches": {"vllm": {"extreme": {}}}}, "unknown level extreme: use on, off, low, medium, high"),
        ({"default": "extreme"}, "unknown level extreme"),
        (
            {"default": "low", "switches": {"vllm": {"low": {}}, "server": {"on": {}}}},
            "engine server does not know the default low (known: on)",
        ),
        ({"default": "on", "switches": {"vllm": {"on": {}}}}, "engine server does not know the default on"),
        ({"default": "low"}, "engine vllm does not know the default low (known: on, off)"),
        ({"marks": (("<a>", "<a>"),)}, "marks ('<a>', '<a>'): give pairs of two different texts"),
        ({"marks": (("<a>", " "),)}, "marks ('<a>', ' '): give pairs of two different texts"),
        ({"marks": (("<a>",),)}, "marks ('<a>',): give pairs of two different texts"),
    ],
)
def test_what_is_wrong_with_declared_thinking_is_named(thinking: dict[str, Any], problem: str) -> None:
    declared = Thinking.model_construct(**thinking)  # unchecked, as a subclass of its own may be
    found = problems(type("Changed", (Good,), {**THINKING, "thinking": declared})())
    assert any(one.startswith("thinking: ") and problem in one for one in found), found


@pytest.mark.parametrize(
    "thinking",
    [
        Thinking(),
        Thinking(default="off"),
        Thinking(default="low", switches={"vllm": {"low": {}}, "server": {"low": {}, "high": {}}}),
        Thinking(marks=(("<a>", "</a>"),), switches={"vllm": {"on": {}}}),
    ],
)
def test_sound_thinking_passes(thinking: Thinking) -> None:
    found = problems(type("Changed", (Good,), {**THINKING, "thinking": thinking})())
    assert not any(one.startswith("thinking") for one in found)


def test_thinking_of_another_type_is_named() -> None:
    assert any(
        "thinking is 'on', not Thinking" in one for one in problems(type("C", (Good,), {"thinking": "on"})())
    )


def test_it_knows_the_levels_of_each_engine() -> None:
    known = {
        name: set(engine_class(name).thinking_switches)
        for name in MODEL_ENGINES
        if not ENGINES[name].missing()
    }
    assert known
    assert known == {name: set(_LEVELS[name]) for name in known}


class Hides(Good):
    """Opens files where it is not expected, and says nothing of it."""

    def prompt(self, request: Request, instruction: Instruction, frames: Frames | None) -> Prompt:
        with suppress(Exception):
            Path(__file__).read_text()
        return super().prompt(request, instruction, frames)


class Database(Good):
    def parse(self, request: Request, text: str) -> str:
        if text != "A man.":
            sqlite3.connect(":memory:").close()
        return text


@pytest.mark.parametrize(("adapter", "event"), [(Hides, "open "), (Database, "sqlite3.connect")])
def test_what_is_caught_is_seen(adapter: type[Adapter], event: str) -> None:
    assert any(event in one and "an adapter opens nothing" in one for one in problems(adapter()))


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("open('made', 'w')", "open ('made',)"),
        ("import os; os.mkdir('made')", "os.mkdir"),
        ("import sqlite3; sqlite3.connect('made')", "sqlite3.connect"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "socket.connect"),
        ("open(__file__).read(); import json, wave", ""),
    ],
)
def test_what_an_import_does_is_seen(
    code: str, event: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = "from microg_bench.adapters.base import Adapter"
    declared = "class One(Adapter):\n    name, title, checkpoint = 'one', 'One', 'org/one'\n"
    Path("one.py").write_text(f"{code}\n{base}\n\n{declared}")
    adapter, check = check_import(lambda: find_adapter("one.py"))
    assert adapter.name == "one"
    assert check.problem.startswith(event) if event else check.problem == ""


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"size": 3}, "processor_args: --processor-arg: 'size': give images.NAME or videos.NAME"),
        ("videos.size", "processor_args is 'videos.size', not Mapping"),
        ({"videos.size": {"longest_edge": 9}}, ""),
    ],
)
def test_what_is_wrong_with_stated_arguments_of_the_processor_is_named(stated: Any, problem: str) -> None:
    found = "".join(problems(type("Changed", (Good,), {"processor_args": stated})()))
    assert problem in found if problem else "processor_args" not in found
