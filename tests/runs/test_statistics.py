import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import RunError
from microg_bench.metrics import METRICS
from microg_bench.records import Request
from microg_bench.runs import statistics
from microg_bench.runs.statistics import Statistics, read_statistics

REQUESTS = [
    Request(id=f"a_00{n}#1", task="vqa", video_id=f"a_00{n}", source="a", question="Who?") for n in range(3)
]
FOUND = Statistics.of(REQUESTS, {"ROUGE-L": np.array([[0.5], [0.25], [0.0]])})


def test_what_was_written_is_read_back_and_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        FOUND.write(tmp_path / name)
    read = read_statistics(tmp_path / "one.npz")
    assert (read.ids, read.sources) == (("a_000#1", "a_001#1", "a_002#1"), ("a", "a", "a"))
    assert np.array_equal(read.metrics["ROUGE-L"], FOUND.metrics["ROUGE-L"])
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_the_scores_of_items_are_times_a_hundred_and_aggregate_to_the_corpus_score() -> None:
    scores = FOUND.item_scores()["ROUGE-L"]
    assert scores == pytest.approx({"a_000#1": 50, "a_001#1": 25, "a_002#1": 0})
    assert METRICS["ROUGE-L"].aggregate(FOUND.metrics["ROUGE-L"]) == pytest.approx(25)


def test_a_run_without_statistics_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has not been scored: run `microg-bench score .*` first"):
        read_statistics(tmp_path / "statistics.npz")


def archive(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


IDS, SOURCES = np.array(["a", "b"]), np.array(["s", "s"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (archive(ids=IDS), "damaged"),
        (archive(ids=IDS, sources=np.array(["s"])), "its arrays differ in length"),
        (archive(ids=IDS, sources=SOURCES).replace(b"\x93NUMPY", b"\x93NUMPX"), "damaged"),
        (archive(ids=IDS, sources=SOURCES, CIDEr=np.zeros(2)), "its arrays differ in length"),
        (archive(ids=IDS, sources=SOURCES, CIDEr=np.zeros((3, 1))), "its arrays differ in length"),
        (
            archive(ids=np.array([["a"], ["b"]]), sources=np.array([["s"], ["s"]])),
            "its arrays differ in length",
        ),
        (
            archive(ids=IDS, sources=SOURCES, CIDEr=np.zeros((2, 1)), METEOR=np.zeros((3, 1))),
            "its arrays differ in length",
        ),
        (archive(ids=IDS, sources=SOURCES, CIDEr=np.array(["x", "y"])), "damaged"),
        (archive(ids=IDS, sources=SOURCES, CIDEr=np.zeros((2, 1), np.int8)), "no numbers of 64 bits"),
        (archive(ids=IDS, sources=SOURCES, CIDEr=np.array([{}, {}], dtype=object)), "damaged"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "statistics.npz").write_bytes(content)
    with pytest.raises(RunError, match=f"statistics.npz: .*{reason}") as told:
        read_statistics(tmp_path / "statistics.npz")
    assert f"run `microg-bench score {tmp_path}` again" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_torn_archive_is_damaged(tmp_path: Path) -> None:
    FOUND.write(tmp_path / "statistics.npz")
    whole = (tmp_path / "statistics.npz").read_bytes()
    for cut in range(1, len(whole), 37):
        (tmp_path / "statistics.npz").write_bytes(whole[:-cut])
        with pytest.raises(RunError, match="damaged"):
            read_statistics(tmp_path / "statistics.npz")
    assert zipfile.is_zipfile(io.BytesIO(whole))


def test_a_million_items_can_be_read_and_a_bomb_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_million = 1_000_000 * (37 * 8 + 40 * 4)  # bytes of the numbers of all metrics, and of two names
    assert a_million <= statistics.MAX_BYTES < 2 * a_million
    assert 1_000_000 <= statistics.MAX_ITEMS < 2_000_000
    FOUND.write(tmp_path / "statistics.npz")
    with zipfile.ZipFile(tmp_path / "statistics.npz") as packed:
        unpacked = sum(member.file_size for member in packed.infolist())
    monkeypatch.setattr(statistics, "MAX_BYTES", unpacked)
    assert read_statistics(tmp_path / "statistics.npz").ids == FOUND.ids
    monkeypatch.setattr(statistics, "MAX_ITEMS", len(FOUND.ids))
    assert read_statistics(tmp_path / "statistics.npz").ids == FOUND.ids
    monkeypatch.setattr(statistics, "MAX_ITEMS", len(FOUND.ids) - 1)
    with pytest.raises(RunError, match="too many items"):
        read_statistics(tmp_path / "statistics.npz")
    monkeypatch.setattr(statistics, "MAX_BYTES", unpacked - 1)
    with pytest.raises(RunError, match="holds more than"):
        read_statistics(tmp_path / "statistics.npz")


class Touched:
    """What makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["ids", "sources", "CIDEr"])
def test_no_code_of_a_file_is_run(tmp_path: Path, name: str) -> None:
    hostile = {"ids": IDS, "sources": SOURCES, "CIDEr": np.zeros((2, 1))}
    hostile[name] = np.array([Touched(tmp_path / "ran"), None], dtype=object)
    (tmp_path / "statistics.npz").write_bytes(archive(**hostile))
    with pytest.raises(RunError, match="damaged"):
        read_statistics(tmp_path / "statistics.npz")
    assert not (tmp_path / "ran").exists()
