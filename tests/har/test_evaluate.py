"""Scores of action detections: the published values, a plain evaluation beside them, ties, and bad files."""

import gzip
import json
import lzma
from pathlib import Path

import pytest

from microg_bench import har
from microg_bench.errors import DataError
from tests.helpers import har_oracle
from tests.helpers.datasets import bench

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "har"
NAMES = ("mAP", "F1", "recall", "AUROC")
# Rows of the paper's Table 1; mAP of X3D is not determined, for its scores tie.
PUBLISHED = {
    "C2D_8x8_R50.test": (29.51, 8.09, 6.58, 83.49),
    "SLOWONLY_4x16_R50.test": (46.37, 28.72, 25.38, 88.30),
    "C2D_8x8_R50.val": (None, 12.52, 10.34, 82.86),
    "X3D_L.test": (None, 9.15, 7.47, 78.27),
}

needs_files = pytest.mark.skipif(
    not FILES.is_dir(), reason=f"{FILES} is absent: published detections not checked"
)


def truth_of(name: str) -> Path:
    return FILES / f"groundtruth_{name.rpartition('.')[2]}.csv.xz"


def report_of(name: str) -> har.Report:
    labels = har.read_label_map()
    detections = har.read_detections(FILES / f"{name}.csv.xz", labels)
    return har.evaluate(detections, har.read_ground_truth(truth_of(name), labels), labels, resamples=0)


@needs_files
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_detections_score_as_published(name: str) -> None:
    report = report_of(name)
    for metric, published in zip(NAMES, PUBLISHED[name], strict=True):
        if published is not None:
            assert report.scores[metric].value == pytest.approx(published, abs=0.01), metric


@needs_files
@pytest.mark.parametrize("name", ["C2D_8x8_R50.val", "X3D_L.test"])
def test_a_plain_evaluation_box_by_box_agrees(name: str) -> None:
    report = report_of(name)
    rows = har_oracle.read_rows(FILES / f"{name}.csv.xz")
    truth = har_oracle.read_rows(truth_of(name))
    labels = har.read_label_map()
    plain = har_oracle.evaluate(rows, truth, list(labels.ids))
    found = {metric: report.scores[metric].value for metric in NAMES}
    assert found == pytest.approx(plain, abs=1e-9)


@needs_files
def test_what_equal_scores_leave_open_is_told(tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    command = ("har", "score", "--detections", FILES / "X3D_L.test.csv.xz", "--out", out)
    done = bench(*command, "--groundtruth", truth_of("X3D_L.test"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "18.45 to" in done.stdout
    assert "23.55" in done.stdout
    scores = json.loads(out.read_text())["scores"]
    assert list(scores) == list(NAMES)
    assert scores["F1"]["value"] == pytest.approx(9.15, abs=0.01)


TRUTH = "a_001,0010,0.1,0.1,0.5,0.9,12,0\na_001,0010,0.1,0.1,0.5,0.9,17,0\nb_001,0010,0.2,0.2,0.6,0.8,12,0\n"


def detections_text(score: str = "1.5") -> str:
    ids = har.read_label_map().ids
    return "".join(
        f"{video},0010,{box},{number},{score}\n"
        for video, box in (("a_001", "0.1,0.1,0.5,0.9"), ("b_001", "0.2,0.2,0.6,0.8"))
        for number in ids
    )


def write(tmp_path: Path, detections: str, truth: str = TRUTH) -> tuple[Path, Path]:
    (tmp_path / "d.csv").write_text(detections)
    (tmp_path / "g.csv").write_text(truth)
    return tmp_path / "d.csv", tmp_path / "g.csv"


def scored(detections: Path, truth: Path) -> har.Report:
    labels = har.read_label_map()
    return har.evaluate(
        har.read_detections(detections, labels), har.read_ground_truth(truth, labels), labels, resamples=0
    )


def test_packed_files_are_read_as_plain_ones(tmp_path: Path) -> None:
    detections, truth = write(tmp_path, detections_text())
    plain = scored(detections, truth)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(detections.read_bytes()))
    (tmp_path / "g.csv.xz").write_bytes(lzma.compress(truth.read_bytes()))
    packed = scored(tmp_path / "d.csv.gz", tmp_path / "g.csv.xz")
    assert {name: one.value for name, one in packed.scores.items()} == {
        name: one.value for name, one in plain.scores.items()
    }
    assert plain.scores["recall"].value == pytest.approx(100 * 2 / 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(",1.5", ",nan", 1), "finite"),
        (lambda text: text.replace(",1.5", ",high", 1), "finite"),
        (lambda text: text.replace("0.1,0.1,0.5", "0.1,0.1,1.5", 1), "from 0 to 1"),
        (lambda text: text.replace("a_001", "../a", 1), "d.csv"),
        (lambda text: text.replace("b_001", "c_001"), "c_001"),
        (lambda text: "", "d.csv"),
        (lambda text: "one,two\n", "d.csv"),
    ],
)
def test_bad_detections_are_one_clear_line(tmp_path: Path, change: object, message: str) -> None:
    detections, truth = write(tmp_path, change(detections_text()))  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        scored(detections, truth)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    _, truth = write(tmp_path, detections_text())
    (tmp_path / "d.csv.xz").write_bytes(b"\xfd7zXZ\x00broken")
    with pytest.raises(DataError, match="d.csv.xz"):
        scored(tmp_path / "d.csv.xz", truth)
