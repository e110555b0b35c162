"""Both encoders on odd texts and odd folders, in bfloat16, and in batches halved where memory runs out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics import Score, Unavailable, score
from microg_bench.metrics.bertscore import TokenEncoder
from microg_bench.metrics.encoders import in_batches
from microg_bench.metrics.sentence import check_modules
from microg_bench.options import ScoringOptions
from tests.metrics.conftest import Oracle
from tests.metrics.published_bertscore import small_roberta

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"
    ),
]

NAMES = ("BERTScore", "S-BERT")
FOLDER = Path("encoder")
Run = Callable[[Sequence[int]], list[int]]


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_roberta(tmp_path_factory.mktemp("encoder"))


def reasons(folder: Path) -> list[str]:
    """Why BERTScore and S-BERT cannot be computed with a folder."""
    options = ScoringOptions(bertscore_model=str(folder), sentence_model=str(folder), device="cpu")
    answers = score(["a crew"], ["two men"], NAMES, options=options).values()
    assert all(isinstance(answer, Unavailable) and "\n" not in answer.reason for answer in answers), answers
    return [answer.reason for answer in answers if isinstance(answer, Unavailable)]


def test_odd_characters_have_defined_scores(roberta: Path, minilm: Path) -> None:
    candidates = ["the\0crew", "\udfff crew", "the\u2028crew\x85\r", "crew \ud83d", "the crew"]
    references = ["the\0crew", "\ufffd crew", "the\u2028crew\x85\r", "crew \ufffd", "the\u2029crew\v\0"]
    for encoder in (roberta, minilm):
        options = ScoringOptions(bertscore_model=str(encoder), sentence_model=str(minilm), device="cpu")
        for name, answer in score(candidates, references, NAMES, options=options).items():
            assert isinstance(answer, Score), answer
            np.testing.assert_allclose(answer.per_item[:4], 100, atol=1e-3, err_msg=name)
            assert 0 < answer.per_item[4] <= 100 + 1e-3


def test_a_megabyte_scores_as_the_tokens_that_are_read_of_it(roberta: Path, minilm: Path) -> None:
    candidates = ["the crew floats by " * 50_000, "a" * 1_000_000, "\n" * 1_000_000 + "crew"]
    beginnings = [candidates[0][:20_000], candidates[1][:20_000], "crew"]
    options = ScoringOptions(bertscore_model=str(roberta), sentence_model=str(minilm), device="cpu")
    for name, answer in score(candidates, beginnings, NAMES, options=options).items():
        assert isinstance(answer, Score), answer
        np.testing.assert_allclose(answer.per_item, 100, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("name", "package"),
    [("S-BERT", "sentence_transformers"), ("BERTScore", "transformers"), ("BERTScore", "torch")],
)
def test_without_the_extra_it_is_named_before_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    reason = f"{name} needs an extra (No module named '{package}'): pip install 'microg-bench[score]'"
    for folder in (None, tmp_path):
        options = ScoringOptions(bertscore_model=str(folder), sentence_model=str(folder))
        assert score(["a"], ["a"], [name], options=options)[name] == Unavailable(name, reason)


def test_a_folder_that_is_not_there_or_empty_is_said_so(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        reason = f"{folder}: not the folder of an encoder: it has no config.json"
        assert reasons(folder) == [reason, reason]


def test_an_encoder_without_its_tokeniser_is_refused(minilm: Path, tmp_path: Path) -> None:
    mute = tmp_path / "mute"
    shutil.copytree(minilm, mute, ignore=shutil.ignore_patterns("*token*", "vocab.txt"))
    reason = f"{mute}: not the folder of an encoder: it has no tokeniser"
    assert reasons(mute) == [reason, reason]


def test_another_kind_of_model_is_refused(tiny_qwen: Path) -> None:
    token, sentence = reasons(tiny_qwen)
    assert token.startswith(f"{tiny_qwen}: encoder cannot be loaded: ")
    assert sentence == f"{tiny_qwen}: not the folder of a sentence encoder: it has no modules.json"


@pytest.mark.parametrize("modules", ["", "[", "[1]", "[{}]", "7", '{"type": 1}'])
def test_a_list_of_modules_that_is_none_is_refused(tmp_path: Path, modules: str) -> None:
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(MetricUnavailableError, match=r"modules\.json: (not JSON|is no list of modules)"):
        check_modules(tmp_path)


@pytest.mark.parametrize("kept", [0, 100_000])
def test_damaged_weights_are_said_so(minilm: Path, tmp_path: Path, kept: int) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(minilm, damaged, ignore=shutil.ignore_patterns("*.safetensors"))
    with (minilm / "model.safetensors").open("rb") as whole:
        (damaged / "model.safetensors").write_bytes(whole.read(kept))
    assert all(reason.startswith(f"{damaged}: encoder cannot be loaded: ") for reason in reasons(damaged))


def test_a_sentence_encoder_that_brings_code_is_refused(minilm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    shutil.copytree(minilm, folder)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0] | {"type": "odd.Run"}, *modules[1:]]))
    (folder / "odd.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Run: pass\n")
    options = ScoringOptions(sentence_model=str(folder))
    answer = score(["a"], ["b"], ["S-BERT"], options=options)["S-BERT"]
    assert answer == Unavailable("S-BERT", f"{folder}: wants code of its own to be run: 'odd.Run'")
    assert not (tmp_path / "ran").exists()


@pytest.mark.heavy
def test_bfloat16_is_near_float32_and_said_in_notes_and_signature(
    small_captions: Oracle, roberta: Path, minilm: Path
) -> None:
    keys = list(small_captions.references)[:40]
    pairs = [small_captions.candidates[key] for key in keys], [small_captions.references[key] for key in keys]
    folders = {"bertscore_model": str(roberta), "sentence_model": str(minilm), "device": "cpu"}
    exact = score(*pairs, NAMES, options=ScoringOptions(**folders))
    rough = score(*pairs, NAMES, options=ScoringOptions(**folders, bf16=True))
    for name in NAMES:
        one, other = exact[name], rough[name]
        assert isinstance(one, Score), one
        assert isinstance(other, Score), other
        assert 0 < np.abs(one.per_item - other.per_item).max() < 1
        assert (one.notes, other.notes) == ((), ("encoder run in bfloat16",))
        assert one.signature.values["dtype"] == "float32"
        assert other.signature.values["dtype"] == "bfloat16"


def out_of_memory(said: str) -> Exception:
    import torch

    return torch.cuda.OutOfMemoryError(said)


def device_of(size: int, sizes: list[int]) -> Run:
    """An encoder whose memory holds `size` texts; `sizes` takes down what it was asked."""

    def run(places: Sequence[int]) -> list[int]:
        sizes.append(len(places))
        if len(places) > size:
            raise out_of_memory("CUDA out of memory.\nTried to allocate 2 GiB")
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
    expected = "encoder: encoder runs out of memory on a single text: choose another --device"
    assert str(caught.value) == expected
    assert sizes == [3, 1]


def test_any_other_fault_of_an_encoder_is_one_line() -> None:
    def run(places: Sequence[int]) -> list[int]:
        raise IndexError("index out of range\nin self")

    with pytest.raises(MetricUnavailableError) as caught:
        in_batches([1], run, FOLDER)
    assert str(caught.value) == "encoder: encoder cannot be run: index out of range"


@pytest.mark.heavy
def test_scores_survive_a_small_memory(roberta: Path, minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [f"astronaut {number} floats" + " by" * number for number in range(30)]
    pairs = texts, texts[::-1]
    options = ScoringOptions(bertscore_model=str(roberta), sentence_model=str(minilm), device="cpu")
    roomy = score(*pairs, ["BERTScore", "S-BERT"], options=options)
    embed, encode = TokenEncoder._embed_batch, SentenceTransformer.encode
    memory = 4

    def small(call: Callable[..., object]) -> Callable[..., object]:
        def limited(self: object, batch: Sequence[object], **given: object) -> object:
            if len(batch) > memory:
                raise out_of_memory("CUDA out of memory.")
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
