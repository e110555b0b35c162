"""Prompt templates: `prompts/*.toml`, each with an id, a version, a task and a purpose; and rubrics.

A rubric (`prompts/annotate/`, `prompts/judge/`) is what a language model is asked about texts.

A template's hash is part of a run's settings, so that an answer can always be traced to the exact words
that were asked. Templates are rendered in jinja's sandbox, for they may come from somebody else.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from microg_bench.errors import DataError, UsageError
from microg_bench.records import BenchmarkTask, Record, Request, TaskName, first_fault
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


class Wording(Record, ABC):
    """What is asked in which words: `system` and `user` are jinja texts."""

    id: str
    version: int
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

    @abstractmethod
    def render(self, request: Request) -> Instruction:
        """The instruction for `request`.

        Raises:
            DataError: the template uses a name that it is not given, or is not valid jinja.
        """

    def _rendered(self, text: str, **values: Any) -> str:
        try:
            return _compiled(text).render(**values).strip()
        except Exception as error:  # a template is somebody else's code
            raise DataError(f"cannot be rendered: {first_line(error)}", item=f"prompt {self.id}") from error


class Template(Wording):
    """One prompt template of a task.

    Its texts may use `{{ question }}`; of the task "har", `{{ actions }}`, the names of the label map, and
    `{{ boxes }}`, "drawn" or "crop": how the person is shown. `family` names the models that it was written
    for.
    """

    task: BenchmarkTask
    family: str = "any"

    def render(self, request: Request) -> Instruction:
        """See `Wording.render`."""
        given: dict[str, Any] = {"question": request.question}
        if request.person:
            from microg_bench.dataset.labels import shipped_labels

            given = {"actions": shipped_labels().names, "boxes": request.person.form}
        system, user = (self._rendered(text, **given) for text in (self.system, self.user))
        return Instruction(system=system, user=user)


class Rubric(Wording):
    """What a language model is asked about texts, and the JSON schema of its answer.

    `user` may use the names in `fields`; `{{ name | tojson }}` keeps a text of somebody else apart from the
    instruction. An answer has `max_tokens` at most.
    """

    fields: tuple[str, ...]
    max_tokens: int = Field(ge=1)
    answer_schema: dict[str, Any]

    @property
    def schema_text(self) -> str:
        """The schema as `Generation.answer_schema` has it."""
        return json.dumps(self.answer_schema)

    @property
    def sha256(self) -> str:
        """Hash of everything that reaches a model, and of the schema."""
        return hashlib.sha256(f"{self.system}\0{self.user}\0{self.schema_text}".encode()).hexdigest()

    def fill(self, **values: Any) -> str:
        """The user's text for one set of `fields`.

        Raises:
            DataError: a name is missing or unknown, or the text is not valid jinja.
        """
        if names := sorted(values.keys() ^ set(self.fields)):
            raise DataError(f"cannot be rendered: {names[0]} is missing or unknown", item=f"rubric {self.id}")
        return self._rendered(self.user, **values)

    def render(self, request: Request) -> Instruction:
        """The instruction for a request whose question is a filled text."""
        return Instruction(system=self._rendered(self.system), user=request.question or "")


AnyWording = TypeVar("AnyWording", bound=Wording)


@cache
def _compiled(text: str) -> jinja2.Template:
    return _environment().from_string(text)


@cache
def _environment() -> jinja2.Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def _names(text: str) -> set[str]:
    """The names that a jinja text uses and does not set; none where it is not valid jinja."""
    from jinja2 import TemplateError
    from jinja2.meta import find_undeclared_variables

    try:
        return find_undeclared_variables(_environment().parse(text))
    except TemplateError:
        return set()


def read_template(path: Path) -> Template:
    """Read one template file.

    Raises:
        DataError: the file cannot be read, holds more than 1 MiB, is not TOML or lacks a field.
    """
    return _parsed(Template, read_text(path, MAX_BYTES).decode(), path)


def _parsed(kind: type[AnyWording], text: str, path: Path) -> AnyWording:
    try:
        return kind.model_validate(tomllib.loads(text))
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
        template = _parsed(Template, path.read_text(encoding="utf-8"), path)
        if template.id in found:
            raise DataError(f"the prompt id {template.id!r} is taken", path=path)
        found[template.id] = template
    return found


def find_template(task: TaskName, name: str) -> Template:
    """The template `name` for `task`: a shipped one, whose id is `TASK-NAME`, or a TOML file.

    Raises:
        UsageError: no template of that name, or one made for another task.
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


def find_rubric(kind: Literal["annotate", "judge"], name: str) -> Rubric:
    """The rubric `name`: a shipped one, `prompts/KIND/NAME.toml`, or a TOML file.

    Raises:
        UsageError: no rubric of that name, or its schema cannot be used.
        DataError: the file is malformed, or does not render.
    """
    from microg_bench.structured import read_schema

    path = Path(name)
    if not name.endswith(".toml"):
        names = {file.stem: file for file in sorted((PROMPTS / kind).glob("*.toml"))}
        if name not in names:
            raise UsageError(unknown("rubric", name, names))
        path = names[name]
    rubric = _parsed(Rubric, read_text(path, MAX_BYTES).decode(), path)
    read_schema(rubric.schema_text)
    if unknown_names := sorted(_names(rubric.user) - set(rubric.fields)):
        reason = f"uses {unknown_names[0]}, which is not among its fields"
        raise DataError(reason, path=path, item=rubric.id)
    rubric.fill(**dict.fromkeys(rubric.fields, ""))
    return rubric
