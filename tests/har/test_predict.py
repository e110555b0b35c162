"""Predictions on the sample set: journal, resumption, batches, and the file that is scored."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from microg_bench import har
from microg_bench.errors import DataError, EngineError, RunError, UsageError
from microg_bench.har.checkpoints import save_weights
from microg_bench.har.clips import ClipTensors
from microg_bench.har.logits import logits_of
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.predict import PredictOptions, Recogniser, load_recogniser, predict, settings_of
from microg_bench.har.recipe import read_recipe
from microg_bench.har.runs import AVA_ACTIONS, Recognition, detections_of, read_logits
from microg_bench.har.runs import recognition as recognition_of
from microg_bench.persons.boxes import read_detections, write_detections
from microg_bench.persons.keyframes import KeyFrames
from microg_bench.progress import Progress
from tests.har.models.small import LABELS, SMALL, sample, small_recipe

pytestmark = pytest.mark.heavy


def recogniser(
    network: ActionNetwork | None = None, actions: tuple[int, ...] = LABELS.ids, **more: Any
) -> Recogniser:
    torch.manual_seed(0)
    network = network or SMALL["slow"](len(actions))
    return Recogniser(network.eval(), small_recipe(), actions, "small.safetensors", "0" * 64, **more)


def options(**changes: Any) -> PredictOptions:
    return PredictOptions(checkpoint="small", device="cpu", **{"workers": 1, **changes})


class Notes(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def recognition(
    folder: Path, key_frames: KeyFrames, one: Recogniser, progress: Progress | None = None, **changes: Any
) -> Recognition:
    given = options(split="all", **changes)
    logits = predict(one, key_frames, folder, given, progress)
    found = recognition_of(folder, settings_of(one, key_frames, given), key_frames, logits, LABELS)
    write_detections(found.path, found.detections, LABELS)
    return found


class Precision(torch.nn.Module):
    """Keeps whether convolutions on a GPU would be rounded, and gives one logit a box."""

    def __init__(self) -> None:
        super().__init__()
        self.rounded: list[bool] = []

    def forward(self, frames: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        self.rounded.append(torch.backends.cudnn.allow_tf32)
        return boxes[:, :1]


def test_a_gpu_computes_in_whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    network: Any = Precision()
    one = ClipTensors(sample().items[0], torch.zeros(3, 4, 8, 8), torch.zeros(1, 4), (0,))
    for before in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
        logits_of(network, torch.device("cpu"), [one])
        assert torch.backends.cudnn.allow_tf32 is before
    assert network.rounded == [False, False]


def test_what_is_written_scores_as_what_was_computed(tmp_path: Path) -> None:
    key_frames = sample()
    found = recognition(tmp_path / "run", key_frames, recogniser())
    card = found.scorecard(resamples=0)
    assert (card.recipe, card.model and card.model.name) == ("fixed", "SLOWONLY_4x16_R50")
    assert card.har is not None
    assert card.har.checkpoint == "small.safetensors"
    assert (card.status, card.items) == ("complete", 36)
    assert key_frames.truth is not None
    again = har.evaluate(read_detections(found.path, LABELS), key_frames.truth, LABELS, resamples=0)
    assert again.values() == card.values()
    first = found.path.read_text().splitlines()[0].split(",")
    assert first[:3] == ["astronaut-drift_000", "46", "0.0"]
    assert len(found.path.read_text().splitlines()) == 36 * 50


class Stopping(Progress):
    """Ends the process, as far as the run is concerned, after some key frames."""

    def __init__(self, after: int) -> None:
        self.left, self.done = after, 0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.done = done

    def advance(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    key_frames = sample()
    whole = predict(recogniser(), key_frames, tmp_path / "whole", options(batch=1))
    with pytest.raises(KeyboardInterrupt):
        predict(recogniser(), key_frames, tmp_path / "run", options(batch=1), Stopping(4))
    with (tmp_path / "run" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"video_id": "torn')
    again = Stopping(100)
    resumed = predict(recogniser(), key_frames, tmp_path / "run", options(batch=1), again)
    assert again.done == 4
    assert again.left == 100 - 6
    assert {key: value.tolist() for key, value in resumed.items()} == {
        key: value.tolist() for key, value in whole.items()
    }


def test_the_size_of_a_batch_moves_nothing_but_rounding(tmp_path: Path) -> None:
    key_frames = sample()
    one, many = (
        predict(recogniser(), key_frames, tmp_path / str(size), options(batch=size)) for size in (1, 4)
    )
    assert one.keys() == many.keys() == {item.key for item in key_frames.items}
    assert all(np.allclose(one[key], many[key], atol=1e-4) for key in one)


def test_another_run_in_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    predict(recogniser(), sample("test"), tmp_path / "run", options())
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    for other, key_frames, said in (
        (Recogniser(**{**vars(recogniser()), "sha256": "1" * 64}), sample("test"), "sha256: is "),
        (recogniser(), sample("val"), "looked at other key frames"),
    ):
        with pytest.raises(RunError, match=said):
            predict(other, key_frames, tmp_path / "run", options())
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_a_line_that_is_none_is_refused(tmp_path: Path) -> None:
    predict(recogniser(), sample("test"), tmp_path / "run", options())
    path = tmp_path / "run" / "journal.jsonl"
    path.write_text(path.read_text() + json.dumps({"video_id": "a", "frame": "x", "logits": []}) + "\n")
    with pytest.raises(RunError, match="line 3"):
        predict(recogniser(), sample("test"), tmp_path / "run", options())


def test_where_memory_is_short_batches_are_halved_and_it_is_said_once(tmp_path: Path) -> None:
    notes: list[str] = []

    class Notes(Progress):
        def note(self, text: str) -> None:
            notes.append(text)

    class Small(torch.nn.Module):
        def __init__(self, most: int) -> None:
            super().__init__()
            self.most, self.network = most, SMALL["slow"](50)

        def forward(self, frames: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
            if len(frames) > self.most:
                raise torch.OutOfMemoryError("no memory left")
            logits: torch.Tensor = self.network(frames, boxes)
            return logits

    key_frames = sample()
    found = predict(recogniser(Small(2)), key_frames, tmp_path / "a", options(batch=4), Notes())  # type: ignore[arg-type]
    assert len(found) == len(key_frames)
    assert len(notes) == 1
    with pytest.raises(EngineError, match="not even one clip"):
        predict(recogniser(Small(0)), key_frames, tmp_path / "b", options(batch=4))  # type: ignore[arg-type]


def test_a_clip_that_cannot_be_decoded_has_no_detections_and_the_scorecard_says_so(tmp_path: Path) -> None:
    items = list(sample().items)
    broken = tmp_path / f"{items[0].video_id}.mp4"
    broken.write_bytes(items[0].video.read_bytes()[:4000])
    items[0] = type(items[0])(**{**vars(items[0]), "video": broken})
    found = recognition(
        tmp_path / "run", KeyFrames(tuple(items), "sample, all", sample().truth), recogniser()
    )
    assert found.failed == 1
    card = found.scorecard(resamples=0)
    assert card.status.startswith("1 of 10 key frames")
    assert not card.complete


def test_numbers_that_are_not_finite_are_failures_and_never_written(tmp_path: Path) -> None:
    network = SMALL["slow"](50)
    with torch.no_grad():
        network.head.projection.bias.fill_(torch.inf)
    found = predict(recogniser(network), sample("test"), tmp_path / "run", options())
    assert found == {}
    assert not (tmp_path / "run" / "journal.jsonl").exists()


def test_the_folder_of_a_training_is_not_that_of_a_prediction(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(RunError, match=r"training\.json"):
        predict(recogniser(), sample("test"), tmp_path, options())


def test_the_same_weights_in_another_file_resume(tmp_path: Path) -> None:
    first = predict(recogniser(), sample("test"), tmp_path / "run", options())
    moved = Recogniser(**{**vars(recogniser()), "checkpoint": "moved.safetensors"})
    again = Stopping(100)
    assert predict(moved, sample("test"), tmp_path / "run", options(), again).keys() == first.keys()
    assert again.left == 100


def test_outputs_of_ava_become_the_actions_of_the_label_map(tmp_path: Path) -> None:
    key_frames = sample("test")
    one = recogniser(SMALL["slow"](80), AVA_ACTIONS)
    logits = predict(one, key_frames, tmp_path / "run", options())
    detections = detections_of(key_frames, logits, one.actions, LABELS, "ava")
    assert detections.scores.shape == (key_frames.boxes, 50)
    raw = np.concatenate([logits[item.key] for item in key_frames.items])
    assert np.array_equal(detections.scores, raw[:, np.array(LABELS.ids) - 1])
    with pytest.raises(DataError, match="no output"):
        detections_of(key_frames, logits, (2, 4), LABELS, "other")


def saved(path: Path, outputs: int, **facts: str) -> Path:
    from microg_bench.har.checkpoints import build

    save_weights(path, build(read_recipe("X3D_S"), outputs), facts)
    return path


def test_weights_for_other_actions_are_refused(tmp_path: Path) -> None:
    recipe = read_recipe("X3D_S")
    assert load_recogniser(recipe, saved(tmp_path / "a", 80), LABELS).actions == AVA_ACTIONS
    assert load_recogniser(recipe, saved(tmp_path / "b", 50), LABELS).actions == LABELS.ids
    with pytest.raises(DataError, match="400 outputs"):
        load_recogniser(recipe, saved(tmp_path / "c", 400), LABELS)
    with pytest.raises(DataError, match="another label map"):
        load_recogniser(recipe, saved(tmp_path / "d", 50, labels="of another label map"), LABELS)
    with pytest.raises(UsageError, match="trained by the recipe fixed"):
        load_recogniser(read_recipe("X3D_S", "paper"), saved(tmp_path / "f", 50, recipe="fixed"), LABELS)
    with pytest.raises(DataError, match="of C2D"):
        load_recogniser(recipe, saved(tmp_path / "e", 50, model="C2D_8x8_R50"), LABELS)
    with pytest.raises(UsageError, match="batch"):
        har.recognise("X3D_S", "sample", checkpoint=str(tmp_path / "b"), batch=0)


def test_a_clip_whose_file_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    key_frames, one = sample(), recogniser()
    clip, other, *_ = dict.fromkeys(item.video_id for item in key_frames.items)
    first = recognition(tmp_path / "run", key_frames, one)
    copy = shutil.copy(next(item.video for item in key_frames.items if item.video_id == other), tmp_path)
    items = tuple(
        replace(item, video=Path(copy)) if item.video_id == clip else item for item in key_frames.items
    )
    heard = Notes()
    again = recognition(tmp_path / "run", replace(key_frames, items=items), one, progress=heard)
    assert heard.notes == [f"the video files of {clip} have changed since they were looked at"]
    assert again.failed == 0
    rows = first.detections.video_ids == clip
    assert not np.array_equal(first.detections.scores[rows], again.detections.scores[rows])
    assert np.array_equal(first.detections.scores[~rows], again.detections.scores[~rows])


def test_shards_look_at_their_part_and_give_the_logits_of_the_whole(tmp_path: Path) -> None:
    key_frames, one = sample(), recogniser()
    whole = recognition(tmp_path / "whole", key_frames, one)
    parts = [recognition(tmp_path / str(k), key_frames, one, shard=f"{k}/2") for k in (1, 2)]
    assert [found.failed for found in parts] == [0, 0]
    assert sum(len(found.detections.scores) for found in parts) == len(whole.detections.scores)
    with pytest.raises(RunError, match="shard: is 1/2 there and 2/2 here"):
        recognition(tmp_path / "1", key_frames, one, shard="2/2")
    merged = read_logits(tmp_path / "1", key_frames)[0] | read_logits(tmp_path / "2", key_frames)[0]
    for key, logits in read_logits(tmp_path / "whole", key_frames)[0].items():
        # A batch of other clips rounds otherwise.
        assert merged[key] == pytest.approx(logits, abs=2e-6)
