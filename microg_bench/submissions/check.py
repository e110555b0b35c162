"""Checks submissions as hostile input: complete, plain, and with exactly the scores that they claim."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import Dataset
from microg_bench.dataset.load import load as load_dataset
from microg_bench.errors import MicrogError, UsageError
from microg_bench.metrics import METRICS
from microg_bench.options import ScoringOptions
from microg_bench.privacy import without_private
from microg_bench.records import Request
from microg_bench.runs.migration import SCORECARD_SCHEMA_1
from microg_bench.runs.record import RUN_FILE, SCORECARD_FILE, RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scorecard import Scorecard, ScoreEntry
from microg_bench.scoring.score import score_records
from microg_bench.settings import Settings
from microg_bench.storage import read_json
from microg_bench.submissions.load import load
from microg_bench.text import listed

MAX_WORD = 300  # characters of a name or setting
EXACT, ENCODED = 1e-6, 0.02  # points by which a score may differ: of our own code, of an encoder elsewhere
_ENCODERS = ("S-BERT", "S-VQA", "BERTScore")
_MARKUP = re.compile(r"<\s*/?\s*(script|iframe|object|embed|svg|img|style|link|meta)\b|javascript:", re.I)
# What scorecards of schema 1 do not hold.
_NEW = {
    *(("counts", name) for name in ("truncated", "filtered", "declined", "thoughts", "flagged")),
    *(("scores", name, "notes") for name in METRICS),
    *(("served",), ("warnings",)),
}
Place = tuple[str, ...]


@dataclass
class Checked:
    """What was found out about a submission; `problems`, a line each, are why it is refused.

    `record` is None where it cannot be read, `statistics` where it was not scored again. `notes` say what
    could not be checked, and what a reader of the scores must know.
    """

    folder: Path
    record: RunRecord | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    statistics: Statistics | None = None


def check(folders: Iterable[Path], data: str | Dataset | None, options: ScoringOptions) -> list[Checked]:
    """Check submissions against a dataset, or the place of one; those that look right are scored again.

    Metrics, protocol and clusters are those that each claims; `options` say the rest.

    Raises:
        DataError: the dataset cannot be read.
    """
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    found = [Checked(folder) for folder in folders]
    for checked in found:
        try:
            checked.record = load(checked.folder)
            _inspect(checked, checked.record, dataset)
        except MicrogError as error:
            checked.problems.append(_line(error, checked.folder))
    _rescore([checked for checked in found if not checked.problems], dataset, options)
    return found


def _line(error: MicrogError, folder: Path) -> str:
    """An error as a line below the name of the folder."""
    place = Path(error.path).name if error.path and Path(error.path) != folder else None
    return ": ".join(part for part in (place, error.item, error.reason) if part)


def _inspect(checked: Checked, record: RunRecord, dataset: Dataset) -> None:
    """Look at all but the scores."""
    checked.problems += _private_or_marked(record.path)
    checked.problems += _claims(record.settings, record.scorecard)
    if dataset.fingerprint != record.settings.fingerprint:
        checked.problems.append(
            f"was made on references with fingerprint {record.settings.fingerprint[:12]}, "
            f"{dataset.name} has {dataset.fingerprint[:12]}"
        )
        return
    requests = {item.request.id: item.request for item in record.items(dataset)}
    checked.problems += _contents(record, requests)
    _check_parsing(checked, record, requests)


def _private_or_marked(folder: Path) -> Iterator[str]:
    for name in (RUN_FILE, SCORECARD_FILE):
        for place, text in _strings(read_json(folder / name)):
            if without_private(text) != text:
                yield f"{name}: {place} holds a path or an address: {text[:80]!r}"
            elif _MARKUP.search(text) or not text.isprintable():
                yield f"{name}: {place} holds markup or control characters: {text[:80]!r}"
            elif len(text) > MAX_WORD:
                yield f"{name}: {place} is longer than {MAX_WORD} characters"


def _strings(content: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """All strings of JSON content, keys included, each with its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"the key of {place or 'the file'}", key
            yield from _strings(value, f"{place}.{key}".lstrip("."))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _strings(value, f"{place}[{number}]")
    elif isinstance(content, str):
        yield place, content


