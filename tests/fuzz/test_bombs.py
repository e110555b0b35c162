"""Small files that would take all memory: each reader reads them or refuses them, within a gibibyte."""

import gzip
import io
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest

from tests.fuzz.readers import READERS

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[2]
GIBIBYTE = 1 << 30
MIB = 1 << 20


def packed(part: bytes, times: int, start: bytes = b"", end: bytes = b"") -> bytes:
    """gzip of `part`, many times over, between a start and an end."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(times):
            file.write(part)
        file.write(end)
    return out.getvalue()


def filled(pattern: bytes, size: int = 60 * MIB) -> bytes:
    """A JSON list of `pattern` and a comma, unpacked to `size` bytes."""
    block = (pattern + b",") * (MIB // (len(pattern) + 1))
    return packed(block, size // len(block), b"[", pattern + b"]")


def arrays(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """Statistics whose header tells of more than there is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in ("ids", "sources", "CIDEr"):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, {"descr": dtype, "fortran_order": False, "shape": shape}
            )
            bundle.writestr(f"{name}.npy", header.getvalue() + bytes(8))
    return out.getvalue()


def many_arrays(size: int) -> bytes:
    """Statistics that unpack to `size` bytes."""
    out = io.BytesIO()
    np.savez_compressed(out, ids=np.zeros(size // 8), sources=np.zeros(1), CIDEr=np.zeros(1))
    return out.getvalue()


def statistics(items: int, numbers: int) -> bytes:
    """Statistics with so many numbers an item."""
    out = io.BytesIO()
    names = np.arange(items).astype("<U20")
    np.savez_compressed(out, ids=names, sources=names, METEOR=np.zeros((items, numbers)))
    return out.getvalue()


def table(rows: int) -> bytes:
    """Parquet of `rows` equal rows, which take no space."""
    out = io.BytesIO()
    columns = {"video_id": "a_001", "movie_or_real": "r", "person_id": 1, "action": 12, "caption": "x"}
    frame = polars.DataFrame(
        {name: polars.Series([value]).new_from_index(0, rows) for name, value in columns.items()}
    )
    frame.write_parquet(out)
    return out.getvalue()


def archive(size: int) -> bytes:
    """An archive with a file of `size` zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle, bundle.open("a.mp4", "w") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB))
    return out.getvalue()


def boxes(count: int, rows: int) -> bytes:
    """Detections of as many boxes, and as many rows, as are read."""
    lines = (
        b"a_1,%d,0.%03d1,0,1,1,%d,%d.25\n" % (n // rows // 900, n // rows % 900, n % rows + 1, n % 97)
        for n in range(count * rows)
    )
    return gzip.compress(b"".join(lines), 1)


RECORD = b'{"video_id":"a_%d","caption":""}'
LINE = b'{"type":"failure","id":"a","stage":"engine","reason":"x"}\n'
BOMBS: dict[str, tuple[tuple[str, ...], Callable[[], bytes]]] = {
    "zeros in gzip": (("text", "actions", "label map", "template"), lambda: packed(bytes(MIB), 400)),
    "line breaks in gzip": (("actions",), lambda: packed(b"\n" * MIB, 255)),
    "zeros in xz": (("text",), lambda: lzma.compress(bytes(400 * MIB), preset=0)),
    "a great dictionary in xz": (("text",), lambda: lzma.compress(b"a" * MIB, preset=9)),
    "empty objects": (("json", "scorecards of actions"), lambda: filled(b"{}")),
    "short texts": (("json", "run: scorecard.json"), lambda: filled(b'"ab"')),
    "records": (("annotations",), lambda: filled(RECORD % 1)),
    "records, as many as are read": (
        ("dataset",),
        lambda: gzip.compress(b"[" + b",".join(RECORD % n for n in range(490_000)) + b"]", 1),
    ),
    "brackets": (("json", "run: run.json"), lambda: packed(b"[" * MIB, 60)),
    "rows": (("actions",), lambda: packed(b"a_1,r,1,12\n" * 90_000, 200)),
    "detections": (("detections",), lambda: packed(b"a_1,1,0,0,1,1,12,0.5\n" * 50_000, 200)),
    "boxes, as many as are read": (
        ("detections", "submission of actions: detections.csv.gz"),
        lambda: boxes(166_000, 6),
    ),
    "columns": (("detections",), lambda: packed(b"," * MIB, 200)),
    "equal rows": (("annotations in parquet",), lambda: table(20_000_000)),
    "zeros in an archive": (("archive",), lambda: archive(1100 * MIB)),
    "shapes": (("statistics",), lambda: arrays((2**40,))),
    "long ids": (("statistics",), lambda: arrays((2**10,), "<U100000000")),
    "zeros in statistics": (("statistics",), lambda: many_arrays(512 * MIB)),
    "statistics, as many as are read": (("statistics",), lambda: statistics(1_490_000, 23)),
    "too many items": (("statistics",), lambda: statistics(3_000_000, 1)),
    "lines": (("run: journal.jsonl", "batches"), lambda: LINE * 100_000),
    "a long line": (("run: journal.jsonl",), lambda: b'"' + b"x" * (200 * MIB)),
}


@pytest.mark.parametrize(
    ("name", "bomb"), [(name, bomb) for bomb, (names, _) in BOMBS.items() for name in names]
)
def test_a_bomb_takes_no_more_than_a_gibibyte(tmp_path: Path, name: str, bomb: str) -> None:
    with READERS[name].file(BOMBS[bomb][1]()) as file:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.readers", name, file],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    taken, _, said = done.stdout.partition("\n")
    assert int(taken) < GIBIBYTE, said
