"""The same tables as CSV and Parquet, by other names and in another order; and rows that cannot be used."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import polars
import pytest

from microg_bench import har
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import DataError
from microg_bench.har.boxes import DETECTIONS as LAYOUT
from microg_bench.har.boxes import GROUND_TRUTH
from microg_bench.scorecard import Scorecard
from tests.har.small import BOX_A, BOX_B, DETECTIONS, TRUTH, box, rising, scored, write

OURS = ("video_id", "frame_stamp", "xmin", "ymin", "xmax", "ymax", "action_id")
SHORT = ("video_id", "frame", "x1", "y1", "x2", "y2", "action")


def frame_of(text: str, names: Sequence[str]) -> polars.DataFrame:
    """The table of CSV text, numbers as numbers."""
    rows = [line.split(",") for line in text.splitlines()]
    whole = {"frame_stamp", "frame", "action_id", "action", "person_id"}
    return polars.DataFrame(
        {
            name: values
            if name == "video_id"
            else [int(value) if name in whole else float(value) for value in values]
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
    )


def same(one: Scorecard, other: Scorecard) -> bool:
    """Whether two scorecards differ in the names of their files alone."""
    return nameless(one) == nameless(other)


def nameless(card: Scorecard) -> Scorecard:
    assert card.har is not None
    facts = card.har.model_copy(update={"detections": "", "groundtruth": ""})
    return card.model_copy(update={"dataset": "", "har": facts})


@pytest.mark.parametrize("names", [OURS, SHORT])
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_parquet_gives_the_scorecard_of_csv(tmp_path: Path, names: tuple[str, ...], order: slice) -> None:
    expected = scored(*write(tmp_path), resamples=10)
    ours = frame_of(DETECTIONS, (*names, "score" if names is OURS else "logit"))
    theirs = frame_of(TRUTH, (*names, "person_id")).with_columns(note=polars.lit("not asked for"))
    ours.select(ours.columns[order]).write_parquet(tmp_path / "d.parquet")
    theirs.select(theirs.columns[order]).write_parquet(tmp_path / "g.parquet")
    found = scored(tmp_path / "d.parquet", tmp_path / "g.parquet", resamples=10)
    assert found.har is not None and found.har.detections == "d.parquet"
    assert same(found, expected)


def test_parquet_of_other_types_gives_the_scorecard_of_csv(tmp_path: Path) -> None:
    expected = scored(*write(tmp_path))
    frame = frame_of(DETECTIONS, (*SHORT, "logit"))
    frame.with_columns(
        polars.col("video_id").cast(polars.Categorical),
        polars.col("frame").cast(polars.String),
        polars.col("action").cast(polars.UInt8),
        polars.col("logit").cast(polars.Float32),
    ).write_parquet(tmp_path / "d.parquet")
    assert same(scored(tmp_path / "d.parquet", tmp_path / "g.csv"), expected)


@pytest.mark.parametrize("names", [OURS, SHORT])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_header_may_name_the_columns_in_any_order(
    tmp_path: Path, names: tuple[str, ...], start: str
) -> None:
    expected = scored(*write(tmp_path))
    frame = frame_of(DETECTIONS, (*names, "score" if names is OURS else "logit"))
    turned = frame.select(frame.columns[::-1]).with_columns(note=polars.lit("x"))
    (tmp_path / "d.csv").write_text(start + turned.write_csv())
    assert same(scored(tmp_path / "d.csv", tmp_path / "g.csv"), expected)


def test_fields_may_be_quoted_or_written_as_decimals(tmp_path: Path) -> None:
    expected = scored(*write(tmp_path))
    lines = DETECTIONS.replace("a_001,0010,", '"a_001",10.0,').replace("\n", "\r\n")
    (tmp_path / "d.csv").write_bytes(lines.encode() + b"\r\n\r\n")
    assert same(scored(tmp_path / "d.csv", tmp_path / "g.csv"), expected)


def test_ids_that_look_like_numbers_keep_their_noughts(tmp_path: Path) -> None:
    truth = f"001,10,{BOX_A},12,0\n1,10,{BOX_B},12,0\n"
    found = scored(*write(tmp_path, box("001", BOX_A, rising(0)) + box("1", BOX_B, rising(1)), truth))
    assert found.har is not None and found.har.counts["videos"] == 2


def test_rows_count_from_the_first_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(TRUTH)
    plain = read_table(tmp_path / "g.csv", GROUND_TRUTH)
    assert plain.rows.tolist() == [1, 2, 3]
    (tmp_path / "g.csv").write_text(",".join((*OURS, "person_id")) + "\n" + TRUTH)
    named = read_table(tmp_path / "g.csv", GROUND_TRUTH)
    assert named.rows.tolist() == [2, 3, 4]
    assert named.place(1) == "row 3"


def test_a_column_is_taken_at_some_rows_and_by_runs(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(TRUTH + TRUTH)
    table = read_table(tmp_path / "g.csv", GROUND_TRUTH)
    assert table.texts("video_id", 2).tolist() == ["a_001", "b_001", "a_001"]
    assert table["xmin"][::4].tolist() == [0.1, 0.1]
    assert table.starts.tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", float("nan"), "row 60: 'score' is 'nan', not a finite number"),
        ("score", None, "row 60: lacks 'score'"),
        ("xmax", 1.25, "row 60: 'xmax' is '1.25', not a number from 0 to 1"),
        ("frame_stamp", 2.5, "row 60: 'frame_stamp' is '2.5', not a whole number, 0 or more"),
        ("video_id", "a/b", "row 60: 'a/b' is not a safe video_id"),
        ("video_id", None, "row 60: lacks 'video_id'"),
        ("action_id", 2, "row 60: action id 2 is none of the 50 of the label map"),
    ],
)
def test_a_wrong_field_is_named_by_its_row_in_either_form(
    tmp_path: Path, column: str, value: object, message: str
) -> None:
    frame = frame_of(DETECTIONS, (*OURS, "score"))
    values = frame[column].to_list()
    values[59] = value
    wrong = frame.with_columns(polars.Series(column, values, strict=False))
    wrong.write_parquet(tmp_path / "d.parquet")
    wrong.write_csv(tmp_path / "d.csv", include_header=False)
    for name in ("d.parquet", "d.csv"):
        with pytest.raises(DataError) as caught:
            har.read_detections(tmp_path / name, har.read_label_map())
        assert message.lower() in str(caught.value).lower()
        assert name in str(caught.value)


def test_values_that_are_no_fields_are_refused(tmp_path: Path) -> None:
    frame = frame_of(DETECTIONS, (*OURS, "score"))
    frame.with_columns(score=polars.concat_list("score", "score")).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataError, match="d.parquet: holds a column that has no plain values"):
        read_table(tmp_path / "d.parquet", LAYOUT)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    frame_of(DETECTIONS, (*OURS, "score")).drop("ymin").write_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataError, match="d.parquet: lacks the column 'ymin'"):
        read_table(tmp_path / "d.parquet", LAYOUT)


def test_a_video_id_that_looks_like_the_start_of_a_packed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(TRUTH.replace("a_001", "x^"))
    table = read_table(tmp_path / "g.csv", GROUND_TRUTH)
    assert table["video_id"].tolist() == ["x^", "x^", "b_001"]


@pytest.mark.parametrize("name", ["g.csv", "g.csv.gz"])
def test_what_is_packed_without_being_called_so_is_not_unpacked(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(TRUTH.encode())
    (tmp_path / name).write_bytes(gzip.compress(packed) if name.endswith(".gz") else packed)
    with pytest.raises(DataError, match="row 1: is not UTF-8 text"):
        read_table(tmp_path / name, GROUND_TRUTH)
