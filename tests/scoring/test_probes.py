"""Effects of probes: verdicts in words, and runs that do not belong together."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.errors import DataError
from microg_bench.records import TaskName
from microg_bench.runs.record import RunRecord
from microg_bench.runs.statistics import Statistics
from microg_bench.scoring.compare import compare
from microg_bench.scoring.intervals import holm
from microg_bench.scoring.probes import (
    PLAIN,
    PROBES,
    MetricEffect,
    ProbeEffect,
    conditions_of,
    folder_name,
    report_of,
)
from microg_bench.video.transforms import parse_transforms
from tests.helpers.datasets import make_dataset, record, write_annotations


def effect(
    other: float | None,
    corrected: float | None = None,
    difference: float = 0.0,
    items: int = 1000,
    sampled: bool = False,
) -> ProbeEffect:
    one = MetricEffect(
        base=50.0,
        changed=50.0 + difference,
        difference=difference,
        interval=None,
        p=corrected,
        corrected=corrected,
    )
    return ProbeEffect(
        probe="order",
        task="vqa",
        base=PLAIN,
        transforms="reverse",
        sampled=sampled,
        asked=1000,
        items=items,
        other=other,
        metrics={"ROUGE-L": one},
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (effect(None), "nothing was answered under both"),
        (effect(0.0), "answers do not depend on the order of the frames"),
        (effect(0.001, 0.5), "less than 1% of the answers depend on the order of the frames"),
        (effect(0.999, 0.5), "99% of the answers depend on the order of the frames"),
        (effect(1.0, 0.5), "all answers depend on the order of the frames"),
        (effect(0.3, 0.5), "; no difference in ROUGE-L is shown (p = 0.500)"),
        (effect(0.3, 0.05), "; no difference in ROUGE-L is shown (p = 0.050)"),
        (effect(0.3, 0.04, -2.5), "; ROUGE-L falls by 2.50 (p = 0.040)"),
        (effect(0.3, 0.0004, 2.5), "; ROUGE-L rises by 2.50 (p < 0.001)"),
        (effect(0.3), "; too few source videos to tell whether ROUGE-L does"),
        (effect(0.3).model_copy(update={"metrics": {}}), "; no score could be compared"),
        (
            effect(0.3, items=970).model_copy(update={"metrics": {}}),
            "; no score could be compared: 30 of 1,000 requests without an answer",
        ),
        (effect(0.73, 0.5, sampled=True), "73% of the answers are other, by sampling too; no difference in"),
    ],
)
def test_the_verdict_says_what_is_shown_and_no_more(found: ProbeEffect, said: str) -> None:
    assert said in found.verdict


def test_conditions_are_transforms_each_with_its_folder_and_after_its_base() -> None:
    labels = conditions_of(PROBES)
    assert labels[0] == PLAIN
    assert len({folder_name(label) for label in labels}) == len(labels)
    for probe in PROBES.values():
        for label in probe.conditions:
            assert labels.index(probe.base) < labels.index(label)
            assert list(map(str, parse_transforms([label]))) == [label]


def test_runs_of_other_settings_or_transforms_are_not_compared(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "refs.json", [record(f"{name}_001") for name in "ab"])

    def run(name: str, **options: Any) -> dict[Any, RunRecord]:
        given = {"tasks": "vqa", "metrics": "ROUGE-L", "progress": None, **options}
        return dict(mb.evaluate("blind", data, run=tmp_path / name, **given).records)

    plain, turned = run("plain"), run("mirror", transforms="mirror")
    assert report_of({PLAIN: plain, "mirror": turned}, ["mirror"]).effects[0].other == 0
    with pytest.raises(DataError, match="is no run with the transforms mirror"):
        report_of({PLAIN: plain, "mirror": run("crop", transforms="crop:0.5")}, ["mirror"])
    with pytest.raises(DataError, match="differs from .* in generation"):
        report_of({PLAIN: plain, "mirror": run("hot", transforms="mirror", temperature=1.0)}, ["mirror"])


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a baseline that looks, under some conditions."""
    root = tmp_path_factory.mktemp("seeing")
    data = make_dataset(root / "data", [f"{source}_{k:03}" for source in "abc" for k in range(2)])
    for label in ("", "mirror", "swap", "no-frames"):
        given: dict[str, Any] = {"tasks": "vqa", "metrics": "CIDEr,ROUGE-L", "progress": None}
        mb.evaluate("nearest-clip", data, run=root / (label or PLAIN), transforms=label, **given)
    return root


def conditions(root: Path) -> dict[str, dict[TaskName, RunRecord]]:
    labels = (PLAIN, "mirror", "swap", "no-frames")
    return {label: {"vqa": RunRecord.read(root / label / "vqa")} for label in labels}


def test_effects_are_paired_differences_corrected_over_all_conditions(seeing: Path) -> None:
    runs = {label: own["vqa"] for label, own in conditions(seeing).items()}
    found = report_of(conditions(seeing), ["mirror", "swap", "no-frames"])
    assert [one.transforms for one in found.of_task("vqa")] == ["mirror", "swap", "no-frames"]
    for name in ("CIDEr", "ROUGE-L"):
        pairs = [compare([runs[one.transforms], runs[PLAIN]], [name])[0].difference for one in found.effects]
        p_values = [pair.p for pair in pairs if pair.p is not None]
        assert [one.metrics[name].difference for one in found.effects] == [pair.value for pair in pairs]
        assert [one.metrics[name].interval for one in found.effects] == [pair.interval for pair in pairs]
        assert [one.metrics[name].p for one in found.effects] == p_values
        assert [one.metrics[name].corrected for one in found.effects] == holm(p_values)
    for one in found.effects:
        changed, plain = runs[one.transforms].answers, runs[PLAIN].answers
        assert one.items == len(plain)
        others = [changed[name].answer != plain[name].answer for name in plain]
        assert one.other == sum(others) / len(others)
    assert found.effects[2].other == 1
    assert found.to_json()["effects"][2]["verdict"] == found.effects[2].verdict


def test_without_scores_of_the_same_items_only_answers_are_compared(seeing: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(seeing, tmp_path / "runs"))
    (root / "mirror" / "vqa" / "scorecard.json").unlink()
    swapped = RunRecord.read(root / "swap" / "vqa")
    fewer = {name: rows[:-1] for name, rows in swapped.statistics.metrics.items()}
    Statistics.of(swapped.requests()[:-1], fewer).write(swapped.path / "statistics.npz")
    found = report_of(conditions(root), ["mirror", "swap", "no-frames"])
    assert [bool(one.metrics) for one in found.effects] == [False, False, True]
    assert found.effects[0].verdict.endswith("no score could be compared")
