"""The adapter is sound, and reads its own marker."""

from microg_bench.adapters import check_adapter, find_adapter
from microg_bench.records import Request


def test_it_is_a_sound_adapter() -> None:
    problems = [check.problem for check in check_adapter(find_adapter("my-lab-vl")) if check.problem]
    assert problems == []


def test_it_reads_what_stands_after_the_marker() -> None:
    request = Request(id="a", task="caption", video_id="a", source="a")
    adapter = find_adapter("my-lab-vl")
    assert adapter.parse(request, "I see … ANSWER: A man floats. ") == "A man floats."
    assert adapter.parse(request, "A man floats.") == "A man floats."
