import codecs
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars
import pytest

from microg_bench.dataset.check import DatasetReport, check
from microg_bench.dataset.stats import stats
from microg_bench.progress import Progress
from tests.helpers.datasets import make_dataset, record, write_annotations
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow


def kinds(report: DatasetReport) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in report.faults:
        found.setdefault(fault.kind, []).append(fault.item)
    return found


def test_every_fault_of_the_real_annotations_is_found(shared: Path) -> None:
    report = check(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    found = kinds(report)
    assert found["repeated-id"] == ["PrqcwH8LhDU_051"]
    assert found["blank-caption"] == ["QvTmdIhYnes_1001"]
    assert len(found["repeated-caption"]) == 14
    assert found["published-count"] == ["question-answer pairs", "clips"]
    assert len(found["pair-count"]) == 1238 - 1161
    details = Counter(fault.detail for fault in report.faults if fault.kind == "published-count")
    assert any("7,528 where the paper counts 7,428" in detail for detail in details)
    assert report.counts["records"] == 1238
    assert report.counts["clips"] == 1237
    assert report.counts["sources"] == 18
    assert report.counts["unanswerable"] == 752
    assert report.pairs_per_clip == {5: 5, 6: 1161, 7: 48, 8: 17, 9: 5, 10: 2}


def test_an_id_with_the_ending_of_a_file_is_found(tmp_path: Path) -> None:
    names = ["a_001.mp4", "a_002 ", "b_001"]
    report = check(str(write_annotations(tmp_path / "refs.json", [record(name) for name in names])))
    assert kinds(report)["odd-id"] == names[:2]
    assert report.counts["sources"] == 2


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A dataset with one fault of each kind that a video can have."""
    names = ["a_001", "a_002", "a_003", "a_004", "b_001", "b_002"]
    root = make_dataset(tmp_path / "set", names)
    videos = root / "videos" / "real"
    (videos / "a" / "a_001.mp4").unlink()
    whole = (videos / "a" / "a_002.mp4").read_bytes()
    (videos / "a" / "a_002.mp4").write_bytes(whole[: len(whole) // 2])
    write_clip(videos / "a" / "a_003.mp4", frames=60, fps=30, size=(64, 64))
    write_clip(videos / "a" / "a_004.mp4", frames=45, fps=15, size=(64, 64))
    shutil.copy(videos / "b" / "b_001.mp4", videos / "b" / "c_001.mp4")
    shutil.copy(videos / "b" / "b_002.mp4", root / "b_002.mp4")
    return root


def test_each_damaged_video_is_found_and_named(damaged: Path) -> None:
    found = kinds(check(str(damaged)))
    found.pop("pair-count")
    assert found == {
        "missing-video": ["a_001"],
        "undecodable-video": ["a_002.mp4"],
        "wrong-duration": ["a_003.mp4"],
        "wrong-frame-rate": ["a_004.mp4"],
        "extra-video": ["c_001.mp4"],
        "double-video": ["b_002.mp4"],
    }


def test_the_reason_is_told_once(damaged: Path) -> None:
    (fault,) = (fault for fault in check(str(damaged)).faults if fault.kind == "undecodable-video")
    assert fault.item == "a_002.mp4"
    assert "a_002.mp4" not in fault.detail


def test_a_video_with_action_labels_only_is_not_extra(damaged: Path) -> None:
    (damaged / "actions.csv").write_text("video_id,movie_or_real,person_id,action\nc_001,r,1,11\n")
    assert "extra-video" not in kinds(check(str(damaged)))


def test_a_table_of_actions_that_cannot_be_read_is_a_fault_and_makes_no_video_extra(damaged: Path) -> None:
    (damaged / "actions.csv").write_text("video_id,movie_or_real,person_id,action\nc_001,r,1,eleven\n")
    report = check(str(damaged))
    (fault,) = (fault for fault in report.faults if fault.kind == "unreadable-actions")
    assert fault.detail == "row 2: 'action' is 'eleven', not a whole number, 0 or more"
    assert "extra-video" not in kinds(report)


HEADER = "video_id{0}movie_or_real{0}person_id{0}action\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_actions_from_any_spreadsheet_is_counted(
    damaged: Path, separator: str, encoding: str
) -> None:
    rows = "".join(
        separator.join(row) + "\r\n" for row in (["c_001", "r", "1", "11"], ["c_001", "r", "1", "12"])
    )
    (damaged / "actions.csv").write_bytes((HEADER.format(separator) + rows).encode(encoding))
    report = check(str(damaged))
    assert "extra-video" not in kinds(report)
    assert report.counts["rows of actions.csv"] == 2


def test_a_table_of_actions_may_be_parquet(damaged: Path) -> None:
    (damaged / "parquet_format").mkdir()
    row = {"video_id": ["c_001"], "movie_or_real": ["r"], "person_id": [1], "action": [11]}
    polars.DataFrame(row).write_parquet(damaged / "parquet_format" / "actions.parquet")
    report = check(str(damaged))
    assert "extra-video" not in kinds(report)
    assert report.counts["rows of actions.parquet"] == 1


@pytest.mark.parametrize("name", ["c_001.mp4", "c_001 "])
def test_an_odd_id_of_the_table_is_named_and_its_video_not_called_extra(damaged: Path, name: str) -> None:
    (damaged / "actions.csv").write_text(HEADER.format(",") + f"{name},r,1,11\n")
    found = kinds(check(str(damaged)))
    assert found["odd-id"] == [name]
    assert "extra-video" not in found


def test_annotations_with_a_byte_order_mark_have_no_fault(tmp_path: Path) -> None:
    path = write_annotations(tmp_path / "a.json", [record("a_001", 1), record("a_002", 2)])
    before = check(path)
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert check(path) == before


class Steps(Progress):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.steps = 0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.totals.append(total)

    def advance(self) -> None:
        self.steps += 1


def test_progress_tells_of_each_video(damaged: Path) -> None:
    progress = Steps()
    check(damaged, progress)
    assert progress.totals == [progress.steps] == [6]


def test_blank_and_repeated_texts_are_named(tmp_path: Path) -> None:
    bad = record("a_001")
    bad["caption"] = "  "
    bad["qa_pairs"] = [{"Q": "Who?", "A": ""}, {"Q": "Who? ", "A": "NaN"}]
    found = kinds(check(str(write_annotations(tmp_path / "a.json", [bad]))))
    assert found["blank-caption"] == ["a_001"]
    assert found["blank-answer"] == ["a_001#1", "a_001#2"]
    assert found["repeated-question"] == ["a_001"]


def test_nothing_is_wrong_with_the_sample() -> None:
    assert check("sample").faults == ()


def test_ids_that_a_source_does_not_follow_from_are_named(tmp_path: Path) -> None:
    ids = ["a_001", "a_002.mp4", "b_001 ", "clip"]
    report = check(write_annotations(tmp_path / "a.json", [record(name, n) for n, name in enumerate(ids)]))
    details = {fault.item: fault.detail for fault in report.faults if fault.kind == "odd-id"}
    assert details == {
        "a_002.mp4": "the id 'a_002.mp4' ends in '.mp4', as files do; its source video is taken to be 'a'",
        "b_001 ": "the id 'b_001 ' has white space or invisible characters around or in it;"
        " its source video is taken to be 'b'",
        "clip": "the id 'clip' does not end in a clip number, as abc_012 does;"
        " its source video is taken to be 'clip'",
    }
    assert report.counts["sources"] == 3
    (note,) = report.notes
    assert note.startswith("1 of 4 ids do not end in a clip number")


def test_an_id_whose_source_is_given_needs_no_clip_number(tmp_path: Path) -> None:
    rows = [
        {**record(name, n), "source": source} for n, (name, source) in enumerate([("one", "a"), ("two", "a")])
    ]
    report = check(write_annotations(tmp_path / "a.json", rows))
    assert {"odd-id", "several-sources"}.isdisjoint(kinds(report))
    assert report.notes == ()
    rows.append({**record("two", 5), "source": "b"})
    report = check(write_annotations(tmp_path / "a.json", rows))
    assert kinds(report)["several-sources"] == ["two"]
    assert report.counts["sources"] == 2


def test_a_set_in_which_every_clip_is_a_source_says_so(tmp_path: Path) -> None:
    report = check(write_annotations(tmp_path / "a.json", [record("a_001", 1), record("b_001", 2)]))
    (note,) = report.notes
    assert note.startswith("every clip is a source video of its own")


@pytest.mark.parametrize(
    "text", ["['a', 'b']", '["a", "b"]', " ['It's', \"b\"] ", "['a' 'b']", "['a',\n 'b']", "[]", "[ ]"]
)
def test_a_list_written_as_text_is_named(tmp_path: Path, text: str) -> None:
    row = {
        "video_id": "a_001",
        "caption": text,
        "qa_pairs": [{"Q": "Who?", "A": text}, {"Q": text, "A": "x"}],
    }
    found = kinds(check(write_annotations(tmp_path / "a.json", [row])))
    assert found["listed-caption"] == ["a_001"]
    assert found["listed-answer"] == ["a_001#1"]
    assert found["listed-question"] == ["a_001#2"]


@pytest.mark.parametrize("text", ["[Music]", "'a', 'b'", "A man says ['hello']", "['a'] floats", "[", "]["])
def test_other_brackets_are_no_list(tmp_path: Path, text: str) -> None:
    row = {"video_id": "a_001", "caption": text}
    assert "listed-caption" not in kinds(check(write_annotations(tmp_path / "a.json", [row])))


def test_what_is_not_used_as_a_video_is_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "set", ["a_001", "a_002"])
    [video] = root.rglob("a_001.mp4")
    video.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    os.mkfifo(root / "a_003.mp4")
    (root / "a_004.mp4").symlink_to("/etc/hostname")
    report = check(root)
    assert {fault.item: fault.detail for fault in report.faults if fault.kind == "rejected-video"} == {
        "a_001.mp4": "its content is no mp4, mkv, webm, avi or mov file; it is not used",
        "a_003.mp4": "is not a regular file; it is not opened",
        "a_004.mp4": "is a link that leads out of the dataset; it is not opened",
    }
    assert "undecodable-video" not in kinds(report)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is a folder"),
        (lambda path: path.symlink_to("/etc/hostname"), "is a link that leads out of the dataset"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read: No such file or directory"),
    ],
)
def test_a_table_of_actions_that_is_no_file_of_the_dataset_is_told(
    tmp_path: Path, made: Callable[[Path], None], reason: str
) -> None:
    root = make_dataset(tmp_path / "set", ["a_000"])
    made(root / "actions.csv")
    assert kinds(check(root))["unreadable-actions"] == ["actions.csv"]
    (fault,) = (one for one in check(root).faults if one.kind == "unreadable-actions")
    assert fault.detail == f"{reason}; it is not opened"
    assert f"actions.csv {reason}; it is not opened" in stats(root).notes
