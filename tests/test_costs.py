"""Measuring with a real checkpoint: what is asked, what is told, what is refused."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.costs import OPTIONS, Timed, Timings
from microg_bench.dataset.load import load
from microg_bench.engines.checkpoint import weight_bytes
from microg_bench.errors import DataError, EngineError, MicrogError, RunError, UsageError
from microg_bench.records import Failure, Response
from microg_bench.runs.cost import COST_FILE, Measurement, read_cost, throughput
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.check import check
from microg_bench.submissions.pack import pack
from tests.helpers.datasets import make_dataset
from tests.helpers.runs import content

pytestmark = pytest.mark.slow

FAST: dict[str, Any] = {"metrics": "ROUGE-L", "progress": None, "frames": 2, "max_tokens": 6}
CLIPS = 4


# What follows from times.


def timed(name: str, seconds: float, first: float | None, tokens: int | None, opens: bool = True) -> Timed:
    return Timed(Response(id=name, text="x", output_tokens=tokens), seconds, first, opens)


def test_times_come_to_what_is_told_of_them() -> None:
    timings = Timings(
        {
            "a": [timed("a#1", 2.0, 1.0, 11), timed("a#2", 1.0, 0.5, 1, opens=False)],
            "b": [timed("b#1", 5.0, 3.0, 11)],
            "c": [timed("c#1", 9.0, None, None), timed("c#2", 1.0, 0.5, 2, opens=False)],
        }
    )
    first = timings.first_token()
    assert first is not None
    assert (first.median, first.p95, first.requests) == (2.0, pytest.approx(2.9), 2)
    assert timings.tokens_per_second() == pytest.approx(21 / 3.5, rel=1e-3)
    assert timings.seconds_per_clip() == pytest.approx(18 / 3, rel=1e-3)


def test_a_clip_of_which_a_request_failed_has_no_time() -> None:
    answered = {"a": [timed("a#1", 2.0, 1.0, 11)], "b": [timed("b#1", 5.0, 3.0, 11)]}
    timings = Timings(answered, [Failure(id="b#2", stage="engine", reason="no")])
    assert timings.seconds_per_clip() == 2.0
    assert Timings().seconds_per_clip() is None and Timings().first_token() is None
    assert Timings().tokens_per_second() is None


# What is measured with a checkpoint.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", [f"a_{k:03d}" for k in range(CLIPS)])


@pytest.fixture(scope="module")
def run_once(data: Path, tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of both tasks. Do not change them."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    mb.evaluate(f"transformers:{tiny_qwen}", str(data), run=folder, batch_size=3, **FAST)
    return folder


@pytest.fixture
def run(run_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_once, tmp_path / "tiny"))


def measured(path: Path, sample: int = 2, **options: Any) -> Measurement:
    (report,) = mb.measure(path, sample, progress=None, **options).values()
    (found,) = report.measurements
    return found


def test_a_run_notes_the_hardware_and_its_throughput_follows(run: Path) -> None:
    record = RunRecord.read(run / "vqa")
    (start,) = record.starts
    ((title, rate),) = throughput(record).items()
    assert title.startswith(start["hardware"]["cpu"])
    assert rate == start["usage"]["output_tokens"] / start["usage"]["seconds"]["generating"]


def test_what_did_not_come_from_this_hardware_alone_has_no_throughput(
    data: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    model, cache = f"transformers:{tiny_qwen}", tmp_path / "cache"
    for name in ("asked", "cached"):
        mb.evaluate(model, str(data), "caption", run=tmp_path / name, cache=str(cache), **FAST)
    rates = [throughput(RunRecord.read(tmp_path / name / "caption")) for name in ("asked", "cached")]
    assert rates[0] and rates[1] == {}
    given = {**FAST, "frames": [1, 2]}
    swept = mb.sweep(model, str(data), "caption", run=tmp_path / "sweep", **given)
    for results in swept.values():
        assert throughput(results.records["caption"]) == {}
        assert "hardware" not in results.records["caption"].starts[0]


def test_what_is_measured_is_of_the_machine_and_nothing_else_changes(run: Path, tiny_qwen: Path) -> None:
    before = content(run)
    one = measured(run / "vqa")
    after = content(run)
    assert {name for name in after if before.get(name) != after[name]} == {f"vqa/{COST_FILE}"}
    record = RunRecord.read(run / "vqa")
    assert (one.clips, one.failed) == (2, 0)
    assert one.requests == 2 * len(record.answers) / CLIPS
    assert one.first_token is not None and one.seconds_per_clip is not None
    assert one.first_token.requests == 2
    assert 0 < one.first_token.median <= one.first_token.p95 < one.seconds_per_clip
    assert one.tokens_per_second is not None and one.tokens_per_second > 0
    assert one.weights == (tiny_qwen / "model.safetensors").stat().st_size
    assert one.memory.process is not None and one.memory.process > one.weights
    assert one.memory.allocated is None and one.memory.reserved is None  # there is no GPU
    assert one.unknown == {}
    assert one.engine["dtype"] == "float32" and one.versions["torch"]
    report = read_cost(record)
    assert report is not None and report.measurements == (one,)
    assert str(tiny_qwen) not in json.dumps(report.model_dump(mode="json"))


def test_both_runs_of_a_folder_are_measured_and_a_larger_sample_is_all(run: Path) -> None:
    found = mb.measure(run, 100, progress=None)
    assert {path.name: one.measurements[0].clips for path, one in found.items()} == {
        "caption": CLIPS - 1,
        "vqa": CLIPS - 1,
    }


def test_requests_are_asked_alone_and_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from microg_bench.engines.transformers.engine import TransformersEngine

    asked: list[list[str]] = []
    respond = TransformersEngine._responses

    def note(self: TransformersEngine, jobs: Sequence[Any]) -> Any:
        asked.append([job.request.id for job in jobs])
        return respond(self, jobs)

    monkeypatch.setattr(TransformersEngine, "_responses", note)
    one = measured(run / "vqa", 2)
    assert {len(names) for names in asked} == {1}
    names = [name for (name,) in asked]
    assert len(names) == len(set(names)) == one.requests * 3 / 2  # a third clip warmed up


def test_a_submission_tells_the_hardware_of_its_run_and_no_measurement(
    run: Path, data: Path, tmp_path: Path
) -> None:
    measured(run / "vqa")
    record = RunRecord.read(run / "vqa")
    packed = pack(record, tmp_path / "subs")
    (checked,) = check([packed], load(str(data)))
    assert checked.record is not None, checked.problems
    assert checked.record.starts[0]["hardware"] == record.starts[0]["hardware"]
    assert not (packed / COST_FILE).exists()


def test_an_answer_of_one_token_has_no_rate(data: Path, tiny_qwen: Path, tmp_path: Path) -> None:
    given = {**FAST, "max_tokens": 1}
    mb.evaluate(f"transformers:{tiny_qwen}", str(data), "caption", run=tmp_path / "r", **given)
    one = measured(tmp_path / "r")
    assert one.tokens_per_second is None
    assert one.unknown == {"tokens_per_second": "no answer is longer than one token"}
    assert one.first_token is not None


def test_prompts_that_all_fail_end_in_an_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from microg_bench.engines.transformers.engine import TransformersEngine

    def fail(self: TransformersEngine, jobs: Sequence[Any]) -> Any:
        raise ValueError("no such kernel")

    monkeypatch.setattr(TransformersEngine, "_responses", fail)
    with pytest.raises(EngineError, match="no such kernel"):
        measured(run / "vqa")
    assert not (run / "vqa" / COST_FILE).exists()


def test_models_that_run_elsewhere_or_have_no_weights_are_refused(
    data: Path, run: Path, tmp_path: Path
) -> None:
    mb.evaluate("blind", str(data), "caption", run=tmp_path / "blind", metrics="ROUGE-L", progress=None)
    with pytest.raises(UsageError, match="has no weights"):
        mb.measure(tmp_path / "blind", progress=None)
    file = run / "vqa" / "run.json"
    for engine in ("server", "openai"):
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed(file, engine=engine)}))
        with pytest.raises(UsageError, match="hardware is not known"):
            mb.measure(run / "vqa", progress=None)


def test_an_error_that_names_no_run_is_left_out_with_the_run_that_it_ends(run: Path) -> None:
    errors: list[MicrogError] = []
    assert mb.measure(run, progress=None, data="nowhere", left_out=errors.append) == {}
    assert [error.path for error in errors] == [run / "caption", run / "vqa"]
    assert all("nowhere" in error.reason for error in errors)
    with pytest.raises(DataError, match="nowhere"):
        mb.measure(run, progress=None, data="nowhere")


def changed(file: Path, **settings: Any) -> dict[str, Any]:
    return {"settings": {**json.loads(file.read_text())["settings"], **settings}}


def test_a_run_is_measured_as_it_was_or_not_at_all(run: Path, data: Path) -> None:
    with pytest.raises(UsageError, match="max_tokens"):
        mb.measure(run, progress=None, max_tokens=3)
    with pytest.raises(UsageError, match="--sample"):
        mb.measure(run, 0, progress=None)
    assert not {"cache", "replicas", "batch_size", "max_concurrency", "dtype"} & set(OPTIONS)
    file = run / "vqa" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed(file, dtype="bfloat16")}))
    with pytest.raises(RunError, match="dtype"):
        mb.measure(run / "vqa", progress=None)
    (run / "caption" / "scorecard.json").unlink()
    with pytest.raises(RunError):
        mb.measure(run / "caption", progress=None)


def test_one_clip_is_too_few(data: Path, tiny_qwen: Path, tmp_path: Path) -> None:
    mb.evaluate(f"transformers:{tiny_qwen}", str(data), "caption", run=tmp_path / "r", limit=1, **FAST)
    with pytest.raises(DataError, match="to warm up"):
        mb.measure(tmp_path / "r", progress=None)


# The size of weights.


def sized(folder: Path, **files: int) -> Path:
    folder.mkdir()
    for name, size in files.items():
        (folder / f"{name}.safetensors").write_bytes(bytes(size))
    return folder


def test_weights_are_the_files_that_are_loaded(tmp_path: Path) -> None:
    assert weight_bytes(str(sized(tmp_path / "none")), None) is None
    assert weight_bytes(str(sized(tmp_path / "one", model=7, consolidated=9)), None) == 7
    assert weight_bytes(str(sized(tmp_path / "other", consolidated=9)), None) == 9
    shards = sized(tmp_path / "two", **{"model-1": 3, "model-2": 4, "consolidated": 9})
    (tmp_path / "secret.safetensors").write_bytes(bytes(50))
    names = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "../secret.safetensors"}
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert weight_bytes(str(shards), None) == 7
    (shards / "model.safetensors.index.json").write_text("{")
    with pytest.raises(DataError):
        weight_bytes(str(shards), None)


def test_weights_of_the_hub_are_those_in_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert weight_bytes("org/model", "a" * 40) is None
