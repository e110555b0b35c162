"""A figure of matplotlib, which the extra `plots` installs: one look, the same bytes for the same content."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from microg_bench.errors import MissingExtraError
from microg_bench.storage import write_bytes
from microg_bench.text import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#31688e", "#e07a3f", "#4f9d69", "#8b5fbf", "#b8434e", "#7f7f7f")
LONGEST = 44  # characters of a label
TITLE_LINE, TITLE_LETTER = 0.17, 0.085  # inches, of a title above all panels
_LOOK: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "microg-bench",
    "text.parse_math": False,  # names are no formulas
}
# Dates and versions stay out of the files.
_CLEAN: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def check_drawing() -> None:
    """Accept a machine that can draw.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("drawing", "plots", str(error)) from error


@contextmanager
def canvas() -> Iterator[Figure]:
    """An empty figure; size it, draw on it and save it inside the context.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_drawing()
    import matplotlib
    from matplotlib.figure import Figure as New

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a matplotlibrc of the user changes nothing
        matplotlib.rcParams.update(_LOOK)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # it is drawn as a box
        yield New(layout="constrained")


def put_title(figure: Figure, lines: Iterable[str]) -> None:
    """Write `lines` over `figure`, each broken where it is wider, and make the figure higher for them."""
    width, height = figure.get_size_inches()
    shown = [part for line in lines for part in wrap(line, int(width / TITLE_LETTER))]
    figure.set_size_inches(width, height + TITLE_LINE * max(0, len(shown) - 2))  # two lines fit
    figure.suptitle("\n".join(shown), fontsize=10)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `figure` as `path` with the endings .png and .svg, and return the files.

    Raises:
        RunError: a file cannot be written.
    """
    files = []
    for ending, metadata in _CLEAN.items():
        content = io.BytesIO()
        figure.savefig(content, format=ending, metadata=metadata)
        file = path.with_name(f"{path.name}.{ending}")
        write_bytes(file, content.getvalue())
        files.append(file)
    return files


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` as a label: on one line, without control characters, at most `longest` characters.

    Matplotlib leaves a label that begins with "_" out of legends, so such signs are removed.
    """
    line = one_line(text).lstrip("_ ") or "?"
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
