"""BERTScore against the published package: as it answered once in its own stack, and as it answers here."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from microg_bench.metrics import Score, Unavailable, bertscore, encoders, score
from microg_bench.metrics.bertscore import BertScore
from microg_bench.metrics.texts import prepare
from microg_bench.options import ScoringOptions
from tests.metrics.conftest import Oracle
from tests.metrics.published_bertscore import REFERENCE, small_roberta

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed"),
]


def scored(candidates: list[str], references: Any, folder: Path, **options: Any) -> Score:
    chosen = ScoringOptions(bertscore_model=str(folder), device="cpu", **options)
    answer = score(candidates, references, ["BERTScore"], options=chosen)["BERTScore"]
    assert isinstance(answer, Score), answer
    return answer


def refused(folder: Path, **options: Any) -> str:
    chosen = ScoringOptions(bertscore_model=str(folder), device="cpu", **options)
    answer = score(["a"], ["b"], ["BERTScore"], options=chosen)["BERTScore"]
    assert isinstance(answer, Unavailable), answer
    return answer.reason


def published(candidates: list[str], references: list[Any], folder: Path, **options: Any) -> np.ndarray:
    package = pytest.importorskip("bert_score")
    options = {"num_layers": 6, "nthreads": 0, "device": "cpu", "lang": "en", **options}
    return 100 * np.asarray(package.score(candidates, references, model_type=str(folder), **options)[2])


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_roberta(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of baselines instead of the published, with one for the small RoBERTa."""
    (tmp_path / "small-roberta.tsv").write_text(REFERENCE["baseline"])
    monkeypatch.setattr(bertscore, "_baselines", lambda: tmp_path)
    return tmp_path


def _name(result: dict[str, Any]) -> str:
    chosen = [option for option in ("idf", "rescaled", "several") if result[option]]
    return "-".join([f"layer {result['layers']}", *chosen])


@pytest.mark.parametrize("result", REFERENCE["results"], ids=_name)
def test_precision_recall_and_f1_are_as_the_published_stack_says(
    result: dict[str, Any], roberta: Path, baselines: Path
) -> None:
    candidates, references = (list(side) for side in zip(*REFERENCE["pairs"], strict=True))
    if result["several"]:
        references = [references[place : place + 3] for place in range(len(references))]
    options = ScoringOptions(
        bertscore_model=str(roberta),
        bertscore_layers=result["layers"],
        bertscore_idf=result["idf"],
        bertscore_rescale=result["rescaled"],
        device="cpu",
    )
    ours = BertScore(options).precision_recall_f1(prepare(candidates, references, "paper"))
    expected = np.transpose([result["P"], result["R"], result["F1"]])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


def test_the_published_stack_was_asked_about_what_matters() -> None:
    assert REFERENCE["stack"]["bert_score"] == "0.3.13"
    assert REFERENCE["stack"]["transformers"].startswith("4.57.")
    texts = {text for pair in REFERENCE["pairs"] for text in pair}
    assert len(REFERENCE["pairs"]) > 60
    assert "" in texts
    assert max(len(text.split()) for text in texts) > 512
    f1 = [result["F1"] for result in REFERENCE["results"]]
    # Every choice of options moves the numbers, so none can be ignored unseen.
    assert all(np.abs(np.subtract(one, other)).max() > 1e-3 for one in f1 for other in f1 if one is not other)


@pytest.mark.heavy
def test_real_captions_score_as_the_installed_package_says(small_captions: Oracle, minilm: Path) -> None:
    keys = list(small_captions.references)
    candidates = [small_captions.candidates[key] for key in keys]
    references = [small_captions.references[key] for key in keys]
    ours = scored(candidates, references, minilm)
    expected = published(candidates, references, minilm)
    np.testing.assert_allclose(ours.per_item, expected, atol=1e-3)
    assert ours.value == pytest.approx(expected.mean(), abs=1e-4)


