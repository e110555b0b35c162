from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.stats import Stats, stats
from tests.helpers.datasets import record, write_annotations


def pair(question: str, answer: str) -> dict[str, str]:
    return {"Q": question, "A": answer}


def made(folder: Path, records: list[Any]) -> Stats:
    return stats(str(write_annotations(folder / "refs.json", records)))


@pytest.fixture(scope="module")
def real(shared: Path) -> Stats:
    return stats(str(shared / "data" / "microg4m"))


def test_the_real_dataset_is_counted_as_it_is_known(real: Stats) -> None:
    assert real.title == "microg4m: 1,237 clips of 18 source videos"
    assert real.tables["sources"].rows[0] == ("FXv9AZl3fw4", 317, 1952)
    counts = {
        kind: (count, shortest, longest)
        for kind, count, _, shortest, _, _, longest in real.tables["texts"].rows
    }
    assert counts == {"caption": (1237, 1, 256), "question": (7528, 4, 18), "answer": (7528, 1, 43)}
    words = {word: count for word, count, _ in real.tables["question_words"].rows}
    assert (words["what"], words["who"], words["how"], words["which"]) == (4988, 798, 784, 157)
    assert real.tables["answers"].rows == (("answerable", 6776, 90.01), ("unanswerable", 752, 9.99))


def test_lengths_sources_and_shares_add_up(real: Stats) -> None:
    tables = real.tables
    for kind, count, *_ in tables["texts"].rows:
        assert sum(row[1] for row in tables[f"{kind}_lengths"].rows) == count
    assert sum(row[1] for row in tables["sources"].rows) == real.clips
    assert sum(row[2] for row in tables["sources"].rows) == sum(
        row[1] for row in tables["question_words"].rows
    )
    assert sum(row[2] for row in tables["question_words"].rows) == pytest.approx(100, abs=0.05)


def test_near_duplicates_are_listed_as_they_are_counted(real: Stats) -> None:
    for kind, _, same, near, same_in_sources, near_in_sources in real.tables["near_duplicates"].rows:
        rows = real.tables[f"near_duplicate_{kind}s"].rows
        assert len(rows) == near
        assert sum(row[2] == 1 for row in rows) == same
        assert sum(row[4] != "" for row in rows) == near_in_sources
        assert sum(row[4] == 1 for row in rows) == same_in_sources


def test_a_small_dataset_is_counted_by_hand(tmp_path: Path) -> None:
    records = [
        {"video_id": "a_1", "caption": "One two three.", "qa_pairs": [pair("What is it?", "Not mentioned")]},
        {
            "video_id": "a_2",
            "caption": "one TWO three",
            "qa_pairs": [pair("It is what?", "Blue cables float.")],
        },
        {"video_id": "b_1", "caption": "Blue. Blue.", "qa_pairs": []},
        {"video_id": "b_1", "caption": "Blue. Blue cables.", "qa_pairs": []},
    ]
    found = made(tmp_path, records).tables
    assert found["sources"].rows == (("a", 2, 2), ("b", 1, 0))
    assert found["texts"].rows == (
        ("caption", 3, 3, 3, 3.0, 3.0, 3),
        ("question", 2, 2, 3, 3.0, 3.0, 3),
        ("answer", 2, 2, 2, 2.5, 2.5, 3),
    )
    assert found["question_words"].rows == (("other", 1, 50.0), ("what", 1, 50.0))
    assert found["answers"].rows == (("answerable", 1, 50.0), ("unanswerable", 1, 50.0))
    common = (("blue", 2), ("one", 2), ("three", 2), ("two", 2), ("cables", 1))
    assert found["caption_cloud"].rows == common
    assert found["answer_cloud"].rows == (("blue", 1), ("cables", 1), ("float", 1))
    assert found["near_duplicates"].rows == (("caption", 3, 2, 2, 0, 0), ("question", 2, 2, 2, 0, 0))
    assert found["near_duplicate_questions"].rows[0] == ("a_1#1", "a_2#1", 1.0, "", "")
    assert not any(name.startswith("action") for name in found)


def test_what_a_dataset_does_not_have_has_no_table(tmp_path: Path) -> None:
    without_questions = made(tmp_path, [{"video_id": "a_1", "caption": "Blue."}]).tables
    assert set(without_questions) == {
        "sources", "texts", "near_duplicates", "caption_lengths", "caption_cloud",
    }  # fmt: skip
    without_captions = made(tmp_path, [{"video_id": "a_1", "qa_pairs": [pair("Who floats?", "Ann.")]}]).tables
    assert not any("caption" in name for name in without_captions)
    assert without_captions["question_words"].rows == (("who", 1, 100.0),)
    nothing = made(tmp_path, [{"video_id": "a_1", "caption": None}]).tables
    assert {name: table.rows for name, table in nothing.items()} == {"sources": (("a", 1, 0),)}


def test_the_sample_has_every_table() -> None:
    found = stats("sample")
    assert found.title == "sample: 14 clips of 7 source videos"
    assert len(found.tables["sources"].rows) == 7
    assert dict(found.tables["overall_result"].rows)["all action"] == 48


def test_what_is_written_can_be_read_back(tmp_path: Path) -> None:
    found = made(tmp_path, [record("a_1"), record('b"x,y_1', 1)])
    content = json.loads(json.dumps(found.to_json()))
    assert content["schema"] == "microg-bench/data-stats/2"
    assert content["tables"]["sources"]["rows"] == [["a", 1, 2], ['b"x,y', 1, 2]]
    assert found.tables["sources"].to_csv() == 'source,clips,questions\na,1,2\n"b""x,y",1,2\n'
