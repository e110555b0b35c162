"""Scored runs and pages for tests: records of baselines, and of answers made by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import References
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import Dataset, load
from microg_bench.har.reports import read_scorecards
from microg_bench.options import ScoringOptions
from microg_bench.pages.leaderboard import build
from microg_bench.pages.run_page import write_run_page
from microg_bench.progress import Progress
from microg_bench.records import Answer, Failure, Generation, Request, Response, TaskName
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import ModelEntry
from microg_bench.scoring.score import ScoredRun, score_records
from microg_bench.settings import PromptId, Settings
from microg_bench.storage import write_json
from microg_bench.tasks import TASKS, items_of
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from tests.helpers.datasets import make_dataset, record, write_annotations

TASK_NAMES: tuple[TaskName, ...] = ("caption", "vqa")
FAST = ScoringOptions(metrics=("CIDEr", "BLEU-4", "ROUGE-L"))
ROOT = Path(__file__).resolve().parents[2]

HOSTILE = " ".join(
    [
        "<script>document.title='broken'</script>",
        "</script><script>document.title='broken'</script>",
        "<!--<script>",
        "<img src=x onerror=\"document.title='broken'\">",
        "</textarea></title></style>",
        "\"'`&lt;&amp;",
        "{{ 7 * 7 }} ${7 * 7} {% raw %}",
        "javascript:alert(1)",
        "\u202egpj.exe",
        "\u2028\u0007",
        "w" * 500,
    ]
)
UNSEEN = "\x00\u200b"
HALF = "\ud800"  # half of a pair: a journal may hold it, a scorecard cannot
START: dict[str, Any] = {"started": "2026-01-01T00:00:00+00:00", "git": None, "versions": {}}
FRAMES = (11, 33, 56, 78)
HOSTILE_ID = "<img src=q onerror=alert(1)>'\"&amp;"

Said = Callable[[Request, int], Answer | Failure]


def make_settings(task: TaskName, dataset: Dataset, **changed: Any) -> Settings:
    """Settings of a model that sees no video, with what the test wants otherwise."""
    values: dict[str, Any] = {
        "task": task,
        "model": "made-up",
        "title": "Made up",
        "adapter_sha256": "0" * 64,
        "checkpoint": None,
        "revision": None,
        "engine": "function",
        "dtype": "auto",
        "frames": None,
        "prompt": PromptId(id=f"{task}-default", version=1, hash="0a1b2c3d"),
        "generation": Generation(),
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "clips": None,
    }
    return Settings.model_validate({**values, **changed})


def make_run(
    path: Path, settings: Settings, data: str | Path, said: Said, start: dict[str, Any] | None = None
) -> Path:
    """The run of a task at `path`, not yet scored; `said` gives the outcome of a request and its number."""
    requests = [item.request for item in items_of(TASKS[settings.task], load(str(data)).clips)]
    with RunRecord.open(path, settings, {"data": str(data)}, start or dict(START)) as run:
        run.add(*(said(request, number) for number, request in enumerate(requests)))
    return path


def baseline_run(path: Path, name: str, task: TaskName, data: str | Path) -> Path:
    """The run of a baseline, not yet scored."""
    dataset, baseline = load(str(data)), cast(Baseline, find_adapter(name))
    spec = FrameSpec.parse(4) if baseline.sees_video else None
    frames = {clip.video_id: decode(clip.video, spec) for clip in dataset.clips if spec and clip.video}
    descriptors = {clip: baseline.describe(one) for clip, one in frames.items()}
    references = References(dataset.clips, descriptors)

    def said(request: Request, _number: int) -> Answer:
        text = references.answer(baseline, request)
        shown = frames[request.video_id].indices if frames else ()
        return Answer(id=request.id, text=text, answer=text, frames=shown)

    made = {"model": name, "title": baseline.title, "adapter_sha256": source_sha256(baseline)}
    settings = make_settings(task, dataset, frames=spec, **made)
    return make_run(path, settings, data, said)


def score_all(paths: Iterable[Path]) -> None:
    """Score runs together, as `microg-bench score` does."""
    for scored in score_records([RunRecord.read(path) for path in paths], FAST):
        assert isinstance(scored, ScoredRun)
        scored.save()


def read_runs(folder: Path) -> list[RunRecord]:
    """All runs below a folder."""
    return [RunRecord.read(file.parent) for file in sorted(folder.rglob("run.json"))]


def write_page(folder: Path, out: Path) -> Path:
    """The page of the runs below a folder, with the dataset that they were started with."""
    runs = read_runs(folder)
    return write_run_page(runs, runs[0].dataset(), out, progress=Progress())


def write_site(out: Path, runs: Path, har: Sequence[Path] = ()) -> Path:
    """The leaderboard of the runs below a folder; all of them are admitted."""
    cards = [card for file in har for card in read_scorecards(file)]
    _, errors = build(out, read_runs(runs), har=cards, progress=Progress())
    assert errors == []
    return out


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of `nearest-clip` on the sample set. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("sample") / "r"
    score_all([baseline_run(folder / task, "nearest-clip", task, "sample") for task in TASK_NAMES])
    return folder


@pytest.fixture(scope="session")
def sample_page(sample_run: Path) -> Path:
    """The page of `sample_run`."""
    return write_page(sample_run, sample_run.parent / "page")


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks of a run in which every text that can be hostile is: one question has failed, one answer is
    empty, one hit the token limit. The dataset is beside it as `data`."""
    folder = tmp_path_factory.mktemp("hostile")
    ids = [f"{HOSTILE_ID}_{k:03d}" for k in (1, 2)] + ["plain_001"]
    make_dataset(folder / "data", ids)
    records = [hostile_record(name, k) for k, name in enumerate(ids)]
    write_annotations(folder / "data" / "vqa_and_captioning.json", records)
    dataset = load(str(folder / "data"))
    changed = {
        "title": f"Model {HOSTILE}{UNSEEN}",
        "checkpoint": f"org {HOSTILE}",
        "frames": FrameSpec.parse(4),
    }
    start = {"engine": {HOSTILE: [f"{HOSTILE}{UNSEEN}{HALF}"]}}
    paths = [
        make_run(
            folder / "r" / task,
            make_settings(task, dataset, **changed),
            folder / "data",
            hostile_answer,
            start,
        )
        for task in TASK_NAMES
    ]
    score_all(paths)
    return folder / "r"


