"""Text made fit for where it is shown."""

from microg_bench.text import lettered


def test_letters_go_on_after_z() -> None:
    found = lettered(map(str, range(53)))
    assert [found[str(place)] for place in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]


def test_what_is_alike_has_one_letter() -> None:
    assert lettered(["one", "two", "one", "three"]) == {"one": "a", "two": "b", "three": "c"}
