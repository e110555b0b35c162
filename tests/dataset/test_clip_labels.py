from pathlib import Path

import pytest

from microg_bench.dataset.clip_labels import read_clip_labels
from microg_bench.errors import DataError
from microg_bench.slices import LABELLED

TABLE = "video_id,movie_or_real,person_id,action\na_000,r,1,12\na_000,r,2,12\na_000,r,1,17\nb_000,m,1,79\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "actions.csv"
    path.write_text(text)
    return path


def test_clips_have_the_labels_of_all_their_persons(tmp_path: Path) -> None:
    found = read_clip_labels(written(tmp_path, TABLE)).by_kind
    assert tuple(found) == LABELLED
    assert found["action"] == {
        "a_000": ("carry/hold (an object)", "stand"),
        "b_000": ("talk to (e.g., self, a person, a group)",),
    }
    assert found["action_group"] == {
        "a_000": ("object manipulation", "person movement"),
        "b_000": ("person interaction",),
    }
    assert found["people"] == {"a_000": ("2",), "b_000": ("1",)}
    assert found["footage"] == {"a_000": ("real",), "b_000": ("movie",)}
    assert found["motion"] == {}


def test_motion_is_a_label_where_the_table_tells_it(tmp_path: Path) -> None:
    lines = TABLE.splitlines()
    text = "\n".join([lines[0] + ",motion", *(f"{line},low" for line in lines[1:4]), f"{lines[4]},high"])
    assert read_clip_labels(written(tmp_path, text)).by_kind["motion"] == {
        "a_000": ("low",),
        "b_000": ("high",),
    }
    with pytest.raises(DataError, match="row 5: motion 'fast' is not high or low"):
        read_clip_labels(written(tmp_path, text.replace("high", "fast")))


def test_the_hash_is_of_the_labels_of_the_clips_alone(tmp_path: Path) -> None:
    labels = read_clip_labels(written(tmp_path, TABLE))
    shuffled = read_clip_labels(written(tmp_path, "\n".join(reversed(TABLE.splitlines()[1:]))))
    assert labels.sha256(["a_000", "b_000"]) == shuffled.sha256(["b_000", "a_000", "c_000"])
    assert labels.sha256(["a_000"]) != labels.sha256(["a_000", "b_000"])
    other = read_clip_labels(written(tmp_path, TABLE.replace("b_000,m,1,79", "b_000,m,1,17")))
    assert other.sha256(["a_000"]) == labels.sha256(["a_000"])
    assert other.sha256(["b_000"]) != labels.sha256(["b_000"])


def test_the_real_labels_part_the_real_captions(shared: Path) -> None:
    found = read_clip_labels(shared / "data" / "microg4m" / "actions.csv").by_kind
    assert len(found["action"]) == 4759
    assert {label for labels in found["action_group"].values() for label in labels} == {
        "object manipulation",
        "person interaction",
        "person movement",
    }
