from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from microg_bench.pages.shell import ASSETS, json_block, render


def test_data_cannot_end_its_block_and_reads_back() -> None:
    data = {"a": "</script><!--<script>&\u2028\ud800\x00", "b": [1.5, None]}
    block = json_block(data)
    assert not set("<>&\u2028") & set(block) and block.isascii()
    assert json.loads(block) == data


def test_what_is_no_number_is_no_data() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_block([float("nan")])


@pytest.fixture
def page(tmp_path: Path) -> str:
    body = '{% extends "base.html" %}{% block body %}<p title="{{ said }}">{{ said }}</p>{% endblock %}'
    (tmp_path / "own.html").write_text(body)
    (tmp_path / "own.js").write_text('"use strict";\n')
    said = "\"'><b>é\u00a0\u200d\u202e\x00\ud800\U000e0041"
    return render("own", ["charts"], {}, tmp_path, title="T", said=said).decode()


def test_texts_are_escaped_and_what_cannot_be_seen_is_replaced(page: str) -> None:
    # A joiner and a hard space belong to ordinary writing.
    assert page.count("&#34;&#39;&gt;&lt;b&gt;é\u00a0\u200d\ufffd\ufffd\ufffd\ufffd") == 2


def test_the_policy_names_these_very_scripts_and_styles(page: str) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert len(texts) == (2 if tag == "style" else 3)
        assert f"{rule} " + " ".join(f"'sha256-{digest}'" for digest in digests) + ";" in policy


def test_scripts_and_templates_agree_on_what_cannot_be_seen() -> None:
    from microg_bench.pages import shell

    [found] = re.findall(r"const UNSEEN = /\[(.*)\]/gu;", (ASSETS / "components" / "dom.js").read_text())
    numbers = re.sub(r"\\u\{?([0-9a-f]+)\}?", lambda one: chr(int(one[1], 16)), found)
    scripts = re.compile(f"[{numbers}]")
    every = [chr(number) for number in range(0x110000)]
    assert [one for one in every if scripts.match(one)] == [one for one in every if shell._UNSEEN.match(one)]


def test_no_script_makes_markup_of_text() -> None:
    scripts = [path.read_text() for path in ASSETS.rglob("*.js")]
    assert len(scripts) > 5
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert not any(name in text for text in scripts)
