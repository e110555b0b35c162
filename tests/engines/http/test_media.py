"""A clip that is sent whole is a video of its dataset, and no other file that its name leads to."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.chat_template import PromptError
from microg_bench.engines.http import media
from microg_bench.engines.http.media import JpegFrames, clip_file
from tests.engines.conftest import job_of, noise_frames
from tests.helpers.videos import write_clip, write_sound


def refusal(path: Path) -> str:
    with pytest.raises(PromptError) as caught:
        clip_file(replace(job_of(0), video=path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "kind"), [("mp4", "video/mp4"), ("webm", "video/webm"), ("avi", "video/x-msvideo")]
)
def test_a_video_is_sent_byte_for_byte(tmp_path: Path, suffix: str, kind: str) -> None:
    codec = "libvpx" if suffix == "webm" else "libx264"
    clip = write_clip(tmp_path / f"a.{suffix}", frames=3, codec=codec)
    assert clip_file(replace(job_of(0), video=clip)) == (kind, clip.read_bytes())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("PRIVATE KEY"), "is not a readable mp4"),
        (lambda path: path.write_bytes(b"\0\0\0\x18ftypisom" + b"PRIVATE KEY"), "is not a readable mp4"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile /etc/hostname\n"), "is not a readable mp4"),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n"), "is not a readable mp4"),
        (lambda path: path.symlink_to("/etc/hostname"), "is not a readable mp4"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: write_sound(path.with_suffix(".mkv")).rename(path), "has no video stream"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_what_is_no_video_is_not_sent(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "a.mp4"
    make(path)
    told = refusal(path)
    assert told.startswith(f"a.mp4: {reason}"), told


def test_the_frames_of_a_clip_are_encoded_once_and_clips_do_not_wait_for_one_another() -> None:
    both = threading.Barrier(2)  # breaks, unless two clips are being encoded at a time
    encoded: list[int] = []

    class Slow(JpegFrames):
        def _jpeg(self, pixels: Any) -> bytes:
            if threading.get_ident() not in encoded:
                both.wait(10)
            encoded.append(threading.get_ident())
            return super()._jpeg(pixels)

    jpegs = Slow(90)
    clips = [noise_frames(1), noise_frames(2)]
    asked = [job_of(k, frames=clips[k % 2]) for k in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(jpegs.all, asked))
    assert len(encoded) == sum(len(clip.pixels) for clip in clips)
    assert found[0] == found[2] == found[4] != found[1] == found[3] == found[5]


def test_a_large_file_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", frames=3)
    monkeypatch.setattr(media, "MAX_CLIP_BYTES", clip.stat().st_size)
    assert clip_file(replace(job_of(0), video=clip))[1] == clip.read_bytes()
    monkeypatch.setattr(media, "MAX_CLIP_BYTES", clip.stat().st_size - 1)
    assert "is larger than" in refusal(clip)
