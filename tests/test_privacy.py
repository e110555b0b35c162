"""Nothing private is left in a text, wherever it stands; what only looks like it stays."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

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

pytestmark = pytest.mark.slow


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
        ("clients/acme_secret/my.py", "my.py"),
        ("clients/my.py", "my.py"),
        ("data/jdoe/secret/model.pt", "model.pt"),
        ("cannot read data/jdoe/secret/model.pt: denied", "cannot read model.pt: denied"),
        ("data/jdoe/secret", "secret"),
        ("data\\jdoe\\secret", "secret"),
        ("vllm:data/jdoe/secret", "vllm:secret"),
        ("/data/jdoe research/secret proj/qwen-ft", "qwen-ft"),
        ("//nas01/home/jdoe/secret proj/m", "m"),
        ("s3://bucket/jdoe research/m", "m"),
        ("S3://bucket/jdoe/m", "m"),
        ("HTTP://jdoe:pw@h/v1", "[address]"),
        ("http://[::1]:80/v1/jdoe", "[address]"),
        ("see https://jdoe@[fe80::1%eth0]:80/v1/jdoe, please", "see [address], please"),
        ("C:\\Users\\Jane Doe\\secret proj\\m", "m"),
        ("C:jdoe\\m", "m"),
        ("see C:jdoe\\m", "see m"),
        ("$HOME/secret/m", "m"),
        ("in ${HOME}/secret/m", "in m"),
        ("</home/jdoe/m>", "<m>"),
        ("a-/home/jdoe/m", "m"),
        ("see a-/home/jdoe/m", "see a-m"),
        ("~jdoe/x", "x"),
        ("jdoe@gpu1", "[address]"),
        ("on jdoe@10.0.0.7 now", "on [address] now"),
        ("jdoe@[fe80::1]:x", "[address]"),
        ("nas:jdoe/m", "[address]"),
        ("server:nas:jdoe/m", "server:[address]"),
        ("--model=nas:jdoe/m", "--model=[address]"),
        ("10.0.0.7:8000", "[address]"),
        ("at 10.0.0.7:8000/v1", "at [address]"),
        ("/home/o'neil/secret/m", "m"),
        ("cannot read /home/o'neil/secret/m", "cannot read m"),
        ("'/home/ann/tiny', '/home/ann/other'", "'tiny', 'other'"),
        ("pulled from ssh://ann@build7.corp.internal/ today", "pulled from [address] today"),
        ("ssh://build7.corp.internal", "[address]"),
        ("see sftp://ann:pw@host now", "see [address] now"),
        ("s3://ann@bucket", "[address]"),
        ("weights=s3://ann@bucket", "weights=[address]"),
        ("mongodb+srv://ann:pw@h", "[address]"),
        ("redis://:pw@h:6379/0", "[address]"),
        ("from s3://bucket/ann@host", "from [address]"),
        ("password=hunter2", "[secret]"),
        ("with X-Api-Key: abcdef123456, twice", "with [secret], twice"),
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
            "org/model@main",
            "vllm:org/model",
            "server:model",
            "Qwen2.5-VL (org/other@abcdef12)",
            "microg-bench/scorecard/2",
            "nvidia-cublas 12.8.4.1",
            "a ratio of 3:4",
            "he said: yes",
            "km/h",
            "@ the hatch",
            "at 10:30 or 10:30:15",
            "yes/no/maybe is no answer",
            "</think>",
            "the password: is it long",
            "OPENAI_API_KEY: missing",
            "<|im_end|>",
            "10/12/2026",
            "$5/hour",
            "image/jpeg",
            "he waits... / then floats",
            "astronaut's/crew's",
            "vqa-default@1:0a1b2c3d",
        ),
    ],
)
def test_what_only_looks_private_stays(text: str) -> None:
    assert without_private(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a.",
        "a@",
        "~a",
        "/a",
        "a-b:",
        "\\\\a",
        "a://",
        "?a",
        "a:a",
        "a/",
        "a:",
        "a'",
        "$a",
        "Basic a",
        "ftp://a@",
        "a/a.",
        "1.1.1.1:",
        "-eyJaaaaaaaaaa",
        "bearer ",
        "-----BEGIN A",
        "?key",
        "a://:",
    ],
)
def test_long_texts_are_read_once(text: str) -> None:
    assert without_private(without_private(text * 60_000)) == without_private(text * 60_000)
    assert not SECRET.search(text * 60_000)


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
        "tokens": ["t"],
        "max_tokens": "100",
        "prompt_tokens": "9",
        "cache_key": "k",
        "auth": {"user": "x"},
        "tokenizer_mode": "auto",
        "key": "",
    }
    found = list(secrets_in(content))
    assert found == [
        *(
            "hf_token",
            "headers.Authorization",
            "headers.X-Api-Key",
            "headers.apiKey",
            "more",
            "api_key",
        ),
        "[secret]",
        "tokens",
        "auth.user",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("https://ann:pw@host/v1", "https://ann@host/v1", "s3://key:pw@bucket/x", "hf_" + "a" * 30),
        *("nvapi-" + "a" * 20, "glpat-" + "a" * 20, "gsk_" + "a" * 20, "r8_" + "a" * 20, "xai-" + "a" * 20),
        *(
            "pplx-" + "a" * 20,
            "ya29." + "a" * 20,
            "ASIA" + "A" * 16,
            "sk_live_" + "a" * 16,
            "npm_" + "a" * 36,
        ),
        *(
            "pypi-" + "a" * 20,
            "dapi" + "0a" * 16,
            "Basic dXNlcjpwYXNz",
            "Token " + "0a" * 20,
            "bearer abc123def",
        ),
        *("http://h/v1?api_key=1", "http://h/v1?a=1&X-Amz-Signature=1", "?token=1", "Bearer abcdefgh12"),
    ],
)
def test_a_secret_is_known_in_any_text(text: str) -> None:
    assert SECRET.search(text)


@pytest.mark.parametrize(
    "text",
    [
        *("org/model", "http://h/v1", "ssh://git@host/x", "s3://bucket/key", "a@b", "v1?limit=3", "x:y@1"),
        *("Basic instruction", "a bearer certificate", "token classification", "the bearer carries 2 bags"),
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert not SECRET.search(text)


@pytest.mark.parametrize(
    ("url", "local", "keys"),
    [
        ("http://localhost:1/v1", True, True),
        ("http://a.localhost", False, False),  # asks the resolver
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


SECRET_NAMES = (
    "pwd passphrase tokens api_keys x-auth auth authorization_header bearer session hfToken openai_key "
    "wandb_key ssh_key Ocp-Apim-Subscription-Key api_key apikey hf_token HF_TOKEN Authorization password "
    "db_passwd secret client_secret cookie session_id access_tokens"
)
PLAIN_NAMES = (
    "max_tokens tokens_only max_num_batched_tokens eos_token author tokenizer monkey keys num_keys cache_key "
    "token_type session_length hotkey public_key"
)


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_of_a_secret_is_known(name: str) -> None:
    assert list(secrets_in({name: "x"})) == [name]
    assert list(secrets_in({"a": {name: ["x"]}})) == [f"a.{name}"]


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_a_name_of_no_secret_is_left_alone(name: str) -> None:
    assert not list(secrets_in({name: "x"}))


def test_no_caption_question_or_answer_is_changed(shared: Path) -> None:
    """All of MicroG-4M and what models of version 0.1 have said about it."""
    texts: set[str] = set()
    files = [*(shared / "data").rglob("*.json"), *(shared / "data").rglob("journal.jsonl*")]
    for file in files:
        texts |= texts_of(file)
    assert len(texts) > 14_000
    assert [text for text in texts if without_private(text) != text] == []


def texts_of(file: Path) -> set[str]:
    """All texts in a file of JSON, or of JSON lines."""
    content = file.read_bytes()
    text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
    lines = text.splitlines() if ".jsonl" in file.name else [text]
    found: set[str] = set()
    waiting = [json.loads(line) for line in lines if line.strip()]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, (dict, list)):
            waiting += one.values() if isinstance(one, dict) else one
    return found
