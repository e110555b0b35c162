"""Writes docs/reference/command-line.md, the reference of all verbs, from what the program declares.

python scripts/make_command_reference.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main

from microg_bench.__main__ import VERBS, app
from microg_bench.options import Options, about, flag
from microg_bench.storage import write_text

PAGE = Path(__file__).parent.parent / "docs/reference/command-line.md"

INTRO = """\
# Command line

<!-- Written by scripts/make_command_reference.py: edit the modules of microg_bench/cli instead. -->

`microg-bench --help` lists the verbs, and `microg-bench VERB --help` shows one. `microg-bench --version`
prints the version. Results go to standard output, notes and errors to standard error. An error ends the
command with a status that is not 0; [Runs](../how-to/runs.md#resume) lists the exit statuses.

Options that several verbs share are described in [Options](options.md). Here they are only named.

| verb | what it does |
|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    program: Any = typer.main.get_command(app)
    listed = (f"| [`{verb}`](#{verb}) | {line} |" for verb, (_, line) in VERBS.items())
    verbs = (_verb(verb, program.get_command(None, verb)) for verb in VERBS)
    return INTRO + "\n".join([*listed, "", *(line for lines in verbs for line in lines)])


def _verb(verb: str, command: Any) -> Iterator[str]:
    yield from (f"## {verb}", "")
    within = getattr(command, "commands", {})
    yield from _told(command, [verb, *(["[COMMAND]"] if within else [])])
    for name, one in within.items():
        yield from (f"### {verb} {name}", "")
        yield from _told(one, [verb, name])


def _told(command: Any, words: Sequence[str]) -> Iterator[str]:
    """What a command does, how it is called, its own parameters, the shared options, examples."""
    yield from (_filled(command.help or ""), "")
    shared = [one.name for one in command.params if _is_shared(one)]
    own = [one for one in command.params if not _is_shared(one)]
    options = ["[OPTIONS]"] if any(one.param_type_name == "option" for one in command.params) else []
    arguments = [_argument(one) for one in own if one.param_type_name == "argument"]
    yield from ("```text", " ".join(["microg-bench", *words, *options, *arguments]), "```", "")
    if own:
        yield from ("| argument or option | default | meaning |", "|---|---|---|")
        yield from (f"| `{_name(one)}` | {_default(one)} | {_cell(one.help or '')} |" for one in own)
        yield ""
    if shared:
        yield from (f"It also takes {_named(shared)}.", "")
    if command.epilog:
        yield from (_examples(command.epilog), "")


def _is_shared(one: Any) -> bool:
    """Whether an option is one of those that are declared once for all verbs."""
    return one.name in Options.model_fields and one.help == about(one.name).help


def _named(shared: Sequence[str]) -> str:
    """The shared options of a verb in words: those that are left out where these are fewer."""
    link = "[options](options.md)"
    left = [name for name in Options.model_fields if name not in shared]
    if not left:
        return f"all {link}"
    if len(left) < len(shared):
        return f"all {link} but {_flags(left)}"
    return f"the {link} {_flags(shared)}"


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"`{flag(name)}`" for name in names)


def _argument(one: Any) -> str:
    name = one.metavar or one.name.upper() + ("..." if one.nargs == -1 else "")
    return name if one.required or name.startswith("[") else f"[{name}]"


def _name(one: Any) -> str:
    if one.param_type_name == "argument":
        return _argument(one)
    return ", ".join([*one.opts, *one.secondary_opts])


def _default(one: Any) -> str:
    """What holds where it is not given."""
    repeated = ", repeated" if getattr(one, "multiple", False) else ""
    if one.required:
        return f"required{repeated}"
    if isinstance(one.show_default, str):
        return _cell(one.show_default) + repeated
    if isinstance(one.default, bool):
        return "yes" if one.default else "no"
    value = one.default.value if isinstance(one.default, Enum) else one.default
    return ("none" if value is None else _cell(str(value))) + repeated


def _filled(text: str) -> str:
    """A text of several lines as paragraphs of one line."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _examples(text: str) -> str:
    """The examples below the help: commands by themselves are marked as code."""
    lines = _filled(text.replace("  ·  ", "\n\n").replace(":  `", ":\n\n`")).split("\n\n")
    return "\n\n".join(f"`{line}`" if line.startswith("microg-bench ") else line for line in lines)


if __name__ == "__main__":
    write_text(PAGE, page())
