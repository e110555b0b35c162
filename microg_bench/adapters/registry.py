"""Finds an adapter by its name, in a `.py` file, or makes the generic one for `ENGINE:NAME`.

The shipped models and those of others register in the same way: an entry point in the group
`microg_bench.adapters`. A name belongs to one adapter; a clash is an error that names both places.
"""

import ast
import hashlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from microg_bench.adapters.base import Adapter
from microg_bench.errors import UsageError
from microg_bench.privacy import without_private
from microg_bench.records import Thinking, first_fault
from microg_bench.text import first_line, one_line, unknown

GROUP = "microg_bench.adapters"
MARK = "FILL IN"  # stands in an adapter where its author has to write something
_FILLED_IN = ("checkpoint", "revision", "architecture", "licence", "memory", "note")
MODEL_ENGINES = ("vllm", "transformers", "server", "openai", "gemini", "anthropic")  # that ask models by name


@dataclass(frozen=True)
class Registered:
    """An adapter that can be named; `problem` says why it cannot be used, where it cannot."""

    name: str
    place: str
    adapter: type[Adapter] | None = None
    problem: str = ""


def registered() -> list[Registered]:
    """All registered adapters by name. One that cannot be imported is listed with its problem.

    Raises:
        UsageError: two packages register the same name.
    """
    return [_load(point) for point in _points().values()]


def adapters_of(checkpoint: str | None) -> list[str]:
    """The names of the registered adapters that are made for `checkpoint`."""
    return [one.name for one in registered() if one.adapter and one.adapter.checkpoint == checkpoint]


def find_adapter(model: str) -> Adapter:
    """The adapter called `model`, the one in the file `model` (which ends in `.py`), or for `ENGINE:NAME`.

    Raises:
        UsageError: unknown name (the nearest are suggested), a file that holds no adapter, a clash of names,
            or an adapter that cannot be imported.
    """
    if is_generic(model):
        return generic(model)
    if is_file(model):
        return _from_file(Path(model))()
    points = _points()
    if model not in points:
        raise UsageError(f"{unknown('model', model, points)}; `microg-bench models` lists them")
    found = _load(points[model])
    if found.adapter is None:
        raise UsageError(f"model {model} ({found.place}): {found.problem}")
    return found.adapter()


def usable_adapter(model: str) -> Adapter:
    """The adapter `model`, as `find_adapter` finds it, to be asked.

    Raises:
        UsageError: as `find_adapter`; or its author has not filled in the template.
    """
    adapter = find_adapter(model)
    if problem := unfilled(adapter):
        raise UsageError(problem, item=model)
    return adapter


def unfilled(adapter: Adapter) -> str:
    """What its author has left of the template, as a request to fill it in; "" where nothing is left."""
    kind = type(adapter)
    written = {
        "the docstring of the file": inspect.getdoc(inspect.getmodule(kind)),
        "the docstring of the class": kind.__doc__,
        **{name: getattr(adapter, name, None) for name in _FILLED_IN},
    }
    left = [name for name, text in written.items() if isinstance(text, str) and MARK in text]
    return f"write what {MARK} asks for: {', '.join(left)}" if left else ""


def source_sha256(adapter: Adapter) -> str:
    """SHA-256 of what `adapter` is made of: a changed adapter is another model.

    That is the file that defines it, its loader's, and the modules of their own package that these import, or
    those beside them where they are in none, and so on. Other packages are told apart by their versions, and
    the harness by its own.
    """
    files = [Path(inspect.getfile(type(adapter)))]
    if adapter.loader:
        spec = importlib.util.find_spec(adapter.loader.partition(":")[0])
        files += [Path(spec.origin)] if spec and spec.origin else []
    read: list[Path] = []
    while files:
        read.append(files.pop(0))
        files += [one for one in _imported(read[-1]) if one not in (*read, *files)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in read)).hexdigest()


def _imported(file: Path) -> list[Path]:
    """The modules of its own package, or beside it, that `file` imports, in the order of their import."""
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    package = file.relative_to(root).parts[:-1]
    harness = __name__.partition(".")[0]
    if package[:1] == (harness,):
        return []
    found: dict[Path, None] = {}
    for node in ast.walk(ast.parse(file.read_bytes())):
        for name in _imported_names(node, package):
            place = root.joinpath(*name)
            if name[:1] == package[:1] or (not package and name[:1] != (harness,)):
                found |= dict.fromkeys(
                    one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()
                )
    return list(found)


