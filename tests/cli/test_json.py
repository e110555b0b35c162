"""`--json`: what a verb prints is one JSON value, and the numbers are those of the files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import bench
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("json")
    for name in ("blind", "constant"):
        asked = ("run", "--model", name, "--data", "sample", "--metrics", "ROUGE-L", "--run", name)
        done = bench(*asked, cwd=place)
        assert done.returncode == 0, done.stderr
    return place


def printed(*arguments: str, cwd: Path) -> Any:
    done = bench(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_is_printed_with_its_scorecards(runs: Path) -> None:
    asked = ("vqa", "--model", "blind", "--data", "sample", "--metrics", "ROUGE-L", "--run", "blind/vqa")
    [found] = printed(*asked, cwd=runs)
    assert (found["task"], found["folder"]) == ("vqa", "blind/vqa")
    assert found["scorecard"] == json.loads((runs / "blind/vqa/scorecard.json").read_text())


def test_a_dry_run_tells_what_would_be_asked(runs: Path) -> None:
    asked = ("run", "--model", "gpt-5.4", "--engine", "openai", "--data", "sample", "--dry-run")
    found = printed(*asked, cwd=runs)
    assert found["requests"] == {"caption": 14, "vqa": 84} and found["dollars"] > 0


def test_scores_are_printed_with_their_folders(runs: Path) -> None:
    found = printed("score", "blind", "--metrics", "ROUGE-L", cwd=runs)
    assert [one["folder"] for one in found] == ["blind/caption", "blind/vqa"]
    for one in found:
        assert one["scorecard"] == json.loads((runs / one["folder"] / "scorecard.json").read_text())


def test_a_comparison_has_difference_interval_and_p(runs: Path) -> None:
    found = printed("compare", "blind", "constant", cwd=runs)
    assert [(one["task"], one["metric"]) for one in found] == [("caption", "ROUGE-L"), ("vqa", "ROUGE-L")]
    for one in found:
        scores = [
            json.loads((runs / one[side] / "scorecard.json").read_text())["scores"]["ROUGE-L"]["value"]
            for side in ("first", "second")
        ]
        assert one["difference"] == pytest.approx(scores[0] - scores[1])
        assert one["interval"][0] <= one["difference"] <= one["interval"][1]


def test_drift_prints_what_its_file_holds(runs: Path) -> None:
    found = printed("drift", "blind", "--sample", "5", "--run", "again", cwd=runs)
    assert found == json.loads((runs / "again/drift.json").read_text())


def test_probes_print_what_their_file_holds(runs: Path) -> None:
    asked = ("probe", "--model", "blind", "--data", "sample", "--tasks", "caption", "--probes", "mirror")
    found = printed(*asked, "--metrics", "ROUGE-L", "--run", "probed", cwd=runs)
    assert found == json.loads((runs / "probed/probes.json").read_text())


def test_repeats_print_what_their_file_holds(runs: Path) -> None:
    with FaultServer() as server:
        asked = ("repeat", "--model", "server:m", "--url", server.url, "--data", "sample", "--limit", "2")
        sampled = ("--temperature", "1", "--repeats", "2")
        found = printed(*asked, *sampled, "--metrics", "ROUGE-L", "--run", "repeated", cwd=runs)
    assert found == json.loads((runs / "repeated/repeats.json").read_text())


def test_paraphrases_print_what_their_file_holds(runs: Path) -> None:
    asked = ("paraphrase", "--model", "blind", "--data", "sample", "--metrics", "ROUGE-L", "--limit", "2")
    found = printed(*asked, "--run", "reworded", cwd=runs)
    assert found == json.loads((runs / "reworded/paraphrases.json").read_text())
    assert found["paraphrases"] == 2


def test_a_sweep_has_the_runs_of_each_configuration(runs: Path) -> None:
    asked = ("sweep", "--model", "constant", "--data", "sample", "--prompt", "default,plain")
    found = printed(*asked, "--metrics", "ROUGE-L", "--run", "swept", cwd=runs)
    assert {name: [one["task"] for one in own] for name, own in found.items()} == {
        "default": ["caption", "vqa"],
        "plain": ["caption", "vqa"],
    }


def test_packed_runs_are_judged(runs: Path) -> None:
    assert bench("submit", "pack", "constant/vqa", cwd=runs).returncode == 0
    [folder] = [str(one.relative_to(runs)) for one in (runs / "results/submissions").iterdir()]
    [found] = printed("submit", "check", folder, cwd=runs)
    assert found["accepted"] is True and found["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("models",), "name"),
        (("prompts",), "id"),
        (("doctor",), "what"),
    ],
)
def test_lists_are_lists(runs: Path, arguments: tuple[str, ...], key: str) -> None:
    found = printed(*arguments, cwd=runs)
    assert len(found) > 2 and all(one[key] for one in found)


def test_one_model_and_one_prompt_are_objects(runs: Path) -> None:
    assert printed("models", "show", "qwen2.5-vl", cwd=runs)["checkpoint"]
    assert "order of its frames" in printed("models", "show", "molmo2", cwd=runs)["unproved"]
    assert (
        "floats" in printed("prompts", "show", "vqa-default", "--question", "What floats?", cwd=runs)["user"]
    )


def test_counts_of_a_dataset_are_those_of_its_file(runs: Path) -> None:
    found = printed("data", "stats", "--data", "sample", cwd=runs)
    assert found["fingerprint"] and found["tables"]
