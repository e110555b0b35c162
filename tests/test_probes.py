"""Probes: what changes with the frames is told, and what does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import microg_bench as mb
from microg_bench import probes, variants
from microg_bench.engines.base import Answered, Engine, Job
from microg_bench.errors import UsageError
from microg_bench.probes import Probes
from microg_bench.records import Response
from microg_bench.scoring.compare import compare
from microg_bench.scoring.probes import PROBES
from tests.helpers.datasets import ROOT, bench, make_dataset
from tests.helpers.oriented import Even, Oriented, answered_by, decoded_clips, upright_dataset
from tests.helpers.runs import PRICES, contents, wait_until
from tests.helpers.stand_in import write_adapter

pytestmark = pytest.mark.heavy
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
    monkeypatch.setattr(variants, "configure", answered_by(Ordered))
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


@pytest.mark.parametrize("model", ["constant", "nearest-clip"])
def test_baselines_give_the_known_answer(data: Path, tmp_path: Path, model: str) -> None:
    found = ask(model, data, tmp_path / "r", probes="swap,no-frames,order")
    shares = {one.transforms: one.other for one in found.report.effects}
    if model == "constant":
        assert set(shares.values()) == {0}
        return
    assert shares["swap"]
    assert shares["no-frames"] == 1
    assert shares["reverse"] == 0, "neither the mean of the frames nor their differences have a direction"
    answers = {name: run.records["vqa"].answers for name, run in found.results.items()}
    assert {one.answer for one in answers["no-frames"].values()} == {""}
    clips = {clip.video_id: {one.answer for one in clip.questions} for clip in mb.load_dataset(data).clips}
    for one in answers["swap"].values():
        assert one.shown_clip is not None
        assert one.answer in clips[one.shown_clip]


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upright_dataset(
        tmp_path_factory.mktemp("data") / "set", [f"{source}_000" for source in "abcdefgh"]
    )


@pytest.mark.parametrize("engine", [Oriented, Even])
def test_a_model_that_sees_the_orientation_is_told_from_one_that_does_not(
    upright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: type[Engine]
) -> None:
    monkeypatch.setattr(variants, "configure", answered_by(engine))
    found = ask(write_adapter(tmp_path), upright, tmp_path / "r", tasks="caption", probes="rotation,order")
    told = {one.transforms: one for one in found.report.effects}
    rows = {
        name: {one.answer for one in found.results[name].records["caption"].answers.values()}
        for name in ("plain", "rotate-0", "rotate-90", "rotate-180", "rotate-270")
    }
    sides = ("top", "top", "left", "bottom", "right") if engine is Oriented else ("top",) * 5
    assert rows == {name: {f"The bright side is {side}."} for name, side in zip(rows, sides, strict=True)}
    for label, one in told.items():
        sees = engine is Oriented and one.probe == "rotation"
        effect = one.metrics["ROUGE-L"]
        assert one.other == (1 if sees else 0), label
        assert effect.corrected is not None
        assert (effect.corrected < 0.05) == sees
        assert ("ROUGE-L falls" in one.verdict) == sees
        assert ("do not depend on" in one.verdict) != sees


def test_a_clip_is_decoded_once_for_seven_probes(
    upright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = decoded_clips(monkeypatch)
    monkeypatch.setattr(variants, "configure", answered_by(Oriented))
    seven = [name for name in PROBES if name != "swap"]
    given: dict[str, Any] = {"tasks": "caption", "pictures": False}
    ask(write_adapter(tmp_path), upright, tmp_path / "seven", probes=seven, **given)
    ids = [clip.video_id for clip in mb.load_dataset(upright).clips]
    assert sorted(decodings) == ids
    decodings.clear()
    ask(write_adapter(tmp_path), upright, tmp_path / "swap", probes="swap", **given)
    assert len(decodings) == 2 * len(ids), "the clip and the one that is shown in its place"


def test_the_same_shuffle_is_shown_twice(model: Path, data: Path, tmp_path: Path) -> None:
    first, second = (
        ask(model, data, tmp_path / name, probes="order").results["shuffle"].records["vqa"].answers
        for name in ("first", "second")
    )
    assert {name: one.frames for name, one in first.items()} == {
        name: one.frames for name, one in second.items()
    }
    assert {name: one.answer for name, one in first.items()} == {
        name: one.answer for name, one in second.items()
    }


def test_probes_that_were_killed_end_as_undisturbed_ones(upright: Path, tmp_path: Path) -> None:
    adapter, names = str(write_adapter(tmp_path)), "order,swap,no-frames"
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"

    def start(run: Path, seconds: float) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.helpers.oriented", adapter, str(upright), str(run), names]
        pipe = subprocess.PIPE
        env = {**os.environ, "ORIENTED_SECONDS": str(seconds)}
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)

    def lines() -> int:
        return sum(file.read_bytes().count(b"\n") for file in killed.rglob("journal.jsonl"))

    process = start(quiet, 0)
    assert process.wait(120) == 0, process.communicate()[1]
    for enough in (7, 23):  # of 40
        process = start(killed, 0.05)
        wait_until(lambda enough=enough: lines() >= enough, process)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
        assert not (killed / "probes.json").exists()
    process = start(killed, 0)
    assert process.wait(120) == 0, process.communicate()[1]
    expected = contents(quiet)
    assert {"probes.json", "probes.md", "index.html", "swap/caption/journal.jsonl"} <= expected.keys()
    assert contents(killed) == expected


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
    assert found.page == tmp_path / "r" / "index.html"
    assert found.page.is_file()
    before = Ordered.asked
    again = ask(model, data, tmp_path / "r", probes="no-frames,order")
    assert Ordered.asked - before == 2 * 2 * len(IDS), "what has an answer is not asked again"
    assert again.report.effects[0].other == found.report.effects[0].other
    assert {path.name for path in (tmp_path / "r").iterdir() if path.is_dir()} == {
        *("plain", "no-frames", "reverse", "shuffle", "pictures")
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
    rows = [line.split() for line in done.stdout.splitlines() if " requests, cost: " in line]
    each = 3 * len(IDS)
    assert [(row[0], int(row[1])) for row in rows] == [
        *(("plain", each), ("mirror", each), ("no-frames", each), ("together", 3 * each))
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


def test_a_dry_run_tells_the_cost_of_all_conditions_together(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    (tmp_path / "prices.toml").write_text(PRICES)
    given: dict[str, Any] = {
        "tasks": "vqa",
        "prices": str(tmp_path / "prices.toml"),
        "max_tokens": 1,
        "frames": 3,
    }
    found = probes.preview_probes("openai:m", data, probes="mirror,no-frames", **given)
    alone = [one.estimate for one in found.runs.values()]
    assert len(alone) == 3
    assert all(alone)
    plain, mirror, none = (one.dollars for one in alone if one)
    assert plain == mirror
    assert plain - none == pytest.approx(30 * 2 * len(IDS), rel=0.05)
    (line,) = (line for line in str(found).splitlines() if line.startswith("together"))
    assert f"${plain + mirror + none:,.2f} at most for {3 * 2 * len(IDS)} requests" in line
