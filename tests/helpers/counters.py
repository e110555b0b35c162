"""Videos in whose frames a number is drawn that can be read again after scaling and encoding."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12


def counter(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A grey picture, uint8 (H, W, 3), with the bits of a number as columns, black or white."""
    width, height = size
    image = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        left, right = (width * k // BITS for k in (bit, bit + 1))
        image[height // 4 : 3 * height // 4, left:right] = 255 * (number >> bit & 1)
    return image


def read_counter(image: NDArray[np.uint8]) -> int:
    """The number in a picture, shape (H, W, 3)."""
    height, width = image.shape[:2]
    row = image[height // 2 - 4 : height // 2 + 4].mean(axis=(0, 2))
    middles = [int(width * (bit + 0.5) / BITS) for bit in range(BITS)]
    return sum((row[middle - 2 : middle + 2].mean() > 128) << bit for bit, middle in enumerate(middles))


def write_two_sizes(path: Path, frames: int, sizes: tuple[tuple[int, int], tuple[int, int]]) -> Path:
    """Write an mkv of 30 frames a second, half of whose frames have the second size."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p"
        for number in range(frames):
            size = sizes[number * 2 // frames]
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height = size
            encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 30)
            frame = av.VideoFrame.from_ndarray(counter(number, size), format="rgb24").reformat(
                format="yuvj420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 30)
            for packet in (*encoder.encode(frame), *encoder.encode(None)):
                packet.stream = stream
                packet.pts = packet.dts = number
                packet.time_base = Fraction(1, 30)
                container.mux(packet)
    return path
