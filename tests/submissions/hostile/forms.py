"""Submissions of another form: other files, texts, JSON, types, words and numbers than the product writes."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.submissions.hostile.changes import (
    CARD,
    FILE_OF,
    FILES,
    FIRST,
    JOURNAL,
    RUN,
    Change,
    Hostile,
    bomb,
    device,
    doubled,
    each_value,
    extra,
    instead,
    instead_of_folder,
    link,
    literal,
    nested,
    places,
    put,
    recoded,
    repacked,
    says_of,
    sparse,
)


def files() -> Iterator[Hostile]:
    """Other things than a folder of three plain files."""
    things: dict[str, Change] = {
        "a link": link,
        "a link to nothing": lambda file: file.symlink_to("nothing"),
        "a link to a device": lambda file: file.symlink_to("/dev/zero"),
        "a pipe": os.mkfifo,
        "a device": device,
        "a folder": Path.mkdir,
        "a terabyte": sparse,
        "empty": Path.touch,
        "missing": lambda file: None,
    }
    for file in FILES:
        for thing, make in things.items():
            yield Hostile(f"{file} is {thing}", instead(file, make), says=file)
    for name in ("run.sh", ".lock", "Run.json", "journal.jsonl", "statistics.npz", "a\x1b[2Jb", b"\xff"):
        yield Hostile(f"one more file {name!r}", extra(name), says="exactly")
    folders: dict[str, Callable[[Path, Path], object]] = {
        "a link": lambda folder, away: folder.symlink_to(away),
        "a file": lambda folder, away: folder.touch(),
        "a pipe": lambda folder, away: os.mkfifo(folder),
        "empty": lambda folder, away: folder.mkdir(),
        "missing": lambda folder, away: None,
    }
    for thing, put_there in folders.items():
        yield Hostile(f"the folder is {thing}", instead_of_folder(put_there), says="folder|holds nothing")


def journals() -> Iterator[Hostile]:
    """Journals that cannot be unpacked, or unpack to too much."""
    changes = {
        "not packed": repacked(gzip.decompress),
        "packed twice": repacked(gzip.compress),
        "cut": repacked(lambda packed: packed[:-20]),
        "cut in its head": repacked(lambda packed: packed[:5]),
        "of a wrong checksum": repacked(lambda packed: packed[:-8] + bytes(4) + packed[-4:]),
        "of another method": repacked(lambda packed: packed[:2] + b"\7" + packed[3:]),
        "followed by rubbish": repacked(lambda packed: packed + b"rubbish"),
        "zip": repacked(lambda packed: b"PK\3\4" + packed),
        "xz": repacked(lambda packed: b"\xfd7zXZ\0" + packed),
        "without a line": recoded(JOURNAL, lambda text: b""),
        "of blank lines, then answers": recoded(JOURNAL, lambda text: b"\n" * 1000 + text),
        "of answers, then a blank line": recoded(JOURNAL, lambda text: text + b"\n"),
        "of endless blank lines": bomb(b"\n" * 10_000_000, 60),
        "of endless spaces": bomb(b" " * 10_000_000, 60),
        "of endless zeros": bomb(bytes(10_000_000), 60),
        "of an endless text": bomb(b'{"type":"response","id":"' + b"a" * 10_000_000, 60),
        "of endless brackets": bomb(b"[" * 10_000_000, 60),
        "of endless digits": bomb(b"9" * 10_000_000, 60),
        "of a million empty parts": bomb(b"", 1_000_000),
        "of a million lines": recoded(
            JOURNAL,
            lambda text: b"".join(
                b'{"type":"response","id":"%d","text":"","answer":""}\n' % k for k in range(10**6)
            ),
        ),
    }  # fmt: skip
    for name, change in changes.items():
        yield Hostile(f"the journal is {name}", change, says=f"{JOURNAL}|no answer")


def encodings() -> Iterator[Hostile]:
    """Other texts than UTF-8 without a mark."""
    changes: dict[str, Callable[[bytes], bytes]] = {
        "UTF-8 with a mark": lambda text: b"\xef\xbb\xbf" + text,
        "UTF-16 with a mark": lambda text: text.decode().encode("utf-16"),
        "UTF-16": lambda text: text.decode().encode("utf-16-le"),
        "UTF-32": lambda text: text.decode().encode("utf-32"),
        "Latin-1": lambda text: text.replace(b"nearest", b"n\xe9arest", 1).replace(b"edge", b"\xe9dge", 1),
        "UTF-8 that is overlong": lambda text: text.replace(b'"', b'\xc0\xa2"', 1),
        "text with NUL": lambda text: text.replace(b",", b",\0", 1),
        "packed": gzip.compress,
    }
    for file in FILES:
        for name, change in changes.items():
            yield Hostile(f"{file} is {name}", recoded(file, change), says=file)
    for place in ("both.checkpoint", "run.starts.0.git", "line.served_model"):
        yield Hostile(f"{place} is a lone surrogate", put((place, "\ud800")), says=says_of(place))


DOUBLED = {
    RUN: ('"schema": "microg-bench/run/2"', '"task": "vqa"', '"max_tokens": 64', '"count": 4'),
    CARD: ('"items": 84', '"answered": 84', '"tokenizer": "none"', '"title": "Baseline: blind"'),
    JOURNAL: ('"type":"response"', '"finish_reason":"stop"', '"from_cache":false'),
}  # fmt: skip
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "9" * 5000, "0x10", "01", "1_0", "+1")
NUMBERED = ("card.scores.CIDEr.value", "card.items", "both.generation.max_tokens", "line.seconds")
DEEP = ("both.engine_args", "run.options", "run.starts.0", "card.slices", "card.settings", "line.frames")


def syntax() -> Iterator[Hostile]:
    """Other texts than JSON in which each key stands once and each number is one."""
    wholes = (
        "[]",
        '"text"',
        "1",
        "null",
        "true",
        "{}",
        "{'a': 1}",
        '{"a": 1}',
        "[" * 100_000,
        "{} {}",
        "NaN",
    )
    for file in FILES:
        for whole in wholes:
            text = whole.encode() + b"\n"
            yield Hostile(f"{file} is {whole[:9]}", recoded(file, lambda _, text=text: text), says=file)  # type: ignore[misc]
        yield Hostile(f"{file} goes on behind its end", recoded(file, lambda text: text + b"}\n"), says=file)
        for pair in DOUBLED[file]:
            key = pair.split('"')[1]
            yield Hostile(f"{pair} stands twice in {file}", doubled(file, pair), says=key)
    for place in NUMBERED:
        for number in NUMBERS:
            says = FILE_OF[place.split(".")[0]]
            yield Hostile(f"{place} is {number[:9]}", literal(place, number), says=says)
    for place in DEEP:
        says = FILE_OF[place.split(".")[0]]
        for depth in (100, 300):
            yield Hostile(f"{place} is {depth} deep", put((place, nested(depth))), says=says)
        bottomless = '{"a":' * 10_000 + "1" + "}" * 10_000
        yield Hostile(f"{place} is without a bottom", literal(place, bottomless), says=says)


# Every place of an honest submission, one of those that are alike.
TYPED = places(
    run=(
        "schema options options.model settings starts starts.0 starts.0.started starts.0.git "
        "starts.0.versions starts.0.versions.numpy starts.0.rejected starts.0.prompted "
        "starts.0.prompted.id starts.0.prompted.sha256 starts.0.usage "
        "starts.0.usage.clips starts.0.usage.answers starts.0.usage.from_cache "
        "starts.0.usage.failures starts.0.usage.prompt_tokens starts.0.usage.cached_tokens "
        "starts.0.usage.output_tokens starts.0.usage.clips_per_second starts.0.usage.seconds "
        "starts.0.usage.seconds.decoding"
    ),
    both=(
        "task adapter_sha256 checkpoint revision checkpoint_sha256 engine dtype "
        "attn_implementation quantization engine_args processor_args frames frames.count frames.how "
        "frames.rate media prompt prompt.id prompt.version prompt.hash generation generation.max_tokens "
        "generation.temperature generation.top_p generation.seed thinking transforms dataset "
        "fingerprint clips requests shard model title"
    ),
    card=(
        "schema task status protocol items counts counts.answered counts.flagged failures dataset "
        "fingerprint model model.name model.title model.frames model.frames.count "
        "model.frames.how model.frames.rate model.frame_count scores "
        "scores.CIDEr scores.CIDEr.value scores.CIDEr.interval scores.CIDEr.interval.0 "
        "scores.CIDEr.signature scores.CIDEr.signature.metric scores.CIDEr.signature.values "
        "scores.CIDEr.signature.values.sigma scores.CIDEr.unavailable scores.CIDEr.notes "
        "scores.CIDEr.unverified interval interval.method interval.level interval.clusters "
        "interval.cluster_count interval.resamples interval.seed baselines baselines.blind "
        "baselines.blind.title baselines.blind.scores baselines.blind.scores.CIDEr "
        "baselines.blind.slices baselines.blind.slices.source "
        "baselines.blind.slices.source.rocket-roll "
        "baselines.blind.slices.source.rocket-roll.CIDEr slices "
        "slices.source slices.source.rocket-roll slices.source.rocket-roll.items "
        "slices.source.rocket-roll.scores slices.source.rocket-roll.scores.CIDEr "
        "slices.source.rocket-roll.sources slices.source.rocket-roll.intervals "
        "slices.source.rocket-roll.differences action_labels abstention "
        "abstention.unanswerable abstention.answerable abstention.rate_on_unanswerable "
        "abstention.rate_on_answerable abstention.precision abstention.precision.value "
        "abstention.precision.interval abstention.recall abstention.recall.value "
        "abstention.recall.interval abstention.F1 abstention.F1.value abstention.F1.interval "
        "abstention.confidence settings rejected served recipe har warnings"
    ),
    line="type id text finish_reason seconds from_cache answer frames frames.0 clip_sha256",
)
# Objects whose keys are fixed.
CLOSED = places(
    run="{} options.{} starts.0.{} starts.0.usage.{}",
    both="{} frames.{} prompt.{} generation.{}",
    card=(
        "{} counts.{} model.{} scores.CIDEr.{} scores.CIDEr.signature.{} interval.{} "
        "baselines.blind.{} slices.source.rocket-roll.{} abstention.{}"
    ),
    line="{}",
)
NAMES = ("approved", "__proto__", "constructor", "\x1b[2J", "a\u202eb", "<img src=x onerror=alert(1)>")


def wrong(value: object) -> object:
    """A value of another type, which a lenient reader may take for `value`."""
    match value:
        case None:
            return [7]
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return str(value)
        case str():
            return [value]
        case list():
            return dict(enumerate(value))
    return []


def types() -> Iterator[Hostile]:
    """Fields of other types, and fields that there are not."""
    for place in TYPED:
        yield Hostile(f"{place} is of another type", put((place, wrong)), says=says_of(place))
    for place in (
        "card.items",
        "card.counts.flagged",
        "both.generation.seed",
        "both.frames.count",
        "line.frames.0",
    ):
        yield Hostile(f"{place} is true", put((place, True)), says=says_of(place))
        yield Hostile(f"{place} is a fraction", put((place, float)), says=says_of(place))  # 4.0
    for place in CLOSED:
        says = FIRST if place.startswith("line") else "approved"
        yield Hostile(f"{place} has a key more", put((place.format("approved"), 1)), says=says)
    for place in ("run.options.{}", "card.scores.{}", "card.baselines.{}", "card.slices.{}", "card.{}"):
        for name in NAMES:
            yield Hostile(
                f"{place} has a key {name!r}",
                put((place.format(name), 1)),
                says=FILE_OF[place[:4].strip(".")],
            )


# Words that are none of those which the product writes at a place.
WORDS = {
    "both.task": ("har", "captions", "__proto__"),
    "both.engine": ("evil", "os.system", "constructor"),
    "both.dtype": ("float7", "__proto__"),
    "both.frames.how": ("random", "__proto__", "uniform:²"),
    "both.media": ({"kind": "fax"}, {"kind": "clip", "detail": "x"}, {"kind": "images", "jpeg_quality": 900}),
    "both.thinking": ("max", "toString"),
    "both.transforms": (["invert"], ["os.system"]),
    "both.boxes": ("drawn", "__proto__"),
    "card.baselines.blind.map_over_ties": ([1.0, 2.0], [2.0, 1.0], [-1e9, 1e9]),
    "both.prompt.hash": ("xyz", "0" * 64),
    "both.prompt.version": (-1, 10**30),
    "both.adapter_sha256": ("", "0" * 63, "z" * 64),
    "both.checkpoint_sha256": ("xyz",),
    "both.clips": (["rocket-roll_000", "rocket-roll_001"], []),
    "both.requests": (["rocket-roll_000#1", "rocket-roll_000#2"], []),
    "both.shard": ("1/2",),
    "both.fingerprint": ("0" * 64, "", "__proto__"),
    "both.generation.max_tokens": (0, -1),
    "both.generation.temperature": (-1.0, 1e9),
    "both.generation.top_p": (-0.5, 2.0),
    "both.generation.seed": (2**70,),
    "both.frames.count": (0, -4, 1025, 10**30),
    "both.frames": ({"how": "fps", "rate": -1.0}, {"how": "fps", "rate": 1e300}, "uniform:²", "none"),
    "run.options.frames": ("many", 10**30),
    "run.options.api_key": ("x",),
    "run.starts.0.rejected": (["beauty"], ["__proto__"]),
    "run.starts.0.usage.prompt_tokens": (-1,),
    "run.starts.0.usage.clips_per_second": (-1.0,),
    "run.schema": ("microg-bench/run/3", "microg-bench/run/1", ""),
    "card.schema": ("microg-bench/scorecard/3", "microg-bench/scorecard/1", ""),
    "card.task": ("caption", "har"),
    "card.protocol": ("mine", "__proto__"),
    "card.status": ("incomplete", "complete ", "certified"),
    "card.interval.method": ("bayes", "__proto__"),
    "card.interval.clusters": ("planet",),
    "line.type": ("failure", "withdrawn", "__proto__", ""),
    "line.finish_reason": ("end", "STOP", "__proto__", "constructor"),
    "line.clip_sha256": ("", "xyz", "0" * 64),
    "line.id": (
        "", "../../etc/passwd#1", "__proto__", "constructor#1", "rocket-roll_000#99", "x" * 10_000,
    ),
    "line.seconds": (-1.0, 1e7, 1e300),
    "line.prompt_tokens": (-5, 10**30),
    "line.output_tokens": (-5, 10**6),
    "line.cached_tokens": (-5, 10**30),
    "line.reasoning_tokens": (-5, 10**30),
    "line.frames": ([], [11, 33, 56], [78, 56, 33, 11], [11, 11, 11, 11], [-5, 33, 56, 10**30]),
    "lines.frames": ([], [0, 1, 2, 3], [11, 33, 56, 90], [12, 34, 57, 79], [-5, 33, 56, 78], [*range(2000)]),
}  # fmt: skip


MORE = {
    "both.frames.count": "number of frames|digits",
    "card.status": "complete",
    "run.schema": "damaged",
    "card.schema": "damaged",
}


def bounds() -> Iterator[Hostile]:
    """Words and numbers that the product does not write, and counts that cannot be."""
    yield from each_value(WORDS, MORE, "is")
    tokens: tuple[dict[str, int], ...] = (
        {"prompt_tokens": 10, "cached_tokens": 11},
        {"output_tokens": 10, "reasoning_tokens": 11},
        {"prompt_tokens": 10, "output_tokens": 500},
        {"prompt_tokens": 0, "output_tokens": 5},
        {"prompt_tokens": 10, "output_tokens": 0},
        {"prompt_tokens": 10_000_000, "output_tokens": 5},
    )
    yield Hostile("an answer on very many frames", put(("line.frames", [0] * 10_001)), says="10,000 frames")
    for counts in tokens:
        change = put(*((f"line.{name}", count) for name, count in counts.items()))
        yield Hostile(f"the tokens are {counts}", change, says=FIRST)
