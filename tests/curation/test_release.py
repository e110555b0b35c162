"""The dataset that reviews give is one: the other verbs read it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from microg_bench.curation.folder import CurationFolder
from microg_bench.curation.release import write_card, write_dataset
from microg_bench.curation.reviews import COLUMNS, ClipReview, fingerprint, merge_reviews
from microg_bench.curation.stages import judged_otherwise, keys
from microg_bench.dataset.check import check
from microg_bench.dataset.labels import read_label_map
from microg_bench.dataset.load import load
from microg_bench.errors import DataError, RunError
from microg_bench.persons.convert import read_sizes, to_ava
from tests.helpers.curations import make_curation
from tests.helpers.datasets import bench

pytestmark = pytest.mark.heavy


def accepted(clip: str, *persons: tuple[int, ...], caption: str = "") -> ClipReview:
    actions = {number: frozenset(own) for number, own in enumerate(persons, start=1)}
    return ClipReview(clip, "ann", True, "", actions, caption, {"crew": "Ann, Ben"} if caption else {})


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
        "video_id,movie_or_real,person_id,action,motion",
        "film_000,m,1,12,low",
        "orbit_000,r,1,12,low",
        "orbit_000,r,1,79,low",
        "orbit_000,r,2,17,low",
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


def test_what_captions_rest_on_is_kept(dataset: Path) -> None:
    assert (dataset / "annotation_files" / "caption_sources.csv").read_text().splitlines() == [
        "video_id,mission,crew,place,equipment",
        'film_000,,"Ann, Ben",,',
        'orbit_000,,"Ann, Ben",,',
    ]


def test_a_dataset_without_captions_is_read_too(tmp_path: Path) -> None:
    curation = make_curation(tmp_path / "station")
    merged = merge_reviews(curation, [accepted("orbit_000", (12,), (14,)), accepted("film_000", (12,))])
    write_dataset(curation, merged, tmp_path / "data")
    report = check(tmp_path / "data")
    assert (report.faults, report.counts["captions"], report.counts["videos"]) == ((), 0, 2)
    assert bench("data", "stats", "--data", "data", cwd=tmp_path).returncode == 0
    assert "0 captions" in write_card(tmp_path / "data", "x").read_text()


def write_review(curation: CurationFolder, path: Path, *rows: dict[str, str]) -> None:
    """Write a review of `orbit_000`; each row is told by what differs from an accepted person."""
    usual = {"video_id": "orbit_000", "decision": "accept", "annotator": path.stem}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in ({**usual, **one} for one in rows):
            writer.writerow({"fingerprint": fingerprint(curation, row["video_id"]), **row})


def test_disagreements_that_are_decided_are_listed_no_longer(tmp_path: Path) -> None:
    curation = make_curation(tmp_path / "station")
    for who, action in (("ann", "12"), ("ben", "14"), ("last", "12")):
        rows = {"person_id": "1", "actions": action}, {"person_id": "2"}
        write_review(curation, tmp_path / f"{who}.csv", *rows)
    listed = tmp_path / "station" / "disagreements.csv"
    merge = ("curate", "merge", "station", "ann.csv", "ben.csv")
    first = bench(*merge, "--out", "one", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert listed.read_text().splitlines() == [
        "video_id,what,said,outcome",
        'orbit_000,"person 1, action 12",1 of 2,tie',
        'orbit_000,"person 1, action 14",1 of 2,tie',
    ]
    tied = bench("curate", "release", "one", cwd=tmp_path)
    assert tied.returncode == 1
    assert "annotators are tied on orbit_000, person 1, action 12 (and 1 more)" in tied.stderr
    assert not (tmp_path / "one" / "README.md").exists()
    assert bench(*merge, "--final", "last.csv", "--out", "two", cwd=tmp_path).returncode == 0
    assert listed.read_text() == "video_id,what,said,outcome\n"
    assert bench("curate", "release", "two", cwd=tmp_path).returncode == 0
    again = bench(*merge, "ann.csv", "--out", "three", cwd=tmp_path)
    assert again.stderr == "error: ann.csv: orbit_000 was reviewed by ann in ann.csv as well\n"


def test_reviews_of_clips_that_have_changed_are_named_and_the_rest_is_merged(tmp_path: Path) -> None:
    curation = make_curation(tmp_path / "station")
    unchanged = [{"video_id": "film_000", "person_id": person, "actions": "12"} for person in ("1", "2")]
    changed = {"person_id": "1", "fingerprint": "0" * 16}
    write_review(curation, tmp_path / "ann.csv", *unchanged, changed)
    done = bench("curate", "merge", "station", "ann.csv", "--out", "data", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 reviews do not count, since their clips have changed: orbit_000 (ann)" in done.stderr
    assert [one.name for one in (tmp_path / "data").rglob("*.mp4")] == ["film_000.mp4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("curation.json", None, "data: lacks curation.json: is no dataset that `curate merge` wrote"),
        ("footage.csv", None, "lacks footage.csv"),
        ("curation.json", "[]", "curation.json: "),
        ("curation.json", '{"detector": []}', "curation.json: recipe: Field required"),
        ("videos/real/orbit/orbit_000.mp4", None, "orbit_000: is gone, or has changed since it was cut"),
        ("videos/real/orbit/orbit_000.mp4", "x", "orbit_000: is gone, or has changed since it was cut"),
        ("videos/real/orbit/orbit_007.mp4", "x", "orbit_007.mp4: is none of the clips in curation.json"),
        ("annotation_files/vqa_and_captioning.json", "{", "vqa_and_captioning.json"),
        ("annotation_files/actions.csv", None, "lacks annotation_files/actions.csv"),
        ("annotation_files/disagreements.csv", None, "lacks annotation_files/disagreements.csv"),
        ("annotation_files/disagreements.csv", "video_id,what\n", "lacks the column 'outcome'"),
    ],
)
def test_a_folder_that_is_damaged_gets_no_card(
    dataset: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    if content is None:
        (tmp_path / "data" / name).unlink()
    else:
        (tmp_path / "data" / name).write_text(content)
    with pytest.raises(DataError) as caught:
        write_card(tmp_path / "data", "x")
    assert message in str(caught.value)


def test_a_folder_that_is_there_is_left_alone(dataset: Path) -> None:
    curation = make_curation(dataset.parent / "again")
    with pytest.raises(RunError, match="exists"):
        write_dataset(curation, merge_reviews(curation, [accepted("orbit_000", (1,))]), dataset)
    with pytest.raises(DataError, match="no clip was accepted"):
        write_dataset(curation, merge_reviews(curation, []), dataset.parent / "none")


@pytest.mark.parametrize("content", [None, b"another clip"], ids=["gone", "changed"])
def test_a_clip_whose_file_is_not_the_one_that_was_cut_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    curation = make_curation(tmp_path / "station")
    video = curation.video("orbit_000")
    video.unlink()
    if content:
        video.write_bytes(content)
    with pytest.raises(RunError, match="orbit_000.mp4: is gone, or has changed since it was cut: run"):
        write_dataset(curation, merge_reviews(curation, [accepted("orbit_000", (1,))]), tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", ["recipe", "detector"])
def test_clips_of_two_recipes_or_detectors_are_not_released(tmp_path: Path, part: str) -> None:
    curation = make_curation(tmp_path / "station")
    facts = curation.facts
    assert facts is not None and facts.detector is not None
    assert judged_otherwise(curation, curation.clips) == []
    detector, person = facts.detector, facts.recipe.person
    other = {
        "detector": detector.model_copy(update={"facts": {"weights": "others"}}),
        "recipe": facts.recipe.model_copy(update={"person": person.model_copy(update={"share": 0.5})}),
    }
    curation.write_facts(facts.model_copy(update={part: other[part]}))
    sha256 = curation.sha256("film_000")
    changed = curation.facts
    assert changed is not None and changed.detector is not None
    again = keys(changed.recipe, changed.detector, sha256)
    for stage, verdict in list(curation.verdicts["film_000"].items()):
        curation.add(verdict.model_copy(update={"key": again.get(stage, verdict.key)}))
    boxes = curation.boxes["film_000", "tracks"]
    curation.add(boxes.model_copy(update={"key": again["tracks"]}))
    curation.close()
    assert judged_otherwise(curation, ["film_000", "orbit_000"]) == ["orbit_000"]

    reviews = [accepted("orbit_000", (12,), (12,)), accepted("film_000", (12,), (12,))]
    write_dataset(curation, merge_reviews(curation, reviews), tmp_path / "data")
    with pytest.raises(DataError, match="curation.json: orbit_000: was judged by another recipe or detector"):
        write_card(tmp_path / "data", "x")
    assert not (tmp_path / "data" / "README.md").exists()
    write_dataset(curation, merge_reviews(curation, reviews[1:]), tmp_path / "some")
    assert "The detector was ssd." in write_card(tmp_path / "some", "x").read_text()


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


def test_the_card_tells_the_clips_of_the_recipe(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    facts = json.loads((dataset / "curation.json").read_text())
    facts["recipe"]["trim"] |= {"seconds": 4, "fps": 25, "height": 720}
    (tmp_path / "data" / "curation.json").write_text(json.dumps(facts))
    assert (
        "2 clips of 4 seconds, 25 frames a second, 720 pixels high"
        in write_card(tmp_path / "data", "x").read_text()
    )


def test_footage_without_origin_is_not_released(tmp_path: Path) -> None:
    curation = make_curation(tmp_path / "station", origin="")
    reviews = [accepted("orbit_000", (12,), (12,)), accepted("film_000", (12,))]
    write_dataset(curation, merge_reviews(curation, reviews), tmp_path / "data")
    with pytest.raises(
        DataError, match=r"footage.csv: origin or licence of \w+ is not told \(and of 1 more\)"
    ):
        write_card(tmp_path / "data", "x")
    assert not (tmp_path / "data" / "README.md").exists()
