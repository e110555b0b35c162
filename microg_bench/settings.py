"""Settings: everything that moves an answer of one run; a run is resumed only with the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from operator import not_
from typing import Any, Literal

from pydantic import Field

from microg_bench.records import BoxForm, Generation, Record, TaskName
from microg_bench.text import many
from microg_bench.video.sampling import FrameSpec


class Media(Record):
    """The form in which a clip travels to a server.

    `kind`: JPEG `images`, one `video` of JPEG frames, or the `clip`'s own file. `jpeg_quality` (1 to 95) and
    `detail` (the level at which the vendor reads an image) are None where they do not apply.
    """

    kind: Literal["images", "video", "clip"]
    jpeg_quality: int | None = None
    detail: str | None = None


class PromptId(Record):
    """Which template was asked with: id, version and the first 8 hex digits of its SHA-256."""

    id: str
    version: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}@{self.version}:{self.hash}"


class Settings(Record):
    """Everything that moves an answer of one run (one task, one model, one dataset).

    `frames` are the frames that the model is shown, None where none are decoded: it sees no video, or is sent
    the clip's own file (`media.kind` is then "clip"). `media` is None for an engine in this process.
    `clips` are the ids of the clips that are asked about, None for all of the dataset; `requests` those of
    the requests, None for all of the clips'. `paraphrases` are questions in other words, by the id of their
    request; where there are any, they alone are asked, and nothing is written of them where there are none.
    `shard` is the part of a divided run that this is, as ``3/8``.
    `checkpoint_sha256` identifies the content of a local checkpoint, None for any other. `processor_args` are
    the arguments of the checkpoint's processor that are stated, such as ``videos.size``; others are as the
    checkpoint and the library have them. `title` is the adapter's, with the checkpoint where that is another
    than the adapter's. `thinking` is the level that was asked for, "engine default" where none was, None for
    a model that does not think. `transforms` are applied to the frames, in order. `boxes` tells how persons
    are shown, None where no person is asked about; nothing is written of it then.
    """

    task: TaskName
    model: str
    title: str
    adapter_sha256: str
    checkpoint: str | None
    revision: str | None
    checkpoint_sha256: str | None = None
    engine: str
    dtype: str
    attn_implementation: str | None = None
    quantization: str | None = None
    engine_args: dict[str, Any] = Field(default_factory=dict)
    processor_args: dict[str, Any] = Field(default_factory=dict)
    frames: FrameSpec | None
    media: Media | None = None
    prompt: PromptId | None
    generation: Generation
    thinking: str | None = None
    transforms: tuple[str, ...] = ()
    boxes: BoxForm | None = Field(default=None, exclude_if=not_)
    dataset: str
    fingerprint: str
    clips: tuple[str, ...] | None
    requests: tuple[str, ...] | None = None
    paraphrases: dict[str, str] = Field(default_factory=dict, exclude_if=not_)
    shard: str | None = None

    @property
    def shown(self) -> str:
        """What the model is shown: ``uniform:8``, ``uniform:8 rotate:90``, ``clip`` or ``none``."""
        if self.media and self.media.kind == "clip":
            return "clip"
        return " ".join([str(self.frames or "none"), *self.transforms])

    @property
    def input(self) -> str | None:
        """What the size of the input follows from, in a line; None where `processor_args` state nothing.

        ``uniform:9 videos.cap_pixels_per_frame=false videos.size.longest_edge=12845056``; of a line of more
        than 200 characters the SHA-256 of the arguments.
        """
        if not self.processor_args:
            return None
        stated = " ".join(flat(self.processor_args))
        if len(line := f"{self.shown} {stated}") <= _LONGEST:
            return line
        return f"{self.shown} sha256={hashlib.sha256(stated.encode()).hexdigest()}"

    def changed(self, other: Settings) -> str | None:
        """The name of the first setting that differs; None where all are the same.

        The title follows from the rest. Weights and adapter come last: their hashes say the least.
        """
        names = [name for name in type(self).model_fields if name not in ("title", *_HASHES)]
        return next(
            (name for name in (*names, *_HASHES) if getattr(self, name) != getattr(other, name)), None
        )

    @property
    def part(self) -> str | None:
        """Which part of the dataset is asked about, as ``20 clips only``; None for all of it."""
        if self.shard:
            return f"shard {self.shard} only"
        for name in ("requests", "clips"):
            if (chosen := getattr(self, name)) is not None:
                return f"{many(len(chosen), name[:-1])} only"
        return None

    def difference(self, other: Settings) -> str | None:
        """The first setting that differs, as `frames: uniform:8 → uniform:9`; None where all are the same."""
        match self.changed(other):
            case None:
                return None
            case "checkpoint_sha256":
                return f"the weights in {self.checkpoint} have changed"
            case "adapter_sha256":
                return f"the file of the adapter {self.model} was edited"
            case name:
                return f"{name}: {_short(getattr(self, name))} → {_short(getattr(other, name))}"


_HASHES = ("checkpoint_sha256", "adapter_sha256")
_LONGEST = 200


def flat(values: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Values in mappings of any depth as ``videos.size.longest_edge=9``, sorted by name."""
    for name, value in sorted(values.items()):
        if isinstance(value, dict):
            yield from flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}={json.dumps(value)}"


def _short(value: Any) -> str:
    if isinstance(value, Generation):
        value = value.model_dump()
    text = json.dumps(value) if isinstance(value, (dict, list, tuple)) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
