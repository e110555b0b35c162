"""The files of clips, where a page can play them: linked where they are, or copied beside the page."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from microg_bench.dataset.load import Dataset
from microg_bench.privacy import names_user
from microg_bench.storage import read_bytes

VideoFiles = Literal["link", "copy", "none"]
FOLDER = "videos"
MAX_BYTES = 256 * 1024**2  # of a clip that is copied


def linked(dataset: Dataset, clips: Collection[str], page: Path) -> dict[str, str]:
    """The addresses of the clips in `clips`, relative to the folder `page`, by their ids.

    Only what lies below the current folder is linked, from a page that does, too: the address names no folder
    above it. An address that names the user is left out.
    """
    root, folder = Path.cwd().resolve(), page.resolve()
    videos = {clip.video_id: clip.video.resolve() for clip in dataset.clips if clip.video}
    paths = {
        name: Path(os.path.relpath(video, folder)).as_posix()
        for name, video in videos.items()
        if name in clips and folder.is_relative_to(root) and video.is_relative_to(root)
    }
    return {name: f"./{quote(path)}" for name, path in paths.items() if not names_user(path)}


def copied(dataset: Dataset, clips: Collection[str], write: Callable[[str, bytes], None]) -> dict[str, str]:
    """Copy the clips in `clips` and give the addresses of the copies; no id names a file.

    Raises:
        DataError: a clip cannot be read.
    """
    found = {}
    for place, clip in enumerate(dataset.clips):
        if clip.video and clip.video_id in clips:
            found[clip.video_id] = f"{FOLDER}/{place:05d}{clip.video.suffix.lower()}"
            write(found[clip.video_id], read_bytes(clip.video, MAX_BYTES))
    return found
