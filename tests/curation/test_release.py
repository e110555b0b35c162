"""The dataset that reviews give is one: the other verbs read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microg_bench.curation.release import write_card, write_dataset
from microg_bench.curation.reviews import ClipReview, merge_reviews
from microg_bench.dataset.check import check
from microg_bench.dataset.labels import read_label_map
from microg_bench.dataset.load import load
from microg_bench.errors import DataError, RunError
from microg_bench.har.convert import read_sizes, to_ava
from tests.helpers.curations import make_curation
from tests.helpers.datasets import bench

pytestmark = pytest.mark.slow


def accepted(clip: str, *persons: tuple[int, ...], caption: str = "") -> ClipReview:
    actions = {number: frozenset(own) for number, own in enumerate(persons, start=1)}
    return ClipReview(clip, "ann", True, "", actions, caption)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    curation = make_curation(place / "station")
    reviews = [
        accepted("orbit_000", (12, 79), (17,), caption="Two people float."),
        accepted("film_000", (12,), caption="A person, =1+1, floats."),
        ClipReview("orbit_001", "ann", False, "cut"),
    ]
    write_dataset(curation, merge_reviews(curation, reviews), place / "data")
    return place / "data"


def test_the_dataset_has_what_was_accepted_and_no_more(dataset: Path) -> None:
    assert sorted(one.name for one in dataset.rglob("*.mp4")) == ["film_000.mp4", "orbit_000.mp4"]
    assert (dataset / "annotation_files" / "actions.csv").read_text().splitlines() == [
        "video_id,movie_or_real,person_id,action",
        "film_000,m,1,12",
        "orbit_000,r,1,12",
        "orbit_000,r,1,79",
        "orbit_000,r,2,17",
    ]
    boxes = (dataset / "annotation_files" / "bounding_boxes.csv").read_text()
    assert "orbit_001" not in boxes and boxes.count("orbit_000,") == 2 * 76
    original = dataset.parent / "station" / "videos" / "real" / "orbit" / "orbit_000.mp4"
    assert original.samefile(dataset / "videos" / "real" / "orbit" / "orbit_000.mp4")


def test_the_other_verbs_read_it(dataset: Path, tmp_path: Path) -> None:
    report = check(dataset)
    assert not [fault for fault in report.faults if fault.severity == "error"], report.faults
    assert [(clip.video_id, clip.caption) for clip in load(dataset).clips] == [
        ("film_000", "A person, =1+1, floats."),
        ("orbit_000", "Two people float."),
    ]
    files = dataset / "annotation_files"
    ava = to_ava(files / "bounding_boxes.csv", files / "actions.csv", read_sizes(dataset), read_label_map())
    assert len(ava.rows) == 4 and not ava.actions_without_box
    keys = (files / "key_frames.csv").read_text().splitlines()[1:]
    assert {(row.split(",")[0], row.split(",")[1]) for row in keys} == {
        ("film_000", "52"),
        ("orbit_000", "52"),
    }
    assert bench("data", "stats", "--data", dataset, cwd=tmp_path).returncode == 0
    run = ("caption", "--model", "blind", "--data", dataset, "--run", "r", "--metrics", "ROUGE-L")
    assert bench(*run, cwd=tmp_path).returncode == 0


def test_a_folder_that_is_there_is_left_alone(dataset: Path) -> None:
    curation = make_curation(dataset.parent / "again")
    with pytest.raises(RunError, match="exists"):
        write_dataset(curation, merge_reviews(curation, [accepted("orbit_000", (1,))]), dataset)
    with pytest.raises(DataError, match="no clip was accepted"):
        write_dataset(curation, merge_reviews(curation, []), dataset.parent / "none")


def test_the_card_tells_where_footage_is_from(dataset: Path) -> None:
    import yaml

    text = write_card(dataset, 'Life & "light"').read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["pretty_name"] == 'Life & "light"'
    assert "video-classification" in head["task_categories"]
    assert "|film|movie|NASA|public domain|" in text
    assert "2 clips" in text and "4 labels" in text and "2 captions" in text
    assert "The detector was ssd." in text
    assert json.loads((dataset / "curation.json").read_text())["recipe"]["trim"]["fps"] == 30


def test_footage_without_origin_is_not_released(tmp_path: Path) -> None:
    curation = make_curation(tmp_path / "station", origin="")
    reviews = [accepted("orbit_000", (12,), (12,)), accepted("film_000", (12,))]
    write_dataset(curation, merge_reviews(curation, reviews), tmp_path / "data")
    with pytest.raises(
        DataError, match=r"footage.csv: origin or licence of \w+ is not told \(and of 1 more\)"
    ):
        write_card(tmp_path / "data", "x")
    assert not (tmp_path / "data" / "README.md").exists()
