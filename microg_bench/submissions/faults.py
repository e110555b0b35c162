"""What no honest submission holds, as far as it can be told without scoring it again."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.adapters.registry import find_adapter, is_file, source_sha256
from microg_bench.dataset.annotations import MAX_ID_LENGTH
from microg_bench.dataset.load import Dataset
from microg_bench.engines.base import check_engine
from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS
from microg_bench.options import CLIENTS, Options, ScoringOptions, takes
from microg_bench.privacy import without_private
from microg_bench.prompts import shipped_templates
from microg_bench.records import Answer, Request, TaskName
from microg_bench.runs.configure import ARGUMENTS
from microg_bench.runs.record import RUN_FILE, RunRecord
from microg_bench.runs.start import model_title
from microg_bench.scorecard import REFERENCES, Scorecard
from microg_bench.scoring.evaluate import task_metrics
from microg_bench.settings import Settings
from microg_bench.submissions.baselines import is_known, other_answers
from microg_bench.submissions.claims import claim_faults
from microg_bench.submissions.frames import frame_faults, other_files
from microg_bench.submissions.load import MAX_CONTEXT, MAX_WORD, RunSubmission
from microg_bench.submissions.titles import is_blank, like_another
from microg_bench.text import first_line, listed

MAX_TEXT = 100_000  # characters of an answer; the longest in the published ones have less than 2,000
MAX_REASONING = 500_000  # characters of the thoughts beside an answer
CHARACTERS = 256  # of a token; no common tokenizer has a longer one
MAX_TEXTS = 10_000_000  # characters of all answers together; the published ones have less than 1,000,000
MAX_SAID = 50_000_000  # characters of answers, texts and thoughts together
SLACK = 16  # tokens that an engine may count beside those of its limit
MAX_ARGUMENTS = 2000  # characters of arguments of the engine, or of the processor, as JSON
MAX_SECONDS = 24 * 3600  # of an answer
KNOWN, COPIED = 0.3, 0.9  # shares of answers that are those of somebody else, from which it is noted
_ID = re.compile(rf"(?!\.)[^\x00-\x1f/\\#]{{1,{MAX_ID_LENGTH}}}(#[1-9][0-9]{{0,5}})?")
# Patterns here meet texts from elsewhere: none of them reads a text more than once.
_MARKUP = re.compile(r"<[\s/]{0,9}(script|iframe|object|embed|svg|img|style|link|meta)\b|javascript:", re.I)
_WORD = re.compile(r"[^\W_]+")
_SHA256 = re.compile(r"[0-9a-f]{16}")


def faults(submission: RunSubmission, dataset: Dataset | None) -> Iterator[str]:
    """All faults of a packed run but those of its scores, a line each.

    Without the `dataset`, what needs references or videos is not looked at. Where the answers are too long,
    nothing else is.
    """
    record = submission.record
    if too_long := list(_too_long(record)):
        yield from too_long
        return
    yield from text_faults(submission.contents)
    yield from incomplete(record.scorecard)
    if record.settings.part:
        yield f"asks {record.settings.part}, not the whole dataset"
    yield from _claims(record.settings, record.scorecard)
    yield from _asked(record)
    yield from _adapter(record.settings)
    yield from _answers(record)
    yield from claim_faults(record.scorecard)
    if dataset is None:
        yield from frame_faults(record, {}, benchmark=record.settings.fingerprint in REFERENCES)
    elif dataset.fingerprint != record.settings.fingerprint:
        yield (
            f"was made on references with fingerprint {record.settings.fingerprint[:12]}, "
            f"{dataset.name} has {dataset.fingerprint[:12]}"
        )
    else:
        yield from _against(record, dataset)


def text_faults(contents: Mapping[str, Any]) -> Iterator[str]:
    """Texts in the JSON `contents` of files that are too long, private, or no plain text."""
    for file, content in contents.items():
        for place, text in _strings(content):
            if flaw := _flaw(text):
                yield f"{file}: {_short(place)} {flaw}"


def _flaw(text: str) -> str | None:
    """What keeps a text from being the plain name of something, if anything does."""
    if len(text) > MAX_WORD:
        return f"is longer than {MAX_WORD} characters"
    if without_private(text) != text:
        return f"holds a path, an address or a secret: {text[:80]!r}"
    if _MARKUP.search(text) or not text.isprintable():
        return f"holds markup or control characters: {text[:80]!r}"
    return None


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


def incomplete(card: Scorecard) -> Iterator[str]:
    """What keeps a scorecard off a leaderboard, by its own words."""
    if not card.complete:
        yield f"is not complete: its status is {card.status}"
    for name in ("failed", "missing", "unknown", "repeated"):
        if count := getattr(card.counts, name):
            yield f"is not complete: counts.{name} is {count}"


def _claims(settings: Settings, card: Scorecard) -> Iterator[str]:
    """What run.json and scorecard.json say that does not fit together, or is nothing to claim."""
    if card.settings != settings:
        yield "run.json and scorecard.json have different settings"
    if (card.task, card.fingerprint) != (settings.task, settings.fingerprint):
        yield "run.json and scorecard.json are of different tasks, or have another fingerprint"
    if card.protocol not in get_args(ScoringOptions.model_fields["protocol"].annotation):
        yield f"claims scores under the unknown protocol {card.protocol}"
    if not card.scores:
        yield "claims no scores"
    if unknown := [name for name in card.scores if not _scores(settings.task, name)]:
        yield f"claims scores of unknown metrics of {settings.task}: {listed(unknown)}"
    if without := [name for name, one in card.scores.items() if one.value is None and not one.unavailable]:
        yield f"gives neither a value nor a reason for the scores of {listed(without)}"
    for name in {card.dataset, settings.dataset}:
        if name != (due := REFERENCES.get(settings.fingerprint, name)):
            yield f"claims the dataset {name}, but references with this fingerprint are those of {due}"


def _asked(record: RunRecord) -> Iterator[str]:
    """Options and settings that the engine does not take."""
    settings = record.settings
    try:
        options = Options.of(record.options)
        check_engine(settings.engine, options)
        yield from _contradictions(options, settings)
    except UsageError as error:
        yield f"{RUN_FILE}: options: {error}"
    for number, start in enumerate(record.starts):
        if not _is_past(start["started"]):
            yield f"{RUN_FILE}: starts[{number}].started is no time until now: {start['started']}"
    for name in ("checkpoint", "dtype", "attn_implementation", "quantization", *ARGUMENTS):
        if getattr(settings, name) not in (None, {}, "auto") and not takes(settings.engine, name):
            yield f"{RUN_FILE}: settings.{name} is given, but engine {settings.engine} does not take it"
    if settings.media and settings.engine not in CLIENTS:
        yield f"{RUN_FILE}: settings.media is given, but engine {settings.engine} sends nothing"
    if settings.media and (settings.media.kind == "clip") != (settings.media.jpeg_quality is None):
        yield f"{RUN_FILE}: settings.media of kind {settings.media.kind} has no such jpeg_quality"
    for name in ARGUMENTS:
        if len(json.dumps(getattr(settings, name))) > MAX_ARGUMENTS:
            yield f"{RUN_FILE}: settings.{name} is longer than {MAX_ARGUMENTS:,} characters"


def _contradictions(options: Options, settings: Settings) -> Iterator[str]:
    """Options as they were given that the settings, which follow from them, do not have."""
    due: dict[str, Any] = {
        **{
            name: getattr(settings, name)
            for name in ("engine", "dtype", "attn_implementation", "quantization")
        },
        **settings.generation.model_dump(),
        "thinking": settings.thinking,
        "processor_args": {name: settings.processor_args.get(name) for name in options.processor_args},
        "model": options.model if options.model and options.model.endswith(".py") else settings.model,
    }
    if settings.frames and settings.frames.count:
        due["frames"] = settings.frames.count
    if settings.media:
        due |= {"media": settings.media.kind}
    for name, value in options.given().items():
        if name in due and value != due[name]:
            yield f"{RUN_FILE}: options.{name} is {value}, but settings have {due[name]}"


def _is_past(time: str) -> bool:
    """Whether a text is a time until now; a day more is let in, for clocks differ."""
    try:
        return datetime.fromisoformat(time) <= datetime.now(UTC) + timedelta(days=1)
    except ValueError:
        return False


def _scores(task: TaskName, metric: str) -> bool:
    """Whether a metric scores answers of a task."""
    return metric in METRICS and task_metrics(task, (metric,)) == (metric,)


def known_adapter(model: str) -> Adapter | None:
    """The adapter that is registered here under this name, or the generic one; a file is never imported."""
    try:
        return None if is_file(model) else find_adapter(model)
    except UsageError:
        return None


def _adapter(settings: Settings) -> Iterator[str]:
    """What the adapter does not declare, where it is known here; and a baseline of another version."""
    if is_blank(settings.title):
        yield f"has a title without a letter or digit: {settings.title!a}"
    adapter = known_adapter(settings.model)
    if adapter is None:
        return
    if settings.engine not in adapter.engines:
        runs_on = " or ".join(adapter.engines)
        yield f"claims the engine {settings.engine}, but {settings.model} runs on {runs_on}"
    if isinstance(adapter, Baseline) and not is_known(settings, adapter):
        yield f"is of {settings.model} in another version than here: a baseline is the same for all"
    weights = settings.checkpoint, settings.revision, settings.checkpoint_sha256
    due = without_private(model_title(adapter, *weights))
    if settings.title != due:
        yield f"claims the title {settings.title}, but {settings.model} is called {due}"


def _too_long(record: RunRecord) -> Iterator[str]:
    """Which answers, with their thoughts, are longer than they can be, and whether all together are."""
    answers, limit = record.answers, _limit(record)
    if sum(len(one.answer) for one in answers.values()) > MAX_TEXTS:
        yield f"answers have more than {MAX_TEXTS:,} characters together"
    if said(record) > MAX_SAID:
        yield f"answers, texts and reasoning have more than {MAX_SAID:,} characters together"
    yield from _named(
        {
            f"answers are longer than {MAX_TEXT:,} characters": [
                name for name, one in answers.items() if max(len(one.text), len(one.answer)) > MAX_TEXT
            ],
            f"answers have reasoning of more than {MAX_REASONING:,} characters": [
                name for name, one in answers.items() if len(one.reasoning or "") > MAX_REASONING
            ],
            f"answers are longer than {limit} tokens can be": [
                name
                for name, one in answers.items()
                if limit and max(len(one.text), len(one.reasoning or "")) > limit * CHARACTERS
            ],
        }
    )


def _limit(record: RunRecord) -> int | None:
    """How many tokens an answer may have; None where the model rejected the limit."""
    return None if "max_tokens" in record.rejected else record.settings.generation.max_tokens


def _answers(record: RunRecord) -> Iterator[str]:
    """Faults of the answers as they stand, but for their length."""
    answers, limit = record.answers, _limit(record)
    yield from _named(
        {
            "answers have an id that is no plain name": [one for one in answers if not _ID.fullmatch(one)],
            "answers have impossible counts of tokens or seconds": [
                name for name, one in answers.items() if not _possible(one, limit)
            ],
            "answers hold markup that a browser runs": [
                name
                for name, one in answers.items()
                if any(map(_MARKUP.search, (one.answer, one.text, one.reasoning or "")))
            ],
            "answers name the file of their clip by no hash": [
                name
                for name, one in answers.items()
                if one.clip_sha256 is not None and not _SHA256.fullmatch(one.clip_sha256)
            ],
            "answers name what served them by no plain name": [
                name for name, one in answers.items() if any(map(_flaw, _served(one)))
            ],
        }
    )


def said(record: RunRecord) -> int:
    """How many characters the answers, texts and thoughts of a run have together."""
    return sum(len(one.answer) + len(one.text) + len(one.reasoning or "") for one in record.answers.values())


def _possible(one: Answer, limit: int | None) -> bool:
    """Whether the tokens and seconds of an answer of at most `limit` tokens can be."""
    prompt, written = one.prompt_tokens, one.output_tokens
    most = MAX_CONTEXT if limit is None else limit + SLACK
    counts_nothing = prompt == 0 or (written == 0 and bool(one.text or one.reasoning))
    return (
        not counts_nothing
        and 0 <= (prompt or 0) <= MAX_CONTEXT
        and 0 <= (one.cached_tokens or 0) <= (prompt or 0)
        and 0 <= (written or 0) <= most
        and 0 <= (one.reasoning_tokens or 0) <= (most if written is None else written)
        and 0 <= one.seconds <= MAX_SECONDS
    )


def _served(one: Answer) -> tuple[str, str]:
    return one.served_model or "", one.served_version or ""


def _short(told: object) -> str:
    return first_line(told, 100)


def _against(record: RunRecord, dataset: Dataset) -> Iterator[str]:
    """Faults of the answers that show beside the dataset."""
    answers = record.answers
    requests = {item.request.id: item.request for item in record.items(dataset)}
    yield from _named(
        {
            "items have no answer": [name for name in requests if name not in answers],
            "answers are of no item of the dataset": [name for name in answers if name not in requests],
        }
    )
    yield from frame_faults(record, videos_of(dataset), benchmark=dataset.fingerprint in REFERENCES)
    adapter = known_adapter(record.settings.model)
    if adapter and source_sha256(adapter) == record.settings.adapter_sha256:
        other = [
            name
            for name, one in answers.items()
            if name in requests and _parsed(adapter, requests[name], one.text) != one.answer
        ]
        yield from _named({f"answers are not what adapter {adapter.name} finds in the texts": other})
    if isinstance(adapter, Baseline) and is_known(record.settings, adapter):
        others = other_answers(record, adapter, dataset) or []
        yield from _named({f"answers are not those that {adapter.title} gives here": others})


def videos_of(dataset: Dataset) -> dict[str, Path]:
    """The files of the clips that have one, by id."""
    return {clip.video_id: clip.video for clip in dataset.clips if clip.video}


def _parsed(adapter: Adapter, request: Request, text: str) -> object:
    """What the adapter finds in a text from elsewhere; None where it fails."""
    try:
        return adapter.parse(request, text)
    except Exception:
        return None


def _named(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for what, names in found.items():
        if names:
            yield f"{len(names)} {what}: {listed([first_line(name, 60) for name in names[:4]])}"


def doubts(record: RunRecord, dataset: Dataset | None) -> Iterator[str]:
    """What a submission holds that cannot be checked here, or is merely suspicious, a line each."""
    settings = record.settings
    adapter = known_adapter(settings.model)
    if adapter is None or source_sha256(adapter) != settings.adapter_sha256:
        lacks = "is not here" if adapter is None else "is here in another version"
        yield f"adapter {settings.model} {lacks}: the answers that it found were not checked"
    if adapter is None:
        yield from like_another(settings)
    prompt = settings.prompt
    shipped = shipped_templates().get(prompt.id) if prompt else None
    if shipped and shipped.identity != prompt:
        yield f"was asked with the prompt {prompt} of another version, here is {shipped.identity}"
    if dataset is None:
        return
    if isinstance(adapter, Baseline) and other_answers(record, adapter, dataset) is None:
        yield "its answers were not computed again: clips are not here, or were other files"
    references = {item.request.id: item.reference for item in record.items(dataset)}
    same = sum(_told(one.answer) == _told(references[name]) for name, one in record.answers.items())
    if same >= KNOWN * len(references):
        yield f"{same} of {len(references)} answers are the same as their references"
    if record.settings.frames and (other := other_files(record, videos_of(dataset))):
        yield f"{len(other)} clips were other files than here: {listed(other)}"


@dataclass(frozen=True)
class Said:
    """What a submission says of each item, as 64-bit hashes, each once.

    Two submissions are compared where they say it `about` the same: a task, and references by fingerprint.
    """

    folder: Path
    about: tuple[str, str]
    hashes: NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, card: Scorecard, things: Iterable[Hashable]) -> "Said":
        """What the submission in `folder` says, of which `card` is the scorecard."""
        return cls(folder, (card.task, card.fingerprint), np.unique(np.fromiter(map(hash, things), np.int64)))


def answers_of(record: RunRecord) -> Said:
    """The answers of a run by their words."""
    things = ((name, _told(one.answer)) for name, one in record.answers.items())
    return Said.of(record.path, record.scorecard, things)


def copies(said: Collection[Said]) -> Iterator[tuple[Path, str]]:
    """Submissions that mostly say what others say, each with a line that names these."""
    alike: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for one in said:
        alike[one.about].append(one)
    found: dict[Path, list[str]] = defaultdict(list)
    for one, other in chain.from_iterable(combinations(group, 2) for group in alike.values()):
        same = len(np.intersect1d(one.hashes, other.hashes, assume_unique=True))
        if one.folder != other.folder and same >= COPIED * len(one.hashes):
            found[one.folder].append(other.folder.name)
            found[other.folder].append(one.folder.name)
    for one in said:
        if names := found.get(one.folder):
            things = "boxes, with their scores," if one.about[0] == "har" else "answers"
            yield one.folder, f"{COPIED:.0%} or more of its {things} are those of {listed(names)}"


def _told(text: str) -> str:
    """The words of a text, whatever their case and the marks between them are."""
    return " ".join(_WORD.findall(text.casefold()))
