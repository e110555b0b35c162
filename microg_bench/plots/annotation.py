"""One clip as an example of the annotations: its persons, their actions, its caption, its questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import read_actions, read_label_map
from microg_bench.dataset.load import ACTION_NAMES, BOX_NAMES, find_table, load, locate, select
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import DecodeError
from microg_bench.persons.boxes import COORDINATES
from microg_bench.persons.convert import BOXES, PERSON
from microg_bench.plots.canvas import COLOURS, canvas, clean, save
from microg_bench.records import Clip
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FramePositions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = "annotation"
NO_CLIP = "none has a video, a caption, questions, and a person with a box and an action"
MOST_FRAMES = 4
SEVERAL = 2  # persons of the clip that is taken, where there is one
WIDTH = 14.0  # inches
HIGHEST = 5.0  # inches, of a frame
EDGE = 0.1  # of the height of a frame, within which a number would stand outside
LINE = 0.19  # inches, of a line of text
LETTERS = 92  # of a line
LONGEST = 1500  # characters of a text
MOST_LINES = 60
HEADINGS = ("Persons and their actions", "Caption", "Questions and answers")


@dataclass(frozen=True, eq=False)
class AnnotatedClip:
    """An annotated clip.

    Attributes:
        clip: with caption, questions and video.
        boxes: of each frame, whose numbers are from 1 and ascend, x1, y1, x2, y2 in pixels by person.
        actions: names of the actions of each person, in the order of the file, each once.
    """

    clip: Clip
    boxes: Mapping[int, Mapping[int, tuple[float, ...]]]
    actions: Mapping[int, tuple[str, ...]]

    def pixels(self) -> NDArray[np.uint8]:
        """The frames, RGB, shape (T, H, W, 3).

        Raises:
            DecodeError: the video cannot be decoded, or does not have the frames.
        """
        video = self.clip.video or Path()
        found = decode(video, FramePositions(positions=tuple(frame - 1 for frame in self.boxes)))
        if found.total < max(self.boxes):
            raise DecodeError(f"has no frame {max(self.boxes)}, but {found.total}", path=video.name)
        return found.pixels


def find_annotated_clip(data: str | Path | None, clip: str | None = None) -> AnnotatedClip | None:
    """The first clip with a video, a caption, questions, and two persons with boxes and actions.

    Where no clip has two such persons, it is the first with one; None where there is none.

    Args:
        data: as `--data` takes it.
        clip: the id of the clip to take in place of the first.

    Raises:
        UsageError: there is no clip of this id.
        DataError: the dataset, its boxes or its actions cannot be read.
    """
    import polars  # slow to import

    folder = locate(data)
    clips = [one for one in select(load(data), [clip] if clip else []) if one.video]
    boxes, actions = (find_table(folder, names)[0] if clips else None for names in (BOX_NAMES, ACTION_NAMES))
    if boxes is None or actions is None:
        return None
    labels = read_label_map()
    placed = read_table(boxes, BOXES).frame.filter(polars.col("frame_id") > 0)
    named = read_actions(actions, labels).frame
    both = placed.select(PERSON).unique().join(named.select(PERSON).unique(), on=PERSON)
    persons = dict(both.group_by("video_id").len().iter_rows())
    usable = [one for one in clips if one.caption and one.questions and one.video_id in persons]
    if not usable:
        return None
    taken = next((one for one in usable if persons[one.video_id] >= SEVERAL), usable[0])
    own = both.filter(video_id=taken.video_id)
    names = dict(zip(labels.ids, labels.names, strict=True))
    said: dict[int, dict[str, None]] = {}
    for person, action in named.join(own, on=PERSON).select("person_id", "action").iter_rows():
        said.setdefault(person, {})[names[action]] = None
    rows = placed.join(own, on=PERSON).select("frame_id", "person_id", *COORDINATES)
    found: dict[int, dict[int, tuple[float, ...]]] = {}
    for frame, person, *box in rows.sort("frame_id", "person_id").iter_rows():
        found.setdefault(frame, {})[person] = tuple(box)
    boxes_of = {frame: found[frame] for frame in _some(list(found))}
    return AnnotatedClip(taken, boxes_of, {person: tuple(said[person]) for person in sorted(said)})


def _some(frames: Sequence[int]) -> list[int]:
    """At most four of the frames, from the first to the last."""
    last = min(MOST_FRAMES, len(frames)) - 1
    return [frames[round(k * (len(frames) - 1) / max(last, 1))] for k in range(last + 1)]


def draw_annotated_clip(annotated: AnnotatedClip, folder: Path) -> list[Path]:
    """Draw the clip as PNG and SVG into `folder`, and return the files.

    Raises:
        MissingExtraError: matplotlib is not installed.
        DecodeError: see `AnnotatedClip.pixels`.
        RunError: a file cannot be written.
    """
    pixels = annotated.pixels()
    texts = [_cut(list(lines)) for lines in (_caption_and_actions(annotated), _questions(annotated))]
    high, wide = pixels.shape[1:3]
    with canvas() as figure:
        frame, text = min(HIGHEST, WIDTH / len(pixels) * high / wide), LINE * max(map(len, texts))
        figure.set_size_inches(WIDTH, frame + text + 0.8)
        figure.suptitle(clean(f"An annotated clip: {annotated.clip.video_id}", 120), fontweight="bold")
        heights = [frame + 0.4, text]
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
        panels = above.subplots(1, len(pixels), squeeze=False)[0]
        for axes, picture, number in zip(panels, pixels, annotated.boxes, strict=True):
            _draw_frame(axes, picture, number, annotated)
        for axes, lines in zip(below.subplots(1, len(texts)), texts, strict=True):
            _write(axes, lines, text)
        return save(figure, folder / FILE)


def _draw_frame(axes: Axes, picture: NDArray[np.uint8], number: int, annotated: AnnotatedClip) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(picture)
    axes.set_axis_off()
    axes.set_title(f"frame {number}", fontweight="normal", fontsize=9)
    order = list(annotated.actions)
    limits = (*picture.shape[1::-1], *picture.shape[1::-1])
    for person, corners in annotated.boxes[number].items():
        x1, y1, x2, y2 = map(min, corners, limits)
        colour = COLOURS[order.index(person) % len(COLOURS)]
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=2))
        plate = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
        inwards, place = (2, "bottom") if y1 > EDGE * picture.shape[0] else (-2, "top")
        axes.annotate(
            *(str(person), (x1, y1), (2, inwards)),
            textcoords="offset points", color="white", fontsize=8, va=place, bbox=plate, clip_on=True,
        )  # fmt: skip


def _write(axes: Axes, lines: Sequence[str], high: float) -> None:
    """Write lines below each other into a panel that is so many inches high; headings are bold."""
    axes.set_axis_off()
    for place, line in enumerate(lines):
        weight = "bold" if line in HEADINGS else "normal"
        axes.text(0.01, 1 - place * LINE / high, line, va="top", fontsize=9, fontweight=weight)


def _caption_and_actions(annotated: AnnotatedClip) -> Iterator[str]:
    yield HEADINGS[0]
    for person, actions in annotated.actions.items():
        yield from _wrapped(f"{person}: {', '.join(actions)}")
    yield from ("", HEADINGS[1])
    yield from _wrapped(annotated.clip.caption or "")


def _questions(annotated: AnnotatedClip) -> Iterator[str]:
    yield HEADINGS[2]
    for question in annotated.clip.questions:
        yield from _wrapped(f"Q: {question.text}")
        yield from _wrapped(f"A: {question.answer}")


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], "…"]


def _wrapped(text: str) -> list[str]:
    return wrap(clean(text, LONGEST), LETTERS)
