"""Joins the shards of a run into the run that one start over all clips would have given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from microg_bench.dataset.load import Dataset, select
from microg_bench.dataset.shards import SHARD_FOLDER, divide_clips, missing_shards, not_all, numbers
from microg_bench.errors import RunError
from microg_bench.folders import absent, whole_folder
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.records import Clip
from microg_bench.runs.frames import clip_sha256
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.settings import Settings
from microg_bench.tasks import TASKS, items_of
from microg_bench.text import listed, many

_LINES = 1000  # of a journal that are written at once
_OF_PLACE = ("device", "servers")  # of what engines tell of themselves


@dataclass(frozen=True, eq=False)
class _Whole:
    """The undivided run: its settings, and the clips of each shard, in order."""

    settings: Settings
    shards: tuple[tuple[Clip, ...], ...]

    def requests(self, shard: str) -> dict[str, str]:
        """The ids of the requests of a shard, each with that of its clip."""
        items = items_of(
            TASKS[self.settings.task], self.shards[numbers(shard)[0] - 1], self.settings.requests
        )
        return {item.request.id: item.request.video_id for item in items}


def merge(
    folders: Iterable[Path], out: Path, data: str | Path | Dataset | None, progress: Progress
) -> tuple[list[RunRecord], Dataset]:
    """Write the runs that shards make up together, at the same places below `out`; nothing if one is wrong.

    Args:
        folders: of shards, or folders with shards at any depth below them.
        out: there must be none yet.
        data: where the dataset is; None takes the place that the shards were started with.
        progress: is told of each shard.

    Returns:
        The merged runs, and their dataset.

    Raises:
        RunError: a folder holds no shard; shards are of different runs, or one is missing, there twice, or
            has not ended, or was shown another video; or the run cannot be written, or would be among them.
        DataError: the dataset cannot be read, or is another one.
    """
    given = list(folders)
    absent(out)
    if inside := next((one for one in given if out.resolve().is_relative_to(one.resolve())), None):
        raise RunError(f"is below {inside}, which holds the shards: give another folder", path=out)
    found = _find_shards(given)
    progress.stage("merging", 2 * sum(map(len, found.values())))
    dataset = next(iter(found.values()))[0].dataset(data)
    place = {} if data is None or isinstance(data, Dataset) else {"data": str(data)}
    shown: dict[str, str] = {}
    settings = {name: _checked(shards, dataset, shown, progress) for name, shards in found.items()}
    if unknown := [clip for clip in dataset.clips if clip.video_id in shown and not clip.video]:
        progress.note(f"{len(unknown):,} clips have no video here: which one was shown is not checked")
    with whole_folder(out, absent) as folder:
        for name, shards in found.items():
            _write(shards, settings[name], place, folder / name, progress)
    return [RunRecord.read(out / name) for name in found], dataset


def _find_shards(folders: Sequence[Path]) -> dict[Path, list[RunRecord]]:
    """The shards in folders or below, by the place of their run below the folders of the shards."""
    found: dict[Path, list[RunRecord]] = {}
    for folder in folders:
        for path in find_runs(folder):
            record = RunRecord.read(path)
            if record.settings.shard is None:
                raise RunError("is no shard: its run was not divided", path=path)
            parts = path.relative_to(folder).parts
            name = Path(*(part for part in parts if not SHARD_FOLDER.fullmatch(part)))
            found.setdefault(name, []).append(record)
    return found


def _checked(
    records: Sequence[RunRecord], dataset: Dataset, shown: dict[str, str], progress: Progress
) -> Settings:
    """The settings of the undivided run; the shards are checked to be of one run, and all of it.

    `shown` is the file of each clip that was shown, by its hash; it is added to.
    """
    first = records[0]
    for record in records:
        if changed := _alike(first.settings).difference(_alike(record.settings)) or _other_part(
            first, record
        ):
            raise RunError(f"is a shard of another run than {first.path} ({changed})", path=record.path)
        if other := _other_engine(first, record):
            name, theirs, own = other
            told = f"{name} {own}, but {first.path} with {name} {theirs}"
            raise RunError(f"was answered with {told}: all shards need the same", path=record.path)
    whole = _whole(first, first.dataset(dataset))
    clips = {clip.video_id: clip for clip in dataset.clips}
    shards = {str(record.settings.shard): record for record in records}
    missing = missing_shards((str(record.settings.shard), record.path) for record in records)
    if missing := [shard for shard in missing if whole.requests(shard)]:
        raise not_all(missing, first.path)
    for shard, record in shards.items():
        requests = whole.requests(shard)
        _check_ended(record, requests)
        _check_shown(record, clips, requests, shown)
        record.forget()
        progress.advance()
    return whole.settings


def _check_ended(record: RunRecord, asked: Mapping[str, str]) -> None:
    found = record.answers.keys() | record.failures.keys()
    if foreign := sorted(found - asked.keys()):
        reason = f"holds requests of other shards: {listed(foreign)}; was it divided by another version?"
        raise RunError(reason, path=record.path)
    if left := len(asked.keys() - found):
        reason = (
            f"shard {record.settings.shard} has not ended: {left:,} of {many(len(asked), 'request')} open"
        )
        raise RunError(f"{reason}; run its command again", path=record.path)


def _check_shown(
    record: RunRecord, clips: Mapping[str, Clip], requests: Mapping[str, str], shown: dict[str, str]
) -> None:
    """Refuse answers to another video file than the dataset has, or than another task was shown."""
    for answer in record.answers.values():
        if answer.clip_sha256 is None:
            continue
        clip = clips[answer.shown_clip or requests[answer.id]]
        if clip.video_id not in shown:
            shown[clip.video_id] = clip_sha256(clip.video) or answer.clip_sha256
        if shown[clip.video_id] != answer.clip_sha256:
            reason = f"was shown another video of {clip.video_id} than {clip.video or 'another task'}"
            raise RunError(f"{reason}; run its command again, which asks about it again", path=record.path)


def _other_engine(first: RunRecord, record: RunRecord) -> tuple[str, str, str] | None:
    """What the engines of two shards tell of themselves and is not alike: its name and both values.

    Devices and addresses may differ.
    """
    one, other = (own.engine for own in (first, record))
    names = (name for name in (*one, *other) if one.get(name) != other.get(name) and name not in _OF_PLACE)
    name = next(names, None) if one and other else None
    return (name, one.get(name, "none"), other.get(name, "none")) if name else None


def _other_part(first: RunRecord, record: RunRecord) -> str | None:
    """The choice of clips that differs, as `limit: 10 → 20`; None where it is the same."""
    one, other = Options.of(first.options), Options.of(record.options)
    chosen = ((name, getattr(one, name), getattr(other, name)) for name in ("clips", "limit"))
    return next((f"{name}: {mine} → {theirs}" for name, mine, theirs in chosen if mine != theirs), None)


def _alike(settings: Settings) -> Settings:
    """What the shards of a run have in common; the fingerprint tells the dataset, whatever its folder."""
    return settings.model_copy(update={"shard": None, "clips": None, "dataset": ""})


def _whole(record: RunRecord, dataset: Dataset) -> _Whole:
    options = Options.of(record.options)
    clips = select(dataset, options.clips, options.limit)
    _, count = numbers(str(record.settings.shard))
    every = not options.clips and options.limit is None
    chosen = None if every else tuple(clip.video_id for clip in clips)
    undivided = _alike(record.settings).model_copy(update={"clips": chosen, "dataset": dataset.name})
    return _Whole(undivided, divide_clips(clips, count))


def _write(
    records: Sequence[RunRecord], settings: Settings, place: dict[str, str], path: Path, progress: Progress
) -> None:
    """Write the run that shards make up: their journals one after the other; `place` is the dataset's."""
    ordered = sorted(records, key=lambda record: numbers(str(record.settings.shard)))
    options = {name: value for name, value in ordered[0].options.items() if name != "shard"} | place
    starts = [{**start, "shard": record.settings.shard} for record in ordered for start in record.starts]
    with RunRecord.open(path, settings, options, starts[0]) as merged:
        merged.starts += starts[1:]
        for record in ordered:
            entries = record.entries()
            while some := list(islice(entries, _LINES)):
                merged.add(*some)
            progress.advance()
        merged.note()
