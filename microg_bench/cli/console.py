"""Where the command line prints: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from typer.core import TyperGroup

from microg_bench.errors import MissingExtraError
from microg_bench.scorecard import Scorecard
from microg_bench.text import printable, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 160  # of tables in a pipe or file, which have none of their own
GAP = 2  # blanks between columns
INTERRUPTED, TERMINATED = 130, 143  # 128 and the number of the signal, as of a shell

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class DefaultVerb(TyperGroup):
    """A group whose verb `default` may be left out: `curate VIDEO` is `curate run VIDEO`."""

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add the verb where none is given."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def output() -> Console:
    """Where results go, so that they can be piped."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """Print a result for programs; letters that are not ASCII are escaped, and so are control characters."""
    output().print(json.dumps(content, indent=2, default=str))


def print_report(content: Any, table: str, files: Iterable[Path], as_json: bool) -> None:
    """Print a report: its JSON `content`, or its table with the files that hold more."""
    if as_json:
        print_json(content)
    else:
        output().print("\n".join([table, *map(str, files)]))


def messages() -> Console:
    """Where progress, notes and errors go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def note(*lines: str, style: str = "") -> None:
    """Print lines on standard error; control characters in them become spaces."""
    shown, console = list(map(printable, lines)), messages()
    for line in shown:
        console.print(line, style=style or None)


def noted(*lines: str) -> None:
    """Print on standard error what a reader must know beside a result."""
    note(*(f"note: {line}" for line in lines))


@contextmanager
def interruptible(kept: str = "every answer") -> Iterator[None]:
    """Turn Ctrl-C, and SIGTERM as of a scheduler, into one line that says what is kept, and an exit status.

    Raises:
        typer.Exit: it was interrupted.
    """
    terminated: list[int] = []
    try:
        with _terminable(terminated):
            yield
    except KeyboardInterrupt:
        note(f"interrupted: {kept} is kept; run the same command again to resume")
        raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from None


@contextmanager
def _terminable(terminated: list[int]) -> Iterator[None]:
    """Have SIGTERM do what Ctrl-C does, and note it in `terminated`."""

    def stop(number: int, frame: FrameType | None) -> None:
        terminated.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # of a job in the background, which Ctrl-C does not reach
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():  # which alone may set what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def unscored(shard: str, root: Path) -> str:
    """How the shards of a run are scored."""
    again = f"`microg-bench runs merge {root} --out DIR`"
    return f"shard {shard} is not scored by itself: when all have ended, {again} joins and scores them"


def drawn(draw: Callable[[], list[Path]]) -> list[Path]:
    """The charts that `draw` writes; a line says why there are none."""
    try:
        return draw()
    except MissingExtraError as error:
        note(f"no chart: {error}")
        return []


def warn_of_doubts(cards: Mapping[str, Scorecard]) -> None:
    """Print a warning where scores say little; each card is known by where it comes from."""
    found = [list(one) for one in map(Scorecard.doubts, cards.values())]
    if any(found):
        named = (f"{name}: {doubt}" for name, own in zip(cards, found, strict=True) for doubt in own)
        alarm("do not rely on these scores", named)


def alarm(title: str, lines: Iterable[str]) -> None:
    """Print a warning that cannot be missed on standard error: in a frame where that is a terminal."""
    console, shown = messages(), "\n".join(map(printable, lines))
    if not console.is_terminal:
        console.print(f"WARNING: {title}\n{shown}")
        return
    from rich.panel import Panel
    from rich.text import Text

    frame = Panel(Text(shown), title=Text(title), border_style="bold red", style="bold", padding=(1, 2))
    console.print(frame, soft_wrap=False)


def left_out(errors: Iterable[Exception]) -> None:
    """Say what was left out, and why; control characters are shown as their escapes."""
    for error in errors:
        note(f"left out: {visible(str(error))}", style="red")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, with columns as wide as their longest cell; control characters become spaces."""
    shown = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]


def columns(*names: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> Table:
    """An empty table without lines; `right` are aligned to the right, texts of `whole` stay in one line."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        side: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=side, overflow="fold", no_wrap=name in whole)
    return table


def print_table(table: Table, spare: Collection[str] = ()) -> None:
    """Print a table of `columns`, whose cells are folded at blanks alone.

    Where it is too wide even so, the columns of `spare` are left out.
    """
    from rich.cells import cell_len
    from rich.table import Table

    console = output()
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = WIDTH
    for column in table.columns:
        texts = [str(column.header), *map(str, column.cells)]
        parts = texts if column.no_wrap else [word for text in texts for word in text.split()]
        column.min_width = max(map(cell_len, parts), default=0)
    needed = sum(column.min_width or 0 for column in table.columns) + GAP * (len(table.columns) - 1)
    if needed > console.width:
        rows, kept = table.rows, [column for column in table.columns if column.header not in spare]
        table = Table(*kept, box=None, pad_edge=False)
        table.rows = rows
    console.print(table)
