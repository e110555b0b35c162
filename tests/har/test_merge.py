"""Shards of predictions of actions, joined into the folder of an undivided prediction."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.errors import MicrogError, RunError
from microg_bench.har.merge import merge_predictions
from microg_bench.har.runs import SETTINGS, detections_file, journal_name, read_run, read_settings
from microg_bench.persons.keyframes import KeyFrames, load_key_frames
from microg_bench.runs.frames import clip_sha256
from microg_bench.storage import Journal, read_journal, write_json
from tests.har.run_folders import LABELS, random_detections, write_run


@pytest.fixture(scope="module")
def key_frames() -> KeyFrames:
    return load_key_frames("sample", LABELS, split="all")


def write_shard(folder: Path, key_frames: KeyFrames, shard: str | None, **changed: Any) -> Path:
    """A folder as `har predict` leaves it: logits by chance, but the same in each division."""
    detections = random_detections(key_frames)
    write_run(folder, key_frames, detections, shard=shard, **changed)
    parts = _by_key_frame(key_frames, detections.scores)
    logits = {one.key: part for one, part in zip(key_frames.items, parts, strict=True)}
    with Journal(folder / journal_name(0)) as journal:
        for one in key_frames.shard(shard):
            known = {"clip_sha256": clip_sha256(one.video)}
            line = {"video_id": one.video_id, "frame": one.frame, "logits": logits[one.key].tolist(), **known}
            journal.append(line)
    return folder


def _by_key_frame(key_frames: KeyFrames, scores: np.ndarray) -> list[np.ndarray]:
    return np.split(scores, np.cumsum([len(one.boxes) for one in key_frames.items])[:-1])


@pytest.fixture
def shards(key_frames: KeyFrames, tmp_path: Path) -> Path:
    for number in (3, 1, 2):
        write_shard(tmp_path / "run" / f"shard-{number}-of-3", key_frames, f"{number}/3")
    return tmp_path / "run"


def test_clips_are_divided_whole(key_frames: KeyFrames) -> None:
    parts = [key_frames.shard(f"{number}/4") for number in range(1, 5)]
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in key_frames.items)
    clips = [{one.video_id for one in part} for part in parts]
    assert sum(map(len, clips)) == len(set.union(*clips))
    assert key_frames.shard(None) == key_frames.items


def test_a_shard_that_was_shown_another_video_is_refused(shards: Path, tmp_path: Path) -> None:
    journal = shards / "shard-2-of-3" / journal_name(0)
    lines = [line for _, line in read_journal(journal)]
    journal.unlink()
    with Journal(journal) as changed:
        changed.append(*({**line, "clip_sha256": "0" * 16} for line in lines))
    with pytest.raises(RunError, match=f"shown other videos of {lines[0]['video_id']}"):
        merge_predictions([shards], tmp_path / "merged", "sample", LABELS)
    assert not (tmp_path / "merged").exists()


def test_merged_shards_are_an_undivided_run(key_frames: KeyFrames, shards: Path, tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole", key_frames, None)
    found = merge_predictions([shards], tmp_path / "merged", "sample", LABELS)
    assert found.failed == 0
    name = detections_file(whole, read_settings(whole)).name
    for file in (SETTINGS, name):
        assert (tmp_path / "merged" / file).read_bytes() == (whole / file).read_bytes()
    lines = [sorted((path / journal_name(0)).read_text().splitlines()) for path in (found.folder, whole)]
    assert lines[0] == lines[1]
    assert found.path == tmp_path / "merged" / name
    assert read_run(found.folder, LABELS).detections.scores.shape == found.detections.scores.shape
    assert found.scorecard(resamples=0).har is not None


def test_a_key_frame_without_logits_has_failed(key_frames: KeyFrames, shards: Path, tmp_path: Path) -> None:
    journal = shards / "shard-2-of-3" / journal_name(0)
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[1:]))
    found = merge_predictions([shards], tmp_path / "merged", "sample", LABELS)
    assert found.failed == 1
    assert "1 of" in found.scorecard(resamples=0).status


def test_what_does_not_belong_together_is_refused(
    key_frames: KeyFrames, shards: Path, tmp_path: Path
) -> None:
    one, two, three = (shards / f"shard-{number}-of-3" for number in (1, 2, 3))
    other = write_shard(tmp_path / "other", key_frames, "3/3", recipe="paper")
    undivided = write_shard(tmp_path / "undivided", key_frames, None)
    running = write_shard(tmp_path / "running", key_frames, "3/3")
    detections_file(running, read_settings(running)).unlink()
    cases: list[tuple[list[Path], str]] = [
        ([one, three], "a shard is missing of its run: 2/3"),
        ([one, one / ".." / "shard-1-of-3", two, three], "is shard 1/3, as is"),
        ([one, two, other], r"another run than .* \(recipe: fixed → paper\)"),
        ([undivided], "is no shard"),
        ([one, two, running], "shard 3/3 has not ended"),
    ]
    for folders, said in cases:
        with pytest.raises(MicrogError, match=said):
            merge_predictions(folders, tmp_path / "out", "sample", LABELS)
    folder = write_shard(tmp_path / "changed", key_frames, "1/1")
    changed = read_settings(folder).model_copy(update={"key_frames": "1" * 64})
    write_json(folder / SETTINGS, changed.model_dump(mode="json", by_alias=True))
    with pytest.raises(MicrogError, match="other key frames"):
        merge_predictions([folder], tmp_path / "out", "sample", LABELS)
    with pytest.raises(MicrogError, match="exists"):
        merge_predictions([shards], undivided, "sample", LABELS)
    with pytest.raises(MicrogError, match="is shard 1/3 of a run"):
        read_run(one, LABELS)
    assert not (tmp_path / "out").exists()
