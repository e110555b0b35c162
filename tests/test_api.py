"""The public functions, as a script and a notebook call them."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import microg_bench as mb
from microg_bench import model_checks
from microg_bench.errors import DataError, RunError
from microg_bench.progress import Progress
from microg_bench.records import Failure
from tests.helpers.datasets import make_dataset, record, write_annotations

pytestmark = pytest.mark.slow

HEAVY = (
    "torch",
    "transformers",
    "vllm",
    "polars",
    "openai",
    "google.genai",
    "rich",
    "av",
    "matplotlib",
    "scipy",
)
FAST: dict[str, Any] = {"metrics": "CIDEr,ROUGE-L", "progress": None}
TASKS = ["caption", "vqa"]
IDS = ["a_000", "a_001", "b_000", "c_000"]


class Recording(Progress):
    """A progress callback that keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []
        self.steps = 0
        self.failures: list[Failure] = []
        self.notes: list[str] = []

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.stages.append((name, total, done))

    def advance(self) -> None:
        self.steps += 1

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> mb.Results:
    """Both tasks of a baseline that looks at the sample. Do not change its folder."""
    return mb.evaluate("nearest-clip", data="sample", run=tmp_path_factory.mktemp("run") / "r", **FAST)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Annotations without videos."""
    return write_annotations(tmp_path / "refs.json", [record(name, n) for n, name in enumerate(IDS)])


def journals(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("journal.jsonl")}


# The page of a run.


class Reading(Recording):
    """A progress callback that reads a page at each step."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.page = page
        self.read: list[str] = []

    def advance(self) -> None:
        self.read.append(self.page.read_text() if self.page.exists() else "")


def test_a_run_has_a_page_as_it_goes_and_in_the_end(data: Path) -> None:
    file = Path("r", "page.html")
    progress = Reading(file)
    mb.evaluate("blind", str(data), run="r", page=True, metrics="ROUGE-L", progress=progress)
    assert progress.read[0] == "" and "in progress" in progress.read[1]
    assert "There are no scores yet" in progress.read[1] and "ROUGE-L" not in progress.read[1]
    page = file.read_text()
    assert "in progress" not in page and "ROUGE-L" in page and 'id="tiles-1"' in page
    assert "Pictures of the frames are on the page" in page or "sees no video" in page


def test_a_short_run_has_a_page_only_where_it_is_asked_for(data: Path) -> None:
    for folder, page in (("a", None), ("b", False)):
        mb.evaluate("blind", str(data), run=folder, page=page, **FAST)
        assert not Path(folder, "page.html").exists()


def test_the_page_of_a_shard_tells_that_it_is_not_scored(data: Path) -> None:
    results = mb.evaluate("blind", str(data), run="r", shard="1/2", page=True, **FAST)
    page = (results.folder / "page.html").read_text()
    assert "Shard 1/2 has ended" in page and "ROUGE-L" not in page


def test_an_error_that_ends_a_run_stands_on_its_page(data: Path) -> None:
    class Stopping(Recording):
        def advance(self) -> None:
            super().advance()
            if self.steps == 3:
                raise RunError("the disk is full")

    with pytest.raises(RunError, match="the disk is full"):
        mb.evaluate("blind", str(data), run="r", page=True, progress=Stopping(), metrics="ROUGE-L")
    assert "This start was stopped (the disk is full)" in Path("r", "page.html").read_text()
    mb.evaluate("blind", str(data), run="r", page=True, **FAST)
    assert "ROUGE-L" in Path("r", "page.html").read_text()


# What an evaluation gives.


def test_results_map_each_task_to_its_scorecard(results: mb.Results) -> None:
    assert list(results) == TASKS
    assert len(results) == 2
    for task, items in (("caption", 14), ("vqa", 84)):
        card = results[task]  # type: ignore[index]
        assert isinstance(card, mb.Scorecard)
        assert (card.task, card.items, card.complete) == (task, items, True)
        assert list(card.scores) == ["CIDEr", "ROUGE-L"]
        written = json.loads((results.folder / task / "scorecard.json").read_text())
        assert written == card.to_json()


def test_results_tell_where_everything_is(results: mb.Results) -> None:
    assert results.folder.name == "r"
    assert {task: one.path for task, one in results.records.items()} == {
        task: results.folder / task for task in TASKS
    }
    assert (results.outcomes.failed, results.usage.answers) == (0, 98)
    assert repr(results) == f"Results({str(results.folder)!r}: caption, vqa)"


