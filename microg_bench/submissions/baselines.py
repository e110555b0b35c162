"""What a baseline answers here, to be compared with what a submission says that it answered."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import References
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import Dataset
from microg_bench.errors import DecodeError
from microg_bench.runs.record import RunRecord
from microg_bench.settings import Settings
from microg_bench.submissions.frames import other_files
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec

# Adapters of baselines in earlier versions, which answer as those that are here: names by SHA-256.
EARLIER = {
    "597eb15617b34459c89aea306f5bfcf76afa1feac8e5a9a3f784f539925b31c8": "nearest-clip",
    "7599afd801c2a704efb75e3377a4f701f256648e967726249ef704557055f36c": "blind",
}


def is_known(settings: Settings, baseline: Baseline) -> bool:
    """Whether a run is of a version of `baseline` that was published."""
    sha256 = settings.adapter_sha256
    return sha256 == source_sha256(baseline) or EARLIER.get(sha256) == baseline.name


def other_answers(record: RunRecord, baseline: Baseline, dataset: Dataset) -> list[str] | None:
    """The ids of the answers that `baseline`, of a known version, gives otherwise.

    None where it looks at the video, and clips are not here, cannot be decoded, or were other files.
    """
    descriptors: dict[str, NDArray[np.float64]] = {}
    if baseline.sees_video:
        videos = {clip.video_id: clip.video for clip in dataset.clips if clip.video}
        spec = record.settings.frames
        if spec is None or len(videos) < len(dataset.clips) or other_files(record, videos):
            return None
        try:
            descriptors = {name: _descriptor(baseline.name, file, spec) for name, file in videos.items()}
        except DecodeError:
            return None
    references = References(dataset.clips, descriptors)
    requests = [item.request for item in record.items(dataset) if item.request.id in record.answers]
    return [
        one.id
        for one in requests
        if baseline.parse(one, references.answer(baseline, one)) != record.answers[one.id].answer
    ]


@lru_cache(5000)
def _descriptor(name: str, video: Path, spec: FrameSpec) -> NDArray[np.float64]:
    """How the baseline of this name describes a clip, as its run does."""
    baseline = find_adapter(name)
    if not isinstance(baseline, Baseline):
        raise TypeError(f"{name} is no baseline")
    return np.round(baseline.describe(decode(video, spec)), 6)
