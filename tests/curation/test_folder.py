"""The folder of a curation may be from elsewhere: what it says of clips is checked as it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.curation.folder import CurationFolder
from microg_bench.errors import MicrogError
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
