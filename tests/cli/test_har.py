"""`microg-bench har score`: tables, scorecards as JSON, and one clear line for bad input."""

import gzip
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from microg_bench import cli, storage
from tests.har.small import BOX_A, BOX_B, DETECTIONS, TRUTH, box, rising, write
from tests.helpers.datasets import bench

Change = Callable[[str], str]


@pytest.fixture
def score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `har score` on the tables of `tmp_path`; its exit status and what it prints."""

    def run(detections: str = "d.csv", truth: str = "g.csv") -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        options = ["--detections", detections, "--groundtruth", truth, "--out", "report.json"]
        monkeypatch.setattr(sys, "argv", ["microg-bench", "har", "score", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def changed(row: int, old: str, new: str) -> Change:
    """Replaces text in one row of a table."""

    def change(text: str) -> str:
        lines = text.splitlines(keepends=True)
        assert old in lines[row - 1]
        lines[row - 1] = lines[row - 1].replace(old, new, 1)
        return "".join(lines)

    return change


def cut(text: str, *fields: int) -> str:
    """The table with these fields of each row, in this order."""
    return "".join(",".join(line.split(",")[at] for at in fields) + "\n" for line in text.splitlines())


BAD_DETECTIONS: dict[str, tuple[Change, str]] = {
    "no class that is known": (
        lambda text: "".join(f"a_001,0010,{BOX_A},{number},1\n" for number in (81, 82)),
        "d.csv: none of its actions (81, 82) is one of the 50 of the label map",
    ),
    "columns shifted": (
        lambda text: cut(text, 0, 2, 3, 4, 5, 1, 6, 7),
        "d.csv: row 1: 'frame_stamp' is '0.1', not a whole number, 0 or more",
    ),
    "score before action": (
        lambda text: cut(text, 0, 1, 2, 3, 4, 5, 7, 6),
        "d.csv: row 1: 'action_id' is '-8.0', not a whole number, 0 or more",
    ),
    "a column missing": (lambda text: cut(text, *range(7)), "d.csv: 7 columns where 8 are expected"),
    "a column too many": (lambda text: cut(text, 0, *range(8)), "d.csv: 9 columns where 8 are expected"),
    "a field too many": (
        changed(70, "\n", ",1\n"),
        "d.csv: row 70: 9 fields where the first row has 8",
    ),
    "a field too few": (
        changed(70, ",0010", ""),
        "d.csv: row 70: 'frame_stamp' is '0.2', not a whole number",
    ),
    "a score that is no number": (
        changed(60, "-6.875", "nan"),
        "d.csv: row 60: 'score' is 'nan', not a finite number",
    ),
    "an endless score": (
        changed(60, "-6.875", "-inf"),
        "d.csv: row 60: 'score' is '-inf', not a finite number",
    ),
    "no score": (changed(60, "-6.875", ""), "d.csv: row 60: lacks 'score'"),
    "a word for a score": (
        changed(60, "-6.875", "high"),
        "d.csv: row 60: 'score' is 'high', not a finite number",
    ),
    "a box beyond the frame": (
        changed(60, "0.6", "1.6"),
        "d.csv: row 60: 'xmax' is '1.6', not a number from 0 to 1",
    ),
    "a box before the frame": (
        changed(60, "0.2", "-0.2"),
        "d.csv: row 60: 'xmin' is '-0.2', not a number from 0 to 1",
    ),
    "frames of another truth": (
        lambda text: text.replace("0010", "0011"),
        "d.csv: none of its frames is in the ground truth (g.csv); the first is a_001, frame 11",
    ),
    "an id that leaves its folder": (
        lambda text: text.replace("b_001", "../b"),
        "d.csv: row 51: '../b' is not a safe video_id (it must be a plain file name)",
    ),
    "no rows": (lambda text: "", "d.csv: is empty"),
    "empty lines": (lambda text: "\n\n", "d.csv: is empty"),
    "a header alone": (
        lambda text: "video_id,frame,x1,y1,x2,y2,action,logit\n",
        "d.csv: holds no rows",
    ),
    "a header that lacks a column": (
        lambda text: "video_id,frame,x1,y1,x2,y2,action,value\n" + text,
        "d.csv: lacks the column 'score' (found: video_id, frame, x1, y1, x2, y2, action, value)",
    ),
    "other text": (lambda text: "no table at all\n", "d.csv: 1 columns where 8 are expected"),
}


def is_one_line(ended: tuple[int, str, str], message: str, folder: Path) -> bool:
    """Whether nothing came of a command but this line, and no file."""
    status, out, err = ended
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert not (folder / "report.json").exists()
    return status == 1


@pytest.mark.parametrize(("change", "message"), BAD_DETECTIONS.values(), ids=BAD_DETECTIONS)
def test_bad_detections_are_one_line_with_file_and_row(
    tmp_path: Path, score: Callable[..., tuple[int, str, str]], change: Change, message: str
) -> None:
    write(tmp_path, change(DETECTIONS))
    assert is_one_line(score(), message, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "g.csv: is empty"),
        (lambda text: cut(text, *range(6)), "g.csv: 6 columns where 7 or 8 or 9 are expected"),
        (
            lambda text: text.replace(",12,", ",18,").replace(",17,", ",2,"),
            "g.csv: none of its actions (2, 18)",
        ),
        (changed(3, "0.8", "1.8"), "g.csv: row 3: 'ymax' is '1.8', not a number from 0 to 1"),
        (changed(3, "0.8", "NaN"), "g.csv: row 3: 'ymax' is 'NaN', not a number from 0 to 1"),
        (changed(2, ",10,", ",-1,"), "g.csv: row 2: 'frame_stamp' is '-1', not a whole number, 0 or more"),
    ],
)
def test_a_bad_ground_truth_is_one_line_with_file_and_row(
    tmp_path: Path, score: Callable[..., tuple[int, str, str]], change: Change, message: str
) -> None:
    write(tmp_path, truth=change(TRUTH))
    assert is_one_line(score(), message, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv: no such file"),
        ("none.parquet", None, "none.parquet: no such file"),
        (
            "d.csv.xz",
            lzma.compress(DETECTIONS.encode())[:-20],
            "d.csv.xz: is broken xz data: it ends too early",
        ),
        (
            "d.csv.gz",
            gzip.compress(DETECTIONS.encode(), mtime=0)[:-20],
            "d.csv.gz: is broken gzip data: it ends too early",
        ),
        ("d.csv", b"\xfd7zXZ\x00broken", "d.csv: is broken xz data: "),
        ("d.csv", b"\xff\xfe\x00garble", "d.csv: is not UTF-16-LE text"),
        ("d.csv", DETECTIONS.encode() + b"a_001,\xff\n", "d.csv: line 101: is not UTF-8 text"),
        ("d.csv", bytes(1000), "d.csv: line 1: holds a NUL character"),
        ("d.parquet", b"PAR1garbledPAR1", "d.parquet: is not Parquet: "),
        ("d.parquet", b"", "d.parquet: is not Parquet: "),
    ],
)
def test_a_file_that_is_missing_or_garbled_is_one_line(
    tmp_path: Path,
    score: Callable[..., tuple[int, str, str]],
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    write(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert is_one_line(score(name), message, tmp_path)


@pytest.mark.parametrize(("name", "pack"), [("d.csv.gz", gzip.compress), ("d.csv", lzma.compress)])
def test_a_file_that_unpacks_beyond_all_measure_is_one_line(
    tmp_path: Path, score: Callable[..., tuple[int, str, str]], name: str, pack: Callable[[bytes], bytes]
) -> None:
    write(tmp_path)
    part = pack(bytes(storage.MAX_BYTES // 16))
    (tmp_path / name).write_bytes(part * 100)  # 1.6 GB, in archives one after the other
    assert is_one_line(score(name), f"{name}: holds more than 64 MiB, unpacked", tmp_path)


def test_the_report_of_two_files_is_printed_and_written(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "with_a_longer_name.test.csv").write_text(DETECTIONS)
    command = (
        "har",
        "score",
        "--groundtruth",
        "g.csv",
        "--detections",
        "d.csv",
        "with_a_longer_name.test.csv",
    )
    done = bench(*command, "--out", "r.json", cwd=tmp_path, env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "r.json").read_text())
    assert [one["har"]["detections"] for one in written] == ["d.csv", "with_a_longer_name.test.csv"]
    rows = [line for line in done.stdout.splitlines() if line.startswith("with_a_longer_name.test.csv  ")]
    assert len(rows) == 1
    for score in written[1]["scores"].values():
        low, high = score["interval"]
        assert f"{score['value']:.2f} ({low:.2f} to {high:.2f})" in rows[0]
    warnings = written[0]["warnings"]
    assert warnings
    assert done.stderr.splitlines() == [f"warning: {line}" for line in warnings]


def test_a_warning_of_one_file_names_it(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "flat.csv").write_text(box("a_001", BOX_A, [0.0] * 50) + box("b_001", BOX_B, rising(0)))
    done = bench("har", "score", "--groundtruth", "g.csv", "--detections", "d.csv", "flat.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: flat.csv: 1 box with one and the same score" in done.stderr


def test_repeated_rows_of_key_frames_are_kept_and_counted(tmp_path: Path) -> None:
    rows = TRUTH.replace("b_001", "c_001") + TRUTH
    (tmp_path / "k.csv").write_text(rows.replace(",0\n", ",1\n"))
    given = ("har", "convert", "--keyframes", "k.csv", "--size", "640x480", "--out", "o")
    done = bench(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 rows of actions repeat earlier ones, and are kept" in done.stdout
    assert len((tmp_path / "o" / "actions.csv").read_text().splitlines()) == 7
    (tmp_path / "k.csv").write_text(TRUTH)
    assert "repeat" not in bench(*given, cwd=tmp_path).stdout


def test_the_split_keeps_sources_together_on_demand(tmp_path: Path) -> None:
    sources = {"a": 8, "b": 6, "c": 2, "d": 2, "e": 1, "f": 1}
    names = [f"{source}_{k:03d}" for source, count in sources.items() for k in range(count)]
    (tmp_path / "b.csv").write_text("".join(f"{name},3,1,10,10,50,90\n" for name in names))
    (tmp_path / "a.csv").write_text(
        "".join(f"{name},r,1,{(12, 14)[k % 2]}\n" for k, name in enumerate(names))
    )
    given = ("har", "convert", "--boxes", "b.csv", "--actions", "a.csv", "--size", "640x480", "--out", "o")
    done = bench(*given, "--by-source", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    parts = {}
    for part in ("train", "val", "test"):
        lines = (tmp_path / "o" / f"ava_{part}.csv").read_text().splitlines()
        parts[part] = sorted({line.partition("_")[0] for line in lines})
        assert len(lines) == sum(sources[source] for source in parts[part])
    assert sorted(source for own in parts.values() for source in own) == sorted(sources)
    assert parts["train"] == ["a", "b"]
    refused = bench("har", "convert", "--keyframes", "k.csv", "--by-source", "--out", "o", cwd=tmp_path)
    assert refused.stderr == "error: --by-source: is for --boxes and --actions\n"
    (tmp_path / "b.csv").write_text("a_000,3,1,10,10,50,90\n")
    alone = bench(*given, "--by-source", cwd=tmp_path)
    assert alone.returncode != 0
    assert "the clips are of 1 source: a split that keeps them together needs three" in alone.stderr
