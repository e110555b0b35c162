"""What a run about persons asks, and shows to each request."""

import shutil
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.dataset.load import SAMPLE_FOLDER, load
from microg_bench.errors import DataError, UsageError
from microg_bench.options import Options
from microg_bench.persons.dataset import ActionDataset
from microg_bench.records import Request, ShownPerson
from microg_bench.runs.configure import configure
from microg_bench.runs.frames import shown_alike
from microg_bench.runs.record import RunRecord


def test_each_person_is_shown_alone_and_all_other_requests_together() -> None:
    about = {"video_id": "a_000", "source": "a"}
    caption = Request(id="a_000", task="caption", **about)
    question = Request(id="a_000#1", task="vqa", question="Who?", **about)
    persons = [
        Request(id=f"a_000#p{k}", task="har", person=ShownPerson(frame=1, corners=(0, 0, k / 9, 1)), **about)
        for k in (1, 2)
    ]
    assert list(shown_alike([caption, question, *persons])) == [
        [caption, question],
        *([one] for one in persons),
    ]
    again = persons[0].model_copy(update={"id": "a_000#p3"})
    assert list(shown_alike([persons[0], again])) == [[persons[0]], [again]]


def test_settings_and_requests_tell_how_persons_are_shown() -> None:
    given = {"model": "blind", "data": "sample", "tasks": "vqa,har", "boxes": "crop"}
    one = configure(Options.of(given))
    assert one.settings("har").boxes == "crop"
    assert one.settings("vqa").boxes is None
    assert "boxes" not in one.settings("vqa").model_dump(mode="json")
    assert isinstance(one.dataset, ActionDataset)
    assert one.settings("har").fingerprint == one.dataset.truth.fingerprint
    assert one.settings("vqa").fingerprint == load("sample").fingerprint
    forms = {item.request.person.form for item in one.items["har"] if item.request.person}
    assert forms == {"crop"}


def test_a_dataset_that_was_loaded_without_its_persons_is_refused() -> None:
    with pytest.raises(UsageError, match="har takes the folder of a dataset"):
        mb.dry_run("blind", load("sample"), "har")


def test_a_run_is_scored_where_its_dataset_is_now_and_on_no_other(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    card = mb.evaluate("blind", "sample", "har", run=tmp_path / "r", progress=None)["har"]
    shutil.copytree(SAMPLE_FOLDER, moved)
    (again,) = mb.score(tmp_path / "r", data=moved)
    assert again.values() == card.values()
    actions = moved / "actions.csv"
    actions.write_text(actions.read_text().replace("pedestrians-c_000,r,1,14", "pedestrians-c_000,r,1,12"))
    with pytest.raises(DataError, match="was made on sample with fingerprint"):
        RunRecord.read(tmp_path / "r" / "har").dataset(moved)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": "har", "metrics": "ROUGE-L"}, "--metrics: does not apply to the task har"),
        ({"tasks": "har", "protocol": "coco"}, "--protocol: does not apply to the task har"),
        ({"tasks": "caption", "split": "all"}, "--split: does not apply: the task har is not asked"),
        ({"tasks": "caption", "boxes": "crop"}, "--boxes: does not apply: the task har is not asked"),
        ({"tasks": "vqa", "action_scores": "logprob"}, "--action-scores: does not apply"),
        ({"tasks": "har", "action_scores": "logprob"}, "--action-scores: logprob needs --logprobs"),
        (
            {"tasks": "har", "clips": "rocket-roll_000"},
            "--clips: rocket-roll_000: no annotated person of sample",
        ),
    ],
)
def test_what_does_not_apply_is_refused_before_anything_is_asked(given: dict[str, str], said: str) -> None:
    model = "nearest-clip" if given["tasks"] != "har" else "blind"
    with pytest.raises(UsageError) as caught:
        configure(Options.of({"model": model, "data": "sample", **given}))
    assert said in str(caught.value)


def test_frames_that_show_nobody_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-this-test")
    for name in ("no-frames", "swap"):
        options = {"model": "openai:m", "url": ("http://127.0.0.1:9/v1",), "tasks": "har"}
        with pytest.raises(UsageError, match=f"--transforms: {name} shows"):
            configure(Options.of({**options, "data": "sample", "transforms": name}))


def test_clips_without_a_person_are_told_where_other_tasks_ask_about_them() -> None:
    told: list[str] = []
    clips = ("rocket-roll_000", "pedestrians-c_000")
    given = {"model": "blind", "data": "sample", "tasks": "vqa,har", "clips": clips}
    one = configure(Options.of(given), note=told.append)
    assert {item.request.video_id for item in one.items["har"]} == {"pedestrians-c_000"}
    assert told == [
        "har leaves out 1 of 2 clips, without an annotated person of sample, test: rocket-roll_000"
    ]
