"""Scores the answers of submissions again, and holds what they claim against what comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microg_bench.errors import MicrogError
from microg_bench.leaderboard.submission import without_paths
from microg_bench.metrics.base import same_but_versions
from microg_bench.runs.evaluate import ClusterKind, Scoring
from microg_bench.runs.scorecard import Scorecard
from microg_bench.runs.scoring import score_runs

EXACT, ENCODED = 1e-6, 0.02  # points by which a score may differ: by our own code, by an encoder elsewhere
_ENCODERS = ("S-BERT", "S-VQA", "BERTScore")


@dataclass
class Inspection:
    """What was found: `problems` keep a submission out, `notes` say what could not be looked at."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def rescore(
    runs: Mapping[Path, tuple[Path, Scorecard]], data: str | None, scoring: Scoring
) -> dict[Path, Inspection]:
    """Score runs as their scorecards claim to have been scored; those that claim alike are scored in one go.

    Args:
        runs: by submission, a run made of it and the scorecard that it claims.
        data: the dataset, as for `--data`.
        scoring: how to score; metrics and protocol are taken from the claims.
    """
    alike: dict[Scoring, list[Path]] = defaultdict(list)
    for folder, (_, card) in runs.items():
        alike[_claimed(card, scoring)].append(folder)
    found: dict[Path, Inspection] = {}
    for how, folders in alike.items():
        places = [runs[folder][0] for folder in folders]
        scored = score_runs(places, how, data)
        for folder, place in zip(folders, places, strict=True):
            found[folder] = _compare(runs[folder][1], scored[place], place)
    return found


def _claimed(card: Scorecard, scoring: Scoring) -> Scoring:
    clusters: ClusterKind = "clip" if card.interval and card.interval.clusters == "clip" else "source"
    return Scoring(tuple(card.scores), card.protocol, scoring.options, clusters, bool(card.floors))


def _compare(card: Scorecard, ours: Scorecard | MicrogError, place: Path) -> Inspection:
    found = Inspection()
    if isinstance(ours, MicrogError):
        found.problems.append(f"cannot be scored: {ours}".replace(f"{place}: ", ""))
        return found
    unchecked = {name: entry.unavailable for name, entry in ours.scores.items() if entry.unavailable}
    for name, reason in unchecked.items():
        if card.scores[name].value is not None:
            found.notes.append(f"{name} cannot be computed here, its claim was not checked: {reason}")
    theirs, versions = without_paths(card.to_json()), dict[str, None]()
    for where, claim, value in _differences(theirs, without_paths(ours.to_json())):
        if unchecked.keys() & set(where.split(".")):
            continue
        signatures = where.endswith(("signature", "signature_long")) and claim and value
        if not signatures or not same_but_versions(claim, value):
            found.problems.append(f"scorecard.json claims {where} = {claim}, but the answers give {value}")
        elif where.endswith("_long"):
            versions |= dict.fromkeys(part for part in claim.split("|") if part not in value.split("|"))
    if versions:
        found.notes.append(f"scored with other versions than here: {', '.join(versions)}")
    return found


def _differences(claimed: Any, ours: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON contents differ, numbers by more than their tolerance."""
    if isinstance(claimed, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*claimed, *ours]):
            if key not in ("settings", "dataset"):
                yield from _differences(claimed.get(key), ours.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(claimed, list) and isinstance(ours, list) and len(claimed) == len(ours):
        for one, other in zip(claimed, ours, strict=True):
            yield from _differences(one, other, place)
    elif isinstance(claimed, float | int) and isinstance(ours, float | int):
        tolerance = ENCODED if any(name in place.split(".") for name in _ENCODERS) else EXACT
        if not abs(claimed - ours) <= tolerance:
            yield place, claimed, ours
    elif claimed != ours:
        yield place, claimed, ours
