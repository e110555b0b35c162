"""The folder of a curation may be from elsewhere: what it says of clips is checked as it is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.curation.folder import CurationFolder, read_curation
from microg_bench.errors import MicrogError, RunError
from tests.helpers.curations import make_curation


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_curation(tmp_path_factory.mktemp("curation") / "station").path


@pytest.mark.parametrize(
    ("clip", "more", "reason"),
    [
        ("orbit_/../../../x_000", {}, "is not a safe video_id"),
        ("orbit_/../../../x", {}, "is not a safe video_id"),
        ("orbit_x", {}, "'orbit_x' is no id of a clip"),
        ("orbit_٠٠٠", {}, "is no id of a clip"),
        ("orbit_000", {"numbers": {}}, "a clip that was cut has a sha256"),
    ],
)
def test_a_clip_that_could_be_elsewhere_is_refused_with_its_line(
    station: Path, tmp_path: Path, clip: str, more: dict[str, Any], reason: str
) -> None:
    (tmp_path / "curation.json").write_bytes((station / "curation.json").read_bytes())
    line = {"clip": clip, "stage": "trim", "key": "k", "passed": True, "numbers": {"sha256": "0"}, **more}
    (tmp_path / "verdicts.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(MicrogError) as caught:
        CurationFolder.read(tmp_path)
    assert reason in str(caught.value) and "verdicts.jsonl: line 1" in str(caught.value)


def test_footage_of_two_names_is_refused(station: Path, tmp_path: Path) -> None:
    facts = json.loads((station / "curation.json").read_text())
    facts["footage"]["orbit"]["name"] = "../film"
    (tmp_path / "curation.json").write_text(json.dumps(facts))
    with pytest.raises(MicrogError, match="curation.json: orbit: is named '../film' as well"):
        CurationFolder.read(tmp_path)


def test_clips_of_footage_that_is_not_known_do_not_count(station: Path, tmp_path: Path) -> None:
    facts = json.loads((station / "curation.json").read_text())
    del facts["footage"]["film"]
    (tmp_path / "curation.json").write_text(json.dumps(facts))
    (tmp_path / "verdicts.jsonl").write_bytes((station / "verdicts.jsonl").read_bytes())
    folder = CurationFolder.read(tmp_path)
    assert {clip.partition("_")[0] for clip in folder.clips} == {"orbit"}
    assert {clip.partition("_")[0] for clip in folder.earlier} == {"film"}


def test_a_clip_that_is_rejected_goes_no_further_whatever_was_found_before(
    station: Path, tmp_path: Path
) -> None:
    shutil.copytree(station, tmp_path / "station")
    folder = CurationFolder.read(tmp_path / "station")
    passed = folder.verdicts["orbit_000"]["cut"]
    folder.add(passed.model_copy(update={"key": "other", "passed": False, "reason": "a cut at frame 1"}))
    folder.close()
    again = CurationFolder.read(tmp_path / "station")
    assert folder.verdicts == again.verdicts
    assert (list(again.verdicts["orbit_000"]), again.persons("orbit_000")) == (["trim", "person", "cut"], ())


BOX = {"frame": 20, "person": 1, "xmin": 0.0, "ymin": 0.0, "xmax": 9.0, "ymax": 9.0, "confidence": 0.9}


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([{**BOX, "xmax": 0.0}], "the box in frame 20 has no area"),
        ([{**BOX, "ymax": -1.0}], "the box in frame 20 has no area"),
        ([BOX, {**BOX, "xmax": 5.0}], "person 1 is in frame 20 twice"),
        ([{**BOX, "person": 0}], "tracks cannot have person 0"),
        ([{**BOX, "confidence": 2.0}], "boxes.0.confidence"),
    ],
)
def test_boxes_that_cannot_be_are_refused_with_their_line(
    station: Path, tmp_path: Path, boxes: list[dict[str, Any]], reason: str
) -> None:
    shutil.copytree(station, tmp_path / "station")
    line = {"clip": "orbit_000", "of": "tracks", "key": "k", "boxes": boxes}
    (tmp_path / "station" / "boxes.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(RunError) as caught:
        CurationFolder.read(tmp_path / "station")
    assert reason in str(caught.value) and "boxes.jsonl: line 1" in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace('"frame":90', '"frame":91'), *lines[1:]],
        lambda lines: [lines[0].replace('"key":"', '"key":"0'), *lines[1:]],
    ],
    ids=["lost", "beyond the clip", "of another start"],
)
def test_boxes_that_are_lacking_are_named_with_their_clip(
    station: Path, tmp_path: Path, damage: Callable[[list[str]], list[str]]
) -> None:
    shutil.copytree(station, tmp_path / "station")
    file = tmp_path / "station" / "boxes.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(damage(lines)) + "\n")
    folder = CurationFolder.read(tmp_path / "station")
    assert [clip for clip in folder.clips if folder.lacks_boxes(clip)] == ["orbit_000"]
    assert not folder.is_judged("orbit_000")
    with pytest.raises(RunError, match=r"boxes.jsonl: orbit_000: lacks the boxes of its tracks"):
        read_curation(tmp_path / "station")


def test_a_torn_last_line_of_boxes_is_noticed(station: Path, tmp_path: Path) -> None:
    shutil.copytree(station, tmp_path / "station")
    file = tmp_path / "station" / "boxes.jsonl"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"boxes.jsonl: film_000: lacks the boxes of its tracks"):
        read_curation(tmp_path / "station")
