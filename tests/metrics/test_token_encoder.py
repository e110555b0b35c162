"""What BERTScore's encoder reads of a text, and what it refuses to read with."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.bertscore import TokenEncoder, layers_read
from microg_bench.options import ScoringOptions
from tests.metrics.published_bertscore import small_roberta

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_roberta(tmp_path_factory.mktemp("encoder"))


def words(folder: Path, text: str) -> list[str]:
    encoder = TokenEncoder.load(folder, ScoringOptions(device="cpu"))
    read: list[str] = encoder.tokenizer.convert_ids_to_tokens(encoder.tokens([text])[0])
    return read


def test_robertas_first_word_is_read_after_a_space_and_no_text_has_none(roberta: Path, minilm: Path) -> None:
    assert words(roberta, "the the") == ["<s>", "Ġthe", "Ġthe", "</s>"]
    assert words(roberta, "") == ["<s>", "</s>"]
    assert words(minilm, "the the") == ["[CLS]", "the", "the", "[SEP]"]
    assert words(minilm, "") == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize(
    "text", ["the crew " * 100_000, "a" * 1_000_000, "a" + "\n" * 1_000_000 + "b. " * 999]
)
def test_a_megabyte_is_cut_to_512_tokens(roberta: Path, text: str) -> None:
    read = words(roberta, text)
    assert len(read) == 512
    assert (read[0], read[-1]) == ("<s>", "</s>")
    assert read[1:511] == words(roberta, text[:20_000])[1:511]


def test_the_published_layer_of_a_large_roberta_is_taken() -> None:
    from transformers import BertConfig, RobertaConfig

    assert layers_read(RobertaConfig(num_hidden_layers=24), None) == 17
    assert layers_read(RobertaConfig(num_hidden_layers=24), 24) == 24
    assert layers_read(BertConfig(num_hidden_layers=6), None) == 6


def test_weights_that_are_not_in_the_folder_are_not_made_up(roberta: Path, tmp_path: Path) -> None:
    deeper = tmp_path / "deeper"
    shutil.copytree(roberta, deeper)
    settings = json.loads((deeper / "config.json").read_text())
    (deeper / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": 5}))
    with pytest.raises(MetricUnavailableError, match=r"lacks 16 weights, the first is encoder\.layer\.4\."):
        TokenEncoder.load(deeper, ScoringOptions(device="cpu"))
    assert TokenEncoder.load(deeper, ScoringOptions(device="cpu", bertscore_layers=4)).limit == 512


def test_a_model_that_writes_is_no_encoder(tmp_path: Path, roberta: Path) -> None:
    from transformers import BartConfig

    shutil.copytree(roberta, tmp_path / "bart")
    BartConfig().save_pretrained(tmp_path / "bart")
    with pytest.raises(MetricUnavailableError, match="it has a decoder, or no start, end or padding token"):
        TokenEncoder.load(tmp_path / "bart", ScoringOptions())
