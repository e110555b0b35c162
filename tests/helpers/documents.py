"""The documents: their blocks of code, and what running them as a reader does gives."""

from __future__ import annotations

import doctest
import re
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*/README.md")])
# Why a block may say that it is not run. A block names one or more, separated by commas.
REASONS = {
    "needs a GPU",
    "needs a cluster",
    "needs a vendor",
    "needs MicroG-4M",
    "needs footage",
    "needs reviews",
    "needs the network",
    "installs packages",
    "takes minutes",
}
FAILURE = re.compile(r"error:|FAIL|REFUSED|failed|pending", re.IGNORECASE)


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, the number of its first line."""

    language: str
    text: str
    line: int

    @property
    def not_run(self) -> set[str]:
        """The reasons for which the block says that it is not run."""
        said = re.match(r"# Not run here: (.+)", self.text)
        return set(said[1].split(", ")) if said else set()


class Command(NamedTuple):
    """A command of a console block, and what the page shows of its output."""

    text: str
    shown: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page; raises ValueError for a fence that does not end."""
    text = page.read_text(encoding="utf-8")
    found = list(re.finditer(r"^( *)```(\S*)\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL))
    if 2 * len(found) != len(re.findall(r"^ *```", text, flags=re.MULTILINE)):
        raise ValueError(f"{page}: a fence does not end")
    return [Block(one[2], textwrap.dedent(one[3]), text.count("\n", 0, one.start(3)) + 1) for one in found]


def commands(text: str) -> list[Command]:
    """The commands of a console block; raises ValueError for output before the first."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif found and not found[-1].shown and found[-1].text.endswith("\\"):
            found[-1] = Command(f"{found[-1].text}\n{line}", "")
        elif found:
            found[-1] = Command(found[-1].text, f"{found[-1].shown}{line}\n")
        elif not line.startswith("#"):
            raise ValueError(f"output of no command: {line}")
    return found


def is_shown(shown: str, real: str) -> bool:
    """Whether `real` is what a page shows: `…` stands for anything in a line, as a line for any lines."""
    parts = [
        r"(?:.*\n)*?" if line == "…" else r".*?".join(map(re.escape, line.split("…"))) + r"\n"
        for line in _even(shown)
    ]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in _even(real))) is not None


def _even(text: str) -> list[str]:
    """The lines of a text, with runs of spaces as one."""
    return [re.sub(r" +", " ", line).strip() for line in text.strip().splitlines()]


class _Checker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return is_shown(want, got)


@dataclass
class Reader:
    """Somebody who types what a page shows, in a folder, from its first block to its last.

    `addresses` has the servers that stand for those of the page. What differs is an AssertionError.
    """

    folder: Path
    environment: Mapping[str, str]
    addresses: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def read(self, block: Block) -> None:
        """Run a block of console or Python."""
        if block.language == "console":
            for command in commands(block.text):
                self._type(command)
        elif ">>>" in block.text:
            self._session(block.text)
        else:
            exec(compile(block.text, "the page", "exec"), self.names)

    def _type(self, command: Command) -> None:
        text = command.text
        for shown, real in self.addresses.items():
            text = text.replace(shown, real)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        printed = done.stdout
        for shown, real in self.addresses.items():
            printed = printed.replace(real, shown)
        if command.shown:
            assert is_shown(command.shown, printed), f"$ {command.text}\n{printed}"
        failed = done.returncode != 0
        assert not failed or FAILURE.search(command.shown), f"$ {command.text}\n{printed}"

    def _session(self, text: str) -> None:
        test = doctest.DocTestParser().get_doctest(text, self.names, "the page", None, 0)
        told: list[str] = []
        doctest.DocTestRunner(_Checker()).run(test, out=told.append, clear_globs=False)
        self.names.update(test.globs)
        assert not told, "".join(told)