def _claims(settings: Settings, card: Scorecard) -> Iterator[str]:
    counts = card.counts
    if not card.complete or counts.failed or counts.missing or counts.unknown:
        yield f"is not complete: {card.status}"
    if settings.part:
        yield f"asks {settings.part}, not the whole dataset"
    if card.settings != settings:
        yield "run.json and scorecard.json have different settings"
    if card.task != settings.task:
        yield f"run.json is of task {settings.task}, scorecard.json of {card.task}"
    if card.protocol not in get_args(ScoringOptions.model_fields["protocol"].annotation):
        yield f"claims scores under the unknown protocol {card.protocol}"
    if unknown := [name for name in card.scores if name not in METRICS]:
        yield f"claims scores of unknown metrics: {listed(unknown)}"


def _contents(record: RunRecord, requests: Mapping[str, Request]) -> list[str]:
    """Faults of the answers as they stand."""
    answers, spec = record.answers, record.settings.frames
    shown = spec.count if spec else None
    return _named(
        {
            "items have no answer": [name for name in requests if name not in answers],
            "answers are of no item of the dataset": [name for name in answers if name not in requests],
            "answers hold markup that a browser runs": [
                name
                for name, one in answers.items()
                if _MARKUP.search(one.answer) or _MARKUP.search(one.text)
            ],
            f"answers were not given on {shown} frames": [
                name for name, one in answers.items() if shown is not None and len(one.frames) != shown
            ],
        }
    )


