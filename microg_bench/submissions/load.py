"""Reads a submission as hostile input: only its own plain files, within bounds, typed as `pack` writes them.

Nothing is imported, executed or opened because a file names it.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from microg_bench.errors import RunError
from microg_bench.hardware import Hardware
from microg_bench.options import Options
from microg_bench.records import (
    REJECTABLE,
    Generation,
    Record,
    ThinkingLevel,
    first_fault,
    validated,
)
from microg_bench.runs.migration import (
    ABSTENTION_1,
    KEYS_1,
    OPTIONS_1,
    RUN_SCHEMA_1,
    SCORECARD_SCHEMA_1,
    read_object,
    scorecard_of,
)
from microg_bench.runs.record import RUN_FILE, SCORECARD_FILE, RunRecord
from microg_bench.scorecard import Scorecard
from microg_bench.settings import Media, PromptId, Settings
from microg_bench.storage import MAX_LINE_BYTES, open_plain, read_bytes
from microg_bench.submissions.folder import (
    ACTION_FILES,
    PACKED_DETECTIONS,
    PACKED_JOURNAL,
    PUBLIC_OPTIONS,
    RUN_FILES,
)
from microg_bench.text import first_line, strict_json

MAX_RUN = 1_000_000  # bytes of run.json
MAX_JSON = 5_000_000  # bytes of scorecard.json
MAX_PACKED = 50_000_000  # bytes of the packed journal, or of the packed detections
MAX_JOURNAL = 96 * 1024**2  # bytes of the journal, unpacked
MAX_ANSWERS = 100_000
MAX_FRAMES = 10_000  # of one answer; a clip of three seconds has less than 400
MAX_WORD = 300  # characters of a name or setting
MAX_KEYS = 100  # of engine arguments, versions and what an engine tells
MAX_STARTS = 1000
MAX_TOKENS = 10_000_000
MAX_CONTEXT = 2_000_000  # tokens of one question with its answer
MAX_SCORE = 1e6  # far above any score; the largest, CIDEr, is at most 1,000

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, Field(max_length=MAX_WORD)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_WORD)]
Number = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Rejected = Annotated[str, Field(pattern=f"^({'|'.join(REJECTABLE)})$")]


class PackedPrompt(PromptId):
    """The template as it is packed."""

    id: Name
    version: Annotated[int, Field(ge=1)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class PackedGeneration(Generation):
    """How the model wrote, within the bounds of the options."""

    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] = 256
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    answer_schema: None = Field(default=None, exclude=True)


class PackedMedia(Media):
    """The form in which clips were sent, within the bounds of the options."""

    jpeg_quality: Annotated[int, Field(ge=1, le=95)] | None = None
    detail: Literal["auto", "low", "high"] | None = None


class PackedSettings(Settings):
    """Settings with the values that a run can have."""

    task: Literal["caption", "vqa"]
    model: Name
    title: Name
    adapter_sha256: Sha256
    checkpoint_sha256: Sha256 | None = None
    engine: Literal["function", "transformers", "vllm", "server", "openai", "gemini", "anthropic"]
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    engine_args: Annotated[dict[Word, Any], Field(max_length=MAX_KEYS)] = Field(default_factory=dict)
    processor_args: Annotated[dict[Word, Any], Field(max_length=MAX_KEYS)] = Field(default_factory=dict)
    media: PackedMedia | None = None
    prompt: PackedPrompt | None
    generation: PackedGeneration
    thinking: ThinkingLevel | Literal["engine default"] | None = None
    transforms: tuple[()] = ()
    paraphrases: dict[Word, Word] = Field(default_factory=dict, max_length=0, exclude=True)
    boxes: None = None
    dataset: Name
    fingerprint: Sha256


class PackedUsage(Record):
    """What a start took; see `runs.start.Usage`."""

    clips: Number
    answers: Number
    from_cache: Number
    failures: Number
    prompt_tokens: Number
    cached_tokens: Number
    output_tokens: Number
    clips_per_second: Seconds | None
    seconds: dict[Literal["generating", "waiting", "decoding"], Seconds]


class PackedReparse(Record):
    """With which adapters texts were parsed again, how many, and how many answers changed."""

    before: Annotated[Sha256, Field(alias="from")]
    to: Sha256
    texts: Number
    changed: Number


class PackedRequest(Record):
    """One of the requests that a start asked, with its prompt and frames; see `runs.start.prompted`."""

    id: Name
    sha256: Sha256
    frames: Number | None = None
    width: Number | None = None
    height: Number | None = None
    fps: Seconds | None = None


class PackedStart(Record):
    """One start of a run: see `runs.start.provenance`."""

    started: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")]
    git: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}(-dirty)?$")] | None
    versions: Annotated[dict[Word, Word], Field(max_length=MAX_KEYS)]
    engine: Annotated[dict[Word, Word], Field(max_length=MAX_KEYS)] = Field(default_factory=dict)
    usage: PackedUsage | None = None
    rejected: tuple[Rejected, ...] = ()
    reparsed: PackedReparse | None = None
    prompted: PackedRequest | None = None
    hardware: Hardware | None = None


class PackedRun(Record):
    """The content of run.json as `pack` writes it."""

    options: Options
    settings: PackedSettings
    starts: Annotated[tuple[PackedStart, ...], Field(min_length=1, max_length=MAX_STARTS)]


@dataclass(frozen=True)
class Submission:
    """A submission that was read: what it claims, and its JSON files as they are written.

    `evidence` is what the claimed scorecard is computed from.
    """

    claimed: Scorecard
    contents: Mapping[str, dict[str, Any]]

    @property
    def schema(self) -> object:
        """The schema of its scorecard."""
        return self.contents[SCORECARD_FILE].get("schema")

    @property
    def evidence(self) -> Any:
        """A run, or detections of actions."""
        raise NotImplementedError


@dataclass(frozen=True)
class RunSubmission(Submission):
    """A packed run, whose answers give its scorecard."""

    record: RunRecord

    @property
    def evidence(self) -> RunRecord:
        """The run."""
        return self.record


def find_submissions(folder: Path) -> list[Path]:
    """The submissions in `folder`, each a folder, or `folder` itself where it is one.

    Raises:
        RunError: `folder` does not exist, cannot be read or holds no folder.
    """
    if not folder.is_dir():
        raise RunError("no such folder", path=folder)
    if any(os.path.lexists(folder / name) for name in {*RUN_FILES, *ACTION_FILES}):
        return [folder]
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise RunError("holds no submission", path=folder)
    return found


def is_submission(folder: Path) -> bool:
    """Whether the folder is that of a submission, sound or not, and not that of a run."""
    return os.path.lexists(folder / PACKED_JOURNAL) or is_of_actions(folder)


def is_of_actions(folder: Path) -> bool:
    """Whether the folder is that of a submission of action recognition, sound or not."""
    return os.path.lexists(folder / PACKED_DETECTIONS)


def load(folder: Path) -> RunSubmission:
    """The packed run in a folder, all of whose files have been read, each once.

    Raises:
        MicrogError: the folder holds other files than those of a submission, or one of them is no plain file,
            is too large, is damaged, or holds what `pack` does not write.
    """
    check_files(folder, RUN_FILES)
    limits = {RUN_FILE: MAX_RUN, SCORECARD_FILE: MAX_JSON}
    contents = {name: read_object(folder / name, limit) for name, limit in limits.items()}
    for name, content in contents.items():
        _check_keys(folder / name, content)
    record = RunRecord.of(folder, contents[RUN_FILE], _responses, PACKED_JOURNAL)
    record.scorecard = scorecard_of(contents[SCORECARD_FILE], folder / SCORECARD_FILE)
    check_finite(record.scorecard, folder / SCORECARD_FILE)
    _check_packed(record)
    if not record.answers:
        raise RunError("holds no answer", path=folder / PACKED_JOURNAL)
    return RunSubmission(record.scorecard, contents, record)


def _check_keys(file: Path, content: Mapping[str, Any]) -> None:
    """Accept the keys of a file of schema 1, of which others would be left out when it is migrated.

    Raises:
        RunError: it has others.
    """
    if content.get("schema") not in (RUN_SCHEMA_1, SCORECARD_SCHEMA_1):
        return
    options, abstention = content.get("options"), content.get("abstention")
    for part, known in ((content, KEYS_1), (options, OPTIONS_1), (abstention, ABSTENTION_1)):
        if isinstance(part, dict) and (strange := sorted(set(part) - known)):
            raise RunError(f"damaged: {first_line(strange[0], 60)}: is not of schema 1", path=file)


def check_finite(card: Scorecard, file: Path) -> None:
    """Accept a scorecard, read from `file`, in which every score is a number of a size that scores have.

    Raises:
        RunError: it holds another number.
    """
    for place, _, value in numbers(card):
        if not abs(value) <= MAX_SCORE:
            raise RunError(f"damaged: {first_line(place, MAX_WORD)} is {value}", path=file)


def numbers(card: Scorecard) -> Iterator[tuple[str, str, float]]:
    """Every score and bound of a scorecard: its place, its metric, and the number."""
    for name, one in card.scores.items():
        if one.value is not None:
            yield f"scores.{name}.value", name, one.value
        yield from ((f"scores.{name}.interval", name, bound) for bound in one.interval or ())
    parts: list[tuple[str, Mapping[str, float]]] = []
    for name, level in card.baselines.items():
        parts.append((f"baselines.{name}", level.scores))
        for kind, labels in level.slices.items():
            parts += [(f"baselines.{name}.slices.{kind}.{label}", own) for label, own in labels.items()]
    for kind, slices in card.slices.items():
        for label, part in slices.items():
            parts.append((f"slices.{kind}.{label}", part.scores))
            for name, bounds in part.intervals.items():
                yield from ((f"slices.{kind}.{label}.intervals.{name}", name, bound) for bound in bounds)
    for place, scores in parts:
        yield from ((f"{place}.scores.{name}", name, value) for name, value in scores.items())


def check_files(folder: Path, files: Collection[str]) -> None:
    """Accept a folder that holds exactly these `files`.

    Raises:
        RunError: it holds others, or is no folder.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise RunError("is not a folder", path=folder)
    with os.scandir(folder) as entries:  # of which there may be millions
        names = sorted(entry.name for entry in islice(entries, len(files) + 1))
    if names != sorted(files):
        found = ", ".join(first_line(name, 60) for name in names) or "nothing"
        raise RunError(f"must hold exactly {', '.join(files)}; holds {found}", path=folder)


