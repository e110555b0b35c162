"""H.264 that begins at a recovery point, as a stream does that was cut without re-encoding.

Pictures after that point may refer to some before it, which are not in the file. The decoder takes such a
reference for an error, and hides all pictures until they are right.
"""

from __future__ import annotations

import re

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

# An IDR picture: neither it nor a later one refers to any before it.
_IDR_ONLY = "filter_units=pass_types=5"
# A unit (after its start code or its length) of type 6 with a message of type 6 and a few bytes. These are
# the number of pictures after which the stream is right, in as many bits as it needs, and three short fields.
_MESSAGE = re.compile(rb"((?:\x00\x00\x01|\x00\x00\x00[\x05-\x08])\x06\x06[\x01-\x04])(.)", re.DOTALL)
_AFTER_NONE = b"\xc4"  # the number takes one bit, the highest; it is 1 for no picture


def recovery_point(
    stream: VideoStream, first: Packet[VideoStream], options: dict[str, str]
) -> RecoveryPoint | None:
    """The point at which `stream` begins if its first packet is a key picture of H.264 and no IDR picture.

    `options` are for a decoder of H.264.
    """
    if stream.codec_context.name != "h264" or not first.is_keyframe:
        return None
    try:
        whole = bool(BitStreamFilterContext(_IDR_ONLY, stream).filter(Packet(bytes(first))))
    except av.error.FFmpegError:  # what is wrong with it, the decoder tells
        whole = True
    return None if whole else RecoveryPoint(stream, first, options)


class RecoveryPoint:
    """The first picture of a stream, and those that the decoder hides after it.

    Attributes:
        gradual: even the first picture is not right, but one some pictures later; all in between are hidden.
    """

    def __init__(self, stream: VideoStream, first: Packet[VideoStream], options: dict[str, str]) -> None:
        message = _MESSAGE.search(bytes(first))
        self.gradual = message is not None and message[2] < b"\x80"
        # Shown pictures are made from the hidden ones. This decoder is told that the stream is right at once,
        # and so shows all pictures, and marks the damaged.
        self._decoder = VideoCodecContext.create("h264", "r")
        self._decoder.extradata = stream.codec_context.extradata
        self._decoder.options = options
        self._decoder.thread_count = 1

    def damaged(self, packet: Packet[VideoStream]) -> bool:
        """Whether a picture is damaged, as far as that shows once `packet`, the next one, is decoded."""
        data = _MESSAGE.sub(rb"\1" + _AFTER_NONE, bytes(packet))
        return any(frame.is_corrupt for frame in self._decoder.decode(Packet(data)))
