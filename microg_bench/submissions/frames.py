"""Whether the frames of answers are those that the declared rule shows of their clips."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from microg_bench.errors import DecodeError
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.storage import file_sha256
from microg_bench.text import first_line
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec, indices
from microg_bench.video.source import MAX_DECODED, probe

# Frames of three seconds, at 10 to 120 a second; and by how many seconds a clip may be longer or shorter.
LENGTHS = range(30, 361)
SECONDS, APART = 3, 0.5


def frame_faults(record: RunRecord, videos: Mapping[str, Path], benchmark: bool) -> Iterator[str]:
    """The first fault of the frames that answers were given on, if there is one.

    Args:
        record: the run.
        videos: the files of clips that are at hand, by id.
        benchmark: whether the clips are those of the benchmark or of the sample set, three seconds long.
    """
    spec, clips = record.settings.frames, dict[str, tuple[str, Answer]]()
    for name, one in record.answers.items():
        clip = name.partition("#")[0]
        first, other = clips.setdefault(clip, (name, one))
        if (one.frames, one.clip_sha256) != (other.frames, other.clip_sha256):
            yield f"{_short(first)} and {_short(name)} were answered on different frames or files of one clip"
            return
    for clip, (name, one) in clips.items():
        video = _same(videos.get(clip), one.clip_sha256)
        if spec is None and one.frames:
            yield f"{_short(name)} lists frames, but none are shown"
            return
        if spec and not (_of_length(spec, one.frames, benchmark) and _of_video(spec, one.frames, video)):
            yield f"the frames of {_short(name)} are not those that {spec} shows"
            return


def _short(name: str) -> str:
    return first_line(name, 60)


def other_files(record: RunRecord, videos: Mapping[str, Path]) -> list[str]:
    """The ids of clips that were another file than the one at hand."""
    shown = {name.partition("#")[0]: one.clip_sha256 for name, one in record.answers.items()}
    return [clip for clip, video in videos.items() if not _same(video, shown.get(clip))]


def _same(video: Path | None, sha256: str | None) -> Path | None:
    """`video`, where nothing tells that answers were given on another file."""
    return video if video and (sha256 is None or _sha256(video).startswith(sha256)) else None


_sha256 = lru_cache(file_sha256)


def _of_video(spec: FrameSpec, frames: tuple[int, ...], video: Path | None) -> bool:
    """Whether the rule gives these frames of a video; true where there is none, or it cannot be decoded."""
    if video is None:
        return True
    try:
        facts = probe(video)
        times = [number / (facts.fps or 1.0) for number in range(facts.frames)]
        promised = indices(spec, times) if times else ()
        return frames == promised or frames == decode(video, spec).indices
    except DecodeError:
        return True


def _of_length(spec: FrameSpec, frames: tuple[int, ...], benchmark: bool) -> bool:
    """Whether the rule gives these frames of some clip; of the benchmark's, of one of three seconds."""
    if spec.how == "fps":
        rate, count = spec.rate or 0.0, len(frames)
        fitting = abs(count - SECONDS * rate) <= APART * rate + 1 and max(frames, default=0) < LENGTHS.stop
        return _in_order(frames) and (fitting or not benchmark)
    total = _total(spec, frames)
    return total is not None and (total in LENGTHS or not benchmark)


def _in_order(frames: tuple[int, ...]) -> bool:
    """Whether these are frames of a clip from its first one on, none before an earlier one."""
    ordered = all(one <= other for one, other in pairwise(frames))
    return bool(frames) and frames[0] == 0 and ordered and frames[-1] < MAX_DECODED


def _total(spec: FrameSpec, frames: tuple[int, ...]) -> int | None:
    """How many frames a clip may have of which the rule, which reads no times, gives these; None for none."""
    last = frames[-1] if frames else -1
    if not 0 <= last < MAX_DECODED:
        return None
    halves = 2 * (spec.count or 1)  # the last of the middles of equal spans is at (halves - 1) / halves
    nearest = last * halves // (halves - 1) if spec.how == "uniform" or spec.count == 1 else last + 1
    known = (total for total in range(nearest, nearest + 4) if total)
    return next((total for total in known if indices(spec, range(total)) == frames), None)
