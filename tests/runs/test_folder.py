import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import RunError
from microg_bench.records import Failure, Generation, Response
from microg_bench.runs.folder import RunFolder, read_run, read_state
from microg_bench.runs.settings import Options
from tests.helpers.runs import make_settings


def open_run(path: Path, **changed: Any) -> RunFolder:
    return RunFolder(path, make_settings(**changed), Options(model="m"), {"started": "now"})


def test_answers_and_failures_are_kept_apart_and_an_answer_mends_a_failure(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as folder:
        folder.failed(Failure(id="a", stage="engine", reason="busy", retryable=True))
        folder.failed(Failure(id="b", stage="decode", reason="broken"))
        folder.answered(Response(id="a", text=" raw "), "raw", (1, 2))
    state = read_state(tmp_path / "r")
    assert state.answers["a"].text == " raw "
    assert state.answers["a"].answer == "raw"
    assert state.answers["a"].frames == (1, 2)
    assert {name: failure.reason for name, failure in state.failures.items()} == {"b": "broken"}
    with open_run(tmp_path / "r") as folder:
        assert folder.done == {"a"}


def test_the_first_answer_counts_and_a_later_failure_does_not_undo_it(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as folder:
        folder.answered(Response(id="a", text="first"), "first", ())
        folder.answered(Response(id="a", text="second"), "second", ())
        folder.failed(Failure(id="a", stage="engine", reason="late"))
    state = read_state(tmp_path / "r")
    assert state.answers["a"].answer == "first"
    assert not state.failures


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": "uniform:9"}, "frames: uniform:8 → uniform:9"),
        ({"prompt": "p@2"}, "prompt: p@1 → p@2"),
        ({"generation": Generation(seed=7)}, "generation"),
        ({"fingerprint": "g"}, "fingerprint: f → g"),
        ({"clips": ("a",)}, "clips"),
    ],
)
def test_a_run_refuses_other_settings_and_names_the_one(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    open_run(tmp_path / "r").close()
    with pytest.raises(RunError, match=message):
        open_run(tmp_path / "r", **changed)
    with open_run(tmp_path / "r"):
        assert len(read_run(tmp_path / "r")["starts"]) == 2


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with open_run(tmp_path / "r"), pytest.raises(RunError, match="another process is writing"):
        open_run(tmp_path / "r")
    open_run(tmp_path / "r").close()


def test_a_folder_that_is_refused_is_left_unlocked(tmp_path: Path) -> None:
    open_run(tmp_path / "r").close()
    with pytest.raises(RunError):
        open_run(tmp_path / "r", frames="uniform:9")
    open_run(tmp_path / "r").close()


def test_a_journal_without_its_run_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "journal.jsonl").write_text('{"id":"x"}\n')
    with pytest.raises(RunError, match=r"journal.jsonl but no run.json"):
        open_run(tmp_path / "r")
    assert (tmp_path / "r" / "journal.jsonl").read_text() == '{"id":"x"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged"),
        ("[" * 100_000, "damaged"),
        ("[]", "not of this version"),
        ('{"schema": "microg-bench/run/99"}', "not of this version"),
        ('{"schema": "microg-bench/run/1"}', "lacks options"),
    ],
)
def test_a_damaged_run_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=message):
        read_run(tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        read_run(tmp_path)


def test_a_record_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text(json.dumps({"id": "a_001", "type": "response"}) + "\n")
    with pytest.raises(RunError, match="the record of a_001 is damaged"):
        read_state(tmp_path)


def test_a_run_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be created"):
        open_run(tmp_path / "file" / "r")