def _named(faults: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{len(names)} {what}: {listed(names)}" for what, names in faults.items() if names]


def _check_parsing(checked: Checked, record: RunRecord, requests: Mapping[str, Request]) -> None:
    """Whether the adapter, where the same version of it is here, finds the same answers in the texts."""
    model = record.settings.model
    try:
        if model.endswith(".py"):  # which is not run: its name comes from the submission
            raise UsageError("is a file")
        adapter = find_adapter(model)
        same = source_sha256(adapter) == record.settings.adapter_sha256
        lacking = "" if same else "is here in another version"
    except UsageError:
        lacking = "is not here"
    if lacking:
        checked.notes.append(f"adapter {model} {lacking}: the answers that it found were not checked")
        return
    other = [
        name
        for name, one in record.answers.items()
        if name in requests and _parsed(adapter, requests[name], one.text) != one.answer
    ]
    checked.problems += _named({f"answers are not what adapter {model} finds in the texts": other})


def _parsed(adapter: Adapter, request: Request, text: str) -> object:
    """What the adapter finds in a text from elsewhere; None where it fails."""
    try:
        return adapter.parse(request, text)
    except Exception:
        return None


def _rescore(submissions: Sequence[Checked], dataset: Dataset, options: ScoringOptions) -> None:
    """Score the runs as they claim to have been scored; those that claim alike are scored together."""
    alike: dict[tuple[ScoringOptions, bool], list[tuple[Checked, RunRecord]]] = defaultdict(list)
    for one in submissions:
        if one.record is not None:
            alike[_claimed(one.record.scorecard, options)].append((one, one.record))
    for (how, baselines), pairs in alike.items():
        scored = score_records([record for _, record in pairs], how, dataset, baselines)
        for (checked, record), ours in zip(pairs, scored, strict=True):
            if isinstance(ours, MicrogError):
                checked.problems.append(f"cannot be scored: {_line(ours, record.path)}")
            else:
                checked.statistics = ours.statistics
                _compare(checked, record, ours.scorecard)


def _claimed(card: Scorecard, options: ScoringOptions) -> tuple[ScoringOptions, bool]:
    clusters = "clip" if card.interval and card.interval.clusters == "clip" else "source"
    claims = {"metrics": tuple(card.scores), "protocol": card.protocol, "clusters": clusters}
    return options.model_copy(update=claims), bool(card.baselines)


def _compare(checked: Checked, record: RunRecord, scored: Scorecard) -> None:
    """Compare the scorecard that is claimed with the one that the answers give."""
    claimed, ours = record.scorecard, Scorecard.model_validate(without_private(scored.to_json()))
    if claimed.interval and ours.interval and claimed.interval.method != ours.interval.method:
        theirs, own = claimed.interval.method, ours.interval.method
        checked.notes.append(f"its intervals are of another method ({theirs}): {own} takes their place")
        record.scorecard = claimed = _with_intervals(claimed, ours)
    unavailable = {name for name, entry in ours.scores.items() if entry.unavailable}
    for name in unavailable:
        if name in claimed.scores and claimed.scores[name].value is not None:
            reason = ours.scores[name].unavailable
            checked.notes.append(f"{name} cannot be computed here, its claim was not checked: {reason}")
    untold = _NEW if read_json(record.path / SCORECARD_FILE).get("schema") == SCORECARD_SCHEMA_1 else set()
    versions: dict[str, None] = {}
    for place, claim, value in [
        *_signatures(claimed, ours, versions),
        *_differences(_facts(claimed), _facts(ours)),
    ]:
        if place not in untold and _metric(place) not in unavailable:
            checked.problems.append(
                f"scorecard.json claims {'.'.join(place)} = {claim}, but the answers give {value}"
            )
    told = claimed.model_copy(update={"counts": ours.counts, "served": ours.served})
    checked.notes += told.remarks()
    if versions:
        checked.notes.append(f"scored with other versions than here: {', '.join(versions)}")


def _with_intervals(claimed: Scorecard, ours: Scorecard) -> Scorecard:
    """`claimed` with our intervals; none for a score that we do not have."""
    scores = {
        name: entry.model_copy(update={"interval": ours.scores.get(name, ScoreEntry()).interval})
        for name, entry in claimed.scores.items()
    }
    return claimed.model_copy(update={"scores": scores, "interval": ours.interval})


def _signatures(
    claimed: Scorecard, ours: Scorecard, versions: dict[str, None]
) -> Iterator[tuple[Place, Any, Any]]:
    """Signatures that differ in more than `versions`, to which those are added."""
    for name, entry in claimed.scores.items():
        theirs, own = entry.signature, ours.scores[name].signature if name in ours.scores else None
        apart = theirs.versions_apart(own) if theirs and own else None
        if apart:
            versions |= dict.fromkeys(apart)
        elif theirs != own:
            yield ("scores", name, "signature"), theirs and theirs.long(), own and own.long()


def _facts(card: Scorecard) -> dict[str, Any]:
    """What is compared part by part: all but settings and signatures, and the name of the dataset.

    Which served models were expected is not compared: more of their names may be known by now.
    """
    excluded: dict[str, Any] = {
        "settings": True,
        "dataset": True,
        "scores": {"__all__": {"signature"}},
        "served": {"__all__": {"expected"}},
    }
    return card.model_dump(mode="json", exclude=excluded)


def _metric(place: Place) -> str:
    """The metric that a place of a scorecard belongs to; empty where it belongs to none."""
    if place[0] == "scores":
        return place[1]
    return place[-1] if "scores" in place[:-1] else ""


def _differences(claimed: Any, ours: Any, place: Place = ()) -> Iterator[tuple[Place, Any, Any]]:
    """Where two JSON contents differ, numbers by more than their tolerance."""
    if isinstance(claimed, dict) and isinstance(ours, dict):
        for key in dict.fromkeys([*claimed, *ours]):
            yield from _differences(claimed.get(key), ours.get(key), (*place, key))
    elif isinstance(claimed, list) and isinstance(ours, list) and len(claimed) == len(ours):
        for one, other in zip(claimed, ours, strict=True):
            yield from _differences(one, other, place)
    elif isinstance(claimed, float | int) and isinstance(ours, float | int):
        if not abs(claimed - ours) <= (ENCODED if _metric(place) in _ENCODERS else EXACT):
            yield place, claimed, ours
    elif claimed != ours:
        yield place, claimed, ours
