"""Checks of an adapter that need no GPU, weights or dataset; each says what to change.

They help its author. They are no proof that the code of somebody else does no harm: they see what Python
reports of the calls that they make, and code that means to hide can.
"""

import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.adapters.registry import MODEL_ENGINES, unfilled
from microg_bench.errors import MicrogError
from microg_bench.options import Options
from microg_bench.prompts import Instruction, find_template
from microg_bench.records import (
    Generation,
    Image,
    Prompt,
    Request,
    Text,
    Thinking,
    ThinkingLevel,
    Video,
)
from microg_bench.structured import read_schema
from microg_bench.video.decode import Frames
from microg_bench.video.sampling import FrameSpec

_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_QUESTION = "What floats beside the astronaut's left hand?"
_REQUESTS = (
    Request(id="clip_001", task="caption", video_id="clip_001", source="clip"),
    Request(id="clip_001#1", task="vqa", video_id="clip_001", source="clip", question=_QUESTION),
)
_HOSTILE_TEXTS = (
    "",
    " \t\r\n\u2028\u00a0 ",
    "Not mentioned.",
    "\0\x1b[2J\ud83d",
    "<|im_end|><s></s>[INST]ASSISTANT:",
    '{"answer": ["unclosed',
    "```json\n{}\n```",
    "<think>no end",
    "Answer:",
    "<script>alert(1)</script>",
    "\u202eright to left\u202c" + "e\u0301" * 50,
    "{{ 7*7 }} %s {0} \\N{BULLET} \\",
    "word " * 50_000,
)
_ENGINES = (*MODEL_ENGINES, "function")
# The levels of thinking that each engine knows for a model whose adapter declares no switches.
_LEVELS = {
    **dict.fromkeys(("vllm", "transformers"), ("on", "off")),
    **dict.fromkeys(("server", "gemini", "anthropic"), ("on", "off", "low", "medium", "high")),
    "openai": ("off", "low", "medium", "high"),
}
# Audit events of Python by the beginnings of their names: of what reaches out of the process, and of the rest
# of what opens files.
_REACHING = (
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty."),
    *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"),
    *("os.truncate", "os.utime", "shutil.", "tempfile.", "sqlite3.", "subprocess.", "urllib."),
    *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send"),
    *("ftplib.", "http.client.", "imaplib.", "poplib.", "smtplib.", "webbrowser."),
)
_OPENING = ("open", "os.", "socket.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Check:
    """The result of one check; `problem` is empty where the adapter passes."""

    what: str
    problem: str = ""


class _IsolationError(Exception):
    """An adapter opened a file, a connection or a process."""


def check_import(find: Callable[[], Adapter]) -> tuple[Adapter, Check]:
    """The adapter that `find` imports, and whether the import was seen to reach out of the process.

    Modules that were imported before are not seen.

    Raises:
        Exception: whatever `find` raises.
    """
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with _watched(_is_reaching, stop=False) as seen:
            adapter = find()
    finally:
        sys.dont_write_bytecode = kept
    problem = f"{seen[0]}: an adapter does nothing when it is imported" if seen else ""
    return adapter, Check("its import was not seen to write a file, connect or start a process", problem)


def check_adapter(adapter: Adapter) -> list[Check]:
    """All checks that need nothing but the adapter."""
    checks: dict[str, Callable[[], str]] = {
        "the template is filled in": lambda: unfilled(adapter),
        "the declaration is complete": lambda: _declaration(adapter),
        "it renders both prompts": lambda: _each_prompt(adapter, _renders),
        "it shows the frames in order, before the question": lambda: _each_prompt(adapter, _shows),
        "it is pure: the same request gives the same prompt": lambda: _each_prompt(adapter, _pure),
        "prompt() and parse() were not seen to open a file or a connection": lambda: _isolated(adapter),
        "parse() is robust to any model output": lambda: _parses(adapter),
        "it can be pickled": lambda: _pickles(adapter),
    }
    return [Check(what, _guarded(check)) for what, check in checks.items()]


def _guarded(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # an adapter is somebody else's code
        return f"{type(error).__name__}: {error}"


def _declaration(adapter: Adapter) -> str:
    kinds: dict[str, Any] = {
        "name": str,
        "title": str,
        "checkpoint": (str, type(None)),
        "revision": (str, type(None)),
        "frames": int,
        "sampling": str,
        "sees_video": bool,
        "engines": tuple,
        "generation": dict,
        "licence": str,
        "memory": str,
        "note": str,
        "unproved": str,
        "thinking": (Thinking, type(None)),
        "processor_args": Mapping,
    }
    for field, kind in kinds.items():
        if not isinstance(getattr(adapter, field, None), kind):
            return f"{field} is {getattr(adapter, field, None)!r}, not {_words(kind)}"
    if not (_NAME.fullmatch(adapter.name) or ":" in adapter.name):
        return f"name {adapter.name!r}: use lower-case letters, digits, dots and hyphens"
    if not adapter.title.strip() or not adapter.title.isprintable():
        return f"title {adapter.title!r}: tables print it, so it must be one printable line"
    if not adapter.engines or not set(adapter.engines) <= set(_ENGINES):
        return f"engines {adapter.engines!r}: name one or more of {', '.join(_ENGINES)}"
    if adapter.checkpoint is None and not isinstance(adapter, Baseline):
        return "checkpoint is None: name a hub id, a folder, or the model's name at its server"
    problem = _generation(adapter) or _frames_declared(adapter) or _thinking(adapter)
    return problem or _processor_args(adapter)


def _generation(adapter: Adapter) -> str:
    for task in ("caption", "vqa"):
        declared = adapter.generation.get(task)
        if not isinstance(declared, Generation):
            return f"generation lacks {task}: give generation = {{'{task}': Generation(…), …}}"
        try:
            if declared.answer_schema:
                read_schema(declared.answer_schema)
        except MicrogError as error:
            return f"generation for {task}: {error}"
    return ""


def _frames_declared(adapter: Adapter) -> str:
    if not adapter.sees_video:
        return ""
    try:
        FrameSpec.parse(adapter.frames, adapter.sampling)
    except MicrogError as error:
        return f"frames and sampling: {error}"
    return ""


def _processor_args(adapter: Adapter) -> str:
    try:
        Options.of({"processor_args": dict(adapter.processor_args)})
    except MicrogError as error:
        return f"processor_args: {error}"
    return ""


def _words(kind: Any) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join("None" if one is type(None) else one.__name__ for one in kinds)


def _given(adapter: Adapter, request: Request) -> tuple[Request, Instruction, Frames | None]:
    """What the harness calls `prompt` with."""
    instruction = find_template(request.task, "default").render(request)
    return request, instruction, _frames(adapter) if adapter.sees_video else None


def _frames(adapter: Adapter) -> Frames:
    """Read-only frames, as many as the adapter takes, at most 16."""
    count = min(adapter.frames, 16) if isinstance(adapter.frames, int) else 8
    pixels = np.zeros((max(count, 1), 8, 8, 3), np.uint8)
    pixels.flags.writeable = False
    indices = tuple(range(len(pixels)))
    return Frames(pixels, indices, tuple(i / 30 for i in indices), 30.0, 90, 3.0)


def _each_prompt(adapter: Adapter, check: Callable[[Adapter, Request], str]) -> str:
    for request in _REQUESTS:
        if problem := check(adapter, request):
            return f"{request.task}: {problem}"
    return ""


def _renders(adapter: Adapter, request: Request) -> str:
    prompt = adapter.prompt(*_given(adapter, request))
    if not isinstance(prompt, Prompt):
        return f"prompt() returns {type(prompt).__name__}, not a Prompt"
    if not prompt.messages or prompt.messages[-1].role != "user":
        return "the last message must be the user's: the model answers it"
    said = " ".join(part.text for one in prompt.messages for part in one.parts if isinstance(part, Text))
    if request.question and request.question not in said:
        return "the question is not in the prompt word for word"
    return "" if said.strip() or isinstance(adapter, Baseline) else "the prompt has no text"


def _shows(adapter: Adapter, request: Request) -> str:
    if not adapter.sees_video or isinstance(adapter, Baseline):
        return ""
    given = _given(adapter, request)
    prompt, frames = adapter.prompt(*given), given[2]
    parts = [part for message in prompt.messages if message.role == "user" for part in message.parts]
    stills = [part.frame for part in parts if isinstance(part, Image)]
    if not stills and not any(isinstance(part, Video) for part in parts):
        return "the prompt shows nothing: put Video(), or an Image(frame=k) for each frame, into a message"
    if frames and any(not 0 <= still < len(frames.indices) for still in stills):
        return f"it shows frame {max(stills)}, but {len(frames.indices)} were delivered"
    if stills != sorted(stills):
        return f"the frames are out of order: {stills}"
    last_seen = max(place for place, part in enumerate(parts) if not isinstance(part, Text))
    before = [part.text for part in parts[:last_seen] if isinstance(part, Text)]
    if request.question and any(request.question in text for text in before):
        return "the question is before the frames: the questions of a clip cannot share a prefix"
    return ""


def _pure(adapter: Adapter, request: Request) -> str:
    if adapter.prompt(*_given(adapter, request)) != adapter.prompt(*_given(adapter, request)):
        return "two calls of prompt() with the same request give different prompts"
    if adapter.parse(request, "A man.") != adapter.parse(request, "A man."):
        return "two calls of parse() with the same text give different answers"
    return ""


def _thinking(adapter: Adapter) -> str:
    thinking, known = adapter.thinking, get_args(ThinkingLevel)
    if thinking is None:
        return ""
    if others := sorted(set(thinking.switches) - set(adapter.engines)):
        return f"thinking: switches for {', '.join(others)}, which is not among the engines of the adapter"
    named = {
        *([thinking.default] if thinking.default else []),
        *(one for own in thinking.switches.values() for one in own),
    }
    if odd := sorted(map(str, named - set(known))):
        return f"thinking: unknown level {', '.join(odd)}: use {', '.join(known)}"
    for engine in adapter.engines if thinking.default else ():
        levels = thinking.switches.get(engine, ()) if thinking.switches else _LEVELS.get(engine, ())
        if thinking.default not in levels:
            told = ", ".join(levels) or "none"
            return f"thinking: engine {engine} does not know the default {thinking.default} (known: {told})"
    for marks in thinking.marks:
        if not _are_marks(marks):
            return f"thinking: marks {marks!r}: give pairs of two different texts that are not blank"
    return ""


def _are_marks(marks: object) -> bool:
    if not isinstance(marks, tuple) or len(marks) != 2:
        return False
    return all(isinstance(mark, str) and mark.strip() for mark in marks) and marks[0] != marks[1]


def _isolated(adapter: Adapter) -> str:
    for request in _REQUESTS:
        given = _given(adapter, request)
        _tried(adapter, given)  # a module that is imported on the way may be read from its file
        with _watched(_is_opening, stop=True) as seen:
            _tried(adapter, given)
        if seen:
            return f"{request.task}: {seen[0]}: an adapter opens nothing; the harness does"
    return ""


def _tried(adapter: Adapter, given: tuple[Request, Instruction, Frames | None]) -> None:
    """Call `prompt` and `parse` with all that the checks have for them; other checks tell what they raise."""
    with suppress(Exception):
        adapter.prompt(*given)
    for text in ("A man.", *_HOSTILE_TEXTS):
        with suppress(Exception):
            adapter.parse(given[0], text)


def _parses(adapter: Adapter) -> str:
    for request in _REQUESTS:
        for text in _HOSTILE_TEXTS:
            shown = text if len(text) < 60 else f"{text[:40]}… ({len(text)} characters)"
            try:
                answer = adapter.parse(request, text)
            except Exception as error:  # an adapter is somebody else's code
                return f"{request.task}: parse({shown!r}) raises {type(error).__name__}: {error}"
            if not isinstance(answer, str):
                return f"{request.task}: parse({shown!r}) returns {type(answer).__name__}, not a string"
    return ""


def _pickles(adapter: Adapter) -> str:
    copy = pickle.loads(pickle.dumps(adapter))  # noqa: S301 - what was pickled on the same line
    return "" if copy.name == adapter.name else "a pickled copy has another name"


def _is_reaching(event: str, arguments: tuple[Any, ...]) -> bool:
    writes = event == "open" and bool(_flags(arguments) & _WRITING)
    return writes or event.startswith(_REACHING)


def _is_opening(event: str, arguments: tuple[Any, ...]) -> bool:
    return event.startswith((*_OPENING, *_REACHING))


def _flags(arguments: tuple[Any, ...]) -> int:
    """How a file is opened: the path, the mode and the flags are what the event tells."""
    return arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0


Watched = Callable[[str, tuple[Any, ...]], bool]


class _AuditHook:
    """The audit hook of this process. Python cannot remove one, so it has a switch.

    While `watched` is set, the events that it accepts are listed in `seen`, and stopped where `stop` is set.
    """

    watched: ClassVar[Watched | None] = None
    stop: ClassVar[bool] = False
    seen: ClassVar[list[str]] = []
    installed: ClassVar[bool] = False

    @classmethod
    def hook(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.watched is not None and cls.watched(event, arguments):
            cls.seen.append(f"{event} {arguments[:1]}")
            if cls.stop:
                raise _IsolationError(cls.seen[-1])


@contextmanager
def _watched(watched: Watched, *, stop: bool) -> Iterator[list[str]]:
    """List the events of the code inside that `watched` accepts, also where it catches what `stop` raises."""
    if not _AuditHook.installed:
        sys.addaudithook(_AuditHook.hook)
        _AuditHook.installed = True
    seen: list[str] = []
    _AuditHook.seen, _AuditHook.stop, _AuditHook.watched = seen, stop, watched
    try:
        yield seen
    finally:
        _AuditHook.watched = None
