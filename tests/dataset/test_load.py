import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import Dataset, find_layout, load, locate, select
from microg_bench.errors import DataError, UsageError
from tests.helpers.datasets import make_dataset, record, write_annotations

MP4 = b"\0\0\0\x20ftypisom"


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
    video.write_bytes(MP4)
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


@pytest.mark.parametrize(
    ("name", "content", "counts"),
    [
        ("a_001.mp4", MP4, True),
        ("a_001.MOV", b"\0\0\0\x14wide\0\0", True),
        ("a_001.mov", b"\x12\x34\x56\x78mdat", True),
        ("a_001.webm", b"\x1a\x45\xdf\xa3\x01", True),
        ("a_001.avi", b"RIFF\x01\x02\x03\x04AVI LIST", True),
        ("a_001.mp4", b"", False),
        ("a_001.mp4", b"-----BEGIN PRIVATE KEY-----", False),
        ("a_001.mp4", b"all free of charge", False),
        ("a_001.avi", b"RIFF\x01\x02\x03\x04WAVEfmt ", False),
        ("a_001.txt", MP4, False),
    ],
)
def test_a_video_is_a_file_of_a_known_container(
    tmp_path: Path, name: str, content: bytes, counts: bool
) -> None:
    write_annotations(tmp_path / "vqa_and_captioning.json", [record("a_001")])
    (tmp_path / name).write_bytes(content)
    (clip,) = load(tmp_path).clips
    assert clip.video == (tmp_path / name if counts else None)
    known = f"{name}: its content is no mp4, mkv, webm, avi or mov file" if name != "a_001.txt" else None
    assert clip.video_fault == (None if counts else known)


def rejected(root: Path) -> dict[str, str]:
    """What is not used as a video, by its path in the folder."""
    return {str(path.relative_to(root)): reason for path, reason in find_layout(root).rejected.items()}


def test_what_leads_out_of_the_dataset_is_no_video(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "set"
    outside.mkdir()
    for name in ("a_001.mp4", "a_004.mp4"):
        (outside / name).write_bytes(MP4)
    write_annotations(root / "vqa_and_captioning.json", [record(f"a_00{n}") for n in range(1, 6)])
    (root / "a_001.mp4").symlink_to(outside / "a_001.mp4")
    (root / "a_002.mp4").write_bytes(MP4)
    (root / "a_003.mp4").symlink_to("a_002.mp4")
    (root / "videos").symlink_to(outside, target_is_directory=True)
    (root / "a_005.mp4").symlink_to(tmp_path / "gone.mp4")
    assert [clip.video and clip.video.name for clip in load(root).clips] == [
        None, "a_002.mp4", "a_003.mp4", None, None,
    ]  # fmt: skip
    assert rejected(root) == dict.fromkeys(
        ["a_001.mp4", "a_005.mp4", "videos"], "is a link that leads out of the dataset"
    )


def test_a_dataset_may_itself_be_reached_by_a_link(tmp_path: Path) -> None:
    make_dataset(tmp_path / "set", ["a_001"])
    (tmp_path / "link").symlink_to(tmp_path / "set", target_is_directory=True)
    dataset = load(tmp_path / "link")
    assert dataset.clips[0].video == tmp_path / "link" / "videos" / "real" / "a" / "a_001.mp4"
    assert rejected(tmp_path / "link") == {}


def test_pipes_and_broken_links_are_never_opened(tmp_path: Path) -> None:
    write_annotations(tmp_path / "vqa_and_captioning.json", [record("a_001"), record("a_002")])
    os.mkfifo(tmp_path / "a_001.mp4")
    (tmp_path / "a_002.mp4").symlink_to("a_002.mp4")
    (tmp_path / "a_003.mp4").symlink_to("/dev/zero")
    dataset = load(tmp_path)  # a pipe without a writer would be waited for
    assert not dataset.has_video
    assert dataset.clips[0].video_fault == "a_001.mp4: is not a regular file"
    found = rejected(tmp_path)
    assert found["a_001.mp4"] == "is not a regular file"
    assert found["a_002.mp4"].startswith("cannot be read: ")
    assert found["a_003.mp4"] == "is a link that leads out of the dataset"


def named(*sources: str | None) -> list[dict[str, Any]]:
    """Records of the clips a_000, a_001, …, with their sources."""
    return [
        {**record(f"a_{n:03}", n), **({"source": source} if source else {})}
        for n, source in enumerate(sources)
    ]


def loaded(folder: Path, records: list[dict[str, Any]]) -> Dataset:
    return load(write_annotations(folder / "a.json", records))


def test_a_source_that_is_given_counts(tmp_path: Path) -> None:
    dataset = loaded(tmp_path, named("film", None, "b"))
    assert [clip.source for clip in dataset.clips] == ["film", "a", "b"]
    again = loaded(tmp_path, [*named("film"), *named("series"), *named(None)])
    assert [clip.source for clip in again.clips] == ["series"]


def test_other_sources_are_other_references(tmp_path: Path) -> None:
    plain = loaded(tmp_path, named(None, None)).fingerprint
    assert loaded(tmp_path, named("a", "a")).fingerprint == plain
    assert loaded(tmp_path, named("a", "b")).fingerprint != plain


def test_a_dataset_tells_what_its_sources_rest_on(tmp_path: Path) -> None:
    assert loaded(tmp_path, named(None, None)).source_notes == ()
    (note,) = loaded(tmp_path, named("film", "series")).source_notes
    assert note.startswith("every clip is a source video of its own")
