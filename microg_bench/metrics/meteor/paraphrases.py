"""METEOR's paraphrase table, reduced to the entries that some texts can meet.

The table has five million pairs of phrases. A pair can match where one phrase stands in a reference and the
other in a candidate. Entries are sorted by their first phrases, so that chunks of the table between two
neighbouring prefixes of the texts' phrases are passed over. In the others both phrases are looked up by hash
in a Bloom filter, block by block while the next block is unpacked. A chance hit keeps a pair too many, which
moves no score.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.meteor.data import meteor_file

Offsets = NDArray[np.intp]
Numbers = NDArray[np.uint64]

# No phrase of the published table has more words.
_MAX_WORDS = 7
_BITS = 24
_BLOCK = 1 << 21
_CHUNK = 4096
# No four lines of the published table have more bytes.
_WINDOW = 256
# Of two sides as bits, the other one of each.
_OTHER_SIDES = np.array([0b00, 0b10, 0b01, 0b11], dtype=np.uint8)
_TEXTS = 10_000
_PAD = bytes(8)
# Odd numbers without pattern; which ones does not matter.
_MIXERS = np.array([0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], dtype=np.uint64)
# The first bytes of a word of 8 bytes.
_MASKS = np.array([(1 << 8 * kept) - 1 for kept in range(9)], dtype=np.uint64)


def read_pairs(references: Sequence[str], candidates: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of phrases, in the order of the table, that can match between these normalised texts.

    Raises:
        MetricUnavailableError: the table is missing or damaged.
    """
    seen = _Seen(references, candidates)
    pairs = []
    for block, ends in _entries(meteor_file("data", "paraphrase-en.gz"), seen.prefixes):
        found = seen.find(block, ends[0] + 1, ends[1])
        some = np.flatnonzero(found)
        left = ends.take(some, 1)
        both = np.flatnonzero(_OTHER_SIDES[found[some]] & seen.find(block, left[1] + 1, left[2]))
        for start, middle, end in left.take(both, 1).T.tolist():
            pairs.append((block[start + 1 : middle].decode(), block[middle + 1 : end].decode()))
    return pairs


class _Seen:
    """The phrases in some texts.

    Attributes:
        prefixes: the different prefixes of the phrases, in order.
    """

    def __init__(self, *sides: Sequence[str]) -> None:
        """Read the texts of each side, whose phrases get a bit of their own."""
        # A Bloom filter: the sides that have a phrase with some hash.
        self._sides = np.zeros(1 << _BITS, dtype=np.uint8)
        self.prefixes = np.zeros(0, dtype=np.uint64)
        for side, texts in enumerate(sides):
            for first in range(0, len(texts), _TEXTS):
                self._read(texts[first : first + _TEXTS], 1 << side)

    def _read(self, texts: Sequence[str], side: int) -> None:
        block = _PAD + "".join(f"{text}\n" for text in texts).encode() + _PAD
        characters = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero((characters == ord(" ")) | (characters == ord("\n")))
        starts = np.concatenate(([len(_PAD)], ends[:-1] + 1))
        line = np.searchsorted(np.flatnonzero(characters == ord("\n")), ends)
        prefixes = [self.prefixes]
        for more in range(min(_MAX_WORDS, len(ends))):
            whole = np.flatnonzero(line[: len(line) - more] == line[more:])
            begin, end = starts[whole], ends[whole + more]
            self._sides[_hashes(block, begin, end)] |= side
            # Where a phrase of fewer words fills a prefix, this one has the same.
            new = np.flatnonzero((more == 0) | (ends[whole + more - 1] < begin + 8))
            prefixes.append(_prefixes(block, begin[new], end[new]))
        self.prefixes = np.unique(np.concatenate(prefixes))

    def find(self, block: bytes, starts: Offsets, ends: Offsets) -> NDArray[np.uint8]:
        """The sides that may have each of some parts of a block, as bits."""
        return self._sides.take(_hashes(block, starts, ends))


