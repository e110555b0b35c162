"""The video room: a clip on disk becomes the frames that a model is shown.

`decode` reads one clip in this process; a `DecodePool` reads many in worker processes, so that a decoder
that hangs or crashes costs its own clip and nothing else. `probe` tells what a file says about itself.
"""

from microg_bench.video.decode import Frames, decode
from microg_bench.video.pool import DecodePool
from microg_bench.video.probe import VideoFacts, probe
from microg_bench.video.sampling import FrameSpec, FrameUnion, indices

__all__ = ["DecodePool", "FrameSpec", "FrameUnion", "Frames", "VideoFacts", "decode", "indices", "probe"]
