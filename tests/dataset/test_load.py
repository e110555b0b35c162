import subprocess
import sys
from pathlib import Path

import pytest

from microg_bench.dataset.load import load, locate, select
from microg_bench.errors import DataError, UsageError
from tests.helpers.datasets import make_dataset, record, write_annotations


@pytest.mark.parametrize("module", ["microg_bench.dataset.load", "microg_bench.video.sampling"])
def test_nothing_heavy_is_imported(module: str) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"av", "huggingface_hub", "numpy", "polars", "torch"}
    assert heavy.isdisjoint(name.partition(".")[0] for name in done.stdout.split())


def test_a_repeated_id_keeps_its_last_caption_and_all_its_questions(tmp_path: Path) -> None:
    first, other, again = record("a_001", 1), record("a_002", 2), record("a_001", 3)
    again["qa_pairs"] = [{"Q": " Who is in the video? ", "A": "Nobody."}, {"Q": "New?", "A": "Yes."}]
    dataset = load(str(write_annotations(tmp_path / "a.json", [first, other, again])))
    assert [clip.video_id for clip in dataset.clips] == ["a_001", "a_002"]
    assert dataset.clips[0].caption == again["caption"]
    assert [(question.text, question.answer) for question in dataset.clips[0].questions] == [
        ("Who is in the video?", "Nobody."),
        ("What floats?", "Answer 1 about clip number 1."),
        ("New?", "Yes."),
    ]
    assert dataset.repeated == ("a_001",)


def test_the_real_annotations_give_the_published_counts(shared: Path) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    assert len(dataset.clips) == 1237
    assert sum(len(clip.questions) for clip in dataset.clips) == 7528
    assert len({clip.source for clip in dataset.clips}) == 18
    assert dataset.repeated == ("PrqcwH8LhDU_051",)
    assert not dataset.has_video


@pytest.mark.parametrize("place", ["videos/real/a", "videos/movie/a", "videos", "."])
def test_videos_are_found_in_the_published_layout_and_flat(tmp_path: Path, place: str) -> None:
    write_annotations(tmp_path / "vqa_and_captioning.json", [record("a_001"), record("a_002")])
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    video = tmp_path / place / "a_001.mp4"
    video.write_bytes(b"")
    dataset = load(str(tmp_path))
    assert [clip.video for clip in dataset.clips] == [video, None]


@pytest.mark.parametrize(
    "place", ["", "annotation_files", "annotation_files/vqa_and_captioning", "vqa_and_captioning"]
)
def test_annotations_are_found_where_the_published_set_keeps_them(tmp_path: Path, place: str) -> None:
    write_annotations(tmp_path / place / "vqa_and_captioning.json", [record("a_001")])
    assert [clip.video_id for clip in load(str(tmp_path)).clips] == ["a_001"]


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["a_001"])
    (tmp_path / "videos" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(load(str(tmp_path)).clips) == 1


def test_the_fingerprint_is_of_the_references_and_not_of_the_files(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "full", ["a_001", "a_002"])
    alone = write_annotations(tmp_path / "alone.json", [record("a_001", 0), record("a_002", 1)])
    changed = write_annotations(tmp_path / "changed.json", [record("a_001", 0), record("a_002", 7)])
    assert load(str(folder)).fingerprint == load(str(alone)).fingerprint
    assert load(str(folder)).fingerprint != load(str(changed)).fingerprint


def test_clips_are_selected_by_name_and_by_number(tmp_path: Path) -> None:
    dataset = load(str(write_annotations(tmp_path / "a.json", [record(f"a_{n:03}", n) for n in range(4)])))
    assert [clip.video_id for clip in select(dataset, ["a_003", "a_001"])] == ["a_001", "a_003"]
    assert [clip.video_id for clip in select(dataset, limit=2)] == ["a_000", "a_001"]
    with pytest.raises(UsageError, match="did you mean a_003"):
        select(dataset, ["a_03"])
    with pytest.raises(UsageError, match="at least 1"):
        select(dataset, limit=0)


def test_without_a_name_the_fetched_dataset_is_taken_else_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROG_BENCH_DATA", str(tmp_path / "fetched"))
    assert locate(None) == locate("sample")
    with pytest.raises(DataError, match="microg-bench data fetch"):
        locate("microg-4m")
    (tmp_path / "fetched").mkdir()
    assert locate(None) == locate("microg-4m") == tmp_path / "fetched"


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        load(str(tmp_path / name))