def _entries(table: Path, prefixes: Numbers) -> Iterator[tuple[bytes, Offsets]]:
    """Blocks of a table, with the entries in them whose first phrase may have one of some prefixes.

    Yields:
        A block, and where the lines of these entries end, shape (3, entries).
    """
    rest = b""
    for unpacked in _unpacked(table):
        block = b"".join((_PAD, rest, unpacked, _PAD))
        ends = _ends(block, prefixes)
        rest = block[ends[2, -1] + 1 : -len(_PAD)] if ends.size else rest + unpacked
        yield block, ends
    if rest:
        raise MetricUnavailableError("damaged: its last entry is not whole", path=table)


def _ends(block: bytes, prefixes: Numbers) -> Offsets:
    """Where the lines end of the entries to look at, at least the last one; shape (3, entries)."""
    is_end = np.frombuffer(block, dtype=np.uint8) == ord("\n")
    chunks = is_end[: len(block) // _CHUNK * _CHUNK].reshape(-1, _CHUNK)
    lines = np.bitwise_count(chunks.view(np.uint64)).sum(axis=1, dtype=np.intp)
    before = np.append(0, np.cumsum(lines))
    # Entries of the last chunk, which is not whole, are looked at, and of the one before it.
    near = np.ones(len(chunks) + 1, dtype=np.bool_)
    near[:-2] = _near(block, chunks, before[:-1], prefixes)
    turns = np.flatnonzero(np.diff(near, prepend=False, append=False)).reshape(-1, 2)
    found = []
    for first, last in turns.tolist():
        ends = np.flatnonzero(is_end[first * _CHUNK : last * _CHUNK + _WINDOW])[-before[first] % 3 :]
        found.append(ends[: len(ends) // 3 * 3].reshape(-1, 3) + first * _CHUNK)
    return np.concatenate(found).T


def _near(block: bytes, chunks: NDArray[np.bool_], before: Offsets, prefixes: Numbers) -> NDArray[np.bool_]:
    """Whether an entry may begin in each chunk but the last whose first phrase has one of some prefixes.

    Args:
        block: the lines.
        chunks: where they end, shape (chunks, _CHUNK).
        before: how many end before each chunk.
        prefixes: in order.
    """
    ends = np.append(np.flatnonzero(chunks[:, :_WINDOW]), (0, 0, 0))
    first = np.searchsorted(ends[:-3], np.arange(len(chunks)) * _WINDOW) + -before % 3
    ends += ends // _WINDOW * (_CHUNK - _WINDOW)
    lead = _prefixes(block, ends[first] + 1, ends[first + 1])
    return np.searchsorted(prefixes, lead[1:], side="right") > np.searchsorted(prefixes, lead[:-1])


def _hashes(block: bytes, starts: Offsets, ends: Offsets) -> Numbers:
    """A number below 2**_BITS for each part of a block, the same for the same bytes.

    It is made of the length and of the first and last eight bytes; eight others begin and end the block.
    """
    at = _eight_bytes(block)
    lengths = ends - starts
    first = at[starts] & _MASKS[np.minimum(lengths, 8)]
    last = np.where(lengths > 8, at[ends - 8], 0)
    mixed = (first * _MIXERS[0] ^ last * _MIXERS[1]) + lengths.astype(np.uint64) * _MIXERS[2]
    hashes: Numbers = mixed >> np.uint64(64 - _BITS)
    return hashes


def _prefixes(block: bytes, starts: Offsets, ends: Offsets) -> Numbers:
    """The first eight bytes of parts of a block as numbers in their order; 0 stands for those after it."""
    first: Numbers = _eight_bytes(block)[starts] & _MASKS[np.minimum(ends - starts, 8)]
    return first.byteswap()


def _eight_bytes(block: bytes) -> Numbers:
    """The eight bytes at each place of a block as a number, the first byte lowest."""
    return np.ndarray(len(block) - 7, dtype="<u8", buffer=block, strides=(1,))


def _unpacked(table: Path) -> Iterator[bytes]:
    """The content of a gzip file, unpacked ahead in a thread; ``isal`` does it in a third of the time."""
    try:
        unpacker = import_module("isal.igzip")
    except ImportError:
        unpacker = import_module("gzip")
    try:
        with unpacker.open(table) as file, ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(file.read, _BLOCK)
            while block := ahead.result():
                ahead = pool.submit(file.read, _BLOCK)
                yield block
    # Both unpackers raise errors of their own beside those of the file.
    except Exception as error:
        raise MetricUnavailableError(f"damaged: {error}", path=table) from None
