"""BERTScore F1: how well the tokens of candidate and reference match by contextual embedding.

Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT", as its published default for English:
roberta-large, layer 17, no idf, no rescaling. Each token takes its best match by cosine on the other side;
the start and end tokens may be matched but do not count. Texts are read as they are, whatever the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.base import Array, MeanMetric
from microg_bench.metrics.encoders import encoder_folder, encoder_hash, load_encoder, quiet, torch_device
from microg_bench.metrics.texts import Texts, well_formed

if TYPE_CHECKING:
    from torch import Tensor

_REPOSITORY = "FacebookAI/roberta-large"
# Layers that the authors chose by correlation with human judgement, by architecture and depth.
_PUBLISHED_LAYERS = {("roberta", 24): 17}
_BATCH = 64


class Embedded(NamedTuple):
    """A text's tokens as unit vectors, shape (tokens, d), and which of them count, shape (tokens,)."""

    vectors: Tensor
    counts: Tensor


class BertScore(MeanMetric):
    """BERTScore F1; with several references, the best of each item. An empty text scores 0."""

    name = "BERTScore"

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        candidates = [well_formed(text).strip() for text in texts.candidates]
        references = [[well_formed(text).strip() for text in refs] for refs in texts.references]
        distinct = list(dict.fromkeys([*candidates, *(text for refs in references for text in refs)]))
        encoder = Encoder.load(self._folder(), self.options)
        import torch

        with quiet(), torch.inference_mode():
            embedded = dict(zip(distinct, encoder.embed(distinct), strict=True))
            best = [
                max(_f1(embedded[candidate], embedded[text]) for text in refs)
                for candidate, refs in zip(candidates, references, strict=True)
            ]
        return np.array(best)[:, None]

    def _folder(self) -> Path:
        return encoder_folder(self.options.bertscore_model, _REPOSITORY, "--bertscore-model")

    def settings(self, texts: Texts) -> Mapping[str, str]:
        """The encoder, its content and its layer; see `Metric.settings`."""
        from transformers import AutoConfig

        folder = self._folder()
        given = self.options.bertscore_model
        name = given.name if given else _REPOSITORY.split("/")[1]
        return {
            "tokenizer": "none",
            "model": f"{name}@{encoder_hash(folder)}",
            "layers": str(_layers(AutoConfig.from_pretrained(folder), self.options.bertscore_layers)),
            "idf": "no",
            "rescaled": "no",
            **{package: version(package) for package in ("transformers", "torch")},
        }


class Encoder(NamedTuple):
    """A tokeniser and the lower layers of a model, on one device."""

    tokenizer: Any
    model: Any
    limit: int
    prefix: str

    @classmethod
    def load(cls, folder: Path, options: Any) -> Encoder:
        """Load from a local folder, float32.

        Raises:
            MetricUnavailableError: a library is missing, the folder is damaged, or has fewer layers.
        """

        def load() -> Encoder:
            from transformers import AutoConfig, AutoModel, AutoTokenizer

            config = AutoConfig.from_pretrained(folder)
            # RoBERTa's first word is meant to be read as any other word is: after a space.
            roberta = config.model_type == "roberta"
            layers = _layers(config, options.bertscore_layers)
            model = AutoModel.from_pretrained(folder, num_hidden_layers=layers).float().eval()
            tokenizer = AutoTokenizer.from_pretrained(folder)
            positions = config.max_position_embeddings - (config.pad_token_id + 1 if roberta else 0)
            limit = min(tokenizer.model_max_length, positions)
            return cls(tokenizer, model.to(torch_device(options.device)), limit, " " if roberta else "")

        return load_encoder(load, BertScore.name, folder)

    def embed(self, texts: Sequence[str]) -> list[Embedded]:
        """Embed stripped texts, batched by length; the answers are in the order of the texts."""
        tokens = [self._tokens(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda place: -len(tokens[place]))
        embedded: dict[int, Embedded] = {}
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            embedded.update(zip(places, self._embed_batch([tokens[place] for place in places]), strict=True))
        return [embedded[place] for place in range(len(texts))]

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self.tokenizer(
            self.prefix + text if text else "", truncation=True, max_length=self.limit
        )["input_ids"]
        return tokens

    def _embed_batch(self, batch: Sequence[list[int]]) -> list[Embedded]:
        import torch

        width = max(map(len, batch))
        padding = self.tokenizer.pad_token_id
        ids = torch.tensor([tokens + [padding] * (width - len(tokens)) for tokens in batch])
        lengths = torch.tensor([len(tokens) for tokens in batch])
        mask = torch.arange(width)[None, :] < lengths[:, None]
        device = self.model.device
        hidden = self.model(ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        unit = torch.nn.functional.normalize(hidden, dim=-1)
        ends = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        counts = (ids != ends[0]) & (ids != ends[1])
        return [
            Embedded(unit[row, :length].clone(), counts[row, :length].to(device))
            for row, length in enumerate(lengths.tolist())
        ]


def _layers(config: Any, chosen: int | None) -> int:
    """The layer to read: the chosen, else the published, else the last."""
    depth = int(config.num_hidden_layers)
    layers = chosen or _PUBLISHED_LAYERS.get((config.model_type, depth), depth)
    if not 1 <= layers <= depth:
        raise MetricUnavailableError(f"layer {layers} asked of an encoder with {depth} layers")
    return layers


def _f1(candidate: Embedded, reference: Embedded) -> float:
    """Harmonic mean of precision and recall, 0 where a side has no token that counts."""
    if not candidate.counts.any() or not reference.counts.any():
        return 0.0
    cosines = candidate.vectors @ reference.vectors.T
    precision = float(cosines.amax(dim=1)[candidate.counts].mean())
    recall = float(cosines.amax(dim=0)[reference.counts].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
