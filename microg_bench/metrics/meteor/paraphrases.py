"""METEOR's paraphrase table, reduced to the entries that some texts can meet.

The table has five million pairs of phrases. A pair can match where one phrase stands in a reference and the
other in a candidate; both are looked up by hash in Bloom filters, block by block while the next block is
unpacked. A chance hit keeps a pair too many, which moves no score.
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

# No phrase of the published table has more words.
_MAX_WORDS = 7
_BITS = 24
_BLOCK = 1 << 21
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
    ours, theirs = _seen(candidates), _seen(references)
    one, other = ours + 2 * theirs, theirs + 2 * ours
    pairs = []
    for block, ends in _entries(meteor_file("data", "paraphrase-en.gz")):
        found = one.take(_hashes(block, ends[0] + 1, ends[1]))
        some = np.flatnonzero(found)
        left = ends.take(some, 1)
        both = np.flatnonzero(found[some] & other.take(_hashes(block, left[1] + 1, left[2])))
        for start, middle, end in left.take(both, 1).T.tolist():
            pairs.append((block[start + 1 : middle].decode(), block[middle + 1 : end].decode()))
    return pairs


def _seen(texts: Sequence[str]) -> NDArray[np.uint8]:
    """A Bloom filter of the phrases in texts, 1 at the hash of each, shape (2**_BITS,)."""
    seen = np.zeros(1 << _BITS, dtype=np.uint8)
    for first in range(0, len(texts), _TEXTS):
        lines = "".join(f"{text}\n" for text in texts[first : first + _TEXTS])
        block = _PAD + lines.encode() + _PAD
        characters = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero((characters == ord(" ")) | (characters == ord("\n")))
        starts = np.concatenate(([len(_PAD)], ends[:-1] + 1))
        line = np.searchsorted(np.flatnonzero(characters == ord("\n")), ends)
        for more in range(min(_MAX_WORDS, len(ends))):
            whole = line[: len(line) - more] == line[more:]
            seen[_hashes(block, starts[: len(starts) - more][whole], ends[more:][whole])] = 1
    return seen


def _entries(table: Path) -> Iterator[tuple[bytes, Offsets]]:
    """Blocks of a table, each with the offsets where the lines of its entries end, shape (3, entries)."""
    rest = b""
    for unpacked in _unpacked(table):
        block = _PAD + rest + unpacked + _PAD
        ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
        whole = len(ends) // 3 * 3
        rest = block[ends[whole - 1] + 1 : -len(_PAD)] if whole else rest + unpacked
        yield block, ends[:whole].reshape(-1, 3).T
    if rest:
        raise MetricUnavailableError("damaged: its last entry is not whole", path=table)


def _hashes(block: bytes, starts: Offsets, ends: Offsets) -> NDArray[np.uint64]:
    """A number below 2**_BITS for each part of a block, the same for the same bytes.

    It is made of the length and of the first and last eight bytes; eight others begin and end the block.
    """
    at = np.ndarray(len(block) - 7, dtype="<u8", buffer=block, strides=(1,))
    lengths = ends - starts
    first = at[starts] & _MASKS[np.minimum(lengths, 8)]
    last = np.where(lengths > 8, at[ends - 8], 0)
    mixed = (first * _MIXERS[0] ^ last * _MIXERS[1]) + lengths.astype(np.uint64) * _MIXERS[2]
    hashes: NDArray[np.uint64] = mixed >> np.uint64(64 - _BITS)
    return hashes


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
