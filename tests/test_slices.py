import pytest
from pydantic import ValidationError

from microg_bench.slices import SIGNIFICANT, SMALLEST, SliceDifference, SliceEntry, differing, slice_notes
from tests.helpers.cards import make_card


def entry(*corrected: float) -> SliceEntry:
    differences = {
        str(k): SliceDifference(value=-3.0, p=one / 2, corrected=one) for k, one in enumerate(corrected)
    }
    return SliceEntry(items=30, sources=4, scores={"0": 1.0}, differences=differences)


SLICES = {
    "action": {"stand": entry(0.2, SIGNIFICANT / 2), "walk": entry(SIGNIFICANT, 1.0), "sit": entry()},
    "source": {name: SliceEntry(items=9, scores={}, sources=1) for name in ("a", "b", "c")},
}


def test_a_slice_differs_where_one_of_its_scores_does() -> None:
    assert [(kind, label) for kind, label, _ in differing(SLICES)] == [("action", "stand")]


def test_the_note_counts_what_was_compared() -> None:
    (note,) = slice_notes(SLICES)
    assert note.startswith(f"1 of 2 slices with {SMALLEST} clips or more differ")
    assert "3 source videos" in note
    assert list(slice_notes({"source": SLICES["source"]})) == []


def test_a_scorecard_tells_of_slices_only_where_any_is_compared() -> None:
    card = make_card(slices=SLICES)
    assert card.compares_slices and next(iter(slice_notes(SLICES))) in card.notes()
    assert not make_card().compares_slices


@pytest.mark.parametrize("field", ["p", "corrected"])
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_a_probability_is_0_to_1(field: str, value: float) -> None:
    known = {"value": 1.0, "p": 1.0, "corrected": 0.0}
    assert SliceDifference.model_validate(known).p == 1
    with pytest.raises(ValidationError, match=field):
        SliceDifference.model_validate(known | {field: value})


def test_files_without_the_details_of_slices_are_read() -> None:
    old = SliceEntry.model_validate({"items": 3, "scores": {"CIDEr": 1.0}})
    assert (old.sources, old.intervals, old.differences) == (None, {}, {})
    content = make_card().to_json()
    del content["action_labels"]
    assert make_card().model_validate(content) == make_card()
