"""Folders of probes are found, computed again, and left out by name where they are damaged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.scoring.probes import PROBES
from microg_bench.tables.gather import gather
from microg_bench.tables.probes import gather_probes, probes_table
from tests.helpers.datasets import record, write_annotations


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probes")
    data = write_annotations(root / "refs.json", [record(f"{name}_001", n) for n, name in enumerate("abc")])
    for model in ("blind", "constant"):
        given: dict[str, Any] = {"metrics": "ROUGE-L", "progress": None, "probes": "order,no-frames"}
        mb.probe(model, data, run=root / "runs" / model, **given)
    return root / "runs"


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def test_probes_are_found_at_any_depth_each_once(runs: Path) -> None:
    found, errors = gather_probes([runs, runs / "blind", runs.parent])
    assert errors == []
    assert [one.report.title for one in found] == ["Baseline: blind", "Baseline: constant"]
    written = json.loads((runs / "blind" / "probes.json").read_text())
    assert found[0].report.to_json() == written
    assert probes_table(found[0].report) == (runs / "blind" / "probes.md").read_text()


def test_runs_with_changed_frames_are_no_rows_of_other_tables(runs: Path) -> None:
    found = gather([runs])
    assert found.errors == []
    assert len(found.runs) == 4, "two models, two tasks"
    assert {run.settings.transforms for run in found.runs} == {()}


def test_numbers_that_a_file_claims_are_not_believed(runs: Path) -> None:
    file = runs / "blind" / "probes.json"
    true = json.loads(file.read_text())
    claimed = json.loads(file.read_text().replace('"other": 0.0', '"other": 0.5'))
    claimed["title"] = "Better"
    assert claimed["effects"] != true["effects"]
    file.write_text(json.dumps(claimed))
    (found,), errors = gather_probes([runs / "blind"])
    assert errors == []
    assert found.report.to_json() == true


def other_answer(runs: Path) -> None:
    statistics = runs / "blind" / "reverse" / "vqa" / "statistics.npz"
    card = statistics.with_name("scorecard.json")
    content = json.loads(card.read_text())
    content["scores"]["ROUGE-L"]["value"] += 5
    card.write_text(json.dumps(content))


def other_probe(runs: Path) -> None:
    file = runs / "blind" / "probes.json"
    file.write_text(file.read_text().replace('"probe": "order"', '"probe": "../order"'))


def no_effect(runs: Path) -> None:
    file = runs / "blind" / "probes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "effects": []}))


def no_list(runs: Path) -> None:
    file = runs / "blind" / "probes.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "effects": [1]}))


def no_run(runs: Path) -> None:
    shutil.rmtree(runs / "blind" / "shuffle")


def wrong_run(runs: Path) -> None:
    shutil.rmtree(runs / "blind" / "shuffle")
    shutil.copytree(runs / "blind" / "reverse", runs / "blind" / "shuffle")


@pytest.mark.parametrize("damage", [other_answer, other_probe, no_effect, no_list, no_run, wrong_run])
def test_what_is_damaged_is_left_out_by_name(runs: Path, damage: Any) -> None:
    damage(runs)
    (left,), (error,) = gather_probes([runs])
    assert left.report.title == "Baseline: constant"
    assert str(runs / "blind") in str(error)


def test_every_probe_has_words() -> None:
    assert all(probe.what and probe.conditions for probe in PROBES.values())
