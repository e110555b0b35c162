"""The adapter is sound, and reads its own marker."""

from microg_bench.adapters.conformance import check_adapter
from microg_bench.adapters.registry import find_adapter
from microg_bench.records import Request


def test_it_is_a_sound_adapter() -> None:
    checks = check_adapter(find_adapter("my-lab-vl"))
    assert [check for check in checks if check.problem] == []


def test_it_takes_the_text_after_the_marker() -> None:
    request = Request(id="a", task="caption", video_id="a", source="a")
    adapter = find_adapter("my-lab-vl")
    assert adapter.parse(request, "I see … ANSWER: A man floats. ") == "A man floats."
    assert adapter.parse(request, "A man floats.") == "A man floats."
