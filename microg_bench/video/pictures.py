"""What the packets of a stream hold: the pictures that its decoder is to show, and those that it hides.

The number of packets and that of frames differ in sound files, too. A stream that was cut without re-encoding
begins with pictures that refer to some before the cut. A packet of MPEG-4 holds two pictures or none.
"""

from __future__ import annotations

from av.packet import Packet
from av.video.stream import VideoStream

_MPEG4_PICTURE = b"\0\0\1\xb6"
_MPEG4_B = 2
# A picture that is not coded has a type, a time and padding; any other has macroblocks, too.
_MPEG4_NOT_CODED_BYTES = 5


def pictures_of(codec: str, first: Packet[VideoStream], *, gradual: bool) -> Pictures:
    """A count, still empty, of the pictures of a stream of `codec` whose first packet is `first`.

    `gradual` says that the picture of `first` is hidden, too, and so are some after it.
    """
    return (Mpeg4Pictures if codec == "mpeg4" else Pictures)(first, gradual)


class Pictures:
    """Counts the packets of a stream, and the pictures in them that are to be shown.

    What an mp4 edit list hides is not counted.

    Attributes:
        packets: the packets so far.
        count: the pictures in them.
    """

    def __init__(self, first: Packet[VideoStream], gradual: bool) -> None:
        self.packets = 0
        self.count = 0
        self._first = first
        self._gradual = gradual
        self._stamps: list[int] = []

    def add(self, packet: Packet[VideoStream]) -> None:
        """Count the next packet in the order of decoding."""
        if not packet.is_discard:
            self.packets += 1
            self.count += 1
            if packet.pts is not None:
                self._stamps.append(packet.pts)

    def hidden(self, shown: int) -> int:
        """How many of the pictures a decoder hides since they refer to some before the stream.

        They come before the key picture at which the stream begins, or before the first frame that is shown,
        at `shown` in ticks of the stream. A stream that does not begin at a key picture has lost its start:
        nothing accounts for what is not shown.
        """
        return self._before(shown) if self._first.is_keyframe else 0

    def _before(self, shown: int) -> int:
        key = self._first.pts
        end = shown if self._gradual or key is None else min(shown, key)
        return sum(stamp < end for stamp in self._stamps)


class Mpeg4Pictures(Pictures):
    """The pictures of MPEG-4 part 2, of which a packet may hold two, or one that is not coded.

    An encoder packs a B-picture into the packet of the picture that it needs, and writes a picture that is
    not coded in its place. No packet then has the time of the B-picture. Those to be shown before the first
    frame are the B-pictures before the second picture that a B-picture could refer to.
    """

    def __init__(self, first: Packet[VideoStream], gradual: bool) -> None:
        super().__init__(first, gradual)
        self._references = 0
        self._leading = 0

    def add(self, packet: Packet[VideoStream]) -> None:
        """Count the next packet in the order of decoding."""
        shown = not packet.is_discard
        self.packets += shown
        before, *bodies = bytes(packet).split(_MPEG4_PICTURE)
        for body in bodies or [before]:  # a damaged picture has to decode, too
            if len(body) > _MPEG4_NOT_CODED_BYTES:
                self.count += shown
                is_b = body[0] >> 6 == _MPEG4_B
                self._references += not is_b
                self._leading += shown and is_b and self._references < 2

    def _before(self, shown: int) -> int:
        return self._leading
