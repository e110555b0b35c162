"""The messages of a run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import load
from microg_bench.prompts import find_template, read_template
from microg_bench.records import Answer, Image, Request, Text, Video
from microg_bench.runs.messages import Sent, sent
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import prompted
from microg_bench.settings import Media, Settings
from microg_bench.video.sampling import FrameSpec
from tests.helpers.datasets import record, write_annotations
from tests.pages.conftest import START, make_run, make_settings

OWN = 'id = "own"\nversion = 1\npurpose = "test"\ntask = "vqa"\nuser = "Now: {{ question }}"\n'


def run_of(folder: Path, model: str = "qwen2.5-vl", start: dict | None = None, **changed: Any) -> RunRecord:
    """A run of the questions about one clip; three frames were shown."""
    data = write_annotations(folder / "refs.json", [record("a_001")])
    adapter = find_adapter(model)
    made = {
        "model": model,
        "adapter_sha256": source_sha256(adapter),
        "frames": FrameSpec.parse(3),
        "prompt": find_template("vqa", "default").identity,
    }
    settings = make_settings("vqa", load(str(data)), **{**made, **changed})

    def said(request: Request, _number: int) -> Answer:
        return Answer(id=request.id, text="x", answer="x", frames=(0, 4, 8))

    return RunRecord.read(make_run(folder / "r", settings, data, said, start))


def sent_of(run: RunRecord) -> Sent:
    return sent(run, [item.request for item in run.items(run.dataset())])


def test_messages_are_those_of_the_adapter_and_the_template(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    requests = {item.request.id: item.request for item in run.items(run.dataset())}
    told = sent_of(run)
    assert told.prompts.keys() == requests.keys() and told.why == "" and told.example == "a_001#1"
    for name, prompt in told.prompts.items():
        *_, user = prompt.messages
        assert [type(part) for part in user.parts] == [Video, Text]
        text = user.parts[1]
        assert isinstance(text, Text)
        assert text.text == find_template("vqa", "default").render(requests[name]).user


def test_an_adapter_that_names_its_frames_is_told_those_that_were_shown(tmp_path: Path) -> None:
    prompt = sent_of(run_of(tmp_path, "gemma-3")).prompts["a_001#1"]
    images = [part.frame for message in prompt.messages for part in message.parts if isinstance(part, Image)]
    assert images == [0, 1, 2]


def test_a_model_that_was_asked_without_frames_was_sent_text_alone(tmp_path: Path) -> None:
    told = sent_of(run_of(tmp_path, transforms=["no-frames"]))
    parts = [part for one in told.prompts.values() for message in one.messages for part in message.parts]
    assert parts and all(isinstance(part, Text) for part in parts)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"adapter_sha256": "0" * 64}, "is another version"),
        ({"model": "gone"}, "not installed here"),
        ({"model": "own.py"}, "not installed here"),
        (
            {"prompt": {"id": "vqa-default", "version": 1, "hash": "00000000"}},
            "prompt of this run is not at hand",
        ),
    ],
)
def test_what_cannot_be_made_again_says_why(tmp_path: Path, changed: dict, why: str) -> None:
    run = run_of(tmp_path)
    run.settings = Settings.model_validate({**run.settings.model_dump(), **changed})
    told = sent_of(run)
    assert not told.prompts and why in told.why


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (None, "the clip, as one video"),
        ("images", "3 frames of the clip, each as an image of its own"),
        ("video", "the clip, as one video of 3 frames, each a JPEG image"),
        ("clip", "the clip, as its own file"),
    ],
)
def test_what_was_sent_of_a_clip_is_told(tmp_path: Path, kind: Any, words: str) -> None:
    media = None if kind is None else Media(kind=kind)
    assert sent_of(run_of(tmp_path, media=media)).clips["a_001#1"] == words


def test_messages_are_not_made_without_the_questions(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    told = sent(run, run.requests())
    assert not told.prompts and "questions are not at hand" in told.why


def test_an_adapter_s_file_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("raise SystemExit('imported')")
    assert sent_of(run_of(tmp_path, model="blind")).why.startswith("A baseline asks no model")
    run = RunRecord.read(tmp_path / "r")
    run.settings = run.settings.model_copy(update={"model": "own.py"})
    assert "not installed here" in sent_of(run).why


def test_another_prompt_than_the_one_that_was_noted_is_not_shown(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    request = run.items(run.dataset())[0].request
    noted = prompted(request, sent_of(run).prompts[request.id])
    for sha256, same in ((noted["sha256"], True), ("0" * 64, False)):
        run.starts = [{**START, "prompted": {**noted, "sha256": sha256}}]
        told = sent_of(run)
        assert bool(told.prompts) is same and ("now makes another prompt" in told.why) is not same


def test_a_template_in_a_file_is_used_while_its_words_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    run = run_of(tmp_path, prompt=read_template(file).identity)
    run.options = {**run.options, "prompt": str(file)}
    text = sent_of(run).prompts["a_001#1"].messages[0].parts[1]
    assert isinstance(text, Text) and text.text.startswith("Now: ")
    file.write_text(OWN.replace("Now", "Then"))
    assert "not at hand" in sent_of(run).why
    file.unlink()
    assert "cannot be made again" in sent_of(run).why
