"""Finds the files of a dataset and turns its annotations into clips, by the rule of the paper's code.

A repeated `video_id` keeps its last caption. A question is known by (video_id, stripped question) and keeps
its last answer. The order is that of first appearance.
"""

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.dataset.annotations import Annotation, read_annotations, source_notes, source_of
from microg_bench.errors import DataError, UsageError
from microg_bench.records import Clip, Question, TaskName
from microg_bench.storage import cache_folder
from microg_bench.text import unknown

SAMPLE = "sample"
SAMPLE_FOLDER = Path(__file__).with_name("sample")
MICROG_4M = "microg-4m"
FOLDER_VARIABLE = "MICROG_BENCH_DATA"
VIDEO_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov")
# How the files of these begin: boxes of ISO media and QuickTime, EBML of Matroska and WebM, RIFF of AVI.
_CONTAINERS = re.compile(
    rb"\0...(ftyp|moov|wide|free|skip|pnot)|....mdat|\x1a\x45\xdf\xa3|RIFF....AVI ", re.DOTALL
)
NO_CONTAINER = "its content is no mp4, mkv, webm, avi or mov file"
ANNOTATION_NAMES = ("vqa_and_captioning.json", "vqa_and_captioning.parquet")
ACTION_NAMES = ("actions.csv", "actions.parquet")
BOX_NAMES = ("bounding_boxes.csv", "bounding_boxes.parquet")
ANNOTATION_FOLDERS = (
    "",
    "annotation_files",
    "annotation_files/vqa_and_captioning",
    "vqa_and_captioning",
    "parquet_format",
)
# Above this, close matches of an unknown id are not looked for: the known ids would not fit a line.
MANY_CLIPS = 50


@dataclass(frozen=True)
class Dataset:
    """Clips with their references, in published order.

    `fingerprint` identifies the references (ids, captions, questions, answers), not the video files, so that
    an annotation file alone and a full folder of the same references agree. `repeated` names the ids that
    occur in more than one record. `actions` is the table of action labels beside them, if there is one.
    `source_notes` are what a reader of intervals over source videos must know. `fingerprints` are those of
    tasks with references of their own. `examples` are what baselines may answer from; none for `clips`.
    """

    name: str
    clips: tuple[Clip, ...]
    fingerprint: str
    repeated: tuple[str, ...] = ()
    actions: Path | None = None
    fingerprints: Mapping[TaskName, str] = field(default_factory=dict)
    examples: tuple[Clip, ...] = ()
    source_notes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        notes = source_notes({clip.video_id: clip.source for clip in self.clips})
        object.__setattr__(self, "source_notes", tuple(notes))

    @property
    def has_video(self) -> bool:
        """Whether any clip has a video file."""
        return any(clip.video for clip in self.clips)


