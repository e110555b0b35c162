"""Predictions in every layout, laid beside the items of a dataset."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.dataset.load import load
from microg_bench.errors import DataError
from microg_bench.export.predictions import frame, to_jsonl, to_parquet
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.predictions import Matched, read_predictions
from microg_bench.scoring.score import as_layout
from microg_bench.tasks import TASKS, Item, items_of
from tests.helpers.datasets import record, write_annotations
from tests.helpers.predictions import (
    lmms_eval_sample,
    vlmevalkit_table,
    write_lmms_eval,
    write_vlmevalkit,
)

RECORDS = [record("a_001", 1), record("a_002", 2)]
STRANGE = ' é 漢 \U0001f680 "q" \\ \t= \u2028 \r\nend'
FORMATS = [".json", ".tsv", ".xlsx"]


def write(tmp_path: Path, content: Any) -> Path:
    (tmp_path / "p.json").write_text(json.dumps(content))
    return tmp_path / "p.json"


def items_for(task: Any, tmp_path: Path) -> tuple[Item, ...]:
    return items_of(TASKS[task], load(str(write_annotations(tmp_path / "refs.json", RECORDS))).clips)


def read(tmp_path: Path, task: Any, content: Any) -> Matched:
    return read_predictions(write(tmp_path, content), task, items_for(task, tmp_path))


def exported(task: str, id: str, answer: str | None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "task": task, "id": id, "answer": answer, **more}


def texts_for(items: Sequence[Item]) -> dict[str, str]:
    return {item.request.id: f"answer {n}{STRANGE}" for n, item in enumerate(items)}


def whole(found: Matched, texts: dict[str, str]) -> bool:
    return (found.answers, found.missing, found.unknown, found.repeated) == (texts, (), (), 0)


@pytest.mark.parametrize("task", ["caption", "vqa"])
@pytest.mark.parametrize("size", ["small", "full"])
def test_both_published_layouts_match_the_real_references(shared: Path, task: Any, size: str) -> None:
    dataset = load(str(shared / "data" / "microg4m" / "vqa_and_captioning.json"))
    items = items_of(TASKS[task], dataset.clips)
    name = {"caption": "captions.json", "vqa": "vqa.json"}[task]
    found = read_predictions(shared / "data" / "oracle" / size / name, task, items)
    expected = json.loads((shared / "data" / "oracle" / size / "expected.json").read_text())[task]["n"]
    assert len(found.answers) == expected
    assert len(found.missing) == len(items) - expected
    assert found.unknown == ()


@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_what_a_run_writes_is_read_back(tmp_path: Path, task: Any) -> None:
    items = items_for(task, tmp_path)
    assert whole(read(tmp_path, task, as_layout(task, items, texts_for(items))), texts_for(items))


def test_records_may_be_json_lines(tmp_path: Path) -> None:
    items = items_for("vqa", tmp_path)
    records = as_layout("vqa", items, texts_for(items))
    path = tmp_path / "p.jsonl"
    path.write_text("\n\n".join(map(json.dumps, records)))
    assert whole(read_predictions(path, "vqa", items), texts_for(items))


def test_missing_and_unknown_predictions_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, "caption", {"a_002": "x", "zzz": "y"})
    assert (found.answers, found.missing, found.unknown) == ({"a_002": "x"}, ("a_001",), ("zzz",))


def test_predictions_of_no_item_alone_are_read_and_counted(tmp_path: Path) -> None:
    long = "z" * 500
    rows = [exported("vqa", name, "x") for name in ("zzz", "zzz", long)]
    found = read(tmp_path, "vqa", rows)
    assert (found.answers, found.repeated, len(found.missing)) == ({}, 1, 4)
    first, cut = found.unknown
    assert first == "zzz"
    assert len(cut) <= 120 and cut.startswith("zzz")


def test_captions_are_also_read_from_records(tmp_path: Path) -> None:
    captions = {one["video_id"]: one["caption"] for one in RECORDS}
    assert whole(read(tmp_path, "caption", RECORDS), captions)


@pytest.mark.parametrize(
    ("task", "text", "repeated", "last"),
    [
        (
            "caption",
            '[{"video_id": "a_001", "caption": "1"}, {"video_id": "a_001", "caption": null}]',
            0,
            "1",
        ),
        (
            "caption",
            '[{"video_id": "a_001", "caption": "1"}, {"video_id": "a_001", "caption": "2"}]',
            1,
            "2",
        ),
        ("vqa", '[{"video_id": "a_001", "qa_pairs": [{"Q": "Q", "A": "1"}, {"Q": " Q ", "A": "2"}]}]', 1, ""),
        (
            "vqa",
            "\n".join(json.dumps(exported("vqa", "a_001#1", answer)) for answer in "12"),
            1,
            "2",
        ),
    ],
)
def test_of_repeated_predictions_the_last_counts_and_the_others_are_counted(
    tmp_path: Path, task: Any, text: str, repeated: int, last: str
) -> None:
    (tmp_path / "p.json").write_text(text)
    found = read_predictions(tmp_path / "p.json", task, items_for(task, tmp_path))
    assert found.repeated == repeated
    assert next(iter(found.answers.values()), "") == last


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a_001": "one", "a_002": "two", "a_001": "three"}', "the key 'a_001' occurs twice"),
        ('[{"video_id": "a_001", "caption": "one", "caption": "two"}]', "the key 'caption' occurs twice"),
        (
            '{"video_id": "a_001", "caption": "x"}\n{"a": 1, "a": 2}',
            "line 2: not JSON: the key 'a' occurs twice",
        ),
        ('{"a_001": ' + "1" * 5000 + "}", r"not JSON: [^;]* 5000 digits$"),
    ],
)
def test_what_readers_take_differently_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_predictions(tmp_path / "p.json", "caption", items_for("caption", tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    items = items_for("caption", tmp_path)
    os.mkfifo(tmp_path / "p.json")
    for path in (tmp_path / "p.json", tmp_path):
        with pytest.raises(DataError, match="is not a regular file"):
            read_predictions(path, "caption", items)


@pytest.mark.parametrize("pack", [to_jsonl, to_parquet])
@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_an_export_scores_as_the_run_did(scored: Path, tmp_path: Path, task: Any, pack: Any) -> None:
    runs = [RunRecord.read(scored / name) for name in ("caption", "vqa")]
    path = tmp_path / "export"
    path.write_bytes(pack(frame([(run, run.dataset()) for run in runs])))
    card = mb.score(path, task, runs[0].dataset(), metrics="CIDEr,ROUGE-L", progress="none")[0]
    own = next(run for run in runs if run.settings.task == task).scorecard
    assert own is not None
    assert (card.scores, card.interval, card.baselines) == (own.scores, own.interval, own.baselines)
    assert card.counts == own.counts


@pytest.mark.parametrize("pack", [to_jsonl, to_parquet])
def test_what_failed_is_missing_and_what_is_empty_stays_empty(
    scored: Path, tmp_path: Path, pack: Any
) -> None:
    journal = scored / "caption" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    failure = {"type": "failure", "id": lines[0]["id"], "stage": "engine", "reason": "no reply"}
    journal.write_text("".join(json.dumps(one) + "\n" for one in [failure, {**lines[1], "answer": ""}]))
    record = RunRecord.read(scored / "caption")
    (tmp_path / "p").write_bytes(pack(frame([(record, None)])))
    found = read_predictions(tmp_path / "p", "caption", record.items(record.dataset()))
    assert found.answers == {lines[1]["id"]: ""}
    assert found.missing == (lines[0]["id"], lines[2]["id"])


@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_samples_of_lmms_eval_are_matched_by_number_and_reference(tmp_path: Path, task: Any) -> None:
    items = items_for(task, tmp_path)
    texts = texts_for(items)
    samples = [lmms_eval_sample(n, item, texts[item.request.id]) for n, item in enumerate(items)]
    path = write_lmms_eval(tmp_path / "20260806_samples_microg.jsonl", samples[::-1])
    assert whole(read_predictions(path, task, items), texts)
    for number in (99, len(items), -1):
        write_lmms_eval(path, [*samples[1:], {**samples[0], "doc_id": number}])
        found = read_predictions(path, task, items)
        assert (found.missing, found.unknown) == ((items[0].request.id,), (f"doc_id {number}",))


def test_documents_of_older_samples_of_lmms_eval_name_their_item(tmp_path: Path) -> None:
    items = items_for("vqa", tmp_path)
    document = {"video_id": "a_002", "question": "What floats?", "answer": "Answer 1 about clip number 2."}
    sample = {
        "doc_id": 0,
        "doc": document,
        "target": "?",
        "resps": [["A cup."]],
        "filtered_resps": ["A cup."],
    }
    path = write_lmms_eval(tmp_path / "samples.jsonl", [sample])
    assert read_predictions(path, "vqa", items).answers == {"a_002#2": "A cup."}


def test_a_reference_in_a_list_is_that_of_lmms_eval(tmp_path: Path) -> None:
    items = items_for("caption", tmp_path)
    sample = {**lmms_eval_sample(0, items[0], "x"), "target": str([items[0].reference])}
    path = write_lmms_eval(tmp_path / "samples.jsonl", [sample])
    assert read_predictions(path, "caption", items).answers == {"a_001": "x"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": "Another."}, "line 2: 'target' is not the reference of item 1 of the dataset, a_001#2"),
        ({"input": "Who?"}, "line 2: 'input' has not the question of item 1 of the dataset, a_001#2"),
        ({"input": None}, "line 2: lacks 'input'"),
        ({"doc_id": "1"}, "line 2: 'doc_id' is not a whole number"),
        ({"filtered_resps": ["a", "b"]}, "line 2: has 2 responses in 'filtered_resps' where one is expected"),
        ({"filtered_resps": [["a", "b"]]}, "line 2: has 2 responses in 'filtered_resps'"),
        ({"filtered_resps": []}, "line 2: has 0 responses in 'filtered_resps'"),
        ({"filtered_resps": 7}, "line 2: 'filtered_resps' is not a text but int"),
        ({"doc": {"video_id": "a_001"}}, "line 2: lacks 'question'"),
    ],
)
def test_samples_of_lmms_eval_that_do_not_fit_are_named(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    items = items_for("vqa", tmp_path)
    samples = [lmms_eval_sample(n, items[n], "x") for n in range(2)]
    path = write_lmms_eval(tmp_path / "s.jsonl", [samples[0], {**samples[1], **changed}])
    with pytest.raises(DataError) as caught:
        read_predictions(path, "vqa", items)
    assert message in str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_tables_of_vlmevalkit_are_matched_by_video_and_question(
    tmp_path: Path, task: Any, suffix: str
) -> None:
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    items = items_for(task, tmp_path)
    path = write_vlmevalkit(tmp_path / f"m{suffix}", vlmevalkit_table(items, texts_for(items)))
    assert whole(read_predictions(path, task, items), texts_for(items))
    path.rename(tmp_path / "anything")
    assert whole(read_predictions(tmp_path / "anything", task, items), texts_for(items))


@pytest.mark.parametrize("suffix", FORMATS)
def test_failures_of_vlmevalkit_are_missing_and_empty_answers_are_empty(tmp_path: Path, suffix: str) -> None:
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    items = items_for("vqa", tmp_path)
    failed = "Failed to obtain answer via API."
    texts = {"a_001#1": failed, "a_001#2": "", "a_002#1": f"{failed[:23]}: <class 'RuntimeError'> memory"}
    path = write_vlmevalkit(tmp_path / f"m{suffix}", vlmevalkit_table(items, texts))
    found = read_predictions(path, "vqa", items)
    assert (found.answers, found.missing) == ({"a_001#2": ""}, ("a_001#1", "a_002#1", "a_002#2"))


def test_what_vlmevalkit_did_not_predict_is_missing_in_json(tmp_path: Path) -> None:
    items = items_for("caption", tmp_path)
    table = vlmevalkit_table(items, {"a_001": None, "a_002": "x"})
    assert read_predictions(write_vlmevalkit(tmp_path / "m.json", table), "caption", items).missing == (
        "a_001",
    )
    text = '[{"video": "a_001", "prediction": NaN}, {"video": "a_002", "prediction": "x"}]'
    (tmp_path / "m.json").write_text(text)
    assert read_predictions(tmp_path / "m.json", "caption", items).missing == ("a_001",)


def test_the_index_of_vlmevalkit_is_a_request_id_where_no_video_is_named(tmp_path: Path) -> None:
    rows = [{"index": "a_001#2", "prediction": "x"}, {"index": "7", "prediction": "y"}]
    found = read(tmp_path, "vqa", rows)
    assert (found.answers, found.unknown) == ({"a_001#2": "x"}, ("7",))


def test_an_id_that_ends_as_files_do_is_met_as_it_is(tmp_path: Path) -> None:
    refs = write_annotations(tmp_path / "r.json", [record("a_001.mp4", 1), record("a_001", 2)])
    items = items_of(TASKS["caption"], load(str(refs)).clips)
    rows = [{"video": "a_001", "prediction": "x"}, {"video": "a_001.mp4", "prediction": "y"}]
    found = read_predictions(write(tmp_path, rows), "caption", items)
    assert found.answers == {"a_001.mp4": "y", "a_001": "x"}


def test_an_export_with_another_question_is_unknown(tmp_path: Path) -> None:
    rows = [
        exported("vqa", "a_001#1", "x", question="Who is in the video?"),
        exported("vqa", "a_001#2", "y", question="Who is in the video?"),
        exported("vqa", "a_002#1", "z", question=None),
        exported("vqa", "b_001#1", "z"),
        exported("caption", "a_001", "c"),
    ]
    found = read(tmp_path, "vqa", rows)
    assert found.answers == {"a_001#1": "x", "a_002#1": "z"}
    assert found.unknown == ("a_001#2 with another question", "b_001#1")


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("caption", {"a_001": 3}, "p.json: 'a_001' is not a text but int"),
        ("caption", {"a_001": ["x"]}, "p.json: 'a_001' is not a text but list"),
        ("caption", {"a_001": None}, "p.json: holds no predictions of the task caption"),
        ("caption", {}, "p.json: holds no predictions of the task caption"),
        ("caption", [], "p.json: holds no predictions of the task caption"),
        ("vqa", [], "p.json: holds no predictions of the task vqa"),
        ("vqa", [{"video_id": "a_001", "caption": "x"}], "holds no predictions of the task vqa"),
        ("vqa", [exported("caption", "a_001", "x")], "holds no predictions of the task vqa"),
        ("vqa", {"a_001": "x"}, "p.json: has the fields of no layout: doc_id, filtered_resps (lmms-eval); "),
        ("vqa", [{"id": "a", "response": "x"}], "record 1: has the fields of no layout: "),
        ("caption", [{}], "record 1: has the fields of no layout: "),
        ("caption", [["a_001", "x"]], "record 1: expected an object, found list"),
        ("caption", 7, "p.json: holds no predictions of the task caption"),
        ("vqa", [{"video_id": "a_001"}], "record 1 (a_001): lacks 'caption' and 'qa_pairs'"),
        ("vqa", [{"video_id": "../x", "qa_pairs": []}], "not a safe video_id"),
        ("vqa", [{"index": 0, "prediction": "x"}], "record 1: 'index' is not a text but int"),
        ("vqa", [{"prediction": "x"}], "record 1: lacks 'index'"),
        ("vqa", [{"video": "a_001", "prediction": "x"}], "record 1: lacks 'question'"),
        ("vqa", [{"video": "a", "question": 7, "prediction": "x"}], "record 1: 'question' is not a text"),
        ("vqa", [{"video": "a", "question": "?", "prediction": 7}], "record 1: 'prediction' is not a text"),
        (
            "caption",
            [{"video": "a_001", "question": question, "prediction": "x"} for question in ("Who?", "What?")],
            "record 2: asks the video another question, as for answers, not for captions",
        ),
        ("vqa", [exported("vqa", "a_001#1", "x"), RECORDS[0]], "record 2: is in the layout 'records', while"),
        (
            "vqa",
            [exported("vqa", "a_001#1", "x"), exported("vqa", "a_001#2", "x", model="n")],
            "record 2: is of the model n, while rows before are of m: keep one",
        ),
        ("vqa", [exported("vqa", "a_001#1", "x", model=None)], "record 1: lacks 'model'"),
    ],
)
def test_a_file_that_is_in_no_layout_is_refused(
    tmp_path: Path, task: Any, content: Any, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, task, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