def test_results_are_a_table_in_a_notebook(results: mb.Results) -> None:
    table = results._repr_markdown_()
    assert table == results.table()
    for task in TASKS:
        assert (results.folder / task / "table.md").read_text() in table


def test_the_frame_has_one_row_an_item(results: mb.Results) -> None:
    frame = results.frame()
    assert isinstance(frame, pl.DataFrame)
    assert frame.group_by("task").len().sort("task").rows() == [("caption", 14), ("vqa", 84)]
    rows = frame.filter(pl.col("task") == "vqa")
    assert rows["id"].n_unique() == 84
    assert rows["reference"].null_count() == rows["answer"].null_count() == 0
    value = results["vqa"].scores["ROUGE-L"].value
    assert rows["ROUGE-L"].mean() == pytest.approx(value)
    assert frame.equals(results.frame(mb.load_dataset("sample")))


# Resuming.


def test_the_same_arguments_resume_and_ask_nothing_again(data: Path) -> None:
    first = mb.evaluate("blind", data=data, **FAST)
    before = journals(first.folder)
    assert len(before) == 2
    again = mb.evaluate("blind", data=data, **FAST)
    assert again.folder == first.folder
    assert not again.outcomes.asked
    assert journals(again.folder) == before
    assert dict(again) == dict(first)


