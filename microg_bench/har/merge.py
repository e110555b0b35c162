"""Joins the shards of a prediction of actions into the folder that one process would have written."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from microg_bench.dataset.labels import LabelMap
from microg_bench.dataset.shards import missing_shards, not_all, numbers
from microg_bench.errors import DataError, RunError
from microg_bench.folders import absent, whole_folder
from microg_bench.har.runs import (
    FREE,
    JOURNALS,
    SETTINGS,
    PredictSettings,
    Recognition,
    detections_file,
    differences,
    journal_name,
    read_logits,
    read_settings,
    recognition,
)
from microg_bench.persons.boxes import write_detections
from microg_bench.persons.keyframes import load_key_frames
from microg_bench.storage import Journal, read_journal, write_json
from microg_bench.text import first_line, listed

_LINES = 1000  # of a journal that are written at once


def find_predictions(folders: Iterable[Path]) -> list[Path]:
    """The folders of predictions at or below those given."""
    return [file.parent for folder in dict.fromkeys(folders) for file in sorted(folder.rglob(SETTINGS))]


def merge_predictions(
    folders: Iterable[Path], out: Path, data: str | Path | None, labels: LabelMap, boxes: Path | None = None
) -> Recognition:
    """Write what shards make up together into `out`; nothing if one is wrong.

    Args:
        folders: of shards, or folders with shards at any depth below them.
        out: there must be none yet.
        data: the dataset that the shards looked at.
        labels: the actions.
        boxes: the table of boxes, where the shards had one.

    Raises:
        RunError: a folder holds no shard; shards are of different runs, or one is missing, there twice, or
            has not ended, or was shown another video; or `out` cannot be written.
        DataError: the dataset has other key frames; see `load_key_frames` for the others.
    """
    shards = {path: read_settings(path) for path in find_predictions(folders)}
    first, whole = _whole(shards)
    key_frames = load_key_frames(data, labels, split=whole.split, boxes=boxes)
    if key_frames.fingerprint != whole.key_frames:
        raise DataError("has other key frames than the shards: give their --data and --boxes", path=first)
    ordered = sorted(shards, key=lambda path: numbers(str(shards[path].shard)))
    with whole_folder(out, absent) as folder:
        write_json(folder / SETTINGS, whole.model_dump(mode="json", by_alias=True))
        with Journal(folder / journal_name(0)) as journal:
            for path in ordered:
                for file in sorted(path.glob(JOURNALS)):
                    lines = (line for _, line in read_journal(file))
                    while some := list(islice(lines, _LINES)):
                        journal.append(*some)
        logits, changed = read_logits(folder, key_frames)
        if changed:
            reason = f"shards were shown other videos of {listed(changed)} than {key_frames.name}"
            raise RunError(f"{reason}; run their commands again, which look at them again", path=first)
        found = recognition(folder, whole, key_frames, logits, labels)
        write_detections(found.path, found.detections, labels)
    return replace(found, folder=out, path=detections_file(out, whole))


def _whole(shards: dict[Path, PredictSettings]) -> tuple[Path, PredictSettings]:
    """A shard, and the settings of the undivided run; the shards are checked to be all of it."""
    first, settings = next(iter(shards.items()))
    same = settings.model_dump(exclude={"shard", *FREE})
    for path, own in shards.items():
        if own.shard is None:
            raise RunError("is no shard: its run was not divided", path=path)
        for place, old, new in differences(same, own.model_dump(exclude={"shard", *FREE})):
            changed = f"{'.'.join(place)}: {first_line(old, 60)} → {first_line(new, 60)}"
            raise RunError(f"is a shard of another run than {first} ({changed})", path=path)
        if not detections_file(path, own).is_file():
            raise RunError(f"shard {own.shard} has not ended: run its command again", path=path)
    if missing := missing_shards((str(own.shard), path) for path, own in shards.items()):
        raise not_all(missing, first)
    return first, settings.model_copy(update={"shard": None})
