"""A worker of the `DecodePool`: reads requests from standard input, writes frames to standard output.

A request is a line of JSON: path, spec, limit_s. A reply is a line of JSON, either ``{"error": …}`` or the
facts of the frames, then their pixels as bytes. The worker says ``{}`` when it is ready, and ends when its
input does. It decodes with one thread: the pool has one worker for each core.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import BinaryIO

from microg_bench.errors import DecodeError
from microg_bench.video.decode import Frames, decode
from microg_bench.video.sampling import FrameSpec, FrameUnion

ALARM_AFTER_S = 10.0
YIELDING = 10  # of 19


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # What is decoded ahead must not take the processor from a model that runs on it.
    os.nice(YIELDING)
    replies = os.fdopen(os.dup(1), "wb")
    # Nothing that a library prints may get between the replies.
    os.dup2(2, 1)
    _send(replies, {})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # Ends this process should it hang when no parent is left to do so.
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + ALARM_AFTER_S)
        try:
            frames = decode(
                request["path"],
                _spec(request["spec"]),
                limit_s=request["limit_s"],
                threads=1,
            )
        except DecodeError as error:
            _send(replies, {"error": str(error)})
        else:
            _send_frames(replies, frames)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _spec(given: dict[str, object]) -> FrameSpec | FrameUnion:
    return (FrameUnion if "specs" in given else FrameSpec).model_validate(given)


def _send_frames(replies: BinaryIO, frames: Frames) -> None:
    facts = {name: value for name, value in vars(frames).items() if name != "pixels"}
    _send(replies, {"shape": frames.pixels.shape, **facts})
    replies.write(frames.pixels.data.cast("B"))
    replies.flush()


def _send(replies: BinaryIO, header: dict[str, object]) -> None:
    replies.write(json.dumps(header).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
