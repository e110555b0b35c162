"""What the published action labels tell of each clip: actions, their groups, people, footage and motion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from microg_bench.dataset.labels import FOOTAGE, read_actions, read_groups, read_label_map
from microg_bench.slices import LABELLED


@dataclass(frozen=True)
class ClipLabels:
    """The labels of clips by kind and video id; a clip that has no label of a kind is not there.

    Kinds are those of `LABELLED`: `action` and `action_group` of any person of the clip, `people` the number
    of persons that have an action, `footage` "real" or "movie", `motion` "high" or "low" where it is told.
    """

    by_kind: Mapping[str, Mapping[str, tuple[str, ...]]]

    def sha256(self, clips: Collection[str]) -> str:
        """A hash of the labels of these clips."""
        wanted = set(clips)
        told = {
            kind: {clip: labels for clip, labels in found.items() if clip in wanted}
            for kind, found in self.by_kind.items()
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_clip_labels(path: Path) -> ClipLabels:
    """Read the labels of clips from a table of actions; raises as `read_actions` does."""
    labels = read_label_map()
    table = read_actions(path, labels)
    names, groups = dict(zip(labels.ids, labels.names, strict=True)), read_groups()
    footage = {letter: name for name, letter in FOOTAGE.items()}
    actions = table["action"].tolist()
    columns: dict[str, list[str | int]] = {
        "action": [names[one] for one in actions],
        "action_group": [groups[one].lower().replace("_", " ") for one in actions],
        "people": table["person_id"].tolist(),
        "footage": [footage[letter] for letter in table["movie_or_real"]],
        "motion": table["motion"].tolist() if "motion" in table.frame.columns else [],
    }
    found = {kind: _by_clip(table["video_id"].tolist(), columns[kind]) for kind in LABELLED}
    return ClipLabels(
        {
            kind: {
                clip: (str(len(told)),) if kind == "people" else tuple(sorted(map(str, told)))
                for clip, told in clips.items()
            }
            for kind, clips in found.items()
        }
    )


def _by_clip(clips: list[str], labels: list[str | int]) -> dict[str, set[str | int]]:
    found: dict[str, set[str | int]] = {}
    for clip, label in zip(clips, labels, strict=False):  # without labels, where the table has no such column
        found.setdefault(clip, set()).add(label)
    return found
