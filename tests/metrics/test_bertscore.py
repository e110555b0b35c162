"""BERTScore against the published package, where that still works, and on the texts where it does not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microg_bench.metrics import MetricOptions, Score, Unavailable, encoders, score
from tests.metrics.conftest import Oracle

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")

TEXTS = ["Hello world", "the crew floats by", "Hello", "crew", "floats Hello world the by"]


def bertscore(candidates: list[str], references: Any, folder: Path, layers: int | None = None) -> Score:
    options = MetricOptions(bertscore_model=folder, bertscore_layers=layers, device="cpu")
    answer = score(candidates, references, ["BERTScore"], options=options)["BERTScore"]
    assert isinstance(answer, Score), answer
    return answer


def published(candidates: list[str], references: list[Any], folder: Path, layers: int) -> np.ndarray:
    package = pytest.importorskip("bert_score")
    f1 = package.score(candidates, references, model_type=str(folder), num_layers=layers, device="cpu")[2]
    return 100 * np.asarray(f1)


def save_roberta(folder: Path, *, space_before_first_word: bool) -> Path:
    """A small random RoBERTa; equal weights for equal arguments but the tokeniser's."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    folder.mkdir()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS * 3, vocab_size=300, min_frequency=1, special_tokens=specials)
    bpe.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        add_prefix_space=space_before_first_word,
        model_max_length=30,
    )
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=32,
    )
    RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    return save_roberta(tmp_path_factory.mktemp("encoder") / "plain", space_before_first_word=False)


def test_f1_is_as_published(small_captions: Oracle, minilm: Path) -> None:
    keys = list(small_captions.references)
    candidates = [small_captions.candidates[key] for key in keys]
    references = [small_captions.references[key] for key in keys]
    ours = bertscore(candidates, references, minilm)
    expected = published(candidates, references, minilm, 6)
    np.testing.assert_allclose(ours.per_item, expected, atol=1e-3)
    assert ours.value == pytest.approx(expected.mean(), abs=1e-4)


def test_fewer_layers_and_several_references_are_as_published(minilm: Path) -> None:
    candidates = ["the crew floats by", "a man", " padded\n"]
    references = [
        ["someone floats", "the crew drifts by", "x"],
        ["two men"],
        ["padded", "a much longer text"],
    ]
    ours = bertscore(candidates, references, minilm, layers=2)
    np.testing.assert_allclose(ours.per_item, published(candidates, references, minilm, 2), atol=1e-3)
    assert ours.signature.values["layers"] == "2"


def test_robertas_first_word_is_read_after_a_space(roberta: Path, tmp_path: Path) -> None:
    spaced = save_roberta(tmp_path / "spaced", space_before_first_word=True)
    candidates, references = TEXTS, [*TEXTS[1:], "Hello"]
    expected = published(candidates, references, spaced, 3)
    np.testing.assert_allclose(bertscore(candidates, references, roberta).per_item, expected, atol=1e-3)
    np.testing.assert_allclose(bertscore(candidates, references, spaced).per_item, expected, atol=1e-3)
    # The published package, given the plain tokeniser, loses the space: the texts can tell.
    assert np.abs(published(candidates, references, roberta, 3) - expected).max() > 0.1


def test_empty_texts_score_zero_and_long_ones_are_cut_to_what_the_encoder_reads(roberta: Path) -> None:
    long = "crew floats " * 60
    ours = bertscore(
        ["", "crew", "", " \n", long, "\ud800"],
        ["crew", "", "", "x", long, "\ufffd"],
        roberta,
    )
    np.testing.assert_allclose(ours.per_item, [0, 0, 0, 0, 100, 100], atol=1e-3)


def test_a_layer_the_encoder_has_not_is_refused(roberta: Path) -> None:
    options = MetricOptions(bertscore_model=roberta, bertscore_layers=4)
    answer = score(["a"], ["b"], ["BERTScore"], options=options)["BERTScore"]
    assert answer == Unavailable("BERTScore", "layer 4 asked of an encoder with 3 layers")


def test_the_published_layer_of_a_large_roberta_is_taken() -> None:
    from transformers import BertConfig, RobertaConfig

    from microg_bench.metrics.bertscore import _layers

    assert _layers(RobertaConfig(num_hidden_layers=24), None) == 17
    assert _layers(BertConfig(num_hidden_layers=6), None) == 6


def test_without_the_default_encoder_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nonexistent")
    encoders._hub_folder.cache_clear()
    answer = score(["a"], ["a"], ["BERTScore"])["BERTScore"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith("encoder FacebookAI/roberta-large is not on this machine")
    assert answer.reason.endswith("give --bertscore-model DIR")


def test_the_libraries_stay_silent(roberta: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bertscore(["crew"], ["floats"], roberta)
    assert capfd.readouterr() == ("", "")
