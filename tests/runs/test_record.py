import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import RunError
from microg_bench.records import Answer, Failure, Generation
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.settings import PromptId
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import content, make_settings, open_run


def answer(name: str, text: str = "x", **more: Any) -> Answer:
    return Answer(id=name, text=text, answer=text.strip(), **more)


def test_answers_and_failures_are_kept_apart_and_an_answer_replaces_a_failure(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(Failure(id="a", stage="engine", reason="busy", retryable=True))
        record.add(Failure(id="b", stage="decode", reason="broken"), answer("a", " raw ", frames=(1, 2)))
    for found in (record, RunRecord.read(tmp_path / "r")):
        assert found.answers["a"].text == " raw "
        assert found.answers["a"].answer == "raw"
        assert found.answers["a"].frames == (1, 2)
        assert {name: failure.reason for name, failure in found.failures.items()} == {"b": "broken"}
    with open_run(tmp_path / "r") as record:
        assert set(record.answers) == {"a"}


def test_the_first_answer_counts_and_a_later_failure_does_not_undo_it(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a", "first"))
        record.add(answer("a", "second"))
    late = {"type": "failure", "id": "a", "stage": "engine", "reason": "late"}
    with (tmp_path / "r" / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(late) + "\n")
    found = RunRecord.read(tmp_path / "r")
    assert found.answers["a"].answer == "first"
    assert not found.failures


def test_a_failure_after_an_answer_is_none_in_memory_as_on_disk(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"))
        record.add(Failure(id="a", stage="engine", reason="late"))
    assert record.failures == RunRecord.read(tmp_path / "r").failures == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": FrameSpec(count=9)}, "frames: uniform:8 → uniform:9"),
        ({"prompt": PromptId(id="p", version=2, hash="0a1b2c3d")}, "prompt: p@1:0a1b2c3d → p@2:0a1b2c3d"),
        ({"generation": Generation(seed=7)}, "generation"),
        ({"fingerprint": "g"}, "fingerprint: f → g"),
        ({"clips": ("a",)}, "clips"),
    ],
)
def test_a_run_refuses_other_settings_and_names_the_one(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    open_run(tmp_path / "r").close()
    before = content(tmp_path)
    with pytest.raises(RunError, match=message):
        open_run(tmp_path / "r", **changed)
    assert content(tmp_path) == before
    with open_run(tmp_path / "r"):
        assert len(RunRecord.read(tmp_path / "r").starts) == 2


def test_a_run_is_not_begun_in_a_folder_of_runs(tmp_path: Path) -> None:
    open_run(tmp_path / "vqa").close()
    with pytest.raises(RunError, match=r"holds other runs \(vqa\): give one of them, or another folder"):
        open_run(tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with open_run(tmp_path / "r"), pytest.raises(RunError, match="another process is writing"):
        open_run(tmp_path / "r")
    open_run(tmp_path / "r").close()


def test_a_record_that_is_only_read_cannot_be_written_to(tmp_path: Path) -> None:
    open_run(tmp_path / "r").close()
    with pytest.raises(RuntimeError, match="not open for writing"):
        RunRecord.read(tmp_path / "r").add(answer("a"))


def test_a_folder_that_is_refused_is_left_unlocked(tmp_path: Path) -> None:
    open_run(tmp_path / "r").close()
    with pytest.raises(RunError):
        open_run(tmp_path / "r", frames=FrameSpec(count=9))
    open_run(tmp_path / "r").close()


def test_a_journal_without_its_run_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "journal.jsonl").write_text('{"id":"x"}\n')
    with pytest.raises(RunError, match=r"journal.jsonl but no run.json"):
        open_run(tmp_path / "r")
    assert content(tmp_path / "r") == {"journal.jsonl": b'{"id":"x"}\n'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "damaged: it holds no JSON object"),
        ('{"schema": "microg-bench/run/99"}', "is not known to this version"),
        ('{"schema": "microg-bench/run/2"}', "damaged: options: Field required"),
        ('{"schema": "microg-bench/run/1"}', "damaged: KeyError: 'options'"),
    ],
)
def test_a_damaged_run_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match=f"run.json: .*{message}"):
        RunRecord.read(tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        RunRecord.read(tmp_path)
    with pytest.raises(RunError, match="not a run folder"):
        find_runs(tmp_path)
    with pytest.raises(RunError, match="no such folder"):
        find_runs(tmp_path / "none")


def test_runs_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b/vqa", "a/frames8-default/caption", "a/frames8-default/vqa"):
        open_run(tmp_path / name).close()
    assert find_runs(tmp_path / "b" / "vqa") == [tmp_path / "b" / "vqa"]
    assert [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)] == [
        "a/frames8-default/caption",
        "a/frames8-default/vqa",
        "b/vqa",
    ]


def test_a_line_that_lacks_a_field_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"))
    with (tmp_path / "r" / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"id": "a_001", "type": "response"}) + "\n" + '{"torn')
    before = content(tmp_path)
    with pytest.raises(RunError, match=r"journal.jsonl: line 2: damaged: text: Field required"):
        RunRecord.read(tmp_path / "r").answers  # noqa: B018
    with pytest.raises(RunError, match=r"journal.jsonl: line 2: damaged: text: Field required"):
        open_run(tmp_path / "r")
    assert content(tmp_path) == before


def test_a_torn_last_line_is_repaired_and_told(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"), answer("b"))
        assert not record.repaired
    whole = (tmp_path / "r" / "journal.jsonl").read_bytes()
    (tmp_path / "r" / "journal.jsonl").write_bytes(whole[:-3])
    with open_run(tmp_path / "r") as record:
        assert record.repaired
        assert set(record.answers) == {"a"}
        record.add(answer("b"))
    assert (tmp_path / "r" / "journal.jsonl").read_bytes() == whole


def test_what_is_noted_belongs_to_the_last_start(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.note(rejected=["temperature"])
    with open_run(tmp_path / "r") as record:
        record.note(engine={"device": "cpu"}, rejected=["top_p"])
    found = RunRecord.read(tmp_path / "r")
    assert found.starts == [
        {"started": "now", "rejected": ["temperature"]},
        {"started": "now", "engine": {"device": "cpu"}, "rejected": ["top_p"]},
    ]
    assert found.rejected == ("temperature", "top_p")
    assert (found.settings, found.options) == (make_settings(), {"model": "m"})


def test_a_run_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be created"):
        open_run(tmp_path / "file" / "r")
