"""What vendors have published of their models: snapshots of a name, and announced ends."""

import tomllib
from datetime import date
from pathlib import Path

import pytest

from microg_bench.adapters.registry import registered
from microg_bench.engines import vendors
from microg_bench.engines.vendors import (
    SERVER_KEY,
    VendorModel,
    announced_end,
    check_address,
    is_snapshot,
    undated,
)
from microg_bench.errors import UsageError

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("engine", "asked", "served"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "gpt-4o", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4o", "gpt-4o-2024-11-20"),
        ("openai", "gpt-9", "gpt-9-2031-01-02"),  # not listed, by its date
        ("gemini", "gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("gemini", "models/gemini-1.5-pro", "gemini-1.5-pro-002"),
        ("server", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct"),
        ("server", "Qwen2.5-VL-7B-Instruct", "/data/models/Qwen2.5-VL-7B-Instruct/"),
        ("server", "openai/gpt-4o", "openai/gpt-4o-2024-08-06"),
        ("vllm", "a", "a"),
    ],
)
def test_the_model_that_was_asked_is_known(engine: str, asked: str, served: str) -> None:
    assert is_snapshot(engine, asked, served)


@pytest.mark.parametrize(
    ("engine", "asked", "served"),
    [
        ("openai", "gpt-4o", "gpt-4o-mini"),
        ("openai", "gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),  # another date than the one asked for
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4", "gpt-4.1"),
        ("openai", "gpt-4o", "openai/gpt-4o"),  # paths count for engine server alone
        ("gemini", "gemini-2.5-pro", "gemini-3.8-flash"),
        ("gemini", "gemini-2.5-pro", ""),
        ("server", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
        ("server", "a", "a/b"),
    ],
)
def test_another_model_is_told_apart(engine: str, asked: str, served: str) -> None:
    assert not is_snapshot(engine, asked, served)


@pytest.mark.parametrize(
    ("today", "when"),
    [
        (date(2026, 11, 26), "in 5 days"),
        (date(2026, 11, 30), "in 1 day"),
        (date(2026, 12, 1), "today"),
        (date(2026, 12, 2), "1 day ago"),
        (date(2027, 12, 1), "365 days ago"),
    ],
)
def test_an_end_is_told_before_and_after_its_day(today: date, when: str) -> None:
    end = announced_end("gemini", "gemini-2.5-pro")
    assert end is not None
    assert end.words(today) == (
        f"gemini-2.5-pro: rerouted by its vendor on 2026-12-01 ({when}); known as of 2026-11-10; "
        "replacement: gemini-3.8-flash"
    )


def test_a_snapshot_ends_with_its_name_or_on_a_day_of_its_own() -> None:
    ends = {
        model: announced_end("openai", model)
        for model in ("gpt-4o", "gpt-4o-2024-11-20", "gpt-4o-2024-05-13")
    }
    assert {model: end and (end.model, end.on, end.how) for model, end in ends.items()} == {
        "gpt-4o": ("gpt-4o", date(2027, 1, 14), "shut down"),
        "gpt-4o-2024-11-20": ("gpt-4o-2024-11-20", date(2027, 1, 14), "shut down"),
        "gpt-4o-2024-05-13": ("gpt-4o-2024-05-13", date(2026, 10, 23), "shut down"),
    }


def test_no_end_is_known_of_other_models_and_engines() -> None:
    assert announced_end("openai", "gpt-5.4") is None
    assert announced_end("openai", "gpt-4o-mini-audio-preview") is None
    assert announced_end("vllm", "gpt-4o") is None
    assert announced_end("gemini", None) is None


def test_the_end_of_a_retired_adapter_is_past() -> None:
    adapter = next(one.adapter for one in registered() if one.name == "gemini-1.5-pro")
    assert adapter is not None
    end = announced_end("gemini", adapter.checkpoint)
    assert end is not None
    assert end.on < TODAY


def test_every_entry_of_the_file_has_its_date_and_its_source() -> None:
    content = tomllib.loads(Path(vendors.__file__).with_name("vendors.toml").read_text(encoding="utf-8"))
    assert set(content) == {"openai", "gemini", "anthropic"}
    for models in content.values():
        for name, given in models.items():
            entry = VendorModel.model_validate(given)
            assert entry.source
            assert entry.as_of <= TODAY
            assert entry.snapshots or entry.ends, name
            assert all(undated(snapshot) == name for snapshot in entry.snapshots)


KEYS = (SERVER_KEY, "OPENAI_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY")
ELSEWHERE, VENDORS = "https://example.org/v1", "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("engine", "keys", "urls", "refused"),
    [
        ("server", ("OPENAI_API_KEY",), (ELSEWHERE,), "OPENAI_API_KEY"),
        ("server", ("OPENAI_API_KEY",), (VENDORS, f" {ELSEWHERE} "), "OPENAI_API_KEY"),
        ("server", ("OPENAI_API_KEY",), ("http://127.0.0.1:9/v1",), "OPENAI_API_KEY"),
        ("server", (SERVER_KEY, "OPENAI_API_KEY"), (ELSEWHERE,), None),
        ("server", ("OPENAI_API_KEY",), (VENDORS,), None),
        ("server", ("OPENAI_API_KEY",), ("http://example.org/v1",), None),  # no key is sent unencrypted
        ("server", ("OPENAI_API_KEY",), ("https://[",), None),  # no address
        ("server", ("GEMINI_API_KEY",), (ELSEWHERE,), None),
        ("server", (), (ELSEWHERE,), None),
        ("openai", (SERVER_KEY, "OPENAI_API_KEY"), (ELSEWHERE,), "OPENAI_API_KEY"),
        ("gemini", ("GEMINI_API_KEY",), (ELSEWHERE,), "GEMINI_API_KEY"),
        ("gemini", ("GOOGLE_API_KEY", "GEMINI_API_KEY"), (ELSEWHERE,), "GOOGLE_API_KEY"),
        ("anthropic", ("ANTHROPIC_API_KEY",), ("https://api.anthropic.com",), None),
        ("vllm", KEYS, (ELSEWHERE,), None),
    ],
)
def test_no_key_of_a_vendor_is_sent_where_a_file_says(
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    keys: tuple[str, ...],
    urls: tuple[str, ...],
    refused: str | None,
) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, "sk-0123456789" if name in keys else " ")
    if refused is None:
        check_address(urls, engine)
        return
    with pytest.raises(UsageError, match=f"the key in {refused} would be sent") as caught:
        check_address(urls, engine)
    assert (SERVER_KEY in str(caught.value)) == (engine == "server")