def _imported_names(node: ast.AST, package: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The parts of each dotted name that an import in a module of `package` may load."""
    if isinstance(node, ast.Import):
        return [tuple(alias.name.split(".")) for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = package[: len(package) - node.level + 1] if node.level else ()
    base = (*above, *(node.module.split(".") if node.module else ()))
    return [base, *((*base, alias.name) for alias in node.names)]


def _points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise UsageError(
                f"model name {point.name!r} is taken twice: by {_place(other)} and by {_place(point)}; "
                "uninstall one of the two packages"
            )
    return found


def _place(point: EntryPoint) -> str:
    package = point.dist.name if point.dist else "?"
    return f"{package}: {point.value}"


def _load(point: EntryPoint) -> Registered:
    try:
        adapter = point.load()
    except Exception as error:  # somebody else's module may fail in any way
        return Registered(point.name, _place(point), problem=f"cannot be imported: {_reason(error)}")
    problem = _problem(adapter)
    if not problem and adapter.name != point.name:
        problem = f"is registered as {point.name!r} but calls itself {adapter.name!r}"
    return Registered(point.name, _place(point), None if problem else adapter, problem)


def _problem(adapter: object) -> str:
    if not (isinstance(adapter, type) and issubclass(adapter, Adapter)):
        return "is not a subclass of microg_bench.adapters.base.Adapter"
    missing = [field for field in ("name", "title") if not isinstance(getattr(adapter, field, None), str)]
    if missing:
        return f"does not declare {' and '.join(missing)}"
    # Both are written to files and tables; a lone surrogate could be written, but not read again.
    odd = [repr(text) for text in (adapter.name, adapter.title) if not text.isprintable()]
    return f"calls itself {odd[0]}, which cannot be printed" if odd else ""


def _from_file(path: Path) -> type[Adapter]:
    if not path.is_file():
        raise UsageError("no such file", path=path)
    module = _import_file(path)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Adapter) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(f"expected one subclass of Adapter, found {len(found)}", path=path)
    if problem := _problem(found[0]):
        raise UsageError(f"{found[0].__name__} {problem}", path=path)
    if (point := _points().get(found[0].name)) and not _same_file(point, path):
        raise UsageError(f"model name {found[0].name!r} is taken twice: by {_place(point)} and by {path}")
    return found[0]


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"microg_bench_adapter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError("not a Python file", path=path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its source can be found, and its objects pickled to workers
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        reason = f"cannot be imported: {type(error).__name__}: {_reason(error)}"
        raise UsageError(reason, path=path) from error
    return module


def _reason(error: Exception) -> str:
    """What is wrong with a declaration, or whatever else somebody else's module raises, in a line."""
    return first_fault(error) if isinstance(error, ValidationError) else first_line(error)


def _same_file(point: EntryPoint, path: Path) -> bool:
    adapter = _load(point).adapter
    return adapter is not None and Path(inspect.getfile(adapter)).resolve() == path.resolve()


def is_generic(model: str) -> bool:
    """Whether `model` has the form `ENGINE:NAME` with an engine that asks models by name."""
    return model.partition(":")[0] in MODEL_ENGINES and ":" in model


def is_file(model: str) -> bool:
    """Whether `model` is an adapter's file, which is run when it is imported."""
    return model.endswith(".py") and not is_generic(model)


def name_it(model: str) -> str:
    """What to do where a file from elsewhere names the adapter's file `model`."""
    return f"give --model {one_line(model)}, if you trust its author"


def generic(model: str) -> Adapter:
    """The adapter for `model`, e.g. ``openai:gpt-4o`` or ``vllm:ORG/CHECKPOINT``.

    Raises:
        UsageError: the name behind the colon is empty, or holds white space or control characters.
    """
    engine, _, name_there = model.partition(":")
    if not name_there or not name_there.isprintable() or any(sign.isspace() for sign in name_there):
        raise UsageError(f"{model!r}: give a name after the colon, e.g. {engine}:NAME", item="--model")

    class Generic(Adapter):
        """The plain chat form."""

        name = model
        title = without_private(name_there)
        checkpoint = name_there
        engines = (engine,)
        thinking = Thinking()
        note = "no adapter of its own: frames before the harness's prompt, the whole answer taken as it is"

        def __reduce__(self) -> tuple[Any, ...]:
            return generic, (model,)

    return Generic()