def test_idf_and_the_published_baseline_are_those_of_the_installed_package(
    minilm: Path, tmp_path: Path
) -> None:
    # The encoder takes the name of a model of as many layers, to meet that model's baseline.
    renamed = tmp_path / "distilroberta-base"
    renamed.symlink_to(minilm)
    baseline = bertscore._baselines() / "distilroberta-base.tsv"
    candidates = ["the crew floats by", "a man", " padded\n", "a man"]
    references = [
        ["someone floats", "the crew drifts by"],
        ["two men"],
        ["padded", "a much longer text"],
        ["x"],
    ]
    ours = scored(candidates, references, renamed, bertscore_idf=True, bertscore_rescale=True)
    options = {"idf": True, "rescale_with_baseline": True, "baseline_path": str(baseline)}
    np.testing.assert_allclose(ours.per_item, published(candidates, references, minilm, **options), atol=1e-3)
    values = ours.signature.values
    assert (values["idf"], values["rescaled"], values["dtype"]) == ("yes", "yes", "float32")
    notes = ("tokens weighted by idf over the references of this set", "rescaled by the published baseline")
    assert ours.notes == notes
    plain = scored(["a"], ["b"], minilm, bertscore_layers=2)
    assert [plain.signature.values[name] for name in ("idf", "rescaled", "layers")] == ["no", "no", "2"]
    assert plain.notes == ()


def test_idf_of_a_token_in_every_reference_is_nothing(roberta: Path) -> None:
    assert scored(["crew"], ["crew"], roberta, bertscore_idf=True).value == 0


@pytest.mark.parametrize(
    ("references", "why"),
    [
        (["a man floats"], "one item"),
        (["a man floats", " a man floats"], "all references are alike"),
        (["", " "], "all references are empty"),
    ],
)
def test_idf_that_weighs_nothing_says_that_the_score_can_only_be_0(
    roberta: Path, references: list[str], why: str
) -> None:
    found = scored(references, references, roberta, bertscore_idf=True)
    assert found.value == 0
    assert f"can only be 0 here: {why}" in found.notes
    assert (found.notes[0] in scored(references, references, roberta).notes) == ("empty" in why)


def test_the_published_baseline_of_the_default_encoder_is_found() -> None:
    rows = bertscore.published_baseline("roberta-large")
    assert rows.shape == (25, 3)
    np.testing.assert_allclose(rows[17], [0.83150584, 0.8314941, 0.83122575])


def test_rescaling_without_a_fitting_baseline_is_refused(
    roberta: Path, baselines: Path, tmp_path: Path
) -> None:
    reason = "no baseline to rescale by is published for 'other', as the encoder's folder is named"
    other = tmp_path / "other"
    other.symlink_to(roberta)
    assert refused(other, bertscore_rescale=True) == reason
    (baselines / "small-roberta.tsv").write_text("LAYER,P,R,F\n0,0.1,0.1,0.1\n1,0.2,0.2,0.2\n")
    reason = "the baseline published for 'small-roberta' is of 1 layers, this encoder has 4"
    assert refused(roberta, bertscore_rescale=True) == reason


def test_a_tokeniser_that_sets_the_space_itself_changes_nothing(roberta: Path, tmp_path: Path) -> None:
    spaced = tmp_path / "spaced"
    shutil.copytree(roberta, spaced)
    settings = json.loads((spaced / "tokenizer.json").read_text())
    settings["pre_tokenizer"]["add_prefix_space"] = True
    (spaced / "tokenizer.json").write_text(json.dumps(settings))
    given = json.loads((spaced / "tokenizer_config.json").read_text())
    (spaced / "tokenizer_config.json").write_text(json.dumps(given | {"add_prefix_space": True}))
    texts = ["Hello world", "floats", "x floats"], ["Hello", "he floats", "floats x"]
    np.testing.assert_array_equal(scored(*texts, spaced).per_item, scored(*texts, roberta).per_item)


def test_a_layer_the_encoder_has_not_is_refused(roberta: Path) -> None:
    assert refused(roberta, bertscore_layers=5) == "layer 5 asked of an encoder with 4 layers"
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ScoringOptions(bertscore_layers=0)


def test_without_the_default_encoder_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nonexistent")
    encoders._hub_folder.cache_clear()
    answer = score(["a"], ["a"], ["BERTScore"])["BERTScore"]
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith("encoder FacebookAI/roberta-large is not on this machine")
    assert answer.reason.endswith("give --bertscore-model DIR")


def test_the_libraries_stay_silent(roberta: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scored(["crew"], ["floats"], roberta)
    assert capfd.readouterr() == ("", "")
