"""Reviews of pairs: read, joined and written."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from microg_bench.annotation.reviews import (
    COLUMNS,
    MergedPairs,
    PairReviews,
    merge_pair_reviews,
    pair_fingerprint,
    pairs,
    read_candidates,
    read_pair_reviews,
    write_reviewed,
)
from microg_bench.curation.tables import table_text
from microg_bench.dataset.annotations import read_annotations
from microg_bench.dataset.load import Dataset, load
from microg_bench.errors import DataError, RunError
from microg_bench.records import Question
from tests.helpers.datasets import write_annotations

FIRST, SECOND = "a_001#1", "a_001#2"
Row = dict[str, str]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    own = [{"Q": f"What is {k}?", "A": f"Thing {k}."} for k in (1, 2)]
    records = [{"video_id": f"a_00{n}", "caption": f"Caption {n}.", "qa_pairs": own} for n in (1, 2)]
    return load(write_annotations(tmp_path / "set.json", records))


def row(dataset: Dataset, item: str, decision: str, annotator: str = "ann", **more: str) -> Row:
    shown = {name: pair_fingerprint(clip, pair) for name, clip, pair in pairs(dataset)}
    own = {"item": item, "annotator": annotator, "decision": decision, "fingerprint": shown.get(item, "")}
    return {**own, **more}


def written(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    path = folder / f"{name}.csv"
    path.write_text(table_text(COLUMNS, [[one.get(column, "") for column in COLUMNS] for one in rows]))
    return path


def read(dataset: Dataset, folder: Path, *rows: Row) -> PairReviews:
    """The reviews of rows, a file for each annotator."""
    names = dict.fromkeys(one["annotator"] for one in rows)
    files = [written(folder, name, [one for one in rows if one["annotator"] == name]) for name in names]
    return read_pair_reviews(files, dataset)


def merged(dataset: Dataset, folder: Path, *rows: Row, final: Sequence[Row] = ()) -> MergedPairs:
    last = read_pair_reviews([written(folder, "final", final)] if final else [], dataset, deciding=True)
    return merge_pair_reviews(dataset, read(dataset, folder, *rows).found, last.found)


EDIT = {"question": "What is one?", "answer": "The first."}
EDITED = Question(text=EDIT["question"], answer=EDIT["answer"])
BEFORE = Question(text="What is 1?", answer="Thing 1.")
REJECT = {"reason": "trivial"}


@pytest.mark.parametrize(
    ("said", "taken", "what", "outcome"),
    [
        ([("accept", {})], BEFORE, None, None),
        ([("edit", EDIT)], EDITED, None, None),
        ([("reject", REJECT)], None, None, None),
        ([("edit", EDIT), ("edit", EDIT)], EDITED, None, None),
        ([("accept", {}), ("edit", EDIT)], None, "text", "open"),
        ([("accept", {}), ("accept", {}), ("edit", EDIT)], BEFORE, "text", "accepted"),
        ([("edit", EDIT), ("edit", {**EDIT, "answer": "1."})], None, "text", "open"),
        ([("accept", {}), ("reject", REJECT)], None, "decision", "open"),
        ([("accept", {}), ("accept", {}), ("reject", REJECT)], BEFORE, "decision", "accepted"),
        ([("accept", {}), ("reject", REJECT), ("reject", REJECT)], None, "decision", "rejected"),
        ([("edit", EDIT), ("edit", EDIT), ("reject", REJECT)], EDITED, "decision", "accepted"),
        ([("accept", {})] * 2 + [("reject", REJECT)] * 3, None, "decision", "rejected"),
        ([("accept", {}), ("edit", EDIT)] + [("reject", REJECT)] * 2, None, "decision", "open"),
        ([("reject", REJECT), ("reject", {"reason": "unclear"})], None, "reason", "rejected"),
    ],
)
def test_a_pair_is_taken_by_the_majority_and_edited_where_all_agree(
    dataset: Dataset,
    tmp_path: Path,
    said: list[tuple[str, Row]],
    taken: Question | None,
    what: str | None,
    outcome: str | None,
) -> None:
    rows = [
        row(dataset, FIRST, decision, f"name{number}", **more) for number, (decision, more) in enumerate(said)
    ]
    found = merged(dataset, tmp_path, *rows)
    assert found.accepted == ({FIRST: taken} if taken else {})
    assert [(one.what, one.outcome) for one in found.disagreements] == ([(what, outcome)] if what else [])
    assert found.edited == (taken == EDITED)
    assert found.open == (outcome == "open")
    assert found.unreviewed == (SECOND, "a_002#1", "a_002#2")


def test_a_second_pass_decides_alone(dataset: Dataset, tmp_path: Path) -> None:
    rows = (row(dataset, FIRST, "accept", "ann"), row(dataset, FIRST, "reject", "ben", **REJECT))
    found = merged(dataset, tmp_path, *rows, final=[row(dataset, FIRST, "edit", "cleo", **EDIT)])
    assert found.accepted == {FIRST: EDITED} and not found.disagreements


def test_agreement_is_over_pairs_that_several_have_reviewed(dataset: Dataset, tmp_path: Path) -> None:
    said = {"a_001#1": "aa", "a_001#2": "rr", "a_002#1": "ae", "a_002#2": "ar"}
    words = {"a": ("accept", {}), "e": ("edit", EDIT), "r": ("reject", REJECT)}
    rows = [
        row(dataset, item, words[one][0], name, **words[one][1])
        for item, both in said.items()
        for name, one in zip(("ann", "ben"), both, strict=True)
    ]
    found = merged(dataset, tmp_path, *rows)
    # 1 - (n - 1) · observed / expected, by hand from the counts 5:3 and 4:1:3 of 8 values.
    assert found.taking.alpha == pytest.approx(1 - 7 * 2 / (64 - 25 - 9))
    assert found.decision.alpha == pytest.approx(1 - 7 * 4 / (64 - 16 - 1 - 9))
    assert (found.taking.units, found.taking.coders) == (4, 2)


def test_a_pair_that_has_changed_needs_a_new_review(dataset: Dataset, tmp_path: Path) -> None:
    old = {**row(dataset, FIRST, "accept"), "fingerprint": "0" * 16}
    found = read(dataset, tmp_path, old, row(dataset, SECOND, "accept"))
    assert [one.item for one in found.found] == [SECOND]
    assert found.outdated == ((FIRST, "ann"),)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fingerprint": "0" * 16}, "is a review of other pairs"),
        ({"item": "a_009#1"}, "row 1: 'a_009#1' is no pair of set"),
        ({"decision": "maybe"}, "row 1: decision 'maybe' is none of accept, edit, reject"),
        ({"decision": "reject", "reason": "dull"}, "row 1: reason 'dull' is none of"),
        ({"decision": "edit", "question": "What?"}, "row 1: is edited, but question or answer is empty"),
        ({"question": "Who?", "answer": "Ben."}, "row 1: is accepted with other words"),
        ({"annotator": " "}, "row 1: names no annotator"),
        ({"answer": "w" * 2001}, "row 1: answer is too long"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(
    dataset: Dataset, tmp_path: Path, changed: Row, told: str
) -> None:
    path = written(tmp_path, "ann", [{**row(dataset, FIRST, "accept"), **changed}])
    with pytest.raises(DataError, match=told):
        read_pair_reviews([path], dataset)


def test_nobody_reviews_a_pair_twice(dataset: Dataset, tmp_path: Path) -> None:
    twice = [row(dataset, FIRST, "accept"), row(dataset, FIRST, "reject", **REJECT)]
    with pytest.raises(DataError, match="row 2: a_001#1 was reviewed by ann before"):
        read_pair_reviews([written(tmp_path, "ann", twice)], dataset)
    both = [written(tmp_path, name, [row(dataset, FIRST, "accept", name)]) for name in ("ann", "ben")]
    assert len(read_pair_reviews(both, dataset).found) == 2
    with pytest.raises(DataError, match="was reviewed by ann before"):
        read_pair_reviews(both, dataset, deciding=True)


def test_only_accepted_pairs_are_written(dataset: Dataset, tmp_path: Path) -> None:
    rows = (row(dataset, FIRST, "edit", **EDIT), row(dataset, "a_002#2", "reject", **REJECT))
    out = tmp_path / "out"
    facts = write_reviewed(dataset, merged(dataset, tmp_path, *rows), 1, out)
    records = read_annotations(out / "vqa_and_captioning.json")
    assert [one.questions for one in records] == [(EDITED,), ()]
    assert [one.caption for one in records] == ["Caption 1.", "Caption 2."]
    assert (facts.pairs, facts.accepted, facts.edited, facts.unreviewed) == (4, 1, 1, 2)
    assert facts.fingerprint == dataset.fingerprint
    told = json.loads((out / "review.json").read_text())
    assert (told["schema"], told["accepted"], told["taking"]["units"]) == (1, 1, 0)
    assert (out / "disagreements.csv").read_text() == "item,what,said,outcome\n"
    with pytest.raises(RunError, match="exists"):
        write_reviewed(dataset, merged(dataset, tmp_path, *rows), 1, out)


def test_a_set_without_accepted_pairs_is_not_written(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair is accepted"):
        write_reviewed(dataset, merged(dataset, tmp_path), 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_chosen_candidates_are_read(tmp_path: Path) -> None:
    kept = {"video_id": "a", "question": "Q?", "answer": "A.", "form": "what", "scope": "broad"}
    lines = [{**kept, "id": "a#c1", "outcome": "chosen"}, {**kept, "id": "a#c2", "outcome": "rejected"}]
    (tmp_path / "candidates.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    found = read_candidates(tmp_path)
    assert {key: one.id for key, one in found.items()} == {("a", "Q?", "A."): "a#c1"}


@pytest.mark.parametrize(
    ("line", "told"), [("{}", "line 1: id: Field required"), ("[", "line 1: is no candidate")]
)
def test_damaged_candidates_are_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "candidates.jsonl").write_text(f"{line}\n")
    with pytest.raises(DataError, match=told):
        read_candidates(tmp_path)
    assert read_candidates(tmp_path / "nowhere") == {}
