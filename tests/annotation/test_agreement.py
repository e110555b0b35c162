"""Agreement of a judge and of metrics with people, on known ratings; statistics are compared with scipy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, kendalltau

from microg_bench.annotation.agreement import (
    FEW,
    AgreementReport,
    agreements,
    metric_agreements,
    read_agreement,
    write_agreement,
)
from microg_bench.annotation.judgement import read_judgement
from microg_bench.annotation.ratings import Rating, answer_keys
from microg_bench.annotation.verdicts import POINTS
from microg_bench.curation.agreement import krippendorff_alpha
from microg_bench.errors import DataError, RunError
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.rates import Proportion, corrected_rate
from tests.helpers.fault_server import FaultServer
from tests.helpers.judged import judged, judged_runs

pytestmark = pytest.mark.slow

LEVELS = ("right", "partly", "wrong")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    judged_runs(root)
    return root


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> list[Path]:
    for name in ("blind", "constant"):
        shutil.copytree(made / name, tmp_path / name)
    return [tmp_path / "blind" / "vqa", tmp_path / "constant" / "vqa"]


def read(runs: list[Path]) -> list[RunRecord]:
    return [RunRecord.read(run) for run in runs]


def rated(runs: list[Path], *people: Callable[[str], str]) -> list[Rating]:
    """What people say of all answers, each by the key of the answer."""
    keys = dict.fromkeys(key for run in read(runs) for key in answer_keys(run).values())
    return [Rating(key, f"p{k}", says(key)) for key in keys for k, says in enumerate(people)]


def of_key(runs: list[Path], levels: dict[str, str]) -> Callable[[str], str]:
    """A person who says of each answer what `levels` say of its item."""
    items = {key: name for run in read(runs) for name, key in answer_keys(run).items()}
    return lambda key: levels[items[key]]


def by_key(shift: int) -> Callable[[str], str]:
    """A person whose level follows from the key alone."""
    return lambda key: LEVELS[(int(key, 16) + shift) % 3]


def the_report(found: dict[Path, AgreementReport]) -> AgreementReport:
    (report,) = found.values()
    return report


def test_a_judge_that_says_what_people_say_agrees_wholly(server: FaultServer, runs: list[Path]) -> None:
    judgement = judged(server, runs[1], "short-answer").judgement
    assert judgement is not None
    names = {points: level for level, points in POINTS.items()}
    levels = {item.id: names[item.counts["rating"][0]] for item in judgement.items}
    assert len(set(levels.values())) > 1
    same = of_key(runs[1:], levels)
    one = the_report(agreements(read(runs[1:]), rated(runs[1:], same, same)))
    assert (one.answers, one.raters, one.people, one.judge) == (12, 2, 1.0, 1.0)
    assert one.scores["rating"].tau == pytest.approx(1.0)
    assert one.sensitivity is not None and one.sensitivity.value == 1.0
    assert one.specificity is not None and one.specificity.value == 1.0
    assert one.corrected is not None and one.uncorrected is not None
    assert one.corrected.value == pytest.approx(one.uncorrected.value)
    told = "tau-b of rating 1.00, alpha 1.00, sensitivity 1.00, specificity 1.00 (12 answers, 2 raters)"
    assert one.words() == told


def test_figures_are_those_of_scipy(server: FaultServer, runs: list[Path]) -> None:
    says = by_key(0)

    def script(prompt: str) -> str:
        return json.dumps({"reason": "x", "rating": LEVELS[len(server.bodies) % 3]})

    judgement = judged(server, runs[1], "short-answer", script, max_concurrency=1).judgement
    assert judgement is not None
    ratings = rated(runs[1:], says, by_key(1))
    one = the_report(agreements(read(runs[1:]), ratings))
    (run,) = read(runs[1:])
    keys = answer_keys(run)
    people = {name: [rating.level for rating in ratings if rating.key == key] for name, key in keys.items()}
    points = {name: np.mean([POINTS[level] for level in levels]) for name, levels in people.items()}
    called = {item.id: item.counts["rating"][0] for item in judgement.items}
    assert one.scores["rating"].tau == pytest.approx(
        kendalltau([points[name] for name in called], list(called.values())).statistic
    )
    rouge = run.item_scores()["ROUGE-L"]
    assert one.metrics["ROUGE-L"].tau == pytest.approx(
        kendalltau([points[name] for name in rouge], list(rouge.values())).statistic
    )
    right = [name for name in called if people[name] == ["right", "right"]]
    wrong = [name for name in called if name not in right]
    assert one.specificity is not None and one.specificity.of == len(wrong)
    found = binomtest(sum(called[name] < 1 for name in wrong), len(wrong)).proportion_ci(method="wilson")
    assert one.specificity.interval == pytest.approx((found.low, found.high))
    names = {value: level for level, value in POINTS.items()}
    units = [[*people[name], names[called[name]]] for name in called]
    assert one.judge == pytest.approx(krippendorff_alpha(units).alpha)
    assert one.people == pytest.approx(krippendorff_alpha(list(people.values())).alpha)


def test_the_rate_is_corrected_by_the_errors_of_the_judge(server: FaultServer, runs: list[Path]) -> None:
    says = json.dumps({"reason": "x", "rating": "right"})
    judged(
        server,
        runs[1],
        "short-answer",
        lambda prompt: says if "hold" in prompt else says.replace("right", "wrong"),
    )
    (run,) = read(runs[1:])
    levels = {name: "right" if name.endswith("#1") and name != "a_001#1" else "wrong" for name in run.answers}
    one = the_report(agreements([run], rated(runs[1:], of_key(runs[1:], levels))))
    wanted = corrected_rate(Proportion(4, 12), Proportion(8, 9), Proportion(3, 3))
    assert wanted is not None and one.corrected is not None and one.uncorrected is not None
    assert (one.corrected.value, one.corrected.interval) == (wanted.value, wanted.interval)
    assert one.uncorrected.value == pytest.approx(1 / 3) and one.corrected.value == pytest.approx(0.25)
    assert len(list(one.notes())) == 2, "few answers were rated"
    assert one.sensitivity is not None and one.specificity is not None
    enough = {
        name: getattr(one, name).model_copy(update={"of": FEW}) for name in ("sensitivity", "specificity")
    }
    assert list(one.model_copy(update=enough).notes()) == []
    (note,) = one.model_copy(update={**enough, "corrected": None}).notes()
    assert "cannot be corrected" in note


def test_runs_of_one_judge_are_taken_together(server: FaultServer, runs: list[Path]) -> None:
    for run in runs:
        judged(server, run, "short-answer")
    found = agreements(read(runs), rated(runs, by_key(0)))
    first, second = found.values()
    keys = {key for run in read(runs) for key in answer_keys(run).values()}
    assert first.answers == second.answers == len(keys), "what both runs answered counts once"
    assert first.sensitivity == second.sensitivity
    assert first.judgement != second.judgement


def test_metrics_need_no_judge(runs: list[Path]) -> None:
    assert agreements(read(runs), rated(runs, by_key(0))) == {}
    assert set(metric_agreements(read(runs), rated(runs, by_key(0)))) == {"ROUGE-L"}


def test_facts_of_captions_are_held_against_ratings(server: FaultServer, runs: list[Path]) -> None:
    captions = [run.parent / "caption" for run in runs]
    for run in captions:
        judged(server, run, "caption-facts")
    one = next(iter(agreements(read(captions), rated(captions, by_key(0))).values()))
    assert set(one.scores) == {"precision", "recall", "hallucination"}
    assert one.judge is None and one.sensitivity is None and one.corrected is None and not list(one.notes())
    assert "alpha" not in one.words() and "sensitivity" not in one.words()


def test_facts_of_captions_are_ranked_by_their_share(server: FaultServer, runs: list[Path]) -> None:
    caption = runs[1].parent / "caption"

    def says(prompt: str) -> str:
        supported, total = ((0, 3), (1, 1), (2, 6))[len(server.bodies) % 3]
        facts = [
            {"fact": f"f{k}", "verdict": "supported" if k < supported else "absent"} for k in range(total)
        ]
        return json.dumps({"caption_facts": facts, "reference_facts": [{"fact": "x", "found": "no"}]})

    judgement = judged(server, caption, "caption-facts", says, max_concurrency=1).judgement
    assert judgement is not None
    one = the_report(agreements(read([caption]), rated([caption], by_key(0))))
    counts = {item.id: item.counts["precision"] for item in judgement.items}
    assert len({part / whole for part, whole in counts.values()}) > 1
    (run,) = read([caption])
    keys = answer_keys(run)
    people = [POINTS[by_key(0)(keys[name])] for name in counts]
    shares = [part / whole for part, whole in counts.values()]
    assert one.scores["precision"].tau == pytest.approx(kendalltau(people, shares).statistic)


def test_ratings_of_other_answers_are_of_no_use(server: FaultServer, runs: list[Path]) -> None:
    judged(server, runs[1], "short-answer")
    with pytest.raises(DataError, match="no answer of these runs was rated"):
        agreements(read(runs[1:]), [Rating("0" * 16, "ann", "right")])


def test_an_agreement_is_that_of_its_judgement_alone(server: FaultServer, runs: list[Path]) -> None:
    found = judged(server, runs[1], "short-answer")
    (folder, report), *_ = agreements(read(runs[1:]), rated(runs[1:], by_key(0))).items()
    (run,) = read(runs[1:])
    assert found.judgement is not None and read_agreement(folder, found.judgement) is None
    write_agreement(folder, report)
    assert read_agreement(folder, read_judgement(run, folder)) == report
    other = found.judgement.model_copy(update={"flags": ("another",)})
    assert read_agreement(folder, other) is None
    text = (folder / "agreement.json").read_text()
    for damage, why in (
        ('{"schema": "microg-bench/agreement/1"}', "damaged"),
        (text.replace("agreement/1", "agreement/9"), "that this version reads"),
        (text.replace('"rating": {', '"another": {', 1), "not those of the judgement"),
    ):
        (folder / "agreement.json").write_text(damage)
        with pytest.raises(RunError, match=why):
            read_agreement(folder, found.judgement)
