"""Runs that show changed frames, those of another clip, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import microg_bench as mb
from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.options import Options
from microg_bench.records import Answer, Response, Text
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.execute import ask
from microg_bench.runs.frames import clip_sha256
from microg_bench.runs.preview import preview
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import other_clips, other_inputs
from microg_bench.storage import read_journal
from microg_bench.submissions.pack import pack
from tests.helpers.datasets import make_dataset
from tests.helpers.runs import Notes, opened
from tests.helpers.stand_in import write_adapter

IDS = [f"{source}_{k:03}" for source in "abc" for k in range(2)]


class Looking(Engine):
    """Keeps what it is shown."""

    name: ClassVar[str] = "transformers"
    jobs: ClassVar[dict[str, Job]] = {}

    def start(self) -> None:
        """Forget what was shown before."""
        self.jobs.clear()

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            self.jobs[job.request.id] = job
            yield [(job, Response(id=job.request.id, text="seen"))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path)


class Asking:
    """Asks about all captions with transforms."""

    def __init__(self, adapter: Path, data: Path, root: Path) -> None:
        self.given = {"model": str(adapter), "data": str(data), "tasks": "caption", "frames": 4}
        self.root = root

    def configuration(self, *transforms: str, **options: Any) -> Configuration:
        given = {**self.given, "transforms": transforms, **options}
        return replace(configure(Options.of(given)), engine=Looking)

    def __call__(self, *transforms: str, **options: Any) -> tuple[dict[str, Job], dict[str, Answer]]:
        """What was shown, and the answers."""
        root = self.root / ("-".join(transforms) or "plain")
        with ExitStack() as stack:
            variant = stack.enter_context(opened(root, self.configuration(*transforms, **options)))
            asyncio.run(ask([variant], root, Notes()))
        return dict(Looking.jobs), RunRecord.read(root / "caption").answers


@pytest.fixture
def asking(adapter: Path, data: Path, tmp_path: Path) -> Asking:
    return Asking(adapter, data, tmp_path)


def shown(jobs: dict[str, Job]) -> dict[str, np.ndarray]:
    return {name: job.frames.pixels for name, job in jobs.items() if job.frames}


def test_frames_are_changed_and_the_journal_tells_which_were_shown(asking: Asking) -> None:
    plain, answers = asking()
    back, reversed_answers = asking("reverse", "mirror")
    assert plain.keys() == back.keys() == set(IDS)
    for name, pixels in shown(plain).items():
        assert np.array_equal(shown(back)[name], pixels[::-1, :, ::-1])
        assert reversed_answers[name].frames == answers[name].frames[::-1]
        assert reversed_answers[name].clip_sha256 == answers[name].clip_sha256
        assert reversed_answers[name].shown_clip is None
        told, was = back[name].frames, plain[name].frames
        assert told is not None
        assert was is not None
        assert (told.indices, told.timestamps) == (was.indices, was.timestamps)
        assert told.changed != was.changed == ""
        assert back[name].prompt == plain[name].prompt


def test_a_whole_turn_shows_what_no_turn_shows(asking: Asking) -> None:
    none, whole, quarter = (shown(asking(f"rotate:{degrees}")[0]) for degrees in (0, 360, 90))
    for name, pixels in none.items():
        assert pixels.shape[1] == pixels.shape[2] == quarter[name].shape[1]
        assert np.array_equal(whole[name], pixels)
        assert np.array_equal(quarter[name], np.rot90(pixels, axes=(1, 2)))


def test_without_frames_the_same_prompt_is_asked(asking: Asking) -> None:
    plain, _ = asking()
    blind, answers = asking("no-frames")
    for name, job in blind.items():
        assert job.frames is None
        texts = [part for turn in job.prompt.messages for part in turn.parts]
        assert all(isinstance(part, Text) for part in texts)
        had = [part for turn in plain[name].prompt.messages for part in turn.parts]
        assert texts == [part for part in had if isinstance(part, Text)]
        assert (answers[name].frames, answers[name].clip_sha256) == ((), None)


def test_another_source_is_shown_in_place_of_a_clip(asking: Asking) -> None:
    plain, _ = asking()
    swapped, answers = asking("swap")
    donors = asking.configuration("swap").donors
    assert donors == asking.configuration("swap").donors
    assert len({donor.video_id for donor in donors.values()}) > 1
    for name, pixels in shown(swapped).items():
        donor = donors[name]
        assert donor.source != name.partition("_")[0]
        assert np.array_equal(pixels, shown(plain)[donor.video_id])
        assert answers[name].shown_clip == donor.video_id
        assert answers[name].clip_sha256 == clip_sha256(donor.video)
    assert asking("swap")[1] == answers
    assert asking.configuration("swap", seed=1).donors != donors


def test_a_run_that_swaps_has_nothing_left_to_ask(asking: Asking) -> None:
    asking("swap")
    root = asking.root / "swap"
    with ExitStack() as stack:
        variant = stack.enter_context(opened(root, asking.configuration("swap")))
        notes = Notes()
        outcomes = asyncio.run(ask([variant], root, notes))
    assert not outcomes.asked
    assert notes.notes == []


def test_a_clip_that_cannot_be_decoded_is_shown_in_place_of_no_other(adapter: Path, tmp_path: Path) -> None:
    asking = Asking(adapter, make_dataset(tmp_path / "own", IDS), tmp_path)
    broken = asking.configuration("swap").donors[IDS[0]]
    assert broken.video is not None
    broken.video.write_bytes(b"no video")
    _, answers = asking("swap")
    assert answers.keys() == set(IDS) - {broken.video_id}
    assert broken.video_id not in {answer.shown_clip for answer in answers.values()}


def test_variants_of_a_run_are_shown_their_own_frames_of_one_decoding(asking: Asking) -> None:
    plain = shown(asking()[0])
    variants = ["plain", "reverse", "swap", "no-frames"]
    seen: dict[str, dict[str, Job]] = {name: {} for name in variants}

    class Sorting(Looking):
        """Keeps what each variant is shown."""

        async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
            async for job in jobs:
                own = next(name for name in variants if job.request.id not in seen[name])
                seen[own][job.request.id] = job
                yield [(job, Response(id=job.request.id, text=own))]

    with ExitStack() as stack:
        opened_variants = []
        for name in variants:
            one = asking.configuration(*([name] if name != "plain" else []))
            root = asking.root / "probe" / name
            opened_variants.append(stack.enter_context(opened(root, replace(one, engine=Sorting))))
        asyncio.run(ask(opened_variants, asking.root / "probe", Notes()))
    donors = asking.configuration("swap").donors
    for name in IDS:
        assert np.array_equal(shown(seen["plain"])[name], plain[name])
        assert np.array_equal(shown(seen["reverse"])[name], plain[name][::-1])
        assert np.array_equal(shown(seen["swap"])[name], plain[donors[name].video_id])
        assert seen["no-frames"][name].frames is None


def test_a_preview_shows_what_would_be_shown(asking: Asking) -> None:
    plain, back, none, swapped = (
        preview(asking.configuration(*given)) for given in ((), ("reverse",), ("no-frames",), ("swap",))
    )
    (was,), (now,), (nothing,), (other,) = (one.examples for one in (plain, back, none, swapped))
    assert now.frames == was.frames[::-1]
    assert len(other.frames) == len(was.frames)
    assert nothing.frames == ()
    assert all(isinstance(part, Text) for turn in nothing.prompt.messages for part in turn.parts)
    assert "uniform:4 reverse" in str(back)


def test_runs_that_swap_are_not_said_to_have_other_files(asking: Asking) -> None:
    asking()
    asking("swap")
    plain, swapped = (RunRecord.read(asking.root / name / "caption") for name in ("plain", "swap"))
    assert other_clips(plain, swapped) == []
    assert other_inputs(plain, swapped) == []


def test_a_run_with_transforms_is_no_submission(data: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"metrics": "ROUGE-L", "progress": None, "run": tmp_path / "r", "data": data}
    results = mb.evaluate("blind", transforms="reverse", tasks="caption", **given)
    with pytest.raises(RunError, match="shows changed frames"):
        pack(results.records["caption"], tmp_path / "packed")


def of_nearest_clip(data: Path, root: Path, transforms: str) -> RunRecord:
    given: dict[str, Any] = {"tasks": "caption", "metrics": "ROUGE-L", "progress": None}
    return mb.evaluate(
        "nearest-clip", data, run=root / (transforms or "plain"), transforms=transforms, **given
    ).records["caption"]


def texts(run: RunRecord) -> dict[str, str]:
    return {name: answer.answer for name, answer in run.answers.items()}


def test_a_baseline_that_looks_says_of_another_clip_what_is_true_of_it(data: Path, tmp_path: Path) -> None:
    captions = {clip.video_id: clip.caption for clip in mb.load_dataset(data).clips}
    swapped = of_nearest_clip(data, tmp_path, "swap")
    for name, answer in swapped.answers.items():
        assert answer.shown_clip is not None
        assert answer.shown_clip.partition("_")[0] != name.partition("_")[0]
        assert answer.answer == captions[answer.shown_clip], "the clip that is shown is one of the others"


def test_a_baseline_that_looks_sees_changed_frames(data: Path, tmp_path: Path) -> None:
    plain, mirrored, none, turned, whole = (
        of_nearest_clip(data, tmp_path, transforms)
        for transforms in ("", "mirror", "no-frames", "rotate:0", "rotate:360")
    )
    vectors = {
        name: {
            line["id"]: line["descriptor"]
            for _, line in read_journal(tmp_path / name / "caption" / "descriptors.jsonl")
        }
        for name in ("plain", "mirror")
    }
    cells = np.array(vectors["plain"][IDS[0]]).reshape(2, 8, 8, 3)
    assert np.allclose(np.array(vectors["mirror"][IDS[0]]).reshape(2, 8, 8, 3), cells[:, :, ::-1], atol=2e-6)
    assert {answer.answer for answer in none.answers.values()} == {""}
    assert all(answer.frames == () for answer in none.answers.values())
    assert texts(turned) == texts(whole)
    for name, answer in plain.answers.items():
        assert mirrored.answers[name].frames == answer.frames


def test_a_baseline_describes_what_is_left_alone(data: Path, tmp_path: Path) -> None:
    first = texts(of_nearest_clip(data, tmp_path, "swap"))
    file = tmp_path / "swap" / "caption" / "descriptors.jsonl"
    whole = file.read_text().splitlines(keepends=True)
    assert len(whole) == 2 * len(IDS), "the clips as they are, and what is shown in their place"
    file.write_text("".join(whole[:-2]))
    (file.parent / "journal.jsonl").unlink()
    assert texts(of_nearest_clip(data, tmp_path, "swap")) == first
    assert file.read_text() == "".join(whole)


def test_transforms_are_settings_that_lead_to_another_run(asking: Asking) -> None:
    one, other = asking.configuration(), asking.configuration("rotate:90", "shuffle")
    assert other.settings("caption").transforms == ("rotate:90", "shuffle")
    assert one.settings("caption").changed(other.settings("caption")) == "transforms"
    assert one.default_folder != other.default_folder


@pytest.fixture
def one_source(tmp_path: Path) -> Iterator[Path]:
    yield make_dataset(tmp_path / "one", ["a_000", "a_001"])


def test_without_another_source_nothing_is_asked(asking: Asking, one_source: Path) -> None:
    with pytest.raises(DataError, match="a_000: no other source has a clip with a video"):
        asking("swap", data=str(one_source))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"transforms": "spin"}, "--transforms: .*spin"),
        (
            {"transforms": "mirror", "model": "server:m", "media": "clip", "url": "http://h/v1"},
            "--media clip",
        ),
    ],
)
def test_what_cannot_be_transformed_is_refused(asking: Asking, options: dict[str, str], said: str) -> None:
    given = {name: value for name, value in asking.given.items() if name != "frames"}
    with pytest.raises(MicrogError, match=said):
        configure(Options.of({**given, **options}))