def _check_packed(record: RunRecord) -> None:
    """Accept what `pack` writes into run.json.

    Raises:
        RunError: it holds something else.
    """
    file = record.path / RUN_FILE
    if strange := sorted(set(record.options) - PUBLIC_OPTIONS):
        raise RunError(f"damaged: options.{first_line(strange[0], 60)}: is not packed", path=file)
    content = {
        "options": record.options,
        "settings": record.settings.model_dump(mode="json"),
        "starts": record.starts,
    }
    try:
        validated(PackedRun, content)
    except ValidationError as error:
        raise RunError(f"damaged: {first_fault(error)}", path=file) from error


def _responses(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a packed journal, each the only response to its request."""
    seen: set[str] = set()
    for number, line in enumerate(_lines(file), start=1):
        item = f"line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise RunError(f"is longer than {MAX_LINE_BYTES >> 20} MiB", path=file, item=item)
        try:
            record = strict_json(line)
        except ValueError as error:
            raise RunError(f"not JSON: {first_line(error)}", path=file, item=item) from None
        name = record.get("id") if isinstance(record, dict) and record.get("type") == "response" else None
        if not isinstance(name, str):
            raise RunError("is no response to a request", path=file, item=item)
        if name in seen:
            raise RunError(f"answers {first_line(name, 60)} again", path=file, item=item)
        frames = record.get("frames")
        if isinstance(frames, list) and len(frames) > MAX_FRAMES:
            raise RunError(f"lists more than {MAX_FRAMES:,} frames", path=file, item=item)
        if number > MAX_ANSWERS:
            raise RunError(f"holds more than {MAX_ANSWERS:,} answers", path=file)
        seen.add(name)
        yield number, record


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a gzip file, which is unpacked no further than the limit."""
    check_packed(file)
    content = read_bytes(file, MAX_JOURNAL, plain=True)
    start = 0
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        yield content[start:end]
        start = end + 1


def check_packed(file: Path) -> None:
    """Accept a plain gzip file of the size that evidence has, packed.

    Raises:
        MicrogError: it is another file.
    """
    with open_plain(file) as packed:
        if os.fstat(packed.fileno()).st_size > MAX_PACKED:
            raise RunError(f"is larger than {MAX_PACKED:,} bytes", path=file)
        if packed.read(2) != b"\x1f\x8b":
            raise RunError("is no gzip file", path=file)
