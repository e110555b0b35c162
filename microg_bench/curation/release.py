"""The finished dataset: the layout of MicroG-4M, with the clips that people took, and its card."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from microg_bench.curation.detectors.base import DetectorFacts
from microg_bench.curation.folder import (
    CHANGED,
    CLIPS_FOLDER,
    FACTS_FILE,
    CurationFolder,
    clip_file,
    sha256_of,
)
from microg_bench.curation.footage import read_manifest
from microg_bench.curation.recipe import CurationRecipe
from microg_bench.curation.reviews import SOURCES, TIE, Disagreement, Merged
from microg_bench.curation.run import box_tables
from microg_bench.curation.stages import judged_otherwise
from microg_bench.curation.tables import read_rows, table_text
from microg_bench.dataset.annotations import read_annotations
from microg_bench.dataset.labels import FOOTAGE, LAYOUT
from microg_bench.dataset.tabular import MAX_TEXT
from microg_bench.errors import DataError, RunError
from microg_bench.folders import absent, whole_folder
from microg_bench.records import Record, first_fault, validated
from microg_bench.storage import cause, read_strict_json, read_text, write_json, write_text
from microg_bench.text import markdown

ACTIONS_TABLE = Path("annotation_files", "actions.csv")
CAPTIONS = Path("annotation_files", "vqa_and_captioning.json")
SOURCES_TABLE = Path("annotation_files", "caption_sources.csv")
DISAGREEMENTS_TABLE = Path("annotation_files", "disagreements.csv")
FOOTAGE_TABLE = "footage.csv"
CARD = "README.md"


class DatasetFacts(Record):
    """What `curation.json` of a dataset holds: how its clips were made.

    Attributes:
        recipe, detector: those of the last start of the curation.
        clips: the SHA-256 of the file of each clip.
        otherwise: the clips that a stage judged by another recipe or detector; see `judged_otherwise`.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    recipe: CurationRecipe
    detector: DetectorFacts
    clips: dict[str, str]
    otherwise: tuple[str, ...] = ()


def write_dataset(folder: CurationFolder, merged: Merged, out: Path) -> None:
    """Write the clips that were taken, with boxes, actions and captions, as a new dataset folder.

    Raises:
        RunError: there is a folder, or it cannot be written; or the file of a clip is not the one that was
            cut.
        DataError: no clip was taken, or no detector has judged any.
    """
    if not merged.accepted:
        raise DataError("no clip was accepted", path=folder.path)
    facts = _dataset_facts(folder, merged.accepted)
    folder.check_files(merged.accepted)
    with whole_folder(out, absent) as new:
        for clip in merged.accepted:
            _link(folder.video(clip), new / clip_file(folder.footage_of(clip).kind, clip))
        for path, text in box_tables(folder, merged.accepted).items():
            write_text(new / path, text)
        write_text(new / ACTIONS_TABLE, _actions(folder, merged))
        # An annotation file has one record at least: without any caption, the clips have records without one.
        records: list[dict[str, Any]] = [
            {"video_id": clip, "caption": caption, "qa_pairs": []}
            for clip, caption in merged.captions.items()
        ]
        records = records or [{"video_id": clip, "qa_pairs": []} for clip in merged.accepted]
        write_text(new / CAPTIONS, json.dumps(records, indent=2, ensure_ascii=False) + "\n")
        rows = [(clip, *(told.get(name, "") for name in SOURCES)) for clip, told in merged.sources.items()]
        write_text(new / SOURCES_TABLE, table_text(("video_id", *SOURCES), rows))
        write_disagreements(merged.disagreements, new / DISAGREEMENTS_TABLE)
        write_text(new / FOOTAGE_TABLE, _footage(folder, merged.accepted))
        write_json(new / FACTS_FILE, facts.model_dump(mode="json", by_alias=True))


def _dataset_facts(folder: CurationFolder, clips: Sequence[str]) -> DatasetFacts:
    if folder.facts is None or folder.facts.detector is None:
        raise DataError("names no detector", path=folder.path / FACTS_FILE)
    return DatasetFacts(
        recipe=folder.facts.recipe,
        detector=folder.facts.detector,
        clips={clip: folder.sha256(clip) for clip in clips},
        otherwise=tuple(judged_otherwise(folder, clips)),
    )


def _actions(folder: CurationFolder, merged: Merged) -> str:
    """The table of action labels, with the motion of the clips where it was measured of all."""
    verdicts = {clip: folder.verdicts[clip].get("motion") for clip in merged.accepted}
    motions = {clip: one.numbers.get("motion") if one else None for clip, one in verdicts.items()}
    complete = None not in motions.values()
    rows = [
        (clip, FOOTAGE[folder.footage_of(clip).kind], person, action, *([motions[clip]] if complete else []))
        for clip in merged.accepted
        for person, actions in merged.actions[clip].items()
        for action in sorted(actions)
    ]
    return table_text([column.name for column in LAYOUT if complete or not column.optional], rows)