def test_what_is_missing_alone_is_asked(data: Path) -> None:
    mb.evaluate("blind", data=data, run="r", **FAST)
    journal = Path("r/vqa/journal.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-2]))
    callback = Recording()
    again = mb.evaluate("blind", data=data, run="r", **{**FAST, "progress": callback})
    assert callback.stages[0] == ("asking", 12, 10)
    assert again.usage.answers == 2
    assert len(journal.read_text().splitlines()) == len(lines)


def test_other_settings_are_refused(data: Path) -> None:
    mb.evaluate("blind", data=data, run="r", **FAST)
    with pytest.raises(mb.MicrogError, match="r/caption: was started with other settings"):
        mb.evaluate("blind", data=data, run="r", limit=1, **FAST)


def test_a_task_alone_has_its_folder(data: Path) -> None:
    results = mb.evaluate("constant", data=data, tasks="vqa", run="r", **FAST)
    assert list(results) == ["vqa"]
    assert results.records["vqa"].path == Path("r/vqa")


# Event loops.


def test_it_runs_under_a_running_event_loop(data: Path) -> None:
    async def cell() -> mb.Results:
        return mb.evaluate("blind", data=data, run="r", **FAST)  # as in a cell of a notebook

    assert asyncio.run(cell())["caption"].complete


def test_an_error_under_a_running_event_loop_is_the_same(data: Path) -> None:
    async def cell() -> None:
        mb.evaluate("blind", data=data, metrics="CIDER", progress=None)

    with pytest.raises(mb.MicrogError, match="--metrics: unknown metric 'CIDER'"):
        asyncio.run(cell())


def test_a_sweep_runs_under_a_running_event_loop(data: Path) -> None:
    async def cell() -> Any:
        return mb.sweep("blind", data=data, tasks="vqa", run="s", prompts=["default"], **FAST)

    assert list(asyncio.run(cell())) == ["default"]


def test_it_can_be_awaited(data: Path) -> None:
    async def script() -> tuple[mb.Results, mb.Results]:
        one, other = await asyncio.gather(
            mb.evaluate_async("blind", data=data, run="one", **FAST),
            mb.evaluate_async("constant", data=data, run="other", **FAST),
        )
        return one, other

    awaited = asyncio.run(script())
    assert [results["vqa"].items for results in awaited] == [8, 8]
    assert dict(mb.evaluate("blind", data=data, run="again", **FAST)) == dict(awaited[0])


def test_both_take_the_same_arguments() -> None:
    one, other = inspect.signature(mb.evaluate), inspect.signature(mb.evaluate_async)
    assert one.parameters == other.parameters


# Progress.


def test_without_progress_nothing_is_printed(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mb.evaluate("blind", data=data, run="r", **FAST)
    mb.score("r", **FAST)
    mb.sweep("blind", data=data, run="s", prompts=["default"], **FAST)
    mb.dry_run("blind", data=data)
    assert capfd.readouterr() == ("", "")


def test_there_is_no_bar_where_there_is_no_terminal(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mb.evaluate("blind", data=data, run="r", metrics="CIDEr")
    assert capfd.readouterr() == ("", "")  # which is no terminal here


def test_a_callback_is_told_of_stages_steps_and_failures(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    broken = data / "videos" / "real" / "a" / "a_001.mp4"
    broken.write_bytes(broken.read_bytes()[:500])
    callback = Recording()
    options = {**FAST, "progress": callback}
    results = mb.evaluate("nearest-clip", data=data, tasks="caption", run="r", **options)
    assert callback.stages == [("describing clips", 4, 0), ("asking", 4, 0), ("scoring", 1, 0)]
    assert callback.steps == 4 + 3 + 1
    assert [(one.id, one.stage) for one in callback.failures] == [("a_001", "decode")]
    assert callback.failures == list(results.records["caption"].failures.values())
    assert not results["caption"].complete


# The other functions.


def test_what_is_no_callback_is_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    with pytest.raises(mb.MicrogError, match="progress: give"):
        mb.evaluate("constant", data=data, run=tmp_path / "run", progress="bar")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_score_scores_a_run_again(data: Path) -> None:
    results = mb.evaluate("blind", data=data, run="r", **FAST)
    before = journals(results.folder)
    cards = mb.score("r", metrics="BLEU-1", progress=None)
    assert [card.task for card in cards] == TASKS
    assert [list(card.scores) for card in cards] == [["BLEU-1"]] * 2
    assert journals(results.folder) == before
    assert mb.load_run("r/vqa").scorecard == cards[1]


def test_score_scores_a_predictions_file(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(json.dumps(dict.fromkeys(IDS, "A man floats.")))
    (card,) = mb.score(file, "caption", data, **FAST)
    assert (card.items, card.complete, card.model) == (4, True, None)
    (same,) = mb.score(file, "caption", mb.load_dataset(data), **FAST)
    assert same == card
    with pytest.raises(mb.MicrogError, match="--task: give the task of the predictions"):
        mb.score(file, data=data, **FAST)


def test_a_run_that_cannot_be_scored_is_raised_when_the_others_are(data: Path) -> None:
    mb.evaluate("blind", data=data, run="r", **FAST)
    Path("r/caption/run.json").write_text("{")
    Path("r/vqa/scorecard.json").unlink()
    with pytest.raises(mb.MicrogError, match="r/caption/run.json: damaged"):
        mb.score("r", **FAST)
    assert mb.load_run("r/vqa").is_scored


def test_compare_tells_how_two_runs_differ(data: Path) -> None:
    one, other = (mb.evaluate(name, data=data, run=name, **FAST) for name in ("blind", "constant"))
    found = mb.compare("blind", "constant")
    assert [(entry.first.settings.task, entry.metric) for entry in found] == [
        (task, metric) for task in TASKS for metric in ("CIDEr", "ROUGE-L")
    ]
    for entry in found:
        task = entry.first.settings.task
        first, second = (results[task].scores[entry.metric].value for results in (one, other))
        assert first is not None and second is not None
        assert entry.difference.value == pytest.approx(first - second)
    (alone,) = mb.compare(one.records["vqa"], other.records["vqa"], metrics=["ROUGE-L"])
    assert alone.difference == found[3].difference


def test_compare_refuses_an_unknown_metric(results: mb.Results, data: Path, tmp_path: Path) -> None:
    mb.evaluate("blind", data=data, run=tmp_path / "other", metrics="ROUGE-L", progress=None)
    with pytest.raises(mb.MicrogError, match="unknown metric 'X'"):
        mb.compare(results.folder, tmp_path / "other", metrics=["X"])


def test_a_sweep_gives_the_results_of_each_configuration(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    found = mb.sweep("nearest-clip", data=data, tasks="caption", run="s", frames=[1, 2], **FAST)
    assert list(found) == ["frames1-default", "frames2-default"]
    assert [results["caption"].frames for results in found.values()] == ["1", "2"]
    assert [results.folder for results in found.values()] == [Path("s") / name / "caption" for name in found]
    assert found.cards() == {name: [results["caption"]] for name, results in found.items()}
    assert found.table() == Path("s/sweep.md").read_text()
    alone = mb.evaluate("nearest-clip", data=data, tasks="caption", run="one", frames=1, **FAST)
    assert alone["caption"] == found["frames1-default"]["caption"]


def test_load_run_reads_what_a_run_holds(results: mb.Results) -> None:
    run = mb.load_run(results.folder / "vqa")
    assert isinstance(run, mb.RunRecord)
    assert run.scorecard == results["vqa"]
    assert run.answers == results.records["vqa"].answers
    assert run.failures == {}
    assert run.settings.model == "nearest-clip"
    assert len(run.statistics.ids) == 84
    with pytest.raises(mb.MicrogError, match="nowhere: not a run folder"):
        mb.load_run("nowhere")


def test_a_loaded_dataset_is_taken_as_data(data: Path) -> None:
    dataset = mb.load_dataset(data)
    assert isinstance(dataset, mb.Dataset)
    assert [clip.video_id for clip in dataset.clips] == IDS
    given = mb.evaluate("blind", data=dataset, run="given", **FAST)
    named = mb.evaluate("blind", data=str(data), run="named", **FAST)
    assert dict(given) == dict(named)
    with pytest.raises(mb.MicrogError, match="nowhere: no such dataset"):
        mb.load_dataset("nowhere")


@pytest.mark.usefixtures("_transformers")
def test_a_dry_run_asks_nothing_and_writes_nothing(tmp_path: Path) -> None:
    shown = mb.dry_run("qwen2.5-vl", data="sample", tasks="caption", frames=3)
    assert [example.request.task for example in shown.examples] == ["caption"]
    assert len(shown.examples[0].frames) == 3
    assert shown.estimate is None
    assert "first caption request" in str(shown)
    assert list(tmp_path.iterdir()) == []


def test_check_model_checks_an_adapter() -> None:
    checks = mb.check_model("qwen2.5-vl")
    assert checks
    assert [check for check in checks if check.problem] == []
    with pytest.raises(mb.MicrogError, match="unknown model 'qwen2.5'"):
        mb.check_model("qwen2.5")


def test_the_errors_of_several_runs_are_all_told() -> None:
    mb.api.raise_all([])
    one, other = RunError("damaged", path="a"), DataError("missing", path="b")
    with pytest.raises(DataError) as alone:
        mb.api.raise_all([other])
    assert alone.value is other
    with pytest.raises(RunError) as both:
        mb.api.raise_all([one, other])
    assert str(one) in str(both.value) and str(other) in str(both.value)


def test_a_model_that_was_shown_fewer_frames_than_it_takes_fails_its_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As from a harness that drops a frame: the run is a real one, its answers are short of a frame."""
    evaluate = mb.api.evaluate
    drop = 0

    def dropping(**options: Any) -> mb.Results:
        results = evaluate(**options)
        for run in results.records.values():
            for name, answer in run.answers.items():
                shown = answer.frames[: len(answer.frames) - drop]
                run.answers[name] = answer.model_copy(update={"frames": shown})
        return results

    monkeypatch.setattr(model_checks, "evaluate", dropping)
    assert model_checks._smoke_test(model="nearest-clip") == ""
    drop = 1
    assert "4 frames were asked for, [3] were shown" in model_checks._smoke_test(model="nearest-clip")


def test_check_model_tells_what_goes_wrong_with_a_checkpoint() -> None:
    pytest.importorskip("transformers")
    checks = mb.check_model("qwen2.5-vl", "./nowhere", "transformers")
    assert [check.problem for check in checks if check.problem] == ["./nowhere: no such checkpoint folder"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mb.evaluate("blnd"), "unknown model 'blnd': did you mean blind"),
        (lambda: mb.evaluate("blind", modle=1), "unknown option 'modle'"),
        (lambda: mb.evaluate("blind", frames="many"), "--frames: "),
        (lambda: mb.evaluate("blind", tasks=()), "give at least one task"),
        (lambda: mb.score("nowhere"), "nowhere: no such folder"),
        (lambda: mb.score("nowhere", frames=3), "unknown option 'frames'"),
        (lambda: mb.compare("nowhere"), "nowhere: no such folder"),
        (lambda: mb.sweep("blind", run="s", prompts=["default", "default"]), "two configurations"),
        (lambda: mb.dry_run("blind", data="nowhere"), "nowhere: no such dataset"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(call: Callable[[], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(mb.MicrogError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# The package.


def loaded(code: str) -> list[str]:
    """Which heavy modules `code` loads in a process of its own."""
    check = f"import sys; {code}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.replace("'", '"')))


def test_importing_the_package_is_light() -> None:
    assert loaded("import microg_bench") == []
    assert loaded("import microg_bench as mb; mb.__version__, dir(mb), mb.MicrogError, mb.Scorecard") == []


def test_the_public_functions_load_no_model_library() -> None:
    assert not {"torch", "transformers", "vllm", "openai", "google.genai", "matplotlib"} & set(
        loaded("import microg_bench as mb; [getattr(mb, name) for name in mb.__all__]")
    )


def test_every_public_name_exists_and_is_documented() -> None:
    for name in mb.__all__:
        assert getattr(mb, name) is not None
        assert name == "__version__" or inspect.getdoc(getattr(mb, name))
    with pytest.raises(AttributeError, match="has no attribute 'evalute'"):
        _ = mb.evalute
