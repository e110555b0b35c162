"""Rows of action recognition: which printed row a report reproduces, and what is never mixed."""

from collections.abc import Sequence

import pytest

from microg_bench.errors import DataError
from microg_bench.har import evaluate, read_detections, read_ground_truth, read_label_map
from microg_bench.har.report import Report
from microg_bench.leaderboard.action_rows import action_rows
from microg_bench.leaderboard.gather import read_reports
from microg_bench.leaderboard.published import read_facts, read_printed
from microg_bench.leaderboard.rows import OwnRow
from tests.helpers.tables import ACTIONS, table

FACTS = read_facts()
NAMES = ("C2D_8x8_R50.test", "C2D_8x8_R50.val", "SLOWONLY_4x16_R50.test", "X3D_L.test")


def kept(*names: str) -> list[Report]:
    return read_reports([ACTIONS / f"{name}.json" for name in names or NAMES])


def signed(report: Report, old: str, new: str) -> Report:
    """The report with something else in its signatures."""
    scores = {
        name: one.model_copy(update={"signature": one.signature.replace(old, new)})
        for name, one in report.scores.items()
    }
    return report.model_copy(update={"scores": scores})


def rows(number: int, reports: Sequence[Report]) -> list[OwnRow]:
    return action_rows(read_printed(FACTS.tables[number - 1]), FACTS, reports)


def test_the_detections_of_the_paper_reproduce_its_rows() -> None:
    one = table(1, reports=kept())
    lines = list(one.lines)
    changes = {
        lines[place - 2].labels[:3]: [cell.text for cell in line.cells]
        for place, line in enumerate(lines)
        if line.origin == "difference"
    }
    same, none = ["+0.00"] * 4, [""] * 4
    assert changes == {
        ("C2D", "8x8", "R50"): ["+0.38", "+0.00", "+0.00", "+0.00", *same],
        ("Slow", "4x16", "R50"): [*none, "+0.00", "+0.00", "+0.00", "-0.01"],
        ("X3D", "16x5", "L"): [*none, "+0.03", "+0.00", "+0.00", "+0.00"],
    }
    assert "X3D_L: test mAP lies between 18.45 and 23.55, by the order of equal scores" in one.notes
    assert (
        "C2D_8x8_R50: validation mAP lies between 27.00 and 27.75, by the order of equal scores" in one.notes
    )
    assert not one.marks


@pytest.mark.parametrize("name", NAMES)
def test_the_reports_that_are_kept_are_what_scoring_gives(name: str, shared: object) -> None:
    folder = ACTIONS.parents[1].parent / "shared" / "data" / "har"
    labels = read_label_map()
    truth = read_ground_truth(folder / f"groundtruth_{name.rpartition('.')[2]}.csv.xz", labels)
    found = evaluate(read_detections(folder / f"{name}.csv.xz", labels), truth, labels)
    (report,) = kept(name)
    for score, one in report.scores.items():
        assert found.scores[score].value == pytest.approx(one.value, abs=1e-9)
        assert found.scores[score].interval == pytest.approx(one.interval, abs=1e-9)
        assert found.scores[score].signature == one.signature
    assert (found.counts, found.warnings) == (report.counts, report.warnings)
    assert found.mAP_over_ties == pytest.approx(report.mAP_over_ties, abs=1e-9)


@pytest.mark.parametrize(
    ("detections", "labels"),
    [
        ("C2D_8x8_R50.test.csv", ("C2D", "8x8", "R50")),
        ("c2d_nln_8x8_r50.csv.gz", ("C2D NLN", "8x8", "R50")),
        ("SLOWFAST_4x16_R50.parquet", ("SlowFast", "4x16", "R50")),
        ("X3D_S.test.csv", ("X3D", "13x6", "S")),
    ],
)
def test_a_file_belongs_to_the_row_with_all_words_of_its_name(
    detections: str, labels: tuple[str, ...]
) -> None:
    (report,) = kept("X3D_L.test")
    (row,) = rows(1, [report.model_copy(update={"detections": detections})])
    assert row.labels[:3] == labels
    assert row.printed is not None


@pytest.mark.parametrize("detections", ["SLOW_R50.csv", "X3D.csv", "MyModel.test.csv", "C2D_16x8_R50.csv"])
def test_a_name_of_no_row_or_of_several_stands_alone(detections: str) -> None:
    (report,) = kept("X3D_L.test")
    (row,) = rows(1, [report.model_copy(update={"detections": detections})])
    assert row.printed is None
    assert row.labels == (detections.split(".", maxsplit=1)[0], "", "", "")


def test_zero_shot_detections_belong_to_the_table_of_their_own() -> None:
    (report,) = kept("X3D_L.test")
    named = report.model_copy(update={"detections": "SLOWFAST_32x2_R101_zero_shot.test.csv.xz"})
    assert rows(1, [named]) == []
    (row,) = rows(2, [named])
    assert row.labels == ("SlowFast", "32x2", "R101", "Kinetics-600 > AVA v2.2")
    assert row.values["mAP"] == pytest.approx(18.73, abs=0.005)


def test_detections_against_another_ground_truth_are_marked_and_have_a_row_of_their_own() -> None:
    (report,) = kept("X3D_L.test")
    other = signed(report, "f1154779a6b6", "0" * 12)
    found = sorted(rows(1, [other, report]), key=lambda row: row.marks)
    assert [row.marks for row in found] == [
        (),
        ("ground truth groundtruth_test.csv.xz, not the published one",),
    ]
    one = table(1, reports=[other])
    assert one.marks == ("ground truth groundtruth_test.csv.xz, not the published one",)
    assert "difference" not in [line.origin for line in one.lines]


def test_scores_over_other_actions_are_marked() -> None:
    (report,) = kept("X3D_L.test")
    (row,) = rows(1, [signed(report, "labels:6c3be7820ada", "labels:000000000000")])
    assert set(row.faults) == {"test_mAP", "test_F1", "test_recall", "test_AUROC"}
    assert row.faults["test_AUROC"] == "AUROC is not the published one, which has labels:6c3be7820ada"


def test_a_report_that_is_given_twice_counts_once() -> None:
    assert rows(1, [*kept(), *kept()]) == rows(1, kept())


def test_the_order_of_reports_changes_nothing() -> None:
    assert rows(1, kept()[::-1]) == rows(1, kept())


def test_two_files_of_one_name_with_other_scores_are_refused() -> None:
    first, second = kept("X3D_L.test", "SLOWONLY_4x16_R50.test")
    with pytest.raises(DataError, match=r"two reports on X3D_L\.test\.csv\.xz against groundtruth_test\.csv"):
        rows(1, [first, second.model_copy(update={"detections": first.detections})])
