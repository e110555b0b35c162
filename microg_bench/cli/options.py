"""Makes command-line options of the declaration in `microg_bench.options`."""

import inspect
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from microg_bench.errors import UsageError
from microg_bench.options import Options, ScoringOptions, about, flag
from microg_bench.runs.migration import read_object
from microg_bench.runs.record import RUN_FILE, RunRecord
from microg_bench.settings import Settings

LabelMapOption = Annotated[
    Path, typer.Option("--label-map", help="Actions, in AVA's text format.", show_default="MicroG-4M's 50")
]
METAVARS = {int: "<int>", float: "<float>"}
SCORING = tuple(ScoringOptions.model_fields)
ASKING = tuple(name for name in Options.model_fields if name not in SCORING)


def with_options(names: Iterable[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Spell the last parameter `**given` of a function out as these options; None means not given."""
    taken = [_parameter(name) for name in names]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[:-1]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + taken
        function.__annotations__ = {one.name: one.annotation for one in parameters}
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    declared, known = about(name), ", ".join(choices(name))
    option = typer.Option(
        flag(name),
        help=f"{declared.help} One of: {known}." if known else declared.help,  # a wide type would cut names
        rich_help_panel=declared.group,
        show_default=default_words(name),
        metavar=METAVARS.get(kind(name)),
    )
    read = {bool: bool, dict: list[str]}.get(kind(name), str)  # `Options` takes texts apart, and checks them
    annotation: Any = Annotated[read | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def default_words(name: str) -> str:
    """The default of an option, in words."""
    field = Options.model_fields[name]
    value = field.get_default(call_default_factory=True)
    if about(name).default:
        return about(name).default
    if isinstance(value, tuple):
        return ",".join(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def kind(name: str) -> Any:
    """The type of an option that is set: bool, int, float, str, tuple, dict or Literal."""
    arm = _set_type(name)
    return get_origin(arm) or arm


def choices(name: str) -> tuple[str, ...]:
    """The values that an option may have, where they can be listed."""
    return get_args(_set_type(name)) if kind(name) is Literal else ()


def _set_type(name: str) -> Any:
    annotation: Any = Options.model_fields[name].annotation
    arms = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    return next(arm for arm in arms if arm is not NoneType)


def read_config(path: Path) -> tuple[dict[str, Any], Settings | None]:
    """Options from a TOML file, or from the run.json of an earlier run, whose settings are given too.

    Raises:
        UsageError: the file cannot be read.
        RunError: the run.json is damaged or of an unknown schema.
    """
    if path.suffix != ".json":
        return read_toml(path), None
    if path.name != RUN_FILE:
        raise UsageError(f"give a .toml file, or the {RUN_FILE} of a run", path=path, item="--config")
    record = RunRecord.of(path.parent, read_object(path))  # that of a submission, too
    return record.options, record.settings


def read_toml(path: Path) -> dict[str, Any]:
    """Options from a TOML file, named as on the command line or as fields.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot be read: {error}", path=path, item="--config") from error
    return {key.replace("-", "_"): value for key, value in content.items()}
