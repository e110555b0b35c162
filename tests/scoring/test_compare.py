"""Scored runs compared in memory; what cannot be compared is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import (
    comparable,
    compare,
    most_different,
    other_clips,
    other_inputs,
    runs_by_task,
)
from microg_bench.video.sampling import FrameSpec
from tests.helpers.datasets import record, write_annotations
from tests.helpers.runs import open_run

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


def test_runs_without_a_metric_in_common_are_refused(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    del blind.statistics.metrics["CIDEr"], constant.statistics.metrics["ROUGE-L"]
    with pytest.raises(DataError, match="no metric was scored in all of them: they cannot be compared"):
        compare([blind, constant])


def test_other_signatures_are_named(runs: Path) -> None:
    pytest.importorskip("pycocoevalcap", reason="its jar tokenises under the protocol coco")
    blind = read(runs, "blind")
    with pytest.raises(DataError, match=r"the signatures of ROUGE-L differ \(ROUGE-L\|protocol:paper"):
        compare([blind, read(runs, "coco")], ("ROUGE-L",))


def test_only_metrics_that_all_runs_have_are_compared(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    del constant.statistics.metrics["CIDEr"]
    for pair in ([blind, constant], [constant, blind]):
        assert [one.metric for one in compare(pair)] == ["ROUGE-L"]
    assert compare([blind, constant], ("CIDEr",)) == []
    with pytest.raises(UsageError, match="Beauty"):
        compare([blind, constant], ("Beauty",))


def test_items_in_another_order_are_not_compared(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    constant.statistics = replace(constant.statistics, ids=constant.statistics.ids[::-1])
    with pytest.raises(DataError, match="order"):
        compare([blind, constant])


def test_clips_of_another_file_are_named_once(tmp_path: Path) -> None:
    found = []
    for name, files in (("one", ("0" * 16, "1" * 16, None)), ("other", ("0" * 16, "2" * 16, "3" * 16))):
        with open_run(tmp_path / name, task="vqa") as run:
            for clip, sha256 in zip("abc", files, strict=True):
                for question in (1, 2):
                    run.add(Answer(id=f"{clip}#{question}", text="x", answer="x", clip_sha256=sha256))
        found.append(RunRecord.read(tmp_path / name))
    assert other_clips(*found) == ["b"]
    assert other_clips(found[0], found[0]) == []
    del found[1].answers["b#1"], found[1].answers["b#2"]
    assert other_clips(*found) == []


def test_runs_are_compared_in_the_tasks_that_all_have(runs: Path) -> None:
    found = comparable([runs / "blind", runs / "constant"])
    assert {task: [one.path for one in some] for task, some in found.items()} == {
        task: [runs / name / task for name in ("blind", "constant")] for task in ("caption", "vqa")
    }
    assert list(comparable([runs / "blind", read(runs, "constant")])) == ["vqa"]
    for same in ([runs / "blind"], [runs / "blind" / "vqa"] * 2, [read(runs, "blind")] * 2):
        with pytest.raises(UsageError, match="two or more"):
            comparable(same)
    with pytest.raises(UsageError, match="no task in common"):
        comparable([runs / "blind" / "vqa", runs / "blind" / "caption"])


def test_of_two_runs_of_a_task_only_a_sample_asked_again_may_be_passed_over(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    assert runs_by_task([blind, blind]) == {"vqa": blind}
    with pytest.raises(RunError, match="task vqa"):
        runs_by_task([blind, constant])
    constant.settings = constant.settings.model_copy(update={"requests": ("a_001#1",)})
    assert runs_by_task([constant, blind]) == runs_by_task([blind, constant]) == {"vqa": blind}
    assert runs_by_task([constant]) == {"vqa": constant}


def test_the_items_that_differ_most_come_first(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    found = most_different(blind, constant, "ROUGE-L", count=3)
    gaps = [abs(one.first - one.second) for one in found]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] == max(
        abs(score - constant.item_scores()["ROUGE-L"][name])
        for name, score in blind.item_scores()["ROUGE-L"].items()
    )
    assert [one.id for one in most_different(blind, constant, "ROUGE-L")][:3] == [one.id for one in found]
    assert most_different(blind, blind, "ROUGE-L") == []
    with pytest.raises(RunError, match="was not scored under METEOR"):
        most_different(blind, constant, "METEOR")


def test_ten_items_are_told_the_widest_gap_first_whoever_is_better(runs: Path) -> None:
    blind, constant = read(runs, "blind"), read(runs, "constant")
    ids = tuple(f"x_{n}" for n in range(12))
    gaps = np.array([0.1, -0.4, 0.0, 0.3, -0.2, 0.6, -0.5, 0.35, 0.45, -0.55, 0.15, 0.25])
    for one, scores in ((blind, 0.6 + gaps / 2), (constant, 0.6 - gaps / 2)):
        one.statistics = replace(one.statistics, ids=ids, metrics={"ROUGE-L": scores[:, None]})
    found = most_different(blind, constant, "ROUGE-L")
    assert [one.id for one in found] == [ids[k] for k in np.argsort(-np.abs(gaps))[:10]]
    assert [one.first - one.second for one in found] == pytest.approx(sorted(100 * gaps, key=abs)[:1:-1])
    assert len(most_different(blind, constant, "ROUGE-L", count=20)) == 11, "one is the same"


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


@pytest.mark.parametrize(
    ("changed", "apart"),
    [
        ({}, ["b"]),
        ({"processor_args": {"videos.do_resize": False}}, ["b"]),
        ({"engine": "server"}, ["b"]),
        ({"frames": FrameSpec(count=9)}, []),
        ({"model": "other"}, []),
        ({"checkpoint": "org/other"}, []),
        ({"thinking": "on"}, []),
    ],
)
def test_inputs_of_other_sizes_are_known_by_the_tokens_of_prompts(
    tmp_path: Path, changed: dict[str, Any], apart: list[str]
) -> None:
    found = []
    for name, settings, tokens in (("one", {}, (9, 9, None, 9)), ("other", changed, (9, 12, 9, 9))):
        with open_run(tmp_path / name, task="caption", **settings) as run:
            for clip, count in zip("abcd", tokens, strict=True):
                run.add(Answer(id=clip, text="x", answer="x", prompt_tokens=count))
        found.append(RunRecord.read(tmp_path / name))
    assert other_inputs(*found) == apart
    assert other_inputs(found[0], found[0]) == []
