"""Batches of an encoder: texts of like length together, fewer at a time where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics import MetricOptions, Score, Unavailable, score
from microg_bench.metrics.batches import in_batches
from microg_bench.metrics.token_encoder import TokenEncoder
from tests.metrics.published_bertscore import small_roberta

torch = pytest.importorskip("torch")

FOLDER = Path("encoder")
Run = Callable[[Sequence[int]], list[int]]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_roberta(tmp_path_factory.mktemp("encoder"))


def device_of(size: int, sizes: list[int]) -> Run:
    """An encoder whose memory holds `size` texts; `sizes` takes down what it was asked."""

    def run(places: Sequence[int]) -> list[int]:
        sizes.append(len(places))
        if len(places) > size:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return [10 * place for place in places]

    return run


def test_answers_come_in_the_order_of_the_texts_and_the_longest_go_first() -> None:
    asked: list[int] = []

    def run(places: Sequence[int]) -> list[int]:
        asked.extend(places)
        return [10 * place for place in places]

    assert in_batches([3, 9, 5], run, FOLDER) == [0, 10, 20]
    assert asked == [1, 2, 0]


def test_a_batch_is_halved_until_it_fits_and_stays_so() -> None:
    sizes: list[int] = []
    assert in_batches(range(100), device_of(20, sizes), FOLDER) == [10 * place for place in range(100)]
    assert sizes == [64, 32, 16, 16, 16, 16, 16, 16, 4]


def test_a_single_text_that_does_not_fit_is_refused() -> None:
    sizes: list[int] = []
    with pytest.raises(MetricUnavailableError) as caught:
        in_batches([1, 2, 3], device_of(0, sizes), FOLDER)
    expected = "encoder encoder runs out of memory on a single text: choose another --device"
    assert str(caught.value) == expected
    assert sizes == [3, 1]


def test_any_other_fault_of_an_encoder_is_one_line() -> None:
    def run(places: Sequence[int]) -> list[int]:
        raise IndexError("index out of range\nin self")

    with pytest.raises(MetricUnavailableError) as caught:
        in_batches([1], run, FOLDER)
    assert str(caught.value) == "encoder encoder cannot be run: index out of range"


def test_scores_survive_a_small_memory(roberta: Path, minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [f"astronaut {number} floats" + " by" * number for number in range(30)]
    pairs = texts, texts[::-1]
    options = MetricOptions(bertscore_model=roberta, sentence_model=minilm, device="cpu")
    roomy = score(*pairs, ["BERTScore", "S-BERT"], options=options)
    embed, encode = TokenEncoder._embed_batch, SentenceTransformer.encode
    memory = 4

    def small(call: Callable[..., object]) -> Callable[..., object]:
        def limited(self: object, batch: Sequence[object], **given: object) -> object:
            if len(batch) > memory:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
            return call(self, batch, **given)

        return limited

    monkeypatch.setattr(TokenEncoder, "_embed_batch", small(embed))
    monkeypatch.setattr(SentenceTransformer, "encode", small(encode))
    for name, answer in score(*pairs, ["BERTScore", "S-BERT"], options=options).items():
        usual = roomy[name]
        assert isinstance(answer, Score), answer
        assert isinstance(usual, Score)
        np.testing.assert_allclose(answer.per_item, usual.per_item, atol=1e-3)
    memory = 0
    for answer in score(*pairs, ["BERTScore", "S-BERT"], options=options).values():
        assert isinstance(answer, Unavailable)
        assert "out of memory on a single text" in answer.reason
