import shutil
from collections import Counter
from pathlib import Path

import pytest

from microg_bench.dataset.check import DatasetReport, check
from microg_bench.progress import Progress
from tests.helpers.datasets import make_dataset, record, write_annotations
from tests.helpers.videos import write_clip


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