def _link(video: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(video, place)
    except OSError:  # another disk, or a file system without links
        try:
            shutil.copyfile(video, place)
        except OSError as error:
            raise RunError(f"cannot be copied: {cause(error)}", path=video) from error


def _footage(folder: CurationFolder, clips: Iterable[str]) -> str:
    """The manifest of the footage of clips."""
    found = {one.name: one for one in map(folder.footage_of, clips)}
    more = sorted({column for one in found.values() for column in one.more})
    rows = [
        (one.name, one.kind, one.origin, one.licence, one.mission, *(one.more.get(name, "") for name in more))
        for one in found.values()
    ]
    return table_text(("name", "kind", "origin", "licence", "mission", *more), rows)


def write_disagreements(found: Sequence[Disagreement], path: Path) -> None:
    """Write where annotators differ, a line each."""
    rows = [(one.clip, one.what, one.said, one.outcome) for one in found]
    write_text(path, table_text(("video_id", "what", "said", "outcome"), rows))


def write_card(dataset: Path, title: str) -> Path:
    """Write the dataset card of a finished dataset, `README.md`, with metadata for the Hugging Face hub.

    Raises:
        DataError: the origin or licence of footage is not told, annotators are tied, clips were judged by
            several recipes or detectors, a clip has changed since it was cut, or the folder is no dataset of
            a curation.
    """
    for name in (FOOTAGE_TABLE, CAPTIONS, ACTIONS_TABLE, DISAGREEMENTS_TABLE, FACTS_FILE):
        if not (dataset / name).is_file():
            raise DataError(f"lacks {name}: is no dataset that `curate merge` wrote", path=dataset)
    manifest = dataset / FOOTAGE_TABLE
    footage = read_manifest(manifest)
    untold = [name for name, one in footage.items() if not (one.get("origin") and one.get("licence"))]
    if untold:
        others = f" (and of {len(untold) - 1} more)" if untold[1:] else ""
        raise DataError(f"origin or licence of {untold[0]} is not told{others}", path=manifest)
    _check_ties(dataset / DISAGREEMENTS_TABLE)
    facts = _read_facts(dataset / FACTS_FILE)
    _check_clips(dataset / CLIPS_FOLDER, facts.clips)
    path = dataset / CARD
    write_text(path, _card(dataset, title, footage, facts))
    return path


def _read_facts(path: Path) -> DatasetFacts:
    try:
        facts = validated(DatasetFacts, read_strict_json(path))
    except ValidationError as error:
        raise DataError(first_fault(error), path=path) from None
    if facts.otherwise:
        others = f" (and {len(facts.otherwise) - 1} more)" if facts.otherwise[1:] else ""
        reason = f"was judged by another recipe or detector than is told here{others}"
        advice = "run `microg-bench curate` again with all footage, and merge again"
        raise DataError(f"{reason}: {advice}", path=path, item=facts.otherwise[0])
    return facts


def _check_clips(folder: Path, clips: Mapping[str, str]) -> None:
    """Each clip is there as it was cut, and no other."""
    files = {file.stem: file for file in sorted(folder.rglob("*.mp4"))}
    if others := sorted(set(files) - set(clips)):
        raise DataError(f"is none of the clips in {FACTS_FILE}", path=files[others[0]])
    for clip, sha256 in clips.items():
        if clip not in files or sha256_of(files[clip]) != sha256:
            raise DataError(f"{CHANGED}: merge again", path=folder, item=clip)


def _check_ties(path: Path) -> None:
    """Actions that half of the annotators gave are in no table until people decide."""
    rows = read_rows(path, ("video_id", "what", "outcome"), MAX_TEXT)
    ties = [f"{row['video_id']}, {row['what']}" for _, row in rows if row["outcome"] == TIE]
    if ties:
        others = f" (and {len(ties) - 1} more)" if ties[1:] else ""
        reason = f"annotators are tied on {ties[0]}{others}: merge again with a second pass, --final"
        raise DataError(reason, path=path)


def _card(dataset: Path, title: str, footage: dict[str, dict[str, str]], facts: DatasetFacts) -> str:
    captions = sum(one.caption is not None for one in read_annotations(dataset / CAPTIONS))
    trim = facts.recipe.trim
    licences = Counter(one["licence"] for one in footage.values())
    labels = read_text(dataset / ACTIONS_TABLE, MAX_TEXT).count(b"\n") - 1
    rows = [
        "|".join(["", name, one.get("kind") or "real", one["origin"], one["licence"], ""])
        for name, one in sorted((markdown(name), _markdown(one)) for name, one in footage.items())
    ]
    lines = [
        "---",
        f"pretty_name: {json.dumps(title)}",
        "license: other",
        "license_name: see-footage",
        "task_categories:",
        *("- video-classification", "- video-text-to-text", "- visual-question-answering"),
        "tags:",
        *("- video", "- action-recognition", "- microgravity"),
        "---",
        "",
        f"# {markdown(title)}",
        "",
        f"{len(facts.clips):,} clips of {trim.seconds} seconds, {trim.fps} frames a second, {trim.height} "
        f"pixels high; {labels:,} labels of actions; {captions:,} captions. The layout is that of MicroG-4M.",
        "",
        "## Footage",
        "",
        f"{len(footage):,} videos under {len(licences):,} licences. Clips keep the licence of their footage.",
        "",
        *("| video | kind | origin | licence |", "|---|---|---|---|"),
        *rows,
        "",
        "## How it was made",
        "",
        "`microg-bench curate` cut the clips, and judged each by persons, cuts, motion and tracks; people "
        f"reviewed and labelled what was left. The detector was {markdown(facts.detector.name)}. "
        f"`{FACTS_FILE}` has all parameters.",
        "",
    ]
    return "\n".join(lines)


def _markdown(entry: dict[str, str]) -> dict[str, str]:
    return {name: markdown(value) for name, value in entry.items()}