def hostile_record(name: str, k: int) -> dict[str, Any]:
    """A record with two hostile questions and one that the clip does not answer."""
    pairs = [{"Q": f"question {n} {HOSTILE}", "A": f"reference {n} {HOSTILE}"} for n in (0, 1)]
    unanswerable = {"Q": "Why?", "A": "Not mentioned."}
    return {**record(name, k), "caption": f"caption {k} {HOSTILE}", "qa_pairs": [*pairs, unanswerable]}


def hostile_answer(request: Request, number: int) -> Answer | Failure:
    """What a stranger's run folder may hold; the first question fails, the next answers are empty and cut."""
    special = number if request.task == "vqa" else None
    if special == 0:
        reason, text = f"reason {HOSTILE}{UNSEEN}{HALF}", f"failed text {HOSTILE}{UNSEEN}{HALF}"
        said = Response(id=request.id, text=text)
        return Failure(id=request.id, stage="engine", reason=reason, response=said)
    if special == 1:
        return Answer(id=request.id, text="", answer="", frames=FRAMES)
    return Answer(
        id=request.id,
        text=f"text {HOSTILE}{UNSEEN}{HALF}",
        answer=f"answer {HOSTILE}{UNSEEN}",
        finish_reason="length" if special == 2 else "stop",
        frames=FRAMES,
    )


@pytest.fixture(scope="session")
def hostile_page(hostile_run: Path) -> Path:
    """The page of `hostile_run`."""
    return write_page(hostile_run, hostile_run.parent / "page")


HOSTILE_TITLE = (
    "<script>document.title='x'</script></script><img src=x onerror=alert(1)>\"'&\u202e\u2028{{ 7 }}"
)
# By title: how far its scores are moved, the number of its frames, and what else it is made to be.
MODELS: dict[str, tuple[float, int, dict[str, Any]]] = {
    "Alpha": (10.0, 4, {"engine": "vllm", "checkpoint": "org/alpha"}),
    "Beta": (20.0, 8, {"engine": "openai", "checkpoint": "gpt-4o"}),
    "Gamma": (5.0, 8, {"engine": "vllm", "checkpoint": "org/gamma"}),
    HOSTILE_TITLE: (1.0, 4, {"engine": "vllm", "checkpoint": HOSTILE_TITLE}),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scored runs of both tasks: two baselines, and four models made of them. Do not change them."""
    place = tmp_path_factory.mktemp("site")
    records = [record(name, n) for n, name in enumerate(("a_001", "a_002", "b_001", "c_001"), start=1)]
    data = write_annotations(place / "refs.json", records)
    score_all(
        baseline_run(place / "runs" / name / task, name, task, data)
        for name in ("blind", "constant")
        for task in TASK_NAMES
    )
    for number, (title, (moved, frames, changed)) in enumerate(MODELS.items()):
        for task in TASK_NAMES:
            blind = RunRecord.read(place / "runs" / "blind" / task)
            model = {"model": "made-up", "title": title, "frames": FrameSpec.parse(frames), **changed}
            settings = blind.settings.model_copy(update=model)
            model_run(blind, place / "runs" / f"model{number}" / task, settings, moved)
    return place / "runs"


def model_run(blind: RunRecord, path: Path, settings: Settings, moved: float) -> None:
    """Make the run of a model of that of a baseline: its scores are higher, its answers have token counts."""

    def said(request: Request, _number: int) -> Answer:
        text = HOSTILE_TITLE if "<" in settings.title else blind.answers[request.id].text
        return Answer(id=request.id, text=text, answer=text, prompt_tokens=100_000, output_tokens=1000)

    make_run(path, settings, blind.options["data"], said)
    shutil.copy(blind.path / "statistics.npz", path)
    scores = {
        name: one.model_copy(update={"value": value, "interval": (value - 2, value + 3)})
        for name, one in blind.scorecard.scores.items()
        if (value := (one.value or 0.0) + moved)
    }
    count = settings.frames.count if settings.frames else None
    model = ModelEntry(name=settings.model, title=settings.title, frames=settings.frames, frame_count=count)
    changed = {"settings": settings, "model": model, "scores": scores}
    write_json(path / "scorecard.json", blind.scorecard.model_copy(update=changed).to_json())


@pytest.fixture(scope="session")
def site(runs: Path) -> Path:
    """The leaderboard of these runs and of the scorecards of actions that ship with the repository."""
    return write_site(runs.parent / "site", runs, sorted((ROOT / "results" / "actions").glob("*.json")))
