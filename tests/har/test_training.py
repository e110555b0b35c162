"""Training on the sample set: killed and resumed, in two processes, and the settings of a recipe."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from microg_bench.errors import DataError, EngineError, RunError, UsageError
from microg_bench.har.recipe import read_recipe
from microg_bench.har.trainer import Trainer, optimizer_of, rate_at
from microg_bench.har.training import best_of, estimate, fit, prepare, train
from microg_bench.persons.keyframes import KeyFrames
from microg_bench.progress import Progress
from microg_bench.video.pool import DecodePool
from tests.har.models.small import LABELS, SMALL, ready, sample, small_recipe

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path, epochs: int, *more: str, processes: int = 1) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    return [
        sys.executable,
        *(several if processes > 1 else []),
        "-m",
        "tests.har.train_small",
        str(folder),
        str(epochs),
        *more,
    ]


def run(folder: Path, epochs: int, *more: str, processes: int = 1) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        command(folder, epochs, *more, processes=processes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "state.pt", weights_only=True)["network"]
    return state


def without_times(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in curve.items() if name != "seconds"} for curve in result["curves"]]


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 4)
    killed = tmp_path / "killed"
    killed.mkdir()
    process = subprocess.Popen(
        command(killed, 4), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (killed / "state.pt").is_file() and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    epoch = torch.load(killed / "state.pt", weights_only=True)["epoch"]
    assert 1 <= epoch < 4
    resumed = run(killed, 4)
    assert without_times(resumed) == without_times(whole)
    first, second = weights(tmp_path / "whole"), weights(killed)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert (tmp_path / "whole" / "best.safetensors").read_bytes() == (
        killed / "best.safetensors"
    ).read_bytes()


def test_two_processes_give_the_loss_and_weights_of_one(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 2, "frozen")
    two = run(tmp_path / "two", 2, "frozen", processes=2)
    assert (one["world"], two["world"]) == (None, "2")
    losses = [[curve["loss"] for curve in result["curves"]] for result in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert one["curves"][-1]["mAP"] == pytest.approx(two["curves"][-1]["mAP"])
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert max((first[key].float() - second[key].float()).abs().max().item() for key in first) < 1e-4


class Notes(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def trainer(
    progress: Progress | None = None,
    train: KeyFrames | None = None,
    val: KeyFrames | None = None,
    *,
    training: dict[str, Any] | None = None,
    **options: Any,
) -> Trainer:
    torch.manual_seed(0)
    network = SMALL["slow"](len(LABELS))
    recipe = small_recipe(
        **{"dropout": 0.0, "clips": 4, "steps": (0,), "factors": (1.0,), **(training or {})}
    )
    parts = train or sample(), val or sample()
    return Trainer(network, recipe, *parts, LABELS, progress, cpu=True, **options)


def broken(key_frames: KeyFrames, count: int, folder: Path) -> KeyFrames:
    """The key frames, the first of which have videos that cannot be read."""
    (folder / "broken.mp4").write_text("no video")
    items = [replace(one, video=folder / "broken.mp4") for one in key_frames.items[:count]]
    return replace(key_frames, items=(*items, *key_frames.items[count:]))


def gradients(one: Trainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in one.network.parameters() if p.grad is not None])


def test_a_step_in_parts_has_the_loss_of_one_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = ready(sample(), small_recipe())[:4]
    steps = []
    for batch in (4, 1):
        one = trainer(batch=batch)
        one.network.eval()  # normalisation over the clips of a part would differ
        loss = one.step(clips, 0.0)
        steps.append((loss, gradients(one)))
    assert steps[0][0] == pytest.approx(steps[1][0], rel=1e-5)
    assert torch.allclose(steps[0][1], steps[1][1], atol=1e-5)


def test_a_step_in_which_a_process_has_no_clip_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = ready(sample(), small_recipe())[:2]
    one = trainer()
    before = [weights.clone() for weights in one.network.parameters()]
    for own, idle in (([], 0), (clips, 1)):  # here, and in another process
        with monkeypatch.context() as patch:
            patch.setattr(one, "_sum", lambda *own, idle=idle: [own[0] + 5, own[1] + idle])
            assert one.step(own, 0.1) is None
    assert all(map(torch.equal, before, one.network.parameters()))
    assert one.step(clips, 0.1) is not None
    assert not all(map(torch.equal, before, one.network.parameters()))


def test_where_memory_is_short_parts_are_smaller_which_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Notes()
    clips = ready(sample(), small_recipe())[:4]
    one = trainer(progress)
    forward = one.network.forward

    def short(frames: torch.Tensor, boxes: torch.Tensor, most: int = 2) -> torch.Tensor:
        if len(frames) > most:
            raise torch.OutOfMemoryError("no memory left on the device")
        result: torch.Tensor = forward(frames, boxes)
        return result

    monkeypatch.setattr(one.network, "forward", short)
    one.step(clips, 0.0)
    one.step(clips, 0.0)
    assert one.part == 2
    assert len(progress.said) == 1
    resumed = trainer()
    resumed.restore(one.state())
    assert resumed.part == 2
    monkeypatch.setattr(one.network, "forward", lambda frames, boxes: short(frames, boxes, 0))
    with pytest.raises(EngineError, match="not even one clip"):
        one.step(clips, 0.0)


def test_clips_that_cannot_be_read_are_left_out_counted_and_said(tmp_path: Path) -> None:
    progress, few = Notes(), replace(sample(), items=sample().items[:4])
    changes = {"clips": 2, "epochs": 2, "evaluate_every": 2}
    one = trainer(progress, broken(few, 2, tmp_path), broken(few, 1, tmp_path), training=changes, workers=1)
    trained = fit(one, tmp_path, {"model": "small"})
    assert [curve["failed"] for curve in trained.curves] == [2, 2]
    assert [curve.get("val_failed") for curve in trained.curves] == [None, 1]
    assert trained.fault == "5 key frames could not be read, in epochs 1, 2"
    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["failed"], row["val_failed"], row["batch"]) for row in rows] == [
        ("2", "", "2"),
        ("2", "1", "2"),
    ]
    assert "2 key frames could not be read" in progress.said[0]


def test_where_no_clip_can_be_read_it_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    few = replace(sample(), items=sample().items[:2])
    one = trainer(None, broken(few, 2, tmp_path), training={"epochs": 1}, workers=1)
    before = {name: value.clone() for name, value in one.network.state_dict().items()}
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match="none of 2 key frames could be read"):
        fit(one, tmp_path / "run", {"model": "small"})
    assert list((tmp_path / "run").iterdir()) == []
    with pytest.raises(DataError, match="none of 2 key frames could be read"):
        estimate(one)
    assert all(torch.equal(before[name], value) for name, value in one.network.state_dict().items())


def test_where_no_clip_of_the_validation_split_can_be_read_it_is_said(tmp_path: Path) -> None:
    progress, few = Notes(), replace(sample(), items=sample().items[:2])
    one = trainer(progress, few, broken(few, 2, tmp_path), training={"epochs": 1}, workers=1)
    trained = fit(one, tmp_path, {"model": "small"})
    assert trained.best_map is None
    assert "no mAP, as no key frame of the validation split could be read" in progress.said[0]
    assert trained.fault == "2 key frames could not be read, in epoch 1"


def test_rates_warm_up_and_step_down() -> None:
    training = read_recipe("SLOWONLY_4x16_R50", "paper").training
    assert rate_at(training, 0) == pytest.approx(1.25e-4)
    assert rate_at(training, 2.5) == pytest.approx((1.25e-4 + 0.1) / 2)
    assert [rate_at(training, epoch) for epoch in (5, 19.99, 20, 30, 40)] == pytest.approx(
        [0.1, 0.1, 0.01, 1e-3, 1e-4]
    )


def test_batch_normalisation_has_no_decay() -> None:
    network = SMALL["slow"](50)
    optimizer = optimizer_of(network, read_recipe("SLOWONLY_4x16_R50").training)
    counts = {
        group["weight_decay"]: sum(p.numel() for p in group["params"]) for group in optimizer.param_groups
    }
    norms = sum(p.numel() for name, p in network.named_parameters() if "bn" in name)
    assert counts == {0.0: norms, 1e-7: sum(p.numel() for p in network.parameters()) - norms}
    adam = optimizer_of(SMALL["mvit"](50), read_recipe("MVITv2_S_16x4").training)
    assert isinstance(adam, torch.optim.AdamW)
    assert {group["weight_decay"] for group in adam.param_groups} == {0.05}


def test_the_best_epoch_is_the_first_of_the_highest_map() -> None:
    curves: list[dict[str, float | None]] = [{"epoch": 1, "mAP": 3.0}, {"epoch": 2}, {"epoch": 3, "mAP": 5.0}]
    assert best_of([*curves, {"epoch": 4, "mAP": 5.0}])["epoch"] == 3
    assert best_of([{"epoch": 1}, {"epoch": 2, "mAP": None}])["epoch"] == 2


def test_rare_actions_weigh_more_only_on_request() -> None:
    assert trainer().positive is None
    recipe = small_recipe(weigh_actions=True)
    one = Trainer(SMALL["slow"](len(LABELS)), recipe, sample(), sample(), LABELS, cpu=True)
    assert one.positive is not None
    weight = dict(zip(LABELS.ids, one.positive.tolist(), strict=True))
    assert weight[43] == pytest.approx(35.0)  # one of 36 boxes shows it
    assert weight[14] == pytest.approx(1.0)  # 20 of them
    assert weight[1] == pytest.approx(36.0)


def test_options_change_the_recipe_and_another_training_is_refused(tmp_path: Path) -> None:
    _, settings = prepare("X3D_S", "sample", checkpoint="none", epochs=1, seed=3, cpu=True)
    assert (settings.recipe.training.epochs, settings.recipe.training.seed, settings.start) == (1, 3, "none")
    trained = train("X3D_S", "sample", run=tmp_path / "x", checkpoint="none", epochs=1, cpu=True)
    assert trained.best_epoch == 1
    assert trained.weights.is_file()
    again = train("X3D_S", "sample", run=tmp_path / "x", checkpoint="none", epochs=1, cpu=True)
    assert again.curves == trained.curves
    with pytest.raises(RunError, match=r"batch: is 7 there and 2 here"):
        train("X3D_S", "sample", run=tmp_path / "x", checkpoint="none", epochs=1, cpu=True, batch=2)
    with pytest.raises(RunError, match=r"epochs: is 1 there and 2 here"):
        train("X3D_S", "sample", run=tmp_path / "x", checkpoint="none", epochs=2, cpu=True)
    state = tmp_path / "x" / "state.pt"
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(RunError, match="damaged"):
        train("X3D_S", "sample", run=tmp_path / "x", checkpoint="none", epochs=1, cpu=True)
    with pytest.raises(UsageError, match="epochs"):
        prepare("X3D_S", "sample", checkpoint="none", epochs=0)
    with pytest.raises(UsageError, match="seed"):
        prepare("X3D_S", "sample", checkpoint="none", seed=2**63)


def test_boxes_of_files_are_trained_on_and_evaluated(tmp_path: Path) -> None:
    header = "video_id,frame,x1,y1,x2,y2,action\n"
    files = {name: tmp_path / f"{name}.csv" for name in ("train", "val")}
    for path, item in zip(files.values(), sample().items[:2], strict=True):
        rows = [
            f"{item.video_id},{item.frame},{','.join(map(str, box))},{action}\n"
            for box, actions in zip(item.boxes.tolist(), item.actions, strict=True)
            for action in actions
        ]
        path.write_text(header + "".join(rows))
    given: dict[str, Any] = {"checkpoint": "none", "cpu": True}
    alone, settings = prepare("X3D_S", "sample", train_boxes=files["train"], **given)
    assert [item.id for item in alone.items] == [sample().items[0].id]
    assert alone.val is None
    assert settings.val == ""
    with DecodePool(1) as pool:
        assert alone.evaluate(pool) == {}
    both, settings = prepare("X3D_S", "sample", train_boxes=files["train"], val_boxes=files["val"], **given)
    assert both.val is not None
    assert [item.id for item in both.val.items] == [sample().items[1].id]
    assert settings.val == both.val.fingerprint
    progress = Notes()
    prepare("X3D_S", "sample", train_boxes=files["val"], val_boxes=files["val"], progress=progress, **given)
    assert progress.said == ["1 clip is in both val.csv and val.csv"]
    with pytest.raises(UsageError, match="--train-boxes"):
        prepare("X3D_S", "sample", val_boxes=files["val"], **given)
    files["val"].write_text("video_id,frame,x1,y1,x2,y2\n" + ",".join([*rows[0].split(",")[:6]]) + "\n")
    with pytest.raises(DataError, match="no box has an action"):
        prepare("X3D_S", "sample", train_boxes=files["train"], val_boxes=files["val"], **given)
