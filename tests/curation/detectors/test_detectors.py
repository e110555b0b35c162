"""Detectors: found by name, and each finds what is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from microg_bench.curation.detectors.base import Thresholds, find_detector
from microg_bench.curation.detectors.hog import Hog
from microg_bench.curation.detectors.hub import HubDetector
from microg_bench.curation.recipe import read_curation_recipe
from microg_bench.errors import EngineError, UsageError
from microg_bench.torchvision_repair import ensure_torchvision
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from tests.helpers.scripted_detector import Scripted
from tests.helpers.ssd import Ssd

SETTINGS = read_curation_recipe("paper").tracks


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    facts = tmp_path / "lab-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return facts / "entry_points.txt"


def points(file: Path, **values: str) -> None:
    file.write_text(
        "[microg_bench.detectors]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
    )


def test_a_detector_of_another_package_is_found_by_its_name(plugin: Path) -> None:
    points(plugin, mine="tests.helpers.scripted_detector:Scripted")
    assert find_detector("mine") is Scripted
    assert find_detector("hog") is Hog
    with pytest.raises(UsageError, match=r"--detector: unknown detector 'yolo'.*d-fine.*"):
        find_detector("yolo")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("tests.helpers.scripted_detector:BRIGHT", "is no detector"),
        ("tests.helpers.no_such_module:It", "No module named"),
    ],
)
def test_what_is_no_detector_is_refused(plugin: Path, value: str, reason: str) -> None:
    points(plugin, mine=value)
    with pytest.raises(UsageError, match=f"--detector: mine .*{reason}"):
        find_detector("mine")


def test_two_detectors_of_one_name_are_refused(plugin: Path) -> None:
    points(plugin, hog="tests.helpers.scripted_detector:Scripted")
    with pytest.raises(UsageError, match="two packages register hog"):
        find_detector("hog")


@pytest.fixture(scope="module")
def street(shared: Path) -> NDArray[np.uint8]:
    return decode(shared / "media" / "vtest.avi", FrameSpec.parse(4, "uniform")).pixels


def test_hog_finds_people_who_stand(street: NDArray[np.uint8]) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    detector = Hog()
    found = detector.detect(street)
    height, width = street.shape[1:3]
    for boxes in found:
        assert boxes.shape[1] == 5 and len(boxes) >= 1
        assert (boxes[:, :2] < boxes[:, 2:4]).all() and (boxes >= 0).all()
        assert (boxes[:, [0, 2]] <= width).all() and (boxes[:, [1, 3]] <= height).all()
        assert ((boxes[:, 4] > 0.5) & (boxes[:, 4] < 1)).all()
    assert detector.detect(np.zeros((1, 240, 320, 3), np.uint8))[0].shape == (0, 5)
    assert detector.facts()["opencv"].startswith("4.")


def test_tracks_are_those_of_a_plain_run_of_the_library(street: NDArray[np.uint8], shared: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    supervision = pytest.importorskip("supervision", reason="the extra curate is not installed")
    trackers = pytest.importorskip("trackers", reason="the extra curate is not installed")
    frames = decode(shared / "media" / "vtest.avi", FrameSpec.parse(None, "fps:10")).pixels[:30]
    detector = Ssd()
    found = detector.detect(frames)
    plain = trackers.BoTSORTTracker(
        lost_track_buffer=30,
        track_activation_threshold=Ssd.thresholds.new,
        high_conf_det_threshold=Ssd.thresholds.high,
        minimum_iou_threshold_first_assoc=0.2,
    )
    tracks = set()
    for frame, boxes, rows in zip(frames, found, detector.track(frames, found, SETTINGS), strict=True):
        known = supervision.Detections(
            boxes[:, :4], confidence=boxes[:, 4], class_id=np.zeros(len(boxes), int)
        )
        wanted = plain.update(known, frame[:, :, ::-1].copy())
        assert np.array_equal(rows[:, :4], wanted.xyxy.reshape(-1, 4))
        assert np.array_equal(rows[:, 5], wanted.tracker_id)
        tracks |= set(rows[:, 5]) - {-1}
    assert len(tracks) > 3, "several people are followed"


def test_a_person_who_moves_keeps_the_track() -> None:
    pytest.importorskip("trackers", reason="the extra curate is not installed")
    frames = np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), dtype=np.uint8)
    found = [np.array([[20 + 3 * k, 40, 90 + 3 * k, 200, 0.9], [200, 30, 260, 180, 0.8]]) for k in range(20)]
    rows = Scripted.track(object.__new__(Scripted), frames, found, SETTINGS)
    assert {len({int(one[5]) for one in own}) for own in rows} == {2}
    by_left = [[int(one[5]) for one in own[np.argsort(own[:, 0])]] for own in rows]
    assert len({tuple(own) for own in by_left}) == 1


def build(folder: Path, labels: dict[int, str]) -> str:
    """A tiny D-FINE with random weights and a processor."""
    import torch
    import transformers

    ensure_torchvision()
    torch.manual_seed(0)
    backbone = transformers.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 16, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 16, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage3", "stage4"],
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 16, 32],
    )
    config = transformers.DFineConfig(
        backbone_config=backbone,
        encoder_in_channels=[16, 32],
        feat_strides=[16, 32],
        encoder_hidden_dim=16,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        encode_proj_layers=[1],
        num_feature_levels=2,
        d_model=16,
        decoder_in_channels=[16, 16],
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        decoder_layers=2,
        decoder_n_points=[2, 2],
        num_queries=12,
        num_denoising=0,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    transformers.DFineForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
def test_a_checkpoint_of_the_hub_finds_persons_only(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    frames = np.random.default_rng(0).integers(0, 255, (10, 48, 80, 3), dtype=np.uint8)

    def found(labels: dict[int, str]) -> list[NDArray[np.float64]]:
        class Tiny(HubDetector):
            name = "tiny"
            checkpoint: ClassVar[str] = build(tmp_path / "-".join(labels.values()), labels)
            thresholds = Thresholds(present=0.5, track=0.5, high=0.5, new=0.5)

        detector = Tiny("cpu")
        assert detector.facts().keys() >= {"checkpoint", "transformers", "torch"}
        return detector.detect(frames)

    both = found({0: "person", 1: "cup"})
    assert len(both) == 10
    for boxes in both:
        assert boxes.shape[1] == 5
        assert (boxes[:, :4] >= 0).all() and (boxes[:, [0, 2]] <= 80).all() and (boxes[:, [1, 3]] <= 48).all()
        assert (boxes[:, 4] > 0.1).all()
    other = found({0: "cup", 1: "Person"})
    assert sum(map(len, both)) + sum(map(len, other)) > 0
    with pytest.raises(EngineError, match="has no class person"):
        found({0: "cat", 1: "cup"})


def test_a_checkpoint_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")

    class Gone(HubDetector):
        name = "gone"
        checkpoint: ClassVar[str] = "/nowhere/at/all"
        thresholds = Thresholds(present=0.5, track=0.5, high=0.5, new=0.5)

    with pytest.raises(EngineError, match="/nowhere/at/all: cannot be loaded"):
        Gone()
    assert "tests.helpers.ssd" in sys.modules
