"""What version 0.1 wrote is read; what cannot be read is refused in one line, and left as it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench.errors import MicrogError
from microg_bench.metrics import METRICS
from microg_bench.records import Answer, Failure, Generation, Response, TaskName
from microg_bench.runs.migration import settings_from_1
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Counts, Scorecard, Signature
from microg_bench.settings import Media, PromptId, Settings
from microg_bench.submissions.load import find_submissions, load
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import content, make_settings, open_run

BY_HAND = Path(__file__).parent / "data" / "v0.1"
TASKS: tuple[TaskName, ...] = ("caption", "vqa")
ITEMS = {"caption": 14, "vqa": 84}


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """A copy of a small run of version 0.1 that holds everything that has changed since."""
    return Path(shutil.copytree(BY_HAND, tmp_path / "old" / "vqa"))


@pytest.fixture
def real(shared: Path, tmp_path: Path) -> Path:
    """A copy of the scored runs of both tasks that version 0.1.0 made on the sample set."""
    copy = tmp_path / "run"
    for file in (shared / "data" / "v0.1" / "run-nearest-clip").rglob("*.*"):
        (copy / file.parent.name).mkdir(parents=True, exist_ok=True)
        if file.is_file() and file.parent.name in TASKS:
            (copy / file.parent.name / file.name).write_bytes(file.read_bytes())
    return copy


def test_settings_options_and_starts_are_those_of_this_version(by_hand: Path) -> None:
    record = RunRecord.read(by_hand)
    assert record.settings == Settings(
        task="vqa",
        model="openai:m",
        title="m",
        adapter_sha256="00",
        checkpoint="m",
        revision=None,
        engine="openai",
        dtype="auto",
        frames=FrameSpec(count=4),
        media=Media(kind="images", jpeg_quality=90, detail="low"),
        prompt=PromptId(id="vqa-default", version=1, hash="40569042"),
        generation=Generation(max_tokens=8),
        dataset="refs",
        fingerprint="f",
        clips=("a_001", "b_001"),
    )
    assert record.options == {
        "tasks": ["vqa"],
        "data": "refs.json",
        "model": "openai:m",
        "max_concurrency": 4,
        "num_workers": 3,
        "url": ["http://127.0.0.1:8000/v1"],
        "max_tokens": 8,
    }
    assert record.rejected == ("temperature",)
    assert record.starts[0]["usage"]["from_cache"] == 1
    assert [start["started"][:10] for start in record.starts] == ["2026-01-01", "2026-01-02"]


def test_answers_and_failures_are_those_of_this_version(by_hand: Path) -> None:
    record = RunRecord.read(by_hand)
    assert record.answers["a_001#1"] == Answer(
        id="a_001#1",
        text=" Ann.",
        answer="Ann.",
        frames=(11, 33),
        prompt_tokens=100,
        cached_tokens=64,
        output_tokens=7,
        seconds=0.5,
    )
    assert {name: (one.finish_reason, one.from_cache) for name, one in record.answers.items()} == {
        "a_001#1": ("stop", False),
        "a_001#2": ("length", False),
        "a_001#3": ("content_filter", False),
        "b_001#1": ("refusal", False),
        "b_001#2": ("stop", True),
    }
    said = Response(id="b_001#3", text="odd")
    failure = Failure(id="b_001#3", stage="parse", reason="adapter m: ValueError: odd", response=said)
    assert record.failures == {"b_001#3": failure}


def test_the_scorecard_is_of_this_version(by_hand: Path) -> None:
    record = RunRecord.read(by_hand)
    card = record.scorecard
    assert card.counts == Counts(answered=5, failed=1, missing=2, unknown=3, empty=1, flagged=1)
    assert (card.complete, card.rejected, card.settings) == (False, ("temperature",), record.settings)
    assert card.model is not None
    assert (card.model.frames, card.model.frame_count) == (FrameSpec(count=4), 2)
    entry = card.scores["CIDEr"]
    assert (entry.value, entry.interval, entry.notes) == (12.5, (10.0, 15.0), ("1 candidate was cut",))
    assert entry.signature is not None
    assert entry.signature.short() == "CIDEr|p:paper|n:5|v:0.1.0"
    assert entry.signature.long() == (
        "CIDEr|protocol:paper|tokenizer:none|variant:CIDEr-D|sigma:6|items:5|version:0.1.0"
    )
    assert card.scores["METEOR"].unavailable == "no Java"
    assert card.baselines["blind"].title == "Baseline: blind"
    assert {kind: list(labels) for kind, labels in card.slices.items()} == {
        "answerable": ["unanswerable", "answerable"],
        "question_word": ["who"],
        "source": ["absent"],
    }
    assert card.abstention is not None
    assert (card.abstention.unanswerable, card.abstention.rate_on_unanswerable) == (1, 1.0)
    assert (card.abstention.answerable, card.abstention.rate_on_answerable) == (4, 0.25)
    assert Scorecard.model_validate(card.to_json()) == card


@pytest.mark.parametrize(
    ("given", "frames", "media"),
    [
        ({"frames": "endpoints:4", "media": None}, FrameSpec(count=4, how="endpoints"), None),
        ({"frames": "fps:2.5", "media": None}, FrameSpec(how="fps", rate=2.5), None),
        ({"frames": "all", "media": None}, FrameSpec(how="all"), None),
        ({"frames": "none", "media": None}, None, None),
        ({"frames": "clip", "media": "clip"}, None, Media(kind="clip")),
        (
            {"frames": "uniform:8", "media": "video, jpeg 75, detail auto"},
            FrameSpec(count=8),
            Media(kind="video", jpeg_quality=75, detail="auto"),
        ),
    ],
)
def test_frames_and_media_were_texts(
    given: dict[str, Any], frames: FrameSpec | None, media: Media | None
) -> None:
    old = json.loads((BY_HAND / "run.json").read_text())["settings"]
    new = Settings.model_validate(settings_from_1({**old, **given, "prompt": "none"}))
    assert (new.frames, new.media, new.prompt) == (frames, media, None)
    assert new.shown == given["frames"]


def test_reading_changes_no_byte(by_hand: Path) -> None:
    record = RunRecord.read(by_hand)
    assert (len(record.answers), len(record.failures), record.migrated) == (5, 1, True)
    assert record.scorecard
    assert content(by_hand) == content(BY_HAND)


def test_a_run_of_version_0_1_is_not_resumed_and_not_half_migrated(by_hand: Path) -> None:
    record = RunRecord.read(by_hand)
    told = refusal(by_hand, lambda: RunRecord.open(by_hand, record.settings, record.options, {}))
    assert told == f"{by_hand}: was made by version 0.1 and cannot be resumed; give --run DIR for a new run"
    assert content(by_hand) == content(BY_HAND)


@pytest.mark.parametrize("task", TASKS)
def test_a_real_run_of_version_0_1_is_read(real: Path, task: TaskName) -> None:
    record, dataset = RunRecord.read(real / task), mb.load_dataset("sample")
    assert record.settings.title == "Baseline: nearest clip"
    assert (str(record.settings.frames), record.settings.media) == ("uniform:4", None)
    assert record.settings.prompt is not None
    assert record.settings.prompt.id == f"{task}-default"
    items = record.items(record.dataset(dataset))
    assert list(record.answers) == [item.request.id for item in items]
    assert (len(items), record.failures) == (ITEMS[task], {})
    assert {one.finish_reason for one in record.answers.values()} == {"stop"}
    assert {len(one.frames) for one in record.answers.values()} == {4}

    card, statistics = record.scorecard, record.statistics
    assert (card.complete, card.counts.answered, card.title) == (True, len(items), "Baseline: nearest clip")
    assert [one.title for one in card.baselines.values()] == ["Baseline: constant", "Baseline: blind"]
    assert statistics.ids == tuple(item.request.id for item in items)
    assert statistics.sources == tuple(item.request.source for item in items)
    assert set(statistics.metrics) == {name for name, entry in card.scores.items() if not entry.unavailable}
    for name, rows in statistics.metrics.items():
        assert METRICS[name].aggregate(np.asarray(rows)) == pytest.approx(card.scores[name].value)
    for name, one in record.item_scores().items():
        assert list(one) == list(statistics.ids), name
    if task == "vqa":
        assert list(card.slices) == ["answerable", "question_word", "source"]
        assert list(card.slices["answerable"]) == ["unanswerable", "answerable"]
        assert card.abstention is not None
        assert card.abstention.unanswerable == 14


def test_a_real_run_of_version_0_1_scores_the_same_today_and_stays_whole(real: Path) -> None:
    before = {task: RunRecord.read(real / task).scorecard for task in TASKS}
    files = content(real)
    mb.score(real, progress=None, metrics="CIDEr,BLEU-4,ROUGE-L")
    for task in TASKS:
        record = RunRecord.read(real / task)
        methods = [one.interval and one.interval.method for one in (before[task], record.scorecard)]
        assert methods == ["percentile", "symmetric bootstrap-t"]
        for name, entry in record.scorecard.scores.items():
            old = before[task].scores[name]
            assert entry.value == pytest.approx(old.value)
            assert entry.interval is not None and entry.interval != old.interval
            assert record.scorecard.baselines["blind"].scores[name] == pytest.approx(
                before[task].baselines["blind"].scores[name]
            )
        for file in ("run.json", "journal.jsonl", "predictions.json"):
            assert (real / task / file).read_bytes() == files[f"{task}/{file}"]
        assert json.loads((real / task / "scorecard.json").read_text())["schema"].endswith("/2")


def test_submissions_of_version_0_1_hold_the_answers_of_their_runs(shared: Path, real: Path) -> None:
    folders = find_submissions(shared / "data" / "v0.1" / "submissions")
    assert len(folders) == len(TASKS)
    for folder in folders:
        submitted = load(folder).record
        run = RunRecord.read(real / submitted.settings.task)
        assert submitted.answers == run.answers
        assert submitted.settings == run.settings
        assert submitted.scorecard == run.scorecard


def refusal(folder: Path, use: Callable[[], object]) -> str:
    """The line with which `use` is refused; nothing in `folder` has changed then."""
    before = content(folder)
    with pytest.raises(MicrogError) as caught:
        use()
    assert content(folder) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def uses(folder: Path) -> list[Callable[[], object]]:
    """Everything that reads the answers of a run, or resumes it."""
    return [
        lambda: RunRecord.read(folder).answers,
        lambda: open_run(folder, task="vqa"),
        lambda: mb.score(folder, progress=None),
        lambda: mb.evaluate("blind", "sample", "vqa", run=folder.parent, progress=None),
    ]


@pytest.fixture
def today(tmp_path: Path) -> Path:
    """A run of this version with one answer."""
    with open_run(tmp_path / "today" / "vqa", task="vqa") as record:
        record.add(Answer(id="a_001#1", text="x", answer="x"))
    return record.path


@pytest.mark.parametrize("schema", ["microg-bench/run/3", "microg-bench/run/10", None, 2])
def test_a_run_of_a_schema_that_is_not_known_is_refused(today: Path, schema: object) -> None:
    told = json.loads((today / "run.json").read_text()) | {"schema": schema, "coming": True}
    (today / "run.json").write_text(json.dumps(told))
    for use in uses(today):
        assert refusal(today, use) == (
            f"{today / 'run.json'}: schema {schema!r} is not known to this version, "
            "which reads microg-bench/run/2"
        )


def test_a_scorecard_of_a_later_schema_is_refused(today: Path) -> None:
    (today / "scorecard.json").write_text('{"schema": "microg-bench/scorecard/3"}')
    told = refusal(today, lambda: RunRecord.read(today).scorecard)
    assert told.startswith(f"{today / 'scorecard.json'}: schema 'microg-bench/scorecard/3' is not known")


def test_an_old_line_in_a_run_of_today_is_refused(today: Path) -> None:
    old = (BY_HAND / "journal.jsonl").read_text().splitlines(keepends=True)[1]
    with (today / "journal.jsonl").open("a") as journal:
        journal.write(old + '{"torn')
    settings = RunRecord.read(today).settings
    assert settings == make_settings(task="vqa")
    for use in uses(today)[:2]:
        assert refusal(today, use) == (
            f"{today / 'journal.jsonl'}: line 2: half migrated: the line is of schema 1, run.json of schema 2"
        )


def test_a_line_of_today_in_an_old_run_is_refused(by_hand: Path, today: Path) -> None:
    with (by_hand / "journal.jsonl").open("a") as journal:
        journal.write((today / "journal.jsonl").read_text())
    told = refusal(by_hand, lambda: RunRecord.read(by_hand).answers)
    assert told == (
        f"{by_hand / 'journal.jsonl'}: line 8: half migrated: the line is of schema 2, run.json of schema 1"
    )
    for use in uses(by_hand)[1], uses(by_hand)[3]:
        assert refusal(by_hand, use).startswith(f"{by_hand}: was made by version 0.1 and cannot be resumed")


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("run.json", '"uniform:4"', '"uniform:x"', "damaged: ValueError: "),
        ("run.json", '"images, jpeg 90, detail low"', '"smoke"', "damaged: ValueError: media 'smoke'"),
        ("run.json", '"vqa-default@1:40569042"', '"p"', "damaged: ValueError: prompt 'p'"),
        ("run.json", '"task": "vqa"', '"task": "dance"', "damaged: settings.task: "),
        ("journal.jsonl", '"stop":"end"', '"stop":"tired"', "line 2: damaged: finish_reason: "),
        ("journal.jsonl", '"text":" Ann.",', "", "line 2: damaged: text: Field required"),
        ("scorecard.json", '"present": 4', '"here": 4', "damaged: KeyError: 'present'"),
        ("scorecard.json", '"value": 12.5', '"value": "high"', "damaged: scores.CIDEr.value: "),
    ],
)
def test_damage_in_what_version_0_1_wrote_is_named(
    by_hand: Path, file: str, old: str, new: str, reason: str
) -> None:
    text = (by_hand / file).read_text()
    assert old in text
    (by_hand / file).write_text(text.replace(old, new))

    def read() -> object:
        record = RunRecord.read(by_hand)
        return record.answers, record.scorecard

    assert refusal(by_hand, read).startswith(f"{by_hand / file}: {reason}")


def test_a_signature_of_version_0_1_is_compared_by_its_parts(by_hand: Path) -> None:
    signature = RunRecord.read(by_hand).scorecard.scores["CIDEr"].signature
    assert signature is not None
    newer = Signature(metric="CIDEr", values={**signature.values, "version": "0.2.0"})
    assert newer.versions_apart(signature) == ["version:0.2.0"]
