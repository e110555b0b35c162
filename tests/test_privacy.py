"""Nothing private is left in a text, wherever it stands; what only looks like it stays."""

from collections.abc import Iterator

import pytest

from microg_bench import privacy
from microg_bench.errors import UsageError
from microg_bench.privacy import (
    SECRET,
    check_hub,
    is_loopback,
    may_get_keys,
    outgoing,
    secrets_in,
    without_private,
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/ann/weights/tiny", "tiny"),
        ("/home/ann", "[user]"),
        ("file:///home/ann/", "[user]"),
        ("/Users/ann", "[user]"),
        ("C:\\Users\\ann", "[user]"),
        ("\\\\server\\home\\ann", "[user]"),
        ("./tiny", "tiny"),
        ("../up/tiny", "tiny"),
        ("~/tiny", "tiny"),
        ("~ann/weights/tiny", "tiny"),
        ("C:\\Users\\ann\\tiny", "tiny"),
        ("D:/data/ann/tiny", "tiny"),
        ("\\\\server\\share\\ann\\tiny", "tiny"),
        ("file:///home/ann/tiny", "tiny"),
        ("s3://bucket/ann/tiny", "tiny"),
        ("ann@host:weights/tiny", "[address]"),
        ("ann@example.org", "[address]"),
        ("ann@10.0.0.3:/data", "[address]"),
        ("http://10.0.0.3:8000/v1", "[address]"),
        ("https://ann:pw@host/v1?key=abc", "[address]"),
        ("server:/home/ann/tiny", "server:tiny"),
        ("cannot read /home/ann/a.mp4: denied", "cannot read a.mp4: denied"),
        ("weights='/home/ann/tiny', fast", "weights='tiny', fast"),
        ("--download-dir=/scratch/ann", "--download-dir=ann"),
        ("see http://host/x and /tmp/ann/y", "see [address] and y"),
        ("hf_" + "a" * 30, "[secret]"),
        ("Authorization: Bearer abcdef123456", "Authorization: [secret]"),
    ],
)
def test_what_is_private_is_taken_out(text: str, left: str) -> None:
    assert without_private({"a": [text]}) == {"a": [left]}
    assert without_private({text: 1}) == {left: 1}
    assert without_private(left) == left


@pytest.mark.parametrize(
    "text",
    [
        *("org/model", "uniform:8", "incomplete: a / b", "and/or", "1/2", "24/7", "clips/s", "fps:2"),
        *("microg-bench/run/2", "p < 0.05", "a: b", "C: 3", "~5 s", "A man (left) floats.", "...", "./", "~"),
        *(
            "Qwen2.5-VL (org/other)",
            "2026-11-26T00:01:02+00:00",
            "CIDEr|p:paper|n:1237|v:0.2.0",
            "x @ y",
            "vqa-default@1:0a1b2c3d",
        ),
    ],
)
def test_what_only_looks_private_stays(text: str) -> None:
    assert without_private(text) == text


@pytest.mark.parametrize("text", ["a.", "a@", "~a", "/a", "a-b:", "\\\\a", "a://", "?a", "a:a"])
def test_long_texts_are_read_once(text: str) -> None:
    assert without_private(without_private(text * 200_000)) == without_private(text * 200_000)
    assert not SECRET.search(text * 200_000)


@pytest.fixture
def annabel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user of this machine is annabel, whose home folder is called bel."""
    monkeypatch.setenv("LOGNAME", "annabel")
    monkeypatch.setenv("HOME", "/data/bel")
    privacy._user_names.cache_clear()
    yield
    privacy._user_names.cache_clear()


@pytest.mark.usefixtures("annabel")
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("annabel", "[user]"),
        ("/scratch/annabel", "[user]"),
        ("/data/bel/annabel-7b", "[user]-7b"),
        ("Annabel_7b", "[user]_7b"),
        ("run of bel on gpu3", "run of [user] on gpu3"),
        ("annabella", "annabella"),
        ("label", "label"),
    ],
)
def test_the_name_of_the_user_does_not_leave(text: str, left: str) -> None:
    assert outgoing({text: [text]}) == {left: [left]}
    assert outgoing(left) == left
    assert without_private(left) == left  # on every other machine it stays as it is


@pytest.mark.parametrize("name", ["root", "vllm", "coco", "ab"])
def test_names_of_no_person_stay(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", name)
    monkeypatch.setenv("HOME", f"/{name}")
    privacy._user_names.cache_clear()
    assert outgoing(f"{name} is a word") == f"{name} is a word"
    privacy._user_names.cache_clear()


def test_secrets_are_found_by_name_and_by_value() -> None:
    content = {
        "hf_token": "abc",
        "headers": {"Authorization": "x", "X-Api-Key": "y", "apiKey": "z"},
        "more": ["a", "sk-" + "a" * 20],
        "api_key": ["a"],
        "sk-" + "b" * 20: 1,
        "max_num_batched_tokens": "8192",
        "eos_token": "<end>",
        "token": 7,
        "tokenizer_mode": "auto",
        "key": "",
    }
    found = list(secrets_in(content))
    assert found == [
        *("hf_token", "headers.Authorization", "headers.X-Api-Key", "headers.apiKey", "more", "api_key"),
        "[secret]",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("https://ann:pw@host/v1", "https://ann@host/v1", "s3://key:pw@bucket/x", "hf_" + "a" * 30),
        *("http://h/v1?api_key=1", "http://h/v1?a=1&X-Amz-Signature=1", "?token=1", "Bearer abcdefgh12"),
    ],
)
def test_a_secret_is_known_in_any_text(text: str) -> None:
    assert SECRET.search(text)


@pytest.mark.parametrize(
    "text", ["org/model", "http://h/v1", "ssh://git@host/x", "s3://bucket/key", "a@b", "v1?limit=3", "x:y@1"]
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert not SECRET.search(text)


@pytest.mark.parametrize(
    ("url", "local", "keys"),
    [
        ("http://localhost:1/v1", True, True),
        ("http://a.localhost", True, True),
        ("http://127.8.8.8:1", True, True),
        ("https://[::1]:1/v1", True, True),
        ("http://0.0.0.0:8000", True, True),
        ("http://localhost.example.com", False, False),
        ("http://localhost@example.com", False, False),
        ("http://10.0.0.1", False, False),
        ("HTTPS://10.0.0.1", False, True),
        ("Gemini", False, False),
    ],
)
def test_keys_go_over_https_or_to_this_machine(url: str, local: bool, keys: bool) -> None:
    assert (is_loopback(url), may_get_keys(url)) == (local, keys)


def test_the_token_of_the_hub_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 30)
    check_hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://mirror.example")
    with pytest.raises(UsageError, match="HF_ENDPOINT: your token of the hub would be sent unencrypted"):
        check_hub()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    check_hub()
