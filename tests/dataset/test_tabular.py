"""The same tables as CSV and Parquet, in all their forms and orders; and rows that cannot be used."""

import codecs
import gzip
import lzma
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microg_bench import har
from microg_bench.dataset import tabular
from microg_bench.dataset.labels import LAYOUT as ACTIONS
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import DataError
from microg_bench.persons.boxes import DETECTIONS as LAYOUT
from microg_bench.persons.boxes import GROUND_TRUTH
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
    """Whether two scorecards differ in their files alone."""
    return nameless(one) == nameless(other)


def nameless(card: Scorecard) -> Scorecard:
    assert card.har is not None
    facts = card.har.model_copy(update={"detections": "", "detections_sha256": None, "groundtruth": ""})
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


def test_some_rows_of_a_table_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(TRUTH)
    table = read_table(tmp_path / "g.csv", GROUND_TRUTH)
    kept = table.only(table["action_id"] == 12)
    assert (kept["video_id"].tolist(), kept.rows.tolist(), kept.place(1)) == (
        ["a_001", "b_001"],
        [1, 3],
        "row 3",
    )


ROWS = [["video_id", "movie_or_real", "person_id", "action"], ["a film, 2_001", "m", "1", "12"]]
ROWS += [["Ärmel;x_002", "r", "22", "80"], ['"q"_003', "r", "0", "1"]]


def csv_text(separator: str, line_break: str, quote: Callable[[str], str], header: bool) -> str:
    rows = [separator.join(map(quote, row)) for row in ROWS[0 if header else 1 :]]
    return line_break.join(rows) + line_break


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_every_spreadsheet_writes_the_same_table(
    tmp_path: Path, mark: bytes, encoding: str, line_break: str, separator: str, header: bool
) -> None:
    text = csv_text(separator, line_break, quoted, header)
    for pack in (bytes, gzip.compress, lzma.compress):
        (tmp_path / "actions.csv").write_bytes(pack(mark + text.encode(encoding)))
        table = read_table(tmp_path / "actions.csv", ACTIONS)
        read = [table[name].tolist() for name in ROWS[0]]
        assert read == [
            ["a film, 2_001", "Ärmel;x_002", '"q"_003'],
            ["m", "r", "r"],
            [1, 22, 0],
            [12, 80, 1],
        ]
        assert table.place(0) == ("row 2" if header else "row 1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"video_id|movie_or_real|person_id|action\na_1|r|1|12\n", "1 columns where 4 or 5 are expected"),
        (b"video_id,movie_or_real,person_id,action,action\na_1,r,1,12,13\n", "has the column 'action' twice"),
        (b"video_id;movie_or_real;person_id\na_1;r;1\n", "lacks the column 'action' (found: video_id, movie"),
        (b"a_1;r;1;12\na_2;r;1\n", "row 2: lacks 'action'"),
        (b"a_1;r;1;12\na_2;r;1;12;13\n", "row 2: 5 fields where the first row has 4"),
        (b"a_1,r,1,12\n\na_2,r,1,12\n", "row 2: lacks 'video_id'"),
        (b'a_1,r,1,12\n"a_2,r,1,12\n', "row 2: 1 fields where the first row has 4"),
        (b'a_1,r,1,12\na_2,r,1,"\n', "cannot be read as CSV: "),
        (b"a_1\tr\t1,5\t12\n", "row 1: 'person_id' is '1,5', not a whole number"),
        (b"M\xfcller_1,r,1,12\n", "line 1: is not UTF-8 text; save it as UTF-8"),
        (b"x" * 20_000 + b",r,1,12\n", "its lines are too long, or too many, for a table of actions"),
        (b"," * 9_000 + b"\n" + (b"," * 9_000 + b"\n") * 6_000, "its lines are too long, or too many"),
    ],
)
def test_a_table_that_cannot_be_told_is_one_named_fault(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "actions.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "actions.csv", ACTIONS)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'actions.csv'}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_header_may_have_columns_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("video_id;movie_or_real;person_id;action;;\na_1;r;1;12;;\n")
    assert read_table(tmp_path / "a.csv", ACTIONS)["action"].tolist() == [12]


def test_no_more_rows_are_read_than_a_table_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_ROWS", 3)
    (tmp_path / "a.csv").write_text("a_1,r,1,12\n" * 3)
    assert len(read_table(tmp_path / "a.csv", ACTIONS)) == 3
    (tmp_path / "a.csv").write_text("a_1,r,1,12\n" * 4)
    with pytest.raises(DataError, match="holds more than 3 rows"):
        read_table(tmp_path / "a.csv", ACTIONS)


def test_no_more_text_is_read_than_a_table_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "MAX_TEXT", 2**20)
    (tmp_path / "a.csv").write_text("a_1,r,1,12\n" * 90_000)
    assert len(read_table(tmp_path / "a.csv", ACTIONS)) == 90_000
    (tmp_path / "a.csv").write_text("a_1,r,1,12\n" * 100_000)
    with pytest.raises(DataError, match="holds more than 1 MiB, unpacked|larger than 1 MiB"):
        read_table(tmp_path / "a.csv", ACTIONS)


FIELDS = st.sampled_from(
    [
        "a_001",
        "r",
        "m",
        "1",
        "12",
        "0.5",
        "-1",
        "nan",
        "1e999",
        "",
        '"',
        '""',
        "'",
        "video_id",
        "action",
        "é",
        "x^",
    ]
)
TABLES = st.lists(
    st.lists(st.one_of(FIELDS, st.text(max_size=3)), max_size=9).flatmap(
        lambda row: st.sampled_from([",", ";", "\t"]).map(lambda separator: separator.join(row))
    ),
    max_size=5,
).flatmap(lambda rows: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda line_break: line_break.join(rows)))


@given(TABLES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
@settings(max_examples=400, deadline=None)
def test_any_table_is_read_or_one_named_fault(text: str, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        path.write_bytes(text.encode(encoding, errors="replace"))
        for layout in (ACTIONS, LAYOUT, GROUND_TRUTH):
            try:
                assert len(read_table(path, layout)) > 0
            except DataError as error:
                assert str(error).startswith(f"{path}: ")
                assert len(str(error).split("\n")) == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", float("nan"), "row 60: 'score' is 'nan', not a finite number"),
        ("score", None, "row 60: lacks 'score'"),
        ("xmax", 1.25, "row 60: 'xmax' is '1.25', not a number from 0 to 1"),
        ("frame_stamp", 2.5, "row 60: 'frame_stamp' is '2.5', not a whole number, 0 or more"),
        ("video_id", "a/b", "row 60: 'a/b' is not a safe video_id"),
        ("video_id", None, "row 60: lacks 'video_id'"),
        ("action_id", 2.5, "row 60: 'action_id' is '2.5', not a whole number, 0 or more"),
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
