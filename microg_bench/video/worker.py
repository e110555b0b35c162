"""A worker of the `DecodePool`: reads requests from standard input, writes frames to standard output.

A request is a line of JSON: path, spec, limit_s, max_bytes. A reply is a line of JSON, either
``{"error": …}`` or the fields of `Frames` with the shape of the pixels, then the pixels as bytes. The worker
writes ``{}`` when it is ready, and ends when its input does. It decodes with one thread: the pool has one
worker for each core.
"""

import json
import os
import signal
import sys
from typing import BinaryIO

from pydantic import TypeAdapter

from microg_bench.errors import DecodeError
from microg_bench.video.decode import Frames, decode
from microg_bench.video.sampling import Sampling

_SAMPLING: TypeAdapter[Sampling] = TypeAdapter(Sampling)
ALARM_AFTER_S = 10.0
NICENESS = 10  # of 19


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Decoding ahead must not take the processor from a model that runs on it.
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(1), "wb")
    # What a library prints must not get between the replies.
    os.dup2(2, 1)
    _send(replies, {})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # Ends this process should it hang when no parent is left to do so.
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + ALARM_AFTER_S)
        try:
            spec: Sampling = _SAMPLING.validate_python(request["spec"])
            frames = decode(
                request["path"], spec, limit_s=request["limit_s"], threads=1, max_bytes=request["max_bytes"]
            )
        except DecodeError as error:
            _send(replies, {"error": error.reason})
        else:
            _send_frames(replies, frames)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _send_frames(replies: BinaryIO, frames: Frames) -> None:
    fields = {name: value for name, value in vars(frames).items() if name != "pixels"}
    _send(replies, {"shape": frames.pixels.shape, **fields})
    replies.write(frames.pixels.data.cast("B"))
    replies.flush()


def _send(replies: BinaryIO, header: dict[str, object]) -> None:
    replies.write(json.dumps(header).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
