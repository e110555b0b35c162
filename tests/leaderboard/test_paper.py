"""The tables of the paper: every printed number, ours beside them, and what sets a row apart."""

import csv
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import DataError
from microg_bench.har.report import Report
from microg_bench.leaderboard.export import to_csv, to_json
from microg_bench.leaderboard.gather import read_reports
from microg_bench.leaderboard.latex import document, to_latex
from microg_bench.leaderboard.markup import to_markdown
from microg_bench.leaderboard.paper import PaperTable, paper_tables
from microg_bench.leaderboard.published import read_facts
from microg_bench.resources import shipped
from microg_bench.runs.scorecard import ModelEntry, Scorecard, ScoreEntry
from tests.helpers.cards import make_card

PUBLISHED = next(iter(read_facts().datasets))
ACTIONS = Path(__file__).resolve().parents[2] / "results" / "actions"
HOSTILE = r'=cmd|" <script>alert(1)</script> \input{/etc/passwd} a|b `c` [d](e) $x$ % & # _ ^ ~ {'


def ours(title: str = "A model", value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard that may be held against the print."""
    return make_card(title, value, **{"fingerprint": PUBLISHED, **changed})


def qwen(value: float = 20.0, **changed: Any) -> Scorecard:
    """A scorecard of a model that the paper prints, by its checkpoint."""
    card = ours("Our Qwen", value, **changed)
    settings = {**(card.settings or {}), "checkpoint": "Qwen/Qwen2.5-VL-7B-Instruct"}
    return card.model_copy(update={"settings": settings})


def table(number: int, *cards: Scorecard, reports: list[Report] | None = None) -> PaperTable:
    return paper_tables(cards, reports or [])[number - 1]


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table in Markdown, without marks of best and second best."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[re.sub(r"\*\*|</?u>", "", cell).strip() for cell in line.split("|")[1:-1]] for line in lines]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_printed_row_is_shown_digit_for_digit(number: int) -> None:
    one = table(number)
    with (shipped("results/published") / one.facts.file).open(newline="") as file:
        printed = list(csv.DictReader(file))
    names = [*one.facts.labels, *(column.name for column in one.facts.columns)]
    shown = [row for row in rows_of(to_markdown(one))[1:] if not row[0].startswith("*")]
    expected = [[line[name] for name in names] for line in printed]
    assert sorted(shown) == sorted(expected)
    assert len(list(csv.DictReader(to_csv(one).splitlines()))) == len(printed)


def test_best_and_second_best_are_those_of_the_column() -> None:
    one = table(3)
    for place, column in enumerate(one.facts.columns):
        values = sorted((line.cells[place].value or 0 for line in one.lines), reverse=True)
        ranked = {line.cells[place].value: line.cells[place].rank for line in one.lines}
        assert (ranked[values[0]], ranked[values[1]], ranked[values[2]]) == (1, 2, 0), column


def test_open_and_closed_models_stand_apart() -> None:
    groups = {name: [line.labels[0] for line in lines] for name, lines in table(4).groups}
    assert groups == {
        "Open weights": ["LLaVA-NeXT", "Video-LLaVA", "Qwen2.5-VL"],
        "Closed models": ["Gemini 1.5 Pro", "GPT-4o"],
    }


def test_a_reproduced_row_stands_below_the_printed_one_with_the_difference() -> None:
    text = to_markdown(table(4, qwen(value=20.0)))
    below = rows_of(text)
    place = next(k for k, row in enumerate(below) if row[0] == "Qwen2.5-VL")
    assert below[place + 1][:3] == ["↳ ours: Our Qwen", "8", "20.00"]
    assert below[place + 2][:3] == ["↳ *difference*", "", "+17.01"]
    assert "BERTScore is not the published one" in text  # its signature names no encoder


def test_a_model_that_is_not_in_print_stands_in_its_group() -> None:
    groups = dict(table(4, ours("New")).groups)
    assert [line.labels[0] for line in groups["Open weights"]][-1] == "New"
    gpt = ours("New GPT")
    closed = gpt.model_copy(update={"settings": {**(gpt.settings or {}), "engine": "openai"}})
    groups = dict(table(4, closed).groups)
    assert [line.labels[0] for line in groups["Closed models"]][-1] == "New GPT"


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({"protocol": "coco"}, "protocol coco, where the print is under paper"),
        ({"fingerprint": "e" * 64}, "fingerprint eeeeeeeeeeee"),
        ({"status": "incomplete: 1 requests failed"}, "incomplete: 1 requests failed"),
    ],
)
def test_what_may_not_be_compared_is_marked_and_takes_no_part(changed: dict[str, str], mark: str) -> None:
    one = table(4, qwen(value=90.0, **changed), ours("Other"), ours("Third", 10.0))
    text = to_markdown(one)
    (letter,) = re.findall(rf"^- <sup>(.)</sup> .*{re.escape(mark)}", text, re.MULTILINE)
    (line,) = [line for line in one.lines if line.labels[0] == "Our Qwen"]
    assert line.marks == letter
    assert {cell.rank for cell in line.cells} == {0}
    assert "difference" not in text
    (best,) = [line for line in one.lines if line.labels[0] == "Other"]
    assert best.cells[0].rank == 1


def test_a_run_of_some_clips_is_marked() -> None:
    card = ours()
    some = card.model_copy(update={"settings": {**(card.settings or {}), "clips": ["a", "b"]}})
    assert "2 clips only" in to_markdown(table(4, some))


def test_floors_are_shown_once_and_are_never_the_best() -> None:
    one = table(4, ours("One", 10.0), ours("Two", 11.0))
    floors = [lines for name, lines in one.groups if name.startswith("Floors")]
    assert [[line.labels for line in lines] for lines in floors] == [[("Floor: blind", "0")]]
    assert [cell.text for cell in floors[0][0].cells[:2]] == ["12.00", "14.00"]
    assert {cell.rank for cell in floors[0][0].cells} == {0}


def test_a_score_that_could_not_be_computed_says_why() -> None:
    scores = {"CIDEr": ScoreEntry(value=1.0), "METEOR": ScoreEntry(unavailable="no Java found")}
    text = to_markdown(table(4, ours("Mine", scores=scores)))
    (row,) = [row for row in rows_of(text) if row[0] == "ours: Mine"]
    assert row[2:] == ["1.00", "n/a", "n/a", "n/a", "n/a", "n/a"]
    assert "Mine: METEOR: no Java found" in text


def test_settings_that_the_model_rejected_are_told() -> None:
    text = to_markdown(table(4, ours("Mine", dropped=("temperature", "seed"))))
    assert "- Mine: asked without temperature, seed, which the model rejects" in text


def test_signatures_stand_under_the_table() -> None:
    assert "`CIDEr|p:paper|n:90|v:1`" in to_markdown(table(4, ours()))


def test_without_print_only_tables_with_rows_are_made() -> None:
    (one,) = paper_tables([qwen()], [], printed=False)
    assert one.facts.number == 4
    assert [line.origin for line in one.lines if line.access != "floor"] == ["ours"]
    assert one.source == ""


def test_the_order_of_what_is_given_changes_nothing() -> None:
    cards = [ours(f"Model {k}", 10.0 + k) for k in range(5)]
    texts = set()
    for _ in range(4):
        random.Random(len(texts)).shuffle(cards)
        texts.add(frozenset(to_markdown(table(4, *cards)).splitlines()))
    assert len(texts) == 1


def test_detections_of_actions_reproduce_the_printed_rows() -> None:
    files = sorted(ACTIONS.glob("*.json"))
    assert len(files) == 4
    one = table(1, reports=read_reports(files))
    rows = {line.labels[:1] + line.labels[1:3]: line for line in one.lines if line.origin == "difference"}
    assert len(rows) == 1  # all of them are called so
    found = [[cell.text for cell in line.cells] for line in one.lines if line.origin == "difference"]
    assert found == [
        ["+0.38", "+0.00", "+0.00", "+0.00", "+0.00", "+0.00", "+0.00", "+0.00"],
        ["", "", "", "", "+0.00", "+0.00", "+0.00", "-0.01"],
        ["", "", "", "", "+0.03", "+0.00", "+0.00", "+0.00"],
    ]
    assert "X3D_L.test.csv.xz: mAP lies between 18.45 and 23.55" in "\n".join(one.notes)


def test_detections_against_another_ground_truth_are_marked() -> None:
    (report,) = read_reports([ACTIONS / "X3D_L.test.json"])
    scores = {
        name: score.model_copy(update={"signature": score.signature.replace("f1154779a6b6", "0" * 12)})
        for name, score in report.scores.items()
    }
    one = table(1, reports=[report.model_copy(update={"scores": scores})])
    assert one.marks == ("ground truth groundtruth_test.csv.xz, not the published one",)
    assert "difference" not in [line.origin for line in one.lines]


def test_json_holds_what_the_table_shows_in_full() -> None:
    content = json.loads(json.dumps(to_json(table(4, qwen(value=12.3456)))))
    (row,) = [row for row in content["rows"] if row["origin"] == "ours" and row["access"] == "open"]
    assert row["values"]["CIDEr"] == 12.3456
    assert row["intervals"]["CIDEr"] == pytest.approx([9.3456, 16.3456])
    (change,) = [row for row in content["rows"] if row["origin"] == "difference"]
    assert change["values"]["CIDEr"] == pytest.approx(12.3456 - 2.99)


def test_a_hostile_name_stays_text() -> None:
    one = table(4, ours(HOSTILE))
    (row,) = [line for line in to_markdown(one).splitlines() if "script" in line]
    assert "<script>" not in row
    assert len(re.findall(r"(?<!\\)\|", row)) == len(one.facts.labels) + len(one.facts.columns) + 1
    (line,) = [row for row in csv.DictReader(to_csv(one).splitlines()) if "script" in row["model"]]
    assert line["model"] == "'" + HOSTILE  # or a spreadsheet would take it for a formula
    assert r"\input{/etc" not in to_latex(one)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is absent: LaTeX is not compiled")
@pytest.mark.parametrize("title", ["A model of ours", HOSTILE + " 宇宙 é"])
def test_latex_compiles_as_it_is(tmp_path: Path, title: str) -> None:
    model = ModelEntry(name="m", title=title, frames="none")
    tables = paper_tables([qwen(), ours(model=model)], read_reports(sorted(ACTIONS.glob("*.json"))))
    for one in tables:
        (tmp_path / f"table{one.facts.number}.tex").write_text(to_latex(one))
    (tmp_path / "tables.tex").write_text(document([f"table{one.facts.number}" for one in tables]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000
    assert title.startswith("=") or "Overfull" not in done.stdout  # every table fits the page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("CIDEr", "Cider"), "line 1: lacks the column 'CIDEr'"),
        (lambda text: text.replace("1.74", "1,74"), "not as many fields"),
        (lambda text: text.replace("1.74", "high"), "CIDEr is 'high', not a number as printed"),
        (lambda text: text.replace("closed", "shut"), "access is 'shut', not open or closed"),
        (lambda text: text.splitlines()[0], "holds no rows"),
    ],
)
def test_a_broken_file_of_printed_numbers_is_named(tmp_path: Path, change: Any, message: str) -> None:
    folder = Path(shutil.copytree(shipped("results/published"), tmp_path / "published"))
    file = folder / "captioning.csv"
    file.write_text(change(file.read_text()))
    with pytest.raises(DataError, match=message) as caught:
        paper_tables([], [], folder=folder)
    assert "captioning.csv" in str(caught.value)
