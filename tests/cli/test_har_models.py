"""`har models`, `har predict`, `har run` and `har train` from the command line, on the sample set."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("torch")

import numpy as np

from microg_bench.dataset.load import SAMPLE_FOLDER
from microg_bench.har import read_detections, read_label_map
from microg_bench.har.checkpoints import build, save_weights
from microg_bench.har.recipe import MODELS, read_recipe
from microg_bench.storage import file_sha256
from tests.helpers.datasets import bench

pytestmark = pytest.mark.heavy
BOXES = "pedestrians-c_000,46,0.6,0.4,0.7,0.7,14,1\npedestrians-c_000,46,0.8,0.4,0.9,0.7,12,2\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, build(read_recipe("X3D_S"), 50), {"model": "X3D_S"})
    return path


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    (tmp_path / "boxes.csv").write_text(BOXES)
    return tmp_path / "boxes.csv"


def test_models_and_the_faults_of_published_rows_are_listed(tmp_path: Path) -> None:
    done = bench("har", "models", cwd=tmp_path)
    assert done.returncode == 0
    for model in MODELS:
        assert len(re.findall(rf"^{model} ", done.stdout, re.MULTILINE)) == 2
    assert "kinetics/SLOWONLY_4x16_R50" in done.stdout
    assert "ava/SLOWFAST_32x2_R101_50_50" in done.stdout
    assert "bias of the head" in re.sub(r"\s+", " ", done.stdout)


def test_what_is_predicted_is_what_har_score_reads(tmp_path: Path, weights: Path, boxes: Path) -> None:
    given = (
        "--model",
        "X3D_S",
        "--checkpoint",
        weights,
        "--data",
        "sample",
        "--boxes",
        boxes,
        "--device",
        "cpu",
    )
    done = bench("har", "predict", *given, "--run", "r", "--out", "found.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = (tmp_path / "found.csv").read_text()
    assert len(found.splitlines()) == 100
    assert found == (tmp_path / "r" / "X3D_S.boxes.csv").read_text()
    scored = bench(
        "har", "score", "--detections", "found.csv", "--groundtruth", boxes, "--out", "a.json", cwd=tmp_path
    )
    assert scored.returncode == 0, scored.stderr
    journal = (tmp_path / "r" / "journal.jsonl").read_bytes()
    ran = bench("har", "run", *given, "--run", "r", cwd=tmp_path)  # computes nothing again
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "r" / "journal.jsonl").read_bytes() == journal
    card, alone = (json.loads((tmp_path / name).read_text()) for name in ("r/scorecard.json", "a.json"))
    assert card["recipe"] == "fixed"
    assert card["har"]["checkpoint"] == "small.safetensors"
    assert card["har"]["checkpoint_sha256"] == file_sha256(weights)
    found_sha256 = file_sha256(tmp_path / "r" / "X3D_S.boxes.csv")
    assert card["har"]["detections_sha256"] == alone["har"]["detections_sha256"] == found_sha256
    values = [{name: one["value"] for name, one in each["scores"].items()} for each in (card, alone)]
    assert values[0] == values[1]
    table = bench("tables", "--har", "r/scorecard.json", "--format", "json", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert "recipe fixed" in table.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--checkpoint": "nothing.pth"}, "no such file"),
        ({"--model": "SLOWONLY"}, "SLOWONLY_8x8_R50"),
        ({"--checkpoint": __file__}, "no checkpoint of a known layout"),
        ({"--checkpoint": "."}, "is a folder"),
        ({"--split": "val"}, "--boxes"),
        ({"--data": "nowhere"}, "nowhere"),
        ({"--boxes": "no.csv"}, "no.csv"),
        ({"--device": "tpu9"}, "--device"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(
    tmp_path: Path, weights: Path, boxes: Path, changes: dict[str, str], said: str
) -> None:
    given = {
        "--model": "X3D_S",
        "--checkpoint": str(weights),
        "--data": "sample",
        "--boxes": str(boxes),
        **changes,
    }
    done = bench(
        "har", "predict", *(word for pair in given.items() for word in pair), "--run", "r", cwd=tmp_path
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


def test_boxes_without_actions_are_not_scored_and_not_looked_at(tmp_path: Path, weights: Path) -> None:
    (tmp_path / "bare.csv").write_text("pedestrians-c_000,46,0.6,0.4,0.7,0.7\n")
    given = ("--model", "X3D_S", "--checkpoint", weights, "--data", "sample", "--boxes", "bare.csv")
    done = bench("har", "run", *given, "--run", "r", cwd=tmp_path)
    assert done.returncode == 1
    assert "bare.csv: no box has an action" in done.stderr and "har predict" in done.stderr
    assert not (tmp_path / "r").exists()


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    for verb in (["predict", "--checkpoint", "a"], ["train", "--run", "r"]):
        done = bench("har", *verb, "--model", "X3D_S", "--data", "sample", cwd=tmp_path, env=environment)
        assert done.returncode != 0
        assert "pip install 'microg-bench[har]'" in done.stderr
    assert bench("har", "models", cwd=tmp_path, env=environment).returncode == 0


def test_a_training_is_estimated_run_and_predicted_with(tmp_path: Path, boxes: Path) -> None:
    one_thread = {"OMP_NUM_THREADS": "1"}  # more of them wait for one another where cores are shared
    given = (
        "--model",
        "X3D_S",
        "--data",
        "sample",
        "--checkpoint",
        "none",
        "--epochs",
        "1",
        "--cpu",
        "--run",
        "t",
    )
    estimate = bench("har", "train", *given, "--dry-run", cwd=tmp_path, env=one_thread)
    assert estimate.returncode == 0, estimate.stderr
    assert "7 key frames with 26 boxes" in re.sub(r"\s+", " ", estimate.stdout)
    assert not (tmp_path / "t").exists()
    done = bench("har", "train", *given, cwd=tmp_path, env=one_thread)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "t").iterdir()}
    assert {"best.safetensors", "curves.csv", "curves.html", "state.pt", "training.json"} <= names
    page = (tmp_path / "t" / "curves.html").read_text()
    assert '"epoch":1' in page
    used = ("--model", "X3D_S", "--checkpoint", "t/best.safetensors", "--data", "sample", "--boxes", boxes)
    ran = bench("har", "run", *used, "--device", "cpu", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "actions" / "X3D_S.fixed.boxes" / "scorecard.json").is_file()


def test_a_training_that_could_not_read_a_clip_ends_so(tmp_path: Path) -> None:
    data = Path(shutil.copytree(SAMPLE_FOLDER, tmp_path / "data"))
    next(data.rglob("pedestrians-a_000.*")).write_text("no video")
    (tmp_path / "one.csv").write_text("pedestrians-a_000,46,0.5,0.4,0.7,0.7,14\n")
    (tmp_path / "two.csv").write_text(
        (tmp_path / "one.csv").read_text() + BOXES.replace(",1\n", "\n").replace(",2\n", "\n")
    )
    given = ("--model", "X3D_S", "--data", "data", "--checkpoint", "none", "--epochs", "1", "--cpu")
    done = bench("har", "train", *given, "--train-boxes", "two.csv", "--run", "t", cwd=tmp_path)
    assert done.returncode == 1
    assert "t: 1 key frame could not be read, in epoch 1" in done.stderr
    assert done.stdout.startswith("1 epoch\n")
    assert (tmp_path / "t" / "best.safetensors").is_file()
    for more in (["--dry-run"], []):
        done = bench("har", "train", *given, "--train-boxes", "one.csv", "--run", "u", *more, cwd=tmp_path)
        assert done.returncode == 1
        assert "none of 1 key frame could be read: nothing was trained on" in done.stderr
        assert not list(tmp_path.glob("u/best.*"))


def test_two_processes_share_the_key_frames_and_write_once(
    tmp_path: Path, weights: Path, boxes: Path
) -> None:
    boxes.write_text(BOXES + "pedestrians-a_000,46,0.5,0.4,0.7,0.7,14,1\n")
    given = (
        "--model",
        "X3D_S",
        "--checkpoint",
        weights,
        "--data",
        "sample",
        "--boxes",
        boxes,
        "--device",
        "cpu",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}

    def one(rank: int) -> subprocess.CompletedProcess[str]:
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
        return bench("har", "run", *given, "--run", "two", cwd=tmp_path, env={**shared, **ranks})

    with ThreadPoolExecutor(2) as both:
        first, second = both.map(one, range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "scorecard" in first.stdout
    assert second.stdout == ""
    journals = [
        (tmp_path / "two" / name).read_text().splitlines() for name in ("journal.jsonl", "journal-1.jsonl")
    ]
    assert [len(lines) for lines in journals] == [1, 1]
    alone = bench("har", "run", *given, "--run", "one", cwd=tmp_path)
    assert alone.returncode == 0
    found = [
        read_detections(tmp_path / name / "X3D_S.boxes.csv", read_label_map()) for name in ("one", "two")
    ]
    assert found[0].images == found[1].images
    assert np.allclose(found[0].scores, found[1].scores, atol=1e-4)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path, weights: Path) -> None:
    given = (
        "--model",
        "X3D_S",
        "--checkpoint",
        weights,
        "--data",
        "sample",
        "--split",
        "all",
        "--device",
        "cpu",
    )
    command = [
        sys.executable,
        "-m",
        "microg_bench",
        "har",
        "predict",
        *map(str, given),
        "--batch",
        "1",
        "--run",
        "r",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "r" / "journal.jsonl"
    while process.poll() is None and not (journal.is_file() and journal.read_bytes()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command" in said
    assert "Traceback" not in said
    assert 1 <= len(journal.read_text().splitlines()) < 10
