"""Scored runs compared in memory; what cannot be compared is named."""

import json
import shutil
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.errors import DataError, RunError
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import compare, most_different
from tests.helpers.datasets import record, write_annotations

NAMES = ("a_001", "a_002", "b_001", "c_001")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two baselines over four clips of three sources."""
    root = tmp_path_factory.mktemp("runs")
    records = [record(name, n) for n, name in enumerate(NAMES)]
    data = str(write_annotations(root / "refs.json", records))
    for model in ("blind", "constant"):
        mb.evaluate(model, data, run=root / model, metrics="CIDEr,ROUGE-L", progress=None)
    few = {"limit": 2, "metrics": "CIDEr,ROUGE-L", "progress": None}
    mb.evaluate("blind", data, run=root / "few", **few)
    mb.evaluate("blind", data, run=root / "coco", metrics="ROUGE-L", protocol="coco", progress=None)
    return root


def read(runs: Path, name: str) -> RunRecord:
    return RunRecord.read(runs / name / "vqa")


def test_each_difference_is_that_of_the_scores_and_turns_with_the_pair(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    there, back = compare([blind, constant]), compare([constant, blind])
    assert [one.metric for one in there] == ["CIDEr", "ROUGE-L"]
    for one, other in zip(there, back, strict=True):
        scores = [run.scorecard.scores[one.metric].value or 0.0 for run in (one.first, one.second)]
        assert one.difference.value == pytest.approx(scores[0] - scores[1])
        assert other.difference.value == pytest.approx(-one.difference.value)
        assert one.difference.interval is not None
        low, high = one.difference.interval
        assert low <= one.difference.value <= high
    assert [one.metric for one in compare([blind, constant], ("ROUGE-L",))] == ["ROUGE-L"]
    assert {one.difference.value for one in compare([blind, blind])} == {0.0}


def test_p_values_are_corrected_over_all_pairs_of_a_metric(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    three = compare([blind, constant, blind], ("ROUGE-L",))
    assert [(one.first is blind, one.second is blind) for one in three] == [
        (True, False), (True, True), (False, True),
    ]  # fmt: skip
    assert [one.difference.p for one in three] == [0.25, 1.0, 0.25]  # three sources, all of which differ
    assert [one.corrected for one in three] == [0.75, 1.0, 0.75]


def test_what_differs_is_named(runs: Path) -> None:
    blind = read(runs, "blind")
    captions = RunRecord.read(runs / "blind" / "caption")
    with pytest.raises(DataError, match=r"their task differs \(vqa and caption\): they cannot be compared"):
        compare([blind, captions])
    with pytest.raises(DataError, match=r"4 items are scored in only one of them \(the first is b_001#1\)"):
        compare([blind, read(runs, "few")])
    with pytest.raises(DataError, match=r"the signatures of ROUGE-L differ \(ROUGE-L\|protocol:paper"):
        compare([blind, read(runs, "coco")], ("ROUGE-L",))


def test_the_items_that_differ_most_come_first(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    found = most_different(blind, constant, "ROUGE-L", count=3)
    gaps = [abs(one.first - one.second) for one in found]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] == max(
        abs(score - constant.item_scores()["ROUGE-L"][name])
        for name, score in blind.item_scores()["ROUGE-L"].items()
    )
    with pytest.raises(RunError, match="was not scored under METEOR"):
        most_different(blind, constant, "METEOR")


def test_runs_that_differ_in_thinking_are_compared(runs: Path, tmp_path: Path) -> None:
    found = []
    for level in ("on", "off"):
        run = Path(shutil.copytree(runs / "blind" / "vqa", tmp_path / level))
        content = json.loads((run / "run.json").read_text())
        content["settings"]["thinking"] = level
        (run / "run.json").write_text(json.dumps(content))
        mb.score(run, data=str(runs / "refs.json"), metrics="ROUGE-L", progress=None)
        found.append(RunRecord.read(run))
    signatures = [str(one.scorecard.scores["ROUGE-L"].signature) for one in found]
    assert [signature.split("|")[3] for signature in signatures] == ["t:on", "t:off"]
    assert [one.difference.value for one in compare(found)] == [0.0]
