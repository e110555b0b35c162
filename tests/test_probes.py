"""Probes: what changes with the frames is told, and what does not."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import microg_bench as mb
from microg_bench import probes
from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.errors import UsageError
from microg_bench.probes import Probes
from microg_bench.records import Response
from microg_bench.runs.configure import Configuration, configure
from microg_bench.scoring.compare import compare
from microg_bench.scoring.probes import PROBES
from tests.helpers.datasets import bench, make_dataset
from tests.helpers.stand_in import write_adapter

pytestmark = pytest.mark.slow
IDS = [f"{source}_{k:03}" for source in "abcde" for k in range(2)]


class Ordered(Engine):
    """Tells which of its frames is the brightest; without frames it says so."""

    name: ClassVar[str] = "transformers"
    asked: ClassVar[int] = 0

    def start(self) -> None:
        """Nothing is loaded."""

    async def answer(self, jobs: AsyncIterator[Job]) -> AsyncGenerator[Answered, None]:
        """Answer each alone."""
        async for job in jobs:
            type(self).asked += 1
            told = "nothing"
            if job.frames:
                told = f"frame {job.frames.pixels.sum(axis=(1, 2, 3)).argmax()} of the clip"
            yield [(job, Response(id=job.request.id, text=told))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter of a model that answers by the order of its frames."""

    def ordered(*arguments: Any, **named: Any) -> Configuration:
        return replace(configure(*arguments, **named), engine=Ordered)

    monkeypatch.setattr(probes, "configure", ordered)
    return write_adapter(tmp_path)


def ask(model: Path | str, data: Path, run: Path, **options: Any) -> Probes:
    given = {"tasks": "vqa", "metrics": "ROUGE-L", "progress": None, **options}
    return mb.probe(str(model), data=data, run=run, **given)


def test_a_model_that_sees_nothing_does_not_change(data: Path, tmp_path: Path) -> None:
    found = ask("blind", data, tmp_path / "r", tasks="caption,vqa")
    assert {one.probe for one in found.report.effects} == set(PROBES)
    assert len(found.report.effects) == 2 * sum(len(one.conditions) for one in PROBES.values())
    for one in found.report.effects:
        assert one.other == 0
        assert one.items == len(IDS) * (2 if one.task == "vqa" else 1)
        assert one.metrics["ROUGE-L"].difference == 0
        assert one.verdict == f"answers do not depend on {PROBES[one.probe].what}"


def test_a_model_that_sees_the_order_changes_with_it(model: Path, data: Path, tmp_path: Path) -> None:
    found = ask(model, data, tmp_path / "r", probes="order,mirror,no-frames,rotation")
    shares = {one.transforms: one.other for one in found.report.effects}
    assert [shares[f"rotate:{degrees}"] for degrees in (90, 180, 270)] == [0, 0, 0]
    assert shares["mirror"] == 0
    assert shares["reverse"] == 1
    assert shares["no-frames"] == 1
    assert shares["shuffle"]
    bases = {one.transforms: one.base for one in found.report.effects}
    assert (bases["rotate:90"], bases["reverse"]) == ("rotate:0", "plain")
    for one in found.report.effects:
        assert ("do not depend" in one.verdict) == (one.other == 0)


def test_differences_are_those_of_compare(model: Path, data: Path, tmp_path: Path) -> None:
    found = ask(model, data, tmp_path / "r", probes="order,no-frames")
    for one in found.report.effects:
        records = [found.results[name].records["vqa"] for name in (one.transforms, one.base)]
        (same,) = compare(records, ["ROUGE-L"])
        effect = one.metrics["ROUGE-L"]
        assert (effect.difference, effect.interval, effect.p) == (
            same.difference.value,
            same.difference.interval,
            same.difference.p,
        )
        assert effect.p is not None
        assert effect.corrected is not None
        assert effect.corrected >= effect.p
        assert effect.changed - effect.base == pytest.approx(effect.difference)


def test_what_is_written_is_what_was_found_and_the_same_command_resumes(
    model: Path, data: Path, tmp_path: Path
) -> None:
    found = ask(model, data, tmp_path / "r", probes=("no-frames",))
    content = json.loads((tmp_path / "r" / "probes.json").read_text())
    assert content["schema"] == "microg-bench/probes/1"
    (effect,) = content["effects"]
    assert effect["verdict"] == found.report.effects[0].verdict
    assert (tmp_path / "r" / "probes.md").read_text() == found.table()
    assert "| no-frames | no-frames | 100.0% |" in found.table()
    before = Ordered.asked
    again = ask(model, data, tmp_path / "r", probes="no-frames,order")
    assert Ordered.asked - before == 2 * 2 * len(IDS), "what has an answer is not asked again"
    assert again.report.effects[0].other == found.report.effects[0].other
    assert {path.name for path in (tmp_path / "r").iterdir() if path.is_dir()} == {
        *("plain", "no-frames", "reverse", "shuffle")
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probes": "spin"}, "--probes: .*spin"),
        ({"probes": ""}, "--probes: give one at least"),
        ({"transforms": "mirror"}, "--transforms: does not apply to probes"),
        ({"shard": "1/2"}, "--shard: does not apply to probes"),
    ],
)
def test_what_cannot_be_probed_is_refused(
    data: Path, tmp_path: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ask("blind", data, tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


def test_the_command_prints_the_table_and_a_dry_run_asks_nothing(data: Path, tmp_path: Path) -> None:
    given = (
        "probe",
        "--model",
        "blind",
        "--data",
        data,
        "--metrics",
        "ROUGE-L",
        "--probes",
        "mirror,no-frames",
    )
    done = bench(*given, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in ("plain", "mirror", "no-frames")] == [
        *("plain", "mirror", "no-frames")
    ]
    assert not (tmp_path / "runs").exists()
    done = bench(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-probes")
    assert str(Path("runs") / folder.name / "probes.json") in done.stdout
    assert (folder / "probes.md").read_text() in done.stdout
    done = bench(*given[:-1], "spin", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.strip().startswith("error: --probes: ")
