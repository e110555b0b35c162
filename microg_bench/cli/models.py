"""`microg-bench models`: list the models and what each needs, start a new one, check it."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.conformance import Check
from microg_bench.adapters.registry import MARK, Registered, find_adapter, registered, source_sha256
from microg_bench.adapters.scaffold import write_adapter
from microg_bench.cli.console import AsJson, columns, output, print_json, print_table
from microg_bench.engines.registry import ENGINES, unsupported
from microg_bench.engines.vendors import End, announced_end
from microg_bench.errors import install_command
from microg_bench.model_checks import check_model
from microg_bench.options import flag
from microg_bench.settings import flat
from microg_bench.text import printable

NOTHING = "nothing"  # is to be installed

app = typer.Typer(
    help="List the models, show one, start a new one, or check it.",
    epilog="Examples:  `microg-bench models`  ·  `microg-bench models new my-model`",
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models, show one, start a new one, or check it."""
    if context.invoked_subcommand:
        return
    if as_json:
        print_json([_declared(one.adapter) if one.adapter else _problem(one) for one in registered()])
        return
    table = columns("model", "engines", "frames", "checkpoint", whole=("model", "checkpoint"))
    remarks: dict[str, list[str]] = {}
    for found in registered():
        if found.adapter is None:
            table.add_row(found.name, "", "", "")
            remarks.setdefault(found.problem, []).append(found.name)
            continue
        adapter = found.adapter
        frames = str(adapter.frames) if adapter.sees_video else "–"
        table.add_row(found.name, ", ".join(adapter.engines), frames, adapter.checkpoint or "–")
        if (needed := to_install(adapter)) != NOTHING:
            remarks.setdefault(f"to install: {needed}", []).append(adapter.name)
        if adapter.unproved:
            remarks.setdefault(f"unproved: {adapter.unproved}", []).append(adapter.name)
    print_table(table, spare=("frames",))
    for what, names in remarks.items():
        output().print(f"{', '.join(names)}: {what}")
    output().print("\n".join(announced_ends(date.today())))


@app.command(epilog="Example:  `microg-bench models show qwen2.5-vl`")
def show(
    name: Annotated[str, typer.Argument(help="Name of a model, or an adapter's .py file.")],
    as_json: AsJson = False,
) -> None:
    """Show everything that is declared about one model."""
    adapter = find_adapter(name)
    if as_json:
        print_json({**_declared(type(adapter)), "adapter_sha256": source_sha256(adapter)})
        return
    rows = {
        "model": f"{adapter.name} ({adapter.title})",
        "engines": ", ".join(adapter.engines),
        "frames": f"{adapter.frames}, {adapter.sampling}" if adapter.sees_video else "none",
        "checkpoint": adapter.checkpoint or "none",
        "revision": adapter.revision or "none",
        "class": adapter.architecture or adapter.loader or "–",
        "input": " ".join(flat(adapter.processor_args)) or "–",
        "caption": _generation(adapter, "caption"),
        "vqa": _generation(adapter, "vqa"),
        "licence": adapter.licence or "–",
        "memory": adapter.memory or "–",
        "note": adapter.note or "–",
        "unproved": adapter.unproved or "–",
        "end": next((end.words(date.today()) for end in _ends(adapter)), "none announced"),
        "to install": to_install(type(adapter)),
        "adapter": f"sha256 {source_sha256(adapter)}",
    }
    output().print("\n".join(f"{key:<11} {value}" for key, value in rows.items()))


def _declared(adapter: type[Adapter]) -> dict[str, Any]:
    """What is declared about a model, as JSON."""
    told = ("name", "title", "engines", "checkpoint", "revision", "architecture", "loader", "sees_video")
    more = ("frames", "sampling", "processor_args", "licence", "memory", "note", "unproved")
    return {
        **{name: getattr(adapter, name) for name in (*told, *more)},
        "generation": {task: one.model_dump(mode="json") for task, one in adapter.generation.items()},
        "to_install": None if (needed := to_install(adapter)) == NOTHING else needed,
        "ends": [{"model": end.model, "on": str(end.on)} for end in _ends(adapter)],
    }


def _problem(found: Registered) -> dict[str, Any]:
    return {"name": found.name, "problem": found.problem}


@app.command(epilog="Example:  `microg-bench models new my-model`")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new model: lower case, digits, dots, hyphens.")],
    into: Annotated[Path, typer.Option(help="Folder to write into.")] = Path(),
) -> None:
    """Write a commented adapter and its test."""
    adapter, test = write_adapter(name, into)
    output().print(f"{adapter}  write what {MARK} asks for, and what differs from the defaults")
    output().print(f"{test}  run it with pytest")
    output().print(f"then: microg-bench models check {adapter}")


@app.command(
    epilog="Examples:  `microg-bench models check my_model.py`  ·  "
    "`microg-bench models check qwen2.5-vl --checkpoint TINY_FOLDER --engine transformers`"
)
def check(
    name: Annotated[str, typer.Argument(help="Name of a model, or an adapter's .py file.")],
    checkpoint: Annotated[
        str | None, typer.Option(help="Also ask these weights about two sample clips: a folder or a hub id.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="What runs them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check an adapter: declaration, purity, isolation, robustness; with a checkpoint, a short run too.

    This runs its code. It helps an author, and proves nothing about the code of somebody else.
    """
    checks = check_model(name, checkpoint, engine)
    if as_json:
        print_json([{"what": one.what, "problem": one.problem or None} for one in checks])
    else:
        _print_checks(checks)
    if any(one.problem for one in checks):
        raise typer.Exit(1)


def _print_checks(checks: Sequence[Check]) -> None:
    for one in checks:
        output().print(f"{'FAIL' if one.problem else 'ok  '}  {one.what}")
        if one.problem:
            output().print(f"      {printable(one.problem)}")


def announced_ends(today: date) -> list[str]:
    """The ends that vendors have announced of registered models, in the order of their dates, a line each."""
    found = {end.model: end for one in registered() if one.adapter for end in _ends(one.adapter)}
    return [end.words(today) for end in sorted(found.values(), key=lambda end: (end.on, end.model))]


def _ends(adapter: Adapter | type[Adapter]) -> Iterator[End]:
    ends = (announced_end(engine, adapter.checkpoint) for engine in adapter.engines)
    return filter(None, ends)


def to_install(adapter: type[Adapter]) -> str:
    """The command that makes an engine of the adapter usable; `NOTHING` where one is.

    Where an installed library has no class for the model, that is said instead. The engine `server` is usable
    for those who have a server.
    """
    known = [ENGINES[name] for name in adapter.engines if name in ENGINES]
    if not known:
        return "an engine that does not exist here"
    here = [info.name for info in known if not info.missing()]
    loading = [unsupported(name, adapter.architecture) for name in here if name != "server"]
    if "" in loading:
        return NOTHING
    needed = "; ".join(loading) or install_command(known[0].extra)
    return f"nothing with {flag('url')}, else: {needed}" if "server" in here else needed


def _generation(adapter: Adapter, task: str) -> str:
    settings = {str(name): value for name, value in adapter.generation.items()}[task]
    return f"at most {settings.max_tokens} tokens, temperature {settings.temperature:g}"
