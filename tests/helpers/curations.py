"""A folder of a curation, as `microg-bench curate` leaves it, made at once."""

from __future__ import annotations

from pathlib import Path

from microg_bench.curation.detectors.base import DetectorFacts, Thresholds
from microg_bench.curation.folder import (
    Box,
    ClipBoxes,
    CurationFacts,
    CurationFolder,
    Footage,
    Verdict,
    clip_file,
    clip_id,
)
from microg_bench.curation.recipe import STAGES, read_curation_recipe
from microg_bench.curation.stages import keys
from microg_bench.storage import file_sha256
from tests.helpers.videos import write_clip

RECIPE = read_curation_recipe("paper")
DETECTOR = DetectorFacts(
    name="ssd", facts={}, thresholds=Thresholds(present=0.6, track=0.55, high=0.5, new=0.6)
)


def make_curation(path: Path, *, origin: str = "NASA", persons: int = 2) -> CurationFolder:
    """Footage `orbit` with three clips, and the movie `film` with two; the last of each was rejected.

    The first clip has all `persons`, the others have one.
    """
    folder = CurationFolder.read(path)
    path.mkdir(parents=True, exist_ok=True)
    footage = {
        name: Footage(
            name=name,
            file=f"{name}.mp4",
            kind=kind,
            size=1,
            modified=1,
            origin=origin,
            licence="public domain",
            key="k",
        )
        for name, kind in (("orbit", "real"), ("film", "movie"))
    }
    folder.write_facts(CurationFacts(recipe=RECIPE, detector=DETECTOR, footage=footage))
    source = write_clip(path / "source.mp4", 90, size=(640, 480))
    for name, count in (("orbit", 3), ("film", 2)):
        for number in range(count):
            _add(folder, footage[name], number, source, persons if not number else 1, number == count - 1)
    source.unlink()
    folder.close()
    return folder


def _add(
    folder: CurationFolder, footage: Footage, number: int, source: Path, persons: int, rejected: bool
) -> None:
    clip = clip_id(footage.name, number)
    place = folder.path / clip_file(footage.kind, clip)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(source.read_bytes())
    sha256 = file_sha256(place)
    folder.add(Verdict(clip=clip, stage="trim", key="k", passed=True, numbers={"sha256": sha256}))
    key = keys(RECIPE, DETECTOR, sha256)
    if rejected:
        reason = "a person in 3% of the frames, less than 60%"
        folder.add(Verdict(clip=clip, stage="person", key=key["person"], passed=False, reason=reason))
        return
    boxes = tuple(
        Box(
            frame=frame,
            person=person,
            xmin=200 * (person - 1),
            ymin=0,
            xmax=200 * person,
            ymax=480,
            confidence=0.9,
        )
        for frame in range(15, 91)
        for person in range(1, persons + 1)
    )
    folder.add(ClipBoxes(clip=clip, of="tracks", key=key["tracks"], boxes=boxes))
    for stage in STAGES[1:]:
        numbers = {"motion": "low"} if stage == "motion" else {}
        folder.add(Verdict(clip=clip, stage=stage, key=key[stage], passed=True, numbers=numbers))
