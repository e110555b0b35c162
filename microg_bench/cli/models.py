"""`microg-bench models`: which models there are, and what each needs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from microg_bench.adapters import Adapter, find_adapter, registered
from microg_bench.adapters.registry import source_sha256
from microg_bench.cli.show import output
from microg_bench.engines import ENGINES

app = typer.Typer(
    help="List the models, or show one.",
    epilog="Examples:  `microg-bench models`  ·  `microg-bench models show qwen2.5-vl`",
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models, or show one."""
    if context.invoked_subcommand:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "engines", "frames", "checkpoint", "to install"):
        table.add_column(column, overflow="fold")
    for found in registered():
        if found.adapter is None:
            table.add_row(found.name, "", "", "", found.problem)
            continue
        adapter = found.adapter
        frames = str(adapter.frames) if adapter.sees_video else "–"
        engines = ", ".join(adapter.engines)
        table.add_row(found.name, engines, frames, adapter.checkpoint or "–", to_install(adapter))
    output().print(table)


@app.command(epilog="Example:  `microg-bench models show qwen2.5-vl`")
def show(name: Annotated[str, typer.Argument(help="Name of a model, or an adapter's .py file.")]) -> None:
    """Show everything that is declared about one model."""
    adapter = find_adapter(name)
    rows = {
        "model": f"{adapter.name} ({adapter.title})",
        "engines": ", ".join(adapter.engines),
        "frames": f"{adapter.frames}, {adapter.sampling}" if adapter.sees_video else "none",
        "checkpoint": adapter.checkpoint or "none",
        "revision": adapter.revision or "none",
        "caption": _generation(adapter, "caption"),
        "vqa": _generation(adapter, "vqa"),
        "licence": adapter.licence or "–",
        "memory": adapter.memory or "–",
        "note": adapter.note or "–",
        "to install": to_install(type(adapter)),
        "adapter": f"sha256 {source_sha256(adapter)}",
    }
    output().print("\n".join(f"{key:<11} {value}" for key, value in rows.items()))


def to_install(adapter: type[Adapter]) -> str:
    """The command that makes an engine of the adapter usable; "nothing" where one is."""
    known = [ENGINES[name] for name in adapter.engines if name in ENGINES]
    if any(not info.missing() for info in known):
        return "nothing"
    return f"pip install 'microg-bench[{known[0].extra}]'" if known else "an engine that does not exist here"


def _generation(adapter: Adapter, task: str) -> str:
    settings = {str(name): value for name, value in adapter.generation.items()}[task]
    return f"at most {settings.max_tokens} tokens, temperature {settings.temperature:g}"
