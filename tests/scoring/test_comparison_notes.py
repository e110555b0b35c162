"""What a reader of compared runs is told: what the differences rest on, and what else differs."""

from pathlib import Path
from typing import Any

import pytest

from microg_bench.dataset.load import load
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.scoring.compare import compare
from microg_bench.scoring.comparison_notes import comparison_remarks, difference_notes, pair_name
from tests.helpers.datasets import record, write_annotations
from tests.helpers.runs import open_run, score_by_rouge

LETTERS = "ABCDEFGH"


def captioned(folder: Path, sources: int, runs: int = 3, **facts: Any) -> list[RunRecord]:
    """Scored runs with a caption of one clip of each source video: run k is right about all but k of them.

    The answers of all but the first have other `facts`.
    """
    folder.mkdir()
    names = [f"s{k:02}_000" for k in range(sources)]
    dataset = load(write_annotations(folder / "refs.json", [record(one, n) for n, one in enumerate(names)]))
    records = []
    for k, letter in enumerate(LETTERS[:runs]):
        with open_run(folder / letter, fingerprint=dataset.fingerprint) as one:
            for place, clip in enumerate(dataset.clips):
                text = "x" if place < k else clip.caption
                assert text is not None
                own = {"answer": text, "prompt_tokens": 5, **(facts if k else {})}
                one.add(Answer(id=clip.video_id, text=text, **own))
        records.append(RunRecord.read(folder / letter))
    score_by_rouge(records, dataset)
    return records


def letters(records: list[RunRecord]) -> dict[Path, str]:
    return {one.path: letter for one, letter in zip(records, LETTERS, strict=False)}


def told(records: list[RunRecord]) -> list[str]:
    return list(difference_notes(compare(records, resamples=99), letters(records)))


def test_a_pair_is_named_in_the_order_of_the_subtraction(tmp_path: Path) -> None:
    records = captioned(tmp_path / "r", 3)
    assert [pair_name(one, letters(records)) for one in compare(records, resamples=99)] == [
        "A − B",
        "A − C",
        "B − C",
    ]


@pytest.mark.parametrize(
    ("sources", "runs", "smallest"),
    # Up to 12 source videos all exchanges are tried; above, 1,000 or 40 for each of the 28 pairs, and none.
    [(2, 2, "0.5000"), (4, 3, "0.1250"), (13, 2, "0.0010"), (13, 8, "0.0009")],
)
def test_the_smallest_p_follows_from_the_source_videos(
    tmp_path: Path, sources: int, runs: int, smallest: str
) -> None:
    assert f"p: exchanges of {sources} source videos, never below {smallest}" in told(
        captioned(tmp_path / "r", sources, runs)
    )


def test_one_source_video_gives_no_p(tmp_path: Path) -> None:
    notes = told(captioned(tmp_path / "r", 1, 2))
    assert not any(line.startswith("p: ") for line in notes)
    assert any("no interval for ROUGE-L A − B" in line for line in notes)


def test_inputs_of_other_sizes_are_told_of_the_pairs_that_have_them(tmp_path: Path) -> None:
    same = captioned(tmp_path / "same", 3)
    assert list(comparison_remarks(same, letters(same))) == []
    other = captioned(tmp_path / "other", 3, prompt_tokens=7)
    assert [line.partition(",")[0] for line in comparison_remarks(other, letters(other))] == [
        "A and B have inputs of other sizes",
        "A and C have inputs of other sizes",
    ]


def test_other_videos_are_told_of_the_pairs_that_were_shown_them(tmp_path: Path) -> None:
    records = captioned(tmp_path / "r", 3, clip_sha256="b" * 64)
    for name, one in records[0].answers.items():
        records[0].answers[name] = one.model_copy(update={"clip_sha256": "a" * 64})
    told = list(comparison_remarks(records, letters(records)))
    listed = "3 clips: s00_000, s01_000, s02_000"
    assert told == [f"{pair} were shown other files of {listed}" for pair in ("A and B", "A and C")]


def test_what_a_run_says_of_itself_is_told_with_its_letter(tmp_path: Path) -> None:
    records = captioned(tmp_path / "r", 3, answer=" ")
    told = list(comparison_remarks(records, letters(records)))
    assert told == [f"{letter}: 3 of 3 answers are empty" for letter in "BC"]
