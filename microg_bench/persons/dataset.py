"""The persons of a dataset whom models are asked about, with their clips."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from microg_bench.dataset.labels import shipped_labels
from microg_bench.dataset.load import Dataset, dataset_name, locate
from microg_bench.persons.boxes import GroundTruth
from microg_bench.persons.keyframes import GONE, KeyFrame, KeyFrames, load_key_frames, load_splits
from microg_bench.records import AnnotatedPerson, BoxForm, Clip, ShownPerson
from microg_bench.tasks import HAR

TRAINING = "train"


@dataclass(frozen=True)
class ActionDataset(Dataset):
    """A dataset with the persons in its key frames.

    `key_frames` are those of the persons who are asked about, of a published `split`, or of a file of this
    name without its ending. Of the `examples`, the clips of the training split have their persons; where the
    annotations are a file, its own clips have.
    """

    key_frames: KeyFrames = field(kw_only=True)
    split: str = field(kw_only=True)

    @property
    def truth(self) -> GroundTruth:
        """What detections are scored against; see `KeyFrames.known_truth`."""
        return self.key_frames.known_truth()


def load_actions(
    data: str | Path | None,
    *,
    split: str = "test",
    boxes: Path | None = None,
    form: BoxForm = "drawn",
    texts: Dataset | None = None,
) -> ActionDataset:
    """The persons of a dataset folder who are asked about.

    Args:
        data: as `--data` takes it; a folder with videos.
        split: the published part of the annotations.
        boxes: a table of boxes with actions in AVA's layout, taken whole in place of the annotations.
        form: how it is shown who is meant.
        texts: the captions and questions of the folder, where these are asked too.

    Raises:
        DataError: see `load_key_frames`; or no box has an action.
    """
    labels = shipped_labels()
    if boxes:
        asked = known = load_key_frames(data, labels, boxes=boxes, gone=True)
    elif split in ("all", TRAINING):
        asked = known = load_splits(data, labels, (split,))[0]
    else:
        asked, known = load_splits(data, labels, (split, TRAINING))
    fingerprint = asked.known_truth().fingerprint
    return ActionDataset(
        name=texts.name if texts else dataset_name(locate(data)),
        clips=_with_persons(texts, asked, form),
        fingerprint=texts.fingerprint if texts else fingerprint,
        repeated=texts.repeated if texts else (),
        actions=texts.actions if texts else None,
        fingerprints={HAR: fingerprint},
        examples=_with_persons(texts, known, form),
        key_frames=asked,
        split=boxes.name.partition(".")[0] if boxes else split,
    )


def _with_persons(texts: Dataset | None, key_frames: KeyFrames, form: BoxForm) -> tuple[Clip, ...]:
    """The clips with texts, and behind them the others, with the persons of key frames."""
    clips = {clip.video_id: clip for clip in texts.clips} if texts else {}
    for found in _clips(key_frames, form):
        own = clips.get(found.video_id)
        clips[found.video_id] = own.model_copy(update={"persons": found.persons}) if own else found
    return tuple(clips.values())


def _clips(key_frames: KeyFrames, form: BoxForm) -> Iterable[Clip]:
    """The clips of key frames with their persons, who are numbered in this order."""
    names = dict(zip(shipped_labels().ids, shipped_labels().names, strict=True))
    truth = key_frames.known_truth()
    by_clip: dict[str, list[KeyFrame]] = {}
    for one in key_frames.items:
        by_clip.setdefault(one.video_id, []).append(one)
    for video_id, own in by_clip.items():
        persons = tuple(
            AnnotatedPerson(
                shown=ShownPerson(frame=one.frame, corners=tuple(box), form=form),
                actions=tuple(names[action] for action in actions),
            )
            for one in own
            for box, actions in zip(one.boxes.tolist(), one.actions, strict=True)
        )
        video = None if own[0].video == GONE else own[0].video
        yield Clip(video_id=video_id, source=truth.source(video_id), persons=persons, video=video)
