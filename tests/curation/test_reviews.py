"""Reviews are read with every fault named, and joined by majority."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench.curation.folder import CurationFolder, Verdict
from microg_bench.curation.reviews import COLUMNS, ClipReview, fingerprint, merge_reviews, read_reviews
from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import DataError
from tests.helpers.curations import make_curation

LABELS = read_label_map()


@pytest.fixture(scope="module")
def curation(tmp_path_factory: pytest.TempPathFactory) -> CurationFolder:
    return make_curation(tmp_path_factory.mktemp("curation") / "station")


@pytest.fixture
def write(curation: CurationFolder, tmp_path: Path) -> Callable[..., Path]:
    """Writes a review: each row is told by what differs from an accepted first person."""

    def make(*rows: dict[str, str], name: str = "a.csv") -> Path:
        usual = {"video_id": "orbit_000", "annotator": "ann", "decision": "accept", "person_id": "1"}
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            for row in ({**usual, **one} for one in rows):
                known = row["video_id"] in curation.clips
                own = {"fingerprint": fingerprint(curation, row["video_id"])} if known else {}
                writer.writerow({**own, **row})
        return tmp_path / name

    return make


def test_rows_of_persons_are_one_review(curation: CurationFolder, write: Callable[..., Path]) -> None:
    text = {"caption": 'Two, "in orbit".', "mission": "ISS-40", "crew": "Ann"}
    path = write(
        {"actions": "12 79", **text},
        {"person_id": "2", "actions": "", **text},
        {"video_id": "film_000", "decision": "reject", "reason": "no microgravity", "person_id": ""},
    )
    one, other = read_reviews([path], curation, LABELS).found
    assert one == ClipReview(
        "orbit_000",
        "ann",
        True,
        "",
        {1: frozenset({12, 79}), 2: frozenset()},
        'Two, "in orbit".',
        {"mission": "ISS-40", "crew": "Ann"},
    )
    assert other == ClipReview("film_000", "ann", False, "no microgravity")


def test_six_actions_are_read(curation: CurationFolder, write: Callable[..., Path]) -> None:
    (one,) = read_reviews([write({"actions": "1 3 5 6 7 8"}, {"person_id": "2"})], curation, LABELS).found
    assert len(one.actions[1]) == 6


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"video_id": "orbit_009"}], "row 1: unknown clip 'orbit_009'"),
        ([{}, {"decision": "maybe"}], "row 2: decision 'maybe' is not accept or reject"),
        ([{"decision": "reject", "reason": "dull"}], "row 1: reason 'dull' is none of"),
        ([{"annotator": " "}], "row 1: names no annotator"),
        ([{"person_id": "3"}], "row 1: person '3' is none of orbit_000 (1, 2)"),
        ([{"person_id": ""}], "row 1: person '' is none of"),
        ([{"actions": "12 13"}], "row 1: action '13' is not in the label map"),
        ([{"actions": "9" * 5000}], "is not in the label map"),
        ([{"actions": "١٢"}], "row 1: action '١٢' is not in the label map"),
        ([{"person_id": "1" * 5000}], "is none of orbit_000 (1, 2)"),
        ([{"video_id": "orbit_002"}], "row 1: person '1' is none of orbit_002 (it has none)"),
        ([{"actions": "stand"}], "row 1: action 'stand' is not in the label map"),
        ([{"fingerprint": "0123456789abcdef"}], "a.csv: is a review of another curation, or all its clips"),
        ([{}, {}], "row 2: person 1 of orbit_000 is there twice"),
        ([{}, {"decision": "reject", "reason": "cut"}], "row 2: orbit_000 was decided before by ann"),
        ([{"caption": "a"}, {"person_id": "2", "caption": "b"}], "row 2: orbit_000 has another caption"),
        ([{"caption": "x" * 10_001}], "row 1: caption is too long"),
        ([{"person_id": "2", "actions": "12"}], "ann accepts orbit_000 without a row for person 1"),
    ],
)
def test_a_fault_is_named_with_its_row(
    curation: CurationFolder, write: Callable[..., Path], rows: list[dict[str, str]], reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_reviews([write(*rows)], curation, LABELS)
    assert reason in str(caught.value) and "a.csv" in str(caught.value)


def test_a_column_that_is_missing_is_named(curation: CurationFolder, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("video_id,annotator\n")
    with pytest.raises(DataError, match="lacks the column 'decision'"):
        read_reviews([tmp_path / "a.csv"], curation, LABELS)


def test_what_is_no_csv_from_its_header_on_is_said_so(curation: CurationFolder, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"video_id,annotator\n')
    with pytest.raises(DataError, match=r"a.csv: line \d: is no CSV"):
        read_reviews([tmp_path / "a.csv"], curation, LABELS)


def test_an_annotator_counts_once(curation: CurationFolder, write: Callable[..., Path]) -> None:
    second = {"person_id": "2"}
    paths = [write({"actions": "12"}, second), write({"actions": "14"}, second, name="b.csv")]
    with pytest.raises(DataError, match=r"b.csv: orbit_000 was reviewed by ann in .*a.csv as well"):
        read_reviews(paths, curation, LABELS)
    other = write({"annotator": "ben"}, {"annotator": "ben", **second}, name="c.csv")
    assert len(read_reviews([paths[0], other], curation, LABELS).found) == 2
    with pytest.raises(DataError, match=r"c.csv: orbit_000 was reviewed by ann in .*a.csv as well"):
        read_reviews([paths[0], other], curation, LABELS, deciding=True)


def said(clip: str, who: str, *actions: int, accepted: bool = True, **more: Any) -> ClipReview:
    if not accepted:
        return ClipReview(clip, who, False, more.get("reason", "cut"))
    caption, sources = more.get("caption", ""), more.get("sources", {})
    return ClipReview(clip, who, True, "", {1: frozenset(actions)}, caption, sources)


def test_the_majority_decides(curation: CurationFolder) -> None:
    reviews = [
        said("orbit_000", "a", 12, 79, caption="One."),
        said("orbit_000", "b", 12, 17, caption="Two."),
        said("orbit_000", "c", 12, 17, caption="Two."),
        said("orbit_001", "a", accepted=False),
        said("orbit_001", "b", 12),
        said("orbit_001", "c", accepted=False),
    ]
    merged = merge_reviews(curation, reviews)
    assert merged.accepted == ("orbit_000",)
    assert merged.actions == {"orbit_000": {1: frozenset({12, 17})}}
    assert merged.captions == {"orbit_000": "Two."}
    assert [(one.clip, one.what, one.said, one.outcome) for one in merged.disagreements] == [
        ("orbit_000", "person 1, action 17", "2 of 3", "given"),
        ("orbit_000", "person 1, action 79", "1 of 3", "not given"),
        ("orbit_000", "caption", '"One." (a), "Two." (b, c)', "that of b"),
        ("orbit_001", "decision", "1 accept, 2 reject (cut)", "rejected"),
    ]
    assert merged.ties == 0
    assert merged.open == ("film_000",)
    assert merged.decision.units == 2
    assert {action: one.alpha for action, one in merged.by_action.items()}.keys() == {12, 17, 79}


def test_where_half_differ_a_second_pass_decides(curation: CurationFolder) -> None:
    reviews = [
        said("orbit_000", "a", 12, 79),
        said("orbit_000", "b", 12, 17),
        said("orbit_001", "a", 12),
        said("orbit_001", "b", accepted=False, reason="no person"),
    ]
    merged = merge_reviews(curation, reviews)
    assert merged.actions == {"orbit_000": {1: frozenset({12})}}
    assert [(one.clip, one.what, one.said, one.outcome) for one in merged.disagreements] == [
        ("orbit_000", "person 1, action 17", "1 of 2", "tie"),
        ("orbit_000", "person 1, action 79", "1 of 2", "tie"),
        ("orbit_001", "decision", "1 accept, 1 reject (no person)", "tie"),
    ]
    assert merged.ties == 3
    final = [said("orbit_000", "c", 17), said("orbit_001", "c", 12, 79)]
    again = merge_reviews(curation, reviews, final)
    assert again.actions == {"orbit_000": {1: frozenset({17})}, "orbit_001": {1: frozenset({12, 79})}}
    assert again.disagreements == ()
    assert again.decision == merged.decision, "agreement is that of the first pass"


def test_annotators_who_reject_a_clip_for_other_reasons_differ(curation: CurationFolder) -> None:
    reviews = [
        said("orbit_000", "a", accepted=False, reason="cut"),
        said("orbit_000", "b", accepted=False, reason="no person"),
        said("orbit_001", "a", accepted=False, reason="cut"),
        said("orbit_001", "b", accepted=False, reason="cut"),
    ]
    merged = merge_reviews(curation, reviews)
    assert [(one.clip, one.what, one.said, one.outcome) for one in merged.disagreements] == [
        ("orbit_000", "reason", "1 reject (cut), 1 reject (no person)", "rejected"),
    ]
    assert merged.ties == 0, "no table depends on it"


def test_captions_that_differ_are_listed_and_tie_nothing(curation: CurationFolder) -> None:
    reviews = [
        said("film_000", "b", 12, caption="Second."),
        said("film_000", "a", 12, caption="First."),
        said("orbit_000", "a", 12, caption="One."),
        said("orbit_000", "b", 12),
        said("orbit_001", "a", 12, caption="One."),
        said("orbit_001", "b", 12, caption="One."),
    ]
    merged = merge_reviews(curation, reviews)
    assert [(one.clip, one.what, one.said, one.outcome) for one in merged.disagreements] == [
        ("film_000", "caption", '"First." (a), "Second." (b)', "that of a")
    ], "a caption that is lacking differs from none"
    assert (merged.captions["film_000"], merged.ties) == ("First.", 0)
    again = merge_reviews(curation, reviews, [said("film_000", "c", 12, caption="Third.")])
    assert (again.captions["film_000"], again.disagreements) == ("Third.", ())


def test_sources_are_those_of_the_caption_that_counts(curation: CurationFolder) -> None:
    reviews = [
        said("orbit_000", "a", 12, caption="One.", sources={"crew": "Ann"}),
        said("orbit_000", "b", 12, caption="Two.", sources={"crew": "Ben"}),
        said("orbit_000", "c", 12, caption="Two.", sources={"crew": "Cleo"}),
        said("orbit_001", "a", 12),
        said("orbit_001", "b", 12, sources={"mission": "ISS-40"}),
        said("film_000", "a", 12, caption="First.", sources={"crew": "Ann"}),
        said("film_000", "b", 12, caption="Second."),
    ]
    merged = merge_reviews(curation, reviews)
    assert merged.captions == {"film_000": "First.", "orbit_000": "Two."}
    assert merged.sources == {
        "film_000": {"crew": "Ann"},
        "orbit_000": {"crew": "Ben"},
        "orbit_001": {"mission": "ISS-40"},
    }


def test_a_review_of_a_clip_that_has_changed_does_not_count_and_the_others_do(
    curation: CurationFolder, write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(
        {},
        {"person_id": "2"},
        {"video_id": "orbit_001", "actions": "12"},
        {"video_id": "orbit_000", "annotator": "ben", "decision": "reject", "reason": "cut"},
    )
    later = make_curation(tmp_path / "later", persons=1)
    found = read_reviews([path], later, LABELS)
    assert [(one.clip, one.annotator) for one in found.found] == [("orbit_001", "ann")]
    assert found.outdated == (("orbit_000", "ann"), ("orbit_000", "ben"))
    assert read_reviews([path], curation, LABELS).outdated == ()


def test_a_review_of_a_clip_of_earlier_settings_does_not_count(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(
        {"video_id": "orbit_001", "actions": "12"},
        {"video_id": "film_001", "decision": "reject", "reason": "cut"},
    )
    later = make_curation(tmp_path / "later")
    later.add(later.verdicts["orbit_001"]["trim"].model_copy(update={"key": "before"}))
    later.close()
    assert "orbit_001" not in later.clips and later.earlier == ["orbit_001"]
    found = read_reviews([path], later, LABELS)
    assert [one.clip for one in found.found] == ["film_001"]
    assert found.outdated == (("orbit_001", "ann"),)


def test_a_review_with_rows_of_two_states_of_a_clip_is_named(
    curation: CurationFolder, write: Callable[..., Path]
) -> None:
    path = write({"actions": "12"}, {"person_id": "2", "fingerprint": "0" * 16})
    with pytest.raises(DataError) as caught:
        read_reviews([path], curation, LABELS)
    assert "row 2: has another fingerprint than other rows of ann on orbit_000" in str(caught.value)


def test_a_clip_that_could_not_be_cut_may_be_reviewed(
    curation: CurationFolder, write: Callable[..., Path], tmp_path: Path
) -> None:
    own = make_curation(tmp_path / "station")
    damaged = Verdict(clip="orbit_003", stage="trim", key="k", passed=False, reason="is damaged")
    own.add(damaged)
    row = {"video_id": "orbit_003", "fingerprint": fingerprint(own, "orbit_003"), "person_id": ""}
    (one,) = read_reviews([write({**row, "decision": "reject", "reason": "other"})], own, LABELS).found
    assert not merge_reviews(own, [one]).accepted
    with pytest.raises(DataError, match=r"person '' is none of orbit_003 \(it has none\)"):
        read_reviews([write(row)], own, LABELS)
    own.add(damaged.model_copy(update={"key": "before"}))
    own.close()
    with pytest.raises(DataError, match="all its clips have changed"):
        read_reviews([write({**row, "decision": "reject", "reason": "other"})], own, LABELS)


def test_a_clip_that_was_reviewed_again_is_not_outdated(
    curation: CurationFolder, write: Callable[..., Path]
) -> None:
    old, again = {"fingerprint": "0" * 16}, {"actions": "12"}
    second = {"person_id": "2"}
    rows = [
        old,
        {**old, **second},
        {"video_id": "film_000"},
        {"video_id": "film_000", **second},
        again,
        second,
    ]
    found = read_reviews([write(*rows)], curation, LABELS)
    assert {one.clip for one in found.found} == {"film_000", "orbit_000"}
    assert found.outdated == ()


def test_the_fingerprint_is_that_of_the_clip_and_its_boxes(curation: CurationFolder, tmp_path: Path) -> None:
    other = make_curation(tmp_path / "other", persons=1)
    assert fingerprint(other, "orbit_000") != fingerprint(curation, "orbit_000"), "one person less"
    assert fingerprint(other, "orbit_001") == fingerprint(curation, "orbit_001"), "what it was"
    assert len({fingerprint(curation, clip) for clip in curation.clips}) == 5
    boxes = other.boxes["orbit_001", "tracks"]
    moved = tuple(box.model_copy(update={"xmin": box.xmin + 20}) for box in boxes.boxes)
    other.add(boxes.model_copy(update={"boxes": moved}))
    other.close()
    assert fingerprint(other, "orbit_001") != fingerprint(curation, "orbit_001"), "another place"
    verdict = curation.verdicts["orbit_002"]["trim"]
    other.add(verdict.model_copy(update={"numbers": {"sha256": "0" * 64}}))
    other.close()
    assert fingerprint(other, "orbit_002") != fingerprint(curation, "orbit_002"), "another file"
