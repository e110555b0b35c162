"""States the arguments of a checkpoint's processor, and tells how large the input is that it makes.

What an argument is that nobody states follows from the checkpoint's files and from the library's defaults,
which change with its versions.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from microg_bench.engines.base import Job
from microg_bench.engines.chat_template import model_inputs
from microg_bench.errors import EngineError
from microg_bench.options import flag
from microg_bench.records import Generation, Image, Message, Prompt, Request, Text, Video
from microg_bench.video.decode import Frames

Stated = Mapping[str, Mapping[str, Any]]  # see `Options.processor_kwargs`

_PARTS = {"images": "image_processor", "videos": "video_processor"}
# What moves no size, or is set with every prompt: frames are sampled before.
_APART = {
    *("device", "data_format", "input_data_format", "return_tensors", "return_metadata", "disable_grouping"),
    *("image_mean", "image_std", "do_rescale", "rescale_factor", "do_normalize", "do_convert_rgb"),
    *("video_metadata", "do_sample_frames", "num_frames", "fps", "min_frames", "max_frames", "initial_shift"),
}
_WIDTH, _HEIGHT, _FRAMES = 640, 480, 8  # of the clip by which inputs are compared
_LONGEST = 200  # characters of a value


def state(processor: Any, stated: Stated, checkpoint: str) -> None:
    """Give the parts of `processor` the arguments that are `stated`.

    Raises:
        EngineError: it has no such part or argument; with another library, it would be ignored.
    """
    for kind, part in _PARTS.items():
        arguments = stated.get(f"{kind}_kwargs")
        if not arguments:
            continue
        own = getattr(processor, part, None)
        if own is None:
            reason = f"its processor takes no {kind}: leave {flag('processor_args')} {kind}.… out"
            raise EngineError(reason, item=checkpoint)
        known = _known(own) or set(vars(own))  # code of a checkpoint may not tell
        if unknown := [name for name in arguments if name not in known]:
            version, kept = import_module("transformers").__version__, f"{kind}.{unknown[0]}=null"
            reason = f"{type(own).__name__} of transformers {version} has no argument {unknown[0]}"
            advice = f"take another version, or what this one does: {flag('processor_args')} {kept}"
            raise EngineError(f"{reason}, which is stated: {advice}", item=checkpoint)
        setattr(processor, part, type(own).from_dict(own.to_dict(), **arguments))


def _known(part: Any) -> set[str]:
    return set(getattr(getattr(part, "valid_kwargs", None), "__annotations__", ()))


def input_facts(processor: Any, stated: Stated) -> dict[str, str]:
    """What moves the size of the input as it is in effect, and the size that follows for one clip.

    Returns:
        Under ``videos.size`` and the like each argument that is set, as JSON, or its SHA-256 where that is
        long; under ``videos`` and ``images`` what the processor makes of 8 frames, or of an image, of
        640 × 480: pixels and prompt tokens. What the processor does not take is left out.
    """
    found = dict(_arguments(processor))
    for kind, shown in (("images", Image(frame=0)), ("videos", Video())):
        if getattr(processor, _PARTS[kind], None) is not None:
            try:
                found[kind] = _made(processor, shown, stated)
            except Exception as error:  # code of a checkpoint: the run does not depend on it
                found[kind] = f"not known: {type(error).__name__}"
    return found


def _arguments(processor: Any) -> Iterator[tuple[str, str]]:
    for kind, part in _PARTS.items():
        own = getattr(processor, part, None)
        for name in sorted(_known(own) - _APART):
            value = getattr(own, name, None)
            if value is not None:
                value = {key: one for key, one in dict(value).items() if one} if _is_size(value) else value
                yield f"{kind}.{name}", _bounded(json.dumps(value, default=str, sort_keys=True))


def _bounded(text: str) -> str:
    """`text`, or its SHA-256 where it is long: grids of tiles may have dozens of sizes."""
    return text if len(text) <= _LONGEST else f"sha256={hashlib.sha256(text.encode()).hexdigest()}"


def _is_size(value: Any) -> bool:
    return isinstance(value, Mapping) or type(value).__name__ == "SizeDict"


def _made(processor: Any, shown: Image | Video, stated: Stated) -> str:
    bare = model_inputs(processor, [_job()], None, stated)
    made = model_inputs(processor, [_job(shown)], None, stated)
    tokens = made["input_ids"].shape[1] - bare["input_ids"].shape[1]
    return f"{_WIDTH}x{_HEIGHT} as {_pixels(processor, made)}, {tokens} tokens"


def _pixels(processor: Any, made: Any) -> str:
    """Width and height of the first frame or picture in `made`, and how many there are."""
    for kind, name in (("videos", "video_grid_thw"), ("images", "image_grid_thw")):
        if name in made:
            patch = getattr(processor, _PARTS[kind]).patch_size
            groups, rows, columns = made[name][0].tolist()
            return f"{groups} x {columns * patch}x{rows * patch}"
    name = next(name for name in made if name.startswith("pixel_values"))
    *counts, _, height, width = made[name].shape
    return f"{np.prod(counts)} x {width}x{height}"


def _job(*shown: Image | Video) -> Job:
    indices = tuple(round(k * 89 / (_FRAMES - 1)) for k in range(_FRAMES))
    pixels = np.zeros((_FRAMES, _HEIGHT, _WIDTH, 3), np.uint8)
    return Job(
        request=Request(id="size", task="caption", video_id="size", source="size"),
        prompt=Prompt(messages=(Message(role="user", parts=(*shown, Text(text="?"))),)),
        frames=Frames(pixels, indices, tuple(k / 30 for k in indices), 30.0, 90, 3.0),
        generation=Generation(),
    )
