"""The taxonomy has all actions, and can be replaced."""

from pathlib import Path

import pytest

from microg_bench.curation.taxonomy import read_taxonomy
from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import DataError

LABELS = read_label_map()


def test_every_action_is_defined_and_told_from_its_neighbours() -> None:
    found = read_taxonomy(LABELS)
    assert [one.id for one in found] == list(LABELS.ids)
    assert all(one.definition and one.neighbours for one in found)
    assert {one.group for one in found} == {"person movement", "object manipulation", "person interaction"}


def test_a_file_of_ones_own_may_have_a_part(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[12]\ndefinition = "Upright."\n')
    found = {one.id: one for one in read_taxonomy(LABELS, tmp_path / "own.toml")}
    assert (found[12].definition, found[14].definition) == ("Upright.", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[13]\n", "action 13 is not in the label map"),
        ("[stand]\n", "is no taxonomy"),
        ("[12\n", "is no taxonomy"),
        ("[12]\nmeaning = 'x'\n", "is no taxonomy: meaning"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "own.toml").write_text(content)
    with pytest.raises(DataError, match=f"own.toml: {reason}"):
        read_taxonomy(LABELS, tmp_path / "own.toml")
