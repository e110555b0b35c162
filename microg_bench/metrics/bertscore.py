"""BERTScore F1: how well the tokens of candidate and reference match by contextual embedding.

Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT", by default as published for English:
roberta-large, layer 17, no idf, no rescaling. Each token takes its best match by cosine on the other side;
the start and end tokens may be matched but do not count. Texts are read as they are, whatever the protocol.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.base import Array, MeanMetric
from microg_bench.metrics.batches import BF16_NOTE
from microg_bench.metrics.encoders import encoder_folder, encoder_hash, quiet, require
from microg_bench.metrics.texts import Texts, well_formed
from microg_bench.metrics.token_encoder import TokenEncoder, layers_read

if TYPE_CHECKING:
    from torch import Tensor

_REPOSITORY = "FacebookAI/roberta-large"


class Embedded(NamedTuple):
    """A text's tokens: unit vectors, shape (tokens, d), and weights, shape (tokens,), of sum 1 or all 0."""

    vectors: Tensor
    weights: Tensor


class BertScore(MeanMetric):
    """BERTScore F1; with several references, the best of each item. Unscaled, an empty text scores 0."""

    name = "BERTScore"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        return self.precision_recall_f1(texts)[:, 2:]

    def precision_recall_f1(self, texts: Texts) -> Array:
        """Precision, recall and F1 of each item, shape (n, 3), 1 at best; each the best of all references.

        Raises:
            MetricUnavailableError: as `measure`.
        """
        require(self.name, "torch", "transformers")
        candidates = [well_formed(text).strip() for text in texts.candidates]
        references = [[well_formed(text).strip() for text in refs] for refs in texts.references]
        encoder = TokenEncoder.load(self._folder(), self.options)
        baseline = self._baseline()
        embedded = _embed(encoder, candidates, references, self.options.bertscore_idf)
        scores = np.array(
            [
                np.max([_match(embedded[candidate], embedded[text]) for text in refs], axis=0)
                for candidate, refs in zip(candidates, references, strict=True)
            ]
        )
        rescaled: Array = (scores - baseline) / (1 - baseline)
        return rescaled

    def _folder(self) -> Path:
        return encoder_folder(self.options.bertscore_model, _REPOSITORY, "--bertscore-model")

    def _model(self) -> str:
        given = self.options.bertscore_model
        return given.absolute().name if given else _REPOSITORY.split("/")[1]

    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self._folder())

    def _baseline(self) -> Array:
        """What unrelated texts score in precision, recall and F1, shape (3,); 0 where none is asked for."""
        if not self.options.bertscore_rescale:
            return np.zeros(3)
        config = self._config()
        rows = published_baseline(self._model())
        depth = len(rows) - 1
        if config.num_hidden_layers != depth:
            raise MetricUnavailableError(
                f"the baseline published for {self._model()!r} is of {depth} layers, "
                f"this encoder has {config.num_hidden_layers}"
            )
        row: Array = rows[layers_read(config, self.options.bertscore_layers)]
        return row

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The encoder, its content, its layer and the options; see `Metric.settings`."""
        yes = {True: "yes", False: "no"}
        return {
            "tokenizer": "none",
            "model": f"{self._model()}@{encoder_hash(self._folder())}",
            "layers": str(layers_read(self._config(), self.options.bertscore_layers)),
            "idf": yes[self.options.bertscore_idf],
            "rescaled": yes[self.options.bertscore_rescale],
            "dtype": "bfloat16" if self.options.bf16 else "float32",
            **{package: version(package) for package in ("transformers", "torch")},
        }

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """Which options move the number away from the published default; see `Metric.notes`."""
        said = {
            "tokens weighted by idf over the references of this set": self.options.bertscore_idf,
            "rescaled by the published baseline": self.options.bertscore_rescale,
            BF16_NOTE: self.options.bf16,
        }
        return tuple(note for note, true in said.items() if true)


def published_baseline(model: str) -> Array:
    """The authors' baseline for English, shape (layers + 1, 3): precision, recall and F1 of each layer.

    Args:
        model: the model's name, e.g. ``roberta-large``.

    Raises:
        MetricUnavailableError: the package that ships the baselines is missing, or has none for this model.
    """
    files = {file.stem: file for file in _baselines().rglob("*.tsv")}
    if model not in files:
        raise MetricUnavailableError(
            f"no baseline to rescale by is published for {model!r}, as the encoder's folder is named"
        )
    rows: Array = np.loadtxt(files[model], delimiter=",", skiprows=1)[:, 1:]
    return rows


def _baselines() -> Path:
    require("rescaled BERTScore", "bert_score")
    spec = find_spec("bert_score")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return Path(folders[0], "rescale_baseline", "en")


def _embed(
    encoder: TokenEncoder, candidates: Sequence[str], references: Sequence[Sequence[str]], idf: bool
) -> dict[str, Embedded]:
    """Each distinct text, embedded and weighted."""
    flat = list(chain.from_iterable(references))
    distinct = list(dict.fromkeys([*candidates, *flat]))
    with quiet():
        tokens = dict(zip(distinct, encoder.tokens(distinct), strict=True))
        vectors = encoder.embed(list(tokens.values()))
    ends = encoder.ends
    weigh = _idf([tokens[text] for text in flat]) if idf else lambda token: float(token not in ends)
    return {
        text: Embedded(vector, _shares([weigh(token) for token in tokens[text]]))
        for text, vector in zip(distinct, vectors, strict=True)
    }


def _idf(references: Sequence[Sequence[int]]) -> Callable[[int], float]:
    """Inverse document frequency, plus-one smoothed, each reference a document; 0 for what is in all."""
    found = Counter(chain.from_iterable(map(set, references)))
    return lambda token: math.log((len(references) + 1) / (found[token] + 1))


def _shares(weights: Sequence[float]) -> Tensor:
    import torch

    total = sum(weights) or 1.0
    return torch.tensor([weight / total for weight in weights])


def _match(candidate: Embedded, reference: Embedded) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean; 0 where a side has no token that counts."""
    if not candidate.weights.any() or not reference.weights.any():
        return 0.0, 0.0, 0.0
    cosines = candidate.vectors @ reference.vectors.T
    precision = float(cosines.amax(dim=1) @ candidate.weights)
    recall = float(cosines.amax(dim=0) @ reference.weights)
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0