def fetched_folder() -> Path:
    """The folder of the fetched dataset: `$MICROG_BENCH_DATA`, else in the user's cache folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else cache_folder("MicroG-4M")


def locate(data: str | Path | None) -> Path:
    """The path that `--data` means: `sample`, `microg-4m` (as fetched) or a path.

    None means the fetched dataset, or the sample set where nothing has been fetched.

    Raises:
        DataError: `microg-4m` was asked for and has not been fetched.
    """
    if data == SAMPLE:
        return SAMPLE_FOLDER
    fetched = fetched_folder()
    if data is None:
        return fetched if fetched.is_dir() else SAMPLE_FOLDER
    if data == MICROG_4M:
        if not fetched.is_dir():
            raise DataError("MicroG-4M has not been fetched yet: run `microg-bench data fetch` first")
        return fetched
    return Path(data)


def load(data: str | Path | None = None) -> Dataset:
    """Load a dataset by the name or path given to `--data`.

    Raises:
        DataError: see `find_layout` and `read_annotations`.
    """
    path = locate(data)
    layout = find_layout(path)
    annotations = read_annotations(layout.annotations)
    rejected = {path.stem: f"{path.name}: {reason}" for path, reason in layout.rejected.items()}
    clips = tuple(_with_video(clip, layout.videos, rejected) for clip in merge(annotations))
    records = Counter(annotation.video_id for annotation in annotations)
    repeated = tuple(video_id for video_id, count in records.items() if count > 1)
    return Dataset(dataset_name(path), clips, fingerprint(clips), repeated, layout.actions)


def _with_video(clip: Clip, videos: Mapping[str, Path], rejected: Mapping[str, str]) -> Clip:
    if (video := videos.get(clip.video_id)) and is_video(video):
        return clip.model_copy(update={"video": video})
    fault = f"{video.name}: {NO_CONTAINER}" if video else rejected.get(clip.video_id)
    return clip.model_copy(update={"video_fault": fault}) if fault else clip


def select(dataset: Dataset, clips: Sequence[str] = (), limit: int | None = None) -> tuple[Clip, ...]:
    """The clips that a run asks about: those named, or all, and of these the first `limit`.

    Raises:
        UsageError: a named clip does not exist, or `limit` is not positive.
    """
    known = {clip.video_id for clip in dataset.clips}
    for name in clips:
        if name not in known:
            raise UsageError(
                unknown(f"clip of {dataset.name}", name, known)
                if len(known) < MANY_CLIPS
                else f"unknown clip {name!r}: {dataset.name} has no such video_id"
            )
    if limit is not None and limit < 1:
        raise UsageError(f"must be at least 1, not {limit}", item="--limit")
    wanted = set(clips) or known
    chosen = [clip for clip in dataset.clips if clip.video_id in wanted]
    return tuple(chosen[:limit])


def merge(annotations: Sequence[Annotation]) -> tuple[Clip, ...]:
    """One clip for each id, by the published rule (see the head of this module)."""
    captions: dict[str, str | None] = {}
    sources: dict[str, str] = {}
    questions: dict[str, dict[str, Question]] = {}
    for annotation in annotations:
        video_id = annotation.video_id
        if annotation.source is not None:
            sources[video_id] = annotation.source
        captions[video_id] = annotation.caption if annotation.caption is not None else captions.get(video_id)
        questions.setdefault(video_id, {}).update((one.text, one) for one in annotation.questions)
    return tuple(
        Clip(
            video_id=video_id,
            source=sources.get(video_id) or source_of(video_id),
            caption=caption,
            questions=tuple(questions[video_id].values()),
        )
        for video_id, caption in captions.items()
    )


def fingerprint(clips: Iterable[Clip]) -> str:
    """SHA-256 over the references of `clips` in order, as canonical JSON, and over sources that are given."""
    digest = hashlib.sha256()
    for clip in clips:
        pairs = [[question.text, question.answer] for question in clip.questions]
        given = [] if clip.source == source_of(clip.video_id) else [clip.source]
        content = [clip.video_id, clip.caption, pairs, *given]
        digest.update(json.dumps(content, ensure_ascii=True).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def dataset_name(path: Path) -> str:
    """What a dataset is called: as `--data` takes it, else by its file or folder."""
    if path == SAMPLE_FOLDER:
        return SAMPLE
    if path == fetched_folder():
        return MICROG_4M
    return path.stem if path.is_file() else path.resolve().name


@dataclass(frozen=True)
class Layout:
    """The files of a dataset. `videos` maps an id to its file; `doubles` lists further files of an id.

    `rejected` are files and folders that are not used as videos, with the reason. `actions` is the published
    table of action labels, which covers more clips than the captions do; `rejected_actions` are what is not
    used as that table, with the reason.
    """

    annotations: Path
    actions: Path | None = None
    videos: dict[str, Path] = field(default_factory=dict)
    doubles: tuple[Path, ...] = ()
    rejected: dict[Path, str] = field(default_factory=dict)
    rejected_actions: dict[Path, str] = field(default_factory=dict)


def find_layout(data: Path) -> Layout:
    """The files of a dataset folder, or of an annotation file alone.

    Raises:
        DataError: there is no such folder or file, or no (or more than one) annotation file in it.
    """
    if data.is_file():
        return Layout(data)
    if not data.is_dir():
        raise DataError("no such dataset folder or annotation file", path=data)
    actions, faults = find_table(data, ACTION_NAMES)
    return Layout(_find_annotations(data), actions, *find_videos(data), rejected_actions=faults)


def find_table(root: Path, names: Sequence[str]) -> tuple[Path | None, dict[Path, str]]:
    """The table of one of these names, and what is called as one but is not used, with the reason."""
    home = Path(os.path.realpath(root))
    faults: dict[Path, str] = {}
    for path in (root / folder / name for folder in ANNOTATION_FOLDERS for name in names):
        if os.path.lexists(path):
            fault = _fault(path, home) or ("is a folder" if path.is_dir() else None)
            if fault is None:
                return path, faults
            faults[path] = fault
    return None, faults


def _first_file(root: Path, *names: str) -> Path | None:
    places = (root / folder / name for folder in ANNOTATION_FOLDERS for name in names)
    return next((path for path in places if path.is_file()), None)


def _find_annotations(root: Path) -> Path:
    if path := _first_file(root, *ANNOTATION_NAMES):
        return path
    found = [path for folder in ANNOTATION_FOLDERS for path in sorted((root / folder).glob("*.json"))]
    if len(found) != 1:
        what = f"{len(found)} JSON files and none" if found else "no annotation file"
        raise DataError(f"{what} called {' or '.join(ANNOTATION_NAMES)}", path=root)
    return found[0]


def find_videos(root: Path) -> tuple[dict[str, Path], tuple[Path, ...], dict[Path, str]]:
    """All videos below `root` by file name without ending; a folder that links lead to is read once.

    Only regular files within `root` count. Nothing is opened.

    Returns:
        The file of each id, further files of an id, and what is not used with the reason.
    """
    videos: dict[str, Path] = {}
    doubles: list[Path] = []
    rejected: dict[Path, str] = {}
    seen: set[str] = set()
    home = Path(os.path.realpath(root))

    def usable(folder: str, names: Iterable[str]) -> list[Path]:
        faults = {Path(folder, name): _fault(Path(folder, name), home) for name in sorted(names)}
        rejected.update({path: fault for path, fault in faults.items() if fault})
        return [path for path, fault in faults.items() if not fault]

    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        for path in usable(folder, (name for name in names if name.lower().endswith(VIDEO_ENDINGS))):
            if path.stem in videos:
                doubles.append(path)
            else:
                videos[path.stem] = path
        subfolders[:] = [path.name for path in usable(folder, subfolders)]
    return videos, tuple(doubles), rejected


def _fault(path: Path, home: Path) -> str | None:
    """What keeps a file or folder of a dataset, whose real folder is `home`, from being used, if anything."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not Path(os.path.realpath(path)).is_relative_to(home):
                return "is a link that leads out of the dataset"
            mode = path.stat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is not a regular file"


def is_video(path: Path) -> bool:
    """Whether a regular file begins as a video file of a known container does."""
    try:
        with path.open("rb") as file:
            return _CONTAINERS.match(file.read(12)) is not None
    except OSError:
        return False
