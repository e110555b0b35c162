"""S-BERT and S-VQA against the oracles, and where their encoder is looked for."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.metrics import Score, Unavailable, encoders, score
from microg_bench.options import ScoringOptions
from tests.metrics.conftest import Oracle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"
    ),
]


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that refuses at once, and no encoder among the installed packages."""
    monkeypatch.setattr(encoders, "package_path", lambda *path: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    encoders._hub_folder.cache_clear()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("oracle", "name"),
    [("small-caption", "S-BERT"), ("small-vqa", "S-VQA"), ("full-vqa", "S-VQA")],
    indirect=["oracle"],
)
def test_cosines_are_as_published(oracle: Oracle, name: str, minilm: Path) -> None:
    answer = score(oracle.candidates, oracle.references, [name])[name]
    assert isinstance(answer, Score), answer
    assert answer.value == pytest.approx(oracle.expected["sentence_cosine"], abs=1e-3)
    assert answer.per_item.mean() == pytest.approx(answer.value)


@pytest.mark.heavy
def test_every_item_equals_the_plain_computation(references: dict[str, dict[Any, str]], minilm: Path) -> None:
    from sentence_transformers import SentenceTransformer

    captions, answers = (list(references[task].values()) for task in ("caption", "vqa"))
    long = [" ".join(captions[place : place + 6]) for place in range(5)]
    theirs = [*answers[:150], *captions[:30], *long, "", "  \n", "a", *answers[:20]]
    ours = [
        *answers[1:150],
        answers[0],
        *captions[1:30],
        captions[0],
        *long[::-1],
        "x",
        "",
        "",
        *answers[:20],
    ]
    assert len(set(ours + theirs)) < len(ours + theirs) / 1.5
    answer = score(ours, theirs, ["S-BERT"], options=ScoringOptions(sentence_model=str(minilm), device="cpu"))
    found = answer["S-BERT"]
    assert isinstance(found, Score), found
    model = SentenceTransformer(str(minilm), device="cpu")
    one, other = (model.encode(texts).astype(np.float64) for texts in (ours, theirs))
    cosines = (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    np.testing.assert_allclose(found.per_item / 100, cosines, rtol=0, atol=1e-5)


def test_a_text_is_most_like_itself_and_the_best_reference_counts(minilm: Path) -> None:
    texts = ["the crew floats", "\ud800 odd", "", "she eats", "a pump"]
    references = [
        ["the crew floats"],
        ["\ufffd odd"],
        [""],
        ["he reads"],
        ["unrelated words", "a water pump"],
    ]
    options = ScoringOptions(sentence_model=str(minilm))
    answer = score(texts, references, ["S-BERT"], options=options)["S-BERT"]
    assert isinstance(answer, Score), answer
    np.testing.assert_allclose(answer.per_item[:3], 100, atol=1e-4)
    assert answer.per_item[3] < 90
    alone = score(["a pump"], ["a water pump"], ["S-BERT"], options=options)["S-BERT"]
    assert isinstance(alone, Score)
    assert answer.per_item[4] == pytest.approx(alone.value, abs=1e-3)


def test_the_protocol_does_not_touch_the_text_and_the_signature_pins_the_encoder(
    minilm: Path, tmp_path: Path
) -> None:
    paper, coco = (score(["A b."], ["a B"], ["S-VQA"], protocol)["S-VQA"] for protocol in ("paper", "coco"))
    assert isinstance(paper, Score)
    assert isinstance(coco, Score)
    assert paper.value == pytest.approx(coco.value)
    assert coco.signature.values["tokenizer"] == "none"
    name, _, digest = paper.signature.values["model"].partition("@")
    assert name == "all-MiniLM-L6-v2"
    copy = tmp_path / "elsewhere"
    shutil.copytree(minilm, copy)
    assert encoders.encoder_hash(copy) == digest
    other = tmp_path / "other"
    shutil.copytree(minilm, other)
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    assert encoders.encoder_hash(other) != digest


def test_without_encoder_and_hub_the_reason_says_what_to_do(no_hub: None) -> None:
    scores = score(["a b"], ["a b"], ["S-BERT", "ROUGE-L"])
    assert isinstance(scores["ROUGE-L"], Score)
    answer = scores["S-BERT"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith("encoder sentence-transformers/all-MiniLM-L6-v2 is not on this machine")
    assert answer.reason.endswith("give --sentence-model DIR")


def test_settings_that_cannot_be_read_are_said_so(minilm: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(minilm, broken)
    (broken / "config.json").write_text("{")
    options = ScoringOptions(sentence_model=str(broken))
    answer = score(["a"], ["a"], ["S-BERT"], options=options)["S-BERT"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(f"{broken}: encoder cannot be loaded: ")
    assert "\n" not in answer.reason


def test_the_libraries_stay_silent(minilm: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(score(["a"], ["b"], ["S-BERT"])["S-BERT"], Score)
    assert capfd.readouterr() == ("", "")
