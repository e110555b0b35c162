"""PTB tokens: no text shifts, and what stands beside a text matters only where it was published so."""

from __future__ import annotations

import pytest

from microg_bench.metrics.texts import Texts, prepare
from microg_bench.metrics.tokenize import ptb_tokenize
from tests.metrics.conftest import Oracle
from tests.metrics.reference import needs_java, published_tokens

pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")


def test_tokens_are_those_of_the_published_driver(small_captions: Oracle) -> None:
    needs_java()
    texts = list(small_captions.candidates.values())
    texts += ["Is it (really) 3.5 kg? No.", "2 men; can't go --- U.S. crew…", "Ünï “quote” co-op"]
    plain = [" ".join(text.split()) for text in texts]
    assert ptb_tokenize([plain, ["alone"]], isolated=False) == [published_tokens(texts), ["alone"]]


def test_streams_do_not_touch_each_other() -> None:
    texts = ["Is it moving? No.", "3 men float."]
    alone = [ptb_tokenize([[text]], isolated=False)[0] for text in texts]
    assert ptb_tokenize([[texts[0]], [texts[1]]], isolated=False) == alone
    assert ptb_tokenize([texts], isolated=True) == [[alone[0][0], alone[1][0]]]
    assert ptb_tokenize([texts], isolated=False)[0][0] != alone[0][0]


@pytest.mark.parametrize("protocol", ["coco", "coco-isolated"])
def test_no_character_shifts_a_text(protocol: str) -> None:
    characters = [chr(code) for code in (*range(0x3100), *range(0xD7F0, 0xE010), 0xFEFF, 0xFFFD, 0x1F600)]
    given = [f"a {character} b number{index}" for index, character in enumerate(characters)]
    texts = prepare(given, given, protocol)
    for tokenized in (texts.tokenized.candidates, [refs[0] for refs in texts.tokenized.references]):
        assert [text.split()[-1] for text in tokenized] == [f"number{index}" for index in range(len(given))]


def test_empty_and_blank_texts_keep_their_place() -> None:
    tokenized = Texts(
        ("0", "1", "2", "3"), ("", "Two.", "\n \r\n", "."), (("",), ("X", ""), ("",), ("Yes.",)), "coco"
    )
    assert tokenized.tokenized.candidates == ("", "two", "", "")
    assert tokenized.tokenized.references == (("",), ("x", ""), ("",), ("yes",))
