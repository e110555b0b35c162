"""The texts of a figure, and whether they can be read."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from unittest.mock import patch
from xml.etree import ElementTree

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

TOUCH = 1.5  # pixels; boxes hold some air around letters


def svg_words(path: Path) -> list[str]:
    """The texts of an SVG file, which is well-formed; matplotlib names each in a comment."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=builder))
    return [(one.text or "").strip() for one in root.iter() if one.tag is ElementTree.Comment]


def crowded(figure: Figure) -> list[str]:
    """The texts of a figure that overlap another or its edges."""
    texts = _drawn(figure)
    boxes = [(one.get_text(), one.get_window_extent()) for one in texts]
    edges = figure.bbox
    found = [
        f"{text!r} is cut"
        for text, box in boxes
        if box.x0 < edges.x0 - TOUCH
        or box.y0 < edges.y0 - TOUCH
        or box.x1 > edges.x1 + TOUCH
        or box.y1 > edges.y1 + TOUCH
    ]
    # The box of a slanting label is that of its corners, so such labels are left out.
    straight = [
        (text, box) for one, (text, box) in zip(texts, boxes, strict=True) if not one.get_rotation() % 90
    ]
    for (text, box), (other, there) in combinations(straight, 2):
        wide = min(box.x1, there.x1) - max(box.x0, there.x0)
        high = min(box.y1, there.y1) - max(box.y0, there.y0)
        if wide > TOUCH and high > TOUCH:
            found.append(f"{text!r} overlaps {other!r}")
    return found


def _drawn(figure: Figure) -> list[Text]:
    """The texts that are really drawn: a tick outside the axes, for example, has one that is not."""
    figure.draw_without_rendering()  # lays it out
    found: dict[Text, None] = {}
    draw = Text.draw

    def record(text: Text, renderer: RendererBase) -> None:
        if text.get_visible() and text.get_text().strip():
            found[text] = None
        draw(text, renderer)

    with patch.object(Text, "draw", record):
        figure.draw(FigureCanvasAgg(figure).get_renderer())
    return list(found)
