"""Nothing private is left in a text, wherever it stands; what only looks like it stays."""

import pytest

from microg_bench.privacy import without_private


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/ann/weights/tiny", "tiny"),
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


@pytest.mark.parametrize("text", ["a.", "a@", "~a", "/a", "a-b:", "\\\\a"])
def test_long_texts_are_read_once(text: str) -> None:
    assert without_private(without_private(text * 200_000)) == without_private(text * 200_000)
