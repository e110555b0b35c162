import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import RunError
from microg_bench.records import Answer, Failure, Generation, Response, Withdrawal
from microg_bench.runs.batches import BATCHES_FILE
from microg_bench.runs.record import RunRecord, find_runs
from microg_bench.runs.start import note_engine
from microg_bench.settings import PromptId
from microg_bench.storage import Journal
from microg_bench.video.sampling import FrameSpec
from tests.helpers.runs import begun_run, content, make_settings, open_run


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
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"))
    before = content(tmp_path)
    with pytest.raises(RunError, match=message):
        open_run(tmp_path / "r", **changed)
    assert content(tmp_path) == before
    with open_run(tmp_path / "r"):
        assert len(RunRecord.read(tmp_path / "r").starts) == 2


def test_a_run_is_not_begun_in_a_folder_of_runs(tmp_path: Path) -> None:
    begun_run(tmp_path / "vqa")
    with pytest.raises(RunError, match=r"holds other runs \(vqa\): give one of them, or another folder"):
        open_run(tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with open_run(tmp_path / "r"), pytest.raises(RunError, match="another process is writing"):
        open_run(tmp_path / "r")
    open_run(tmp_path / "r").close()


def test_a_record_that_is_only_read_cannot_be_written_to(tmp_path: Path) -> None:
    begun_run(tmp_path / "r")
    with pytest.raises(RuntimeError, match="not open for writing"):
        RunRecord.read(tmp_path / "r").add(answer("a"))


def test_a_folder_that_is_refused_is_left_unlocked(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"))
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
        begun_run(tmp_path / name)
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
        record.add(answer("a"))
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


def texts(record: RunRecord) -> list[str]:
    return sorted(one.text for one in record.responses)


def unread(name: str, text: str) -> Failure:
    return Failure(id=name, stage="parse", reason="odd", response=Response(id=name, text=text))


def test_a_withdrawn_answer_does_not_count_and_the_next_one_does(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a", "first"), answer("b", "other"))
        record.add(Withdrawal(id="a", reason="the file has changed"))
        assert set(record.answers) == set(RunRecord.read(tmp_path / "r").answers) == {"b"}
        record.add(answer("a", "second"))
    for found in (record, RunRecord.read(tmp_path / "r")):
        assert {name: one.answer for name, one in found.answers.items()} == {"a": "second", "b": "other"}
        assert texts(found) == ["first", "other", "second"], "what was withdrawn was paid for"
    lines = (tmp_path / "r" / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[2]) == {"type": "withdrawn", "id": "a", "reason": "the file has changed"}


def test_all_that_was_said_was_paid_for_and_counts_once(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(unread("a", "one"), unread("a", "two"), answer("a", "three"), answer("a", "four"))
        record.add(unread("a", "late"), unread("b", "five"))
        record.add(Withdrawal(id="b", reason="parsed again", parsed_again=True), answer("b", "five"))
        record.add(Failure(id="c", stage="engine", reason="busy"), Withdrawal(id="c", reason="begun again"))
    for found in (record, RunRecord.read(tmp_path / "r")):
        assert texts(found) == ["five", "four", "late", "one", "three", "two"]
        assert {name: one.text for name, one in found.answers.items()} == {"a": "three", "b": "five"}
        assert found.failures == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"type": "erased", "id": "a"}, "the type 'erased' is not known to this version"),
        ({"type": ["response"], "id": "a"}, r"the type \['response'\] is not known to this version"),
        ({"id": "a", "text": "x", "answer": "x"}, "damaged: it has no type"),
    ],
)
def test_a_line_of_an_unknown_type_is_an_error(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    begun_run(tmp_path / "r")
    with (tmp_path / "r" / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(line) + "\n")
    before = content(tmp_path)
    with pytest.raises(RunError, match=f"journal.jsonl: line 2: {message}"):
        open_run(tmp_path / "r")
    assert content(tmp_path) == before


def test_a_start_that_records_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with open_run(tmp_path / "runs" / "m" / "caption") as record:
        record.note(engine={"device": "cpu"})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), open_run(tmp_path / "runs" / "m" / "caption"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_others_have_put_there_is_left(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with open_run(tmp_path / "m" / "caption"), open_run(tmp_path / "m" / "vqa") as kept:
        kept.add(answer("a#1"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    open_run(tmp_path / "mine").close()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["notes.txt", "vqa"]
    assert (tmp_path / "mine" / ".lock").exists() is False


def pending(path: Path) -> None:
    with Journal(path) as ledger:
        ledger.append({"type": "sending", "token": "t", "requests": {"a": [1]}})


@pytest.mark.parametrize("root", [".", "r"])
def test_a_run_whose_requests_are_in_a_batch_keeps_its_folder(tmp_path: Path, root: str) -> None:
    with open_run(tmp_path / "r"):
        pending(tmp_path / root / BATCHES_FILE)
    before = content(tmp_path)
    assert "r/run.json" in before
    with pytest.raises(RunError, match="was started with other settings"):
        open_run(tmp_path / "r", fingerprint="g")
    assert content(tmp_path) == before
    open_run(tmp_path / "r").close()


def test_a_run_without_an_answer_is_begun_again_with_other_settings(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(Failure(id="a", stage="engine", reason="no such model"), unread("b", "paid for"))
        record.note(rejected=["temperature"])
    (tmp_path / "r" / "scorecard.json").write_text("{}")
    with open_run(tmp_path / "r", model="other", clips=("b",)) as record:
        assert (record.failures, record.rejected, record.is_scored) == ({}, (), False)
        record.add(answer("b", "said"))
    found = RunRecord.read(tmp_path / "r")
    assert (found.settings.model, found.starts) == ("other", [{"started": "now"}])
    assert (set(found.answers), found.failures, texts(found)) == ({"b"}, {}, ["paid for", "said"])
    with pytest.raises(RunError, match="model: other → m"):
        open_run(tmp_path / "r")


def test_an_edited_adapter_is_told_with_both_ways(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        record.add(answer("a"))
    with pytest.raises(RunError) as told:
        open_run(tmp_path / "r", adapter_sha256="1" * 64, title="Edited")
    assert str(told.value) == (
        f"{tmp_path}/r: the file of the adapter m was edited since the run was started: "
        f"`microg-bench score {tmp_path}/r --reparse` parses the kept texts again with it, "
        "--run DIR asks anew"
    )
    with pytest.raises(RunError, match="frames: uniform:8 → uniform:9"):
        open_run(tmp_path / "r", adapter_sha256="1" * 64, frames=FrameSpec(count=9))


def test_other_weights_in_the_same_folder_are_told(tmp_path: Path) -> None:
    own = {"checkpoint": "weights", "checkpoint_sha256": "a" * 64}
    with open_run(tmp_path / "r", **own, title="M (weights, aaaaaaaa)") as record:
        record.add(answer("a"))
    now = {"checkpoint_sha256": "b" * 64, "title": "M (weights, bbbbbbbb)"}
    with pytest.raises(
        RunError, match="r: the weights in weights have changed since the run was started; put"
    ):
        open_run(tmp_path / "r", **{**own, **now})
    open_run(tmp_path / "r", **own).close()


def test_a_run_is_opened_as_it_is(tmp_path: Path) -> None:
    begun_run(tmp_path / "r")
    with RunRecord.reopen(tmp_path / "r") as record:
        record.add(answer("b"))
        record.begin({"started": "later"}, make_settings(title="N"))
        with pytest.raises(RunError, match="another process is writing"):
            RunRecord.reopen(tmp_path / "r")
    found = RunRecord.read(tmp_path / "r")
    assert (found.settings.title, found.starts[-1], set(found.answers)) == ("N", {"started": "later"}, {"b"})
    with pytest.raises(RunError, match="not a run folder"):
        RunRecord.reopen(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_run_of_another_commit_of_its_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    with open_run(tmp_path / "r") as record:
        note_engine(record, {"commit": "a" * 40, "torch": "2"})
        record.add(answer("a"))
    with RunRecord.reopen(tmp_path / "r") as record:
        record.begin({"started": "later"}, record.settings)
        note_engine(record, {"commit": "a" * 40, "torch": "3"})
        record.begin({"started": "last"}, record.settings)
        with pytest.raises(RunError, match=f"of commit {'a' * 40} .* which is {'b' * 40} here"):
            note_engine(record, {"commit": "b" * 40})
    assert RunRecord.read(tmp_path / "r").engine == {"commit": "a" * 40, "torch": "3"}
    with open_run(tmp_path / "unanswered") as record:
        note_engine(record, {"commit": "a" * 40})
        note_engine(record, {"commit": "b" * 40})
