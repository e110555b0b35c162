"""Prompt templates: `prompts/*.toml`, each with an id, a version, a task and a purpose.

A template's hash is part of a run's settings, so that an answer can always be traced to the exact words
that were asked. Templates are rendered in jinja's sandbox, for they may come from somebody else.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from microg_bench.errors import DataError, UsageError
from microg_bench.records import Record, Request, TaskName, first_fault
from microg_bench.settings import PromptId
from microg_bench.storage import read_text, shipped
from microg_bench.text import first_line, unknown

if TYPE_CHECKING:
    import jinja2


PROMPTS = shipped("prompts")
MAX_BYTES = 1024**2  # of a prompt file


class Instruction(Record):
    """A rendered template: what the system is told and what the user asks."""

    system: str
    user: str


class Template(Record):
    """One prompt template; `system` and `user` are jinja texts that may use `{{ question }}`.

    `family` names the models that it was written for.
    """

    id: str
    version: int
    task: TaskName
    family: str = "any"
    purpose: str
    system: str = ""
    user: str

    @property
    def sha256(self) -> str:
        """Hash of everything that reaches a model."""
        return hashlib.sha256(f"{self.system}\0{self.user}".encode()).hexdigest()

    @property
    def identity(self) -> PromptId:
        """Id, version and the start of the hash, as settings keep them."""
        return PromptId(id=self.id, version=self.version, hash=self.sha256[:8])

    def render(self, request: Request) -> Instruction:
        """The instruction for `request`.

        Raises:
            DataError: the template uses a name other than `question`, or is not valid jinja.
        """
        try:
            system, user = (
                _compiled(text).render(question=request.question).strip() for text in (self.system, self.user)
            )
        except Exception as error:  # a template is somebody else's code
            raise DataError(f"cannot be rendered: {error}", item=f"prompt {self.id}") from error
        return Instruction(system=system, user=user)


@cache
def _compiled(text: str) -> jinja2.Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False).from_string(text)


def read_template(path: Path) -> Template:
    """Read one template file.

    Raises:
        DataError: the file cannot be read, holds more than 1 MiB, is not TOML or lacks a field.
    """
    return _parsed(read_text(path, MAX_BYTES).decode(), path)


def _parsed(text: str, path: Path) -> Template:
    try:
        return Template.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise DataError(f"prompt file: field {first_fault(error)}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"prompt file cannot be read: {first_line(error)}", path=path) from error


def shipped_templates() -> dict[str, Template]:
    """All templates of `prompts/` by id, sorted.

    Raises:
        DataError: one of them is malformed, or two have the same id.
    """
    found: dict[str, Template] = {}
    for path in sorted(PROMPTS.glob("*.toml")):
        template = _parsed(path.read_text(encoding="utf-8"), path)
        if template.id in found:
            raise DataError(f"the prompt id {template.id!r} is taken", path=path)
        found[template.id] = template
    return found


def find_template(task: TaskName, name: str) -> Template:
    """The template `name` for `task`: a shipped one, whose id is `TASK-NAME`, or a TOML file.

    Raises:
        UsageError: no template of that name, or one made for the other task.
        DataError: the file is malformed.
    """
    if name.endswith(".toml"):
        template = read_template(Path(name))
    else:
        names = {
            template.id.removeprefix(f"{task}-"): template
            for template in shipped_templates().values()
            if template.task == task
        }
        if name not in names:
            raise UsageError(unknown(f"{task} prompt", name, names))
        template = names[name]
    if template.task != task:
        raise UsageError(f"prompt {template.id} is for {template.task}, not for {task}")
    return template
