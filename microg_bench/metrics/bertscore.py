"""BERTScore F1: how well the tokens of candidate and reference match by contextual embedding.

Zhang et al. 2020, "BERTScore: Evaluating Text Generation with BERT", by default as published for English:
roberta-large, layer 17, no idf, no rescaling. Each token takes its best match by cosine on the other side;
the start and end tokens may be matched but do not count. Texts are read as they are, whatever the protocol.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from microg_bench.errors import MetricUnavailableError
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
from microg_bench.metrics.packages import package_path, require
from microg_bench.metrics.texts import Texts, sameness
from microg_bench.options import ScoringOptions
from microg_bench.text import well_formed

if TYPE_CHECKING:
    from torch import Tensor

_REPOSITORY = "FacebookAI/roberta-large"
# Layers that the authors chose by correlation with human judgement, by architecture and depth.
_PUBLISHED_LAYERS = {("roberta", 24): 17}


class Embedded(NamedTuple):
    """A text's tokens: unit vectors, shape (tokens, d), and weights, shape (tokens,), of sum 1 or all 0."""

    vectors: Tensor
    weights: Tensor


class BertScore(MeanMetric):
    """BERTScore F1; with several references, the best of each item. Unscaled, an empty text scores 0."""

    name, extremes = "BERTScore", (-np.inf, 100.0)  # a rescaled score has no lowest

    def measure(self, texts: Texts) -> Array:
        """Shape (n, 1); see `Metric.measure`."""
        return self.precision_recall_f1(texts)[:, 2:]

    def precision_recall_f1(self, texts: Texts) -> Array:
        """Precision, recall and F1 of each item, shape (n, 3), 1 at best; each the best of all references."""
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
        return encoder_name(self.options.bertscore_model, _REPOSITORY)

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
        """Whether no answer scores above another, and which options move the number away from the published.

        See `Metric.notes`.
        """
        stripped = [[text.strip() for text in refs] for refs in texts.references]
        distinct = set(chain.from_iterable(stripped))
        weightless = distinct == {""} or (self.options.bertscore_idf and len(distinct) == 1)
        least = "the lowest score" if self.options.bertscore_rescale else "0"
        said = {
            f"can only be {least} here: {sameness(stripped)}": weightless,
            "tokens weighted by idf over the references of this set": self.options.bertscore_idf,
            "rescaled by the published baseline": self.options.bertscore_rescale,
            BF16_NOTE: self.options.bf16,
        }
        return tuple(note for note, true in said.items() if true)


def published_baseline(model: str) -> Array:
    """The authors' baseline for English, shape (layers + 1, 3): precision, recall and F1 of each layer.

    Raises:
        MetricUnavailableError: the package that ships them is missing, or has none for `model`.
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
    return package_path("bert_score", "rescale_baseline", "en") or Path()


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


class TokenEncoder(NamedTuple):
    """A tokeniser and the lower layers of a model, on one device.

    Attributes:
        limit: how many tokens of a text are read, start and end token included.
        prefix: what stands before each text that is not empty.
    """

    tokenizer: Any
    model: Any
    limit: int
    prefix: str
    folder: Path
    bf16: bool

    @classmethod
    def load(cls, folder: Path, options: ScoringOptions) -> TokenEncoder:
        """Load from a local folder, float32.

        Raises:
            MetricUnavailableError: a library is missing, the folder is damaged or holds no encoder, or
                the encoder has fewer layers than asked.
        """

        def load() -> TokenEncoder:
            from transformers import AutoConfig, AutoModel, AutoTokenizer

            config = AutoConfig.from_pretrained(folder)
            layers = layers_read(config, options.bertscore_layers)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            _refuse_other_models(folder, config, tokenizer)
            model, found = AutoModel.from_pretrained(
                folder, num_hidden_layers=layers, output_loading_info=True
            )
            _refuse_random_weights(folder, found["missing_keys"])
            # RoBERTa's first word is meant to be read as any other word is: after a space.
            roberta = config.model_type == "roberta"
            positions = config.max_position_embeddings - (config.pad_token_id + 1 if roberta else 0)
            limit = min(tokenizer.model_max_length, positions)
            model = model.float().eval().to(torch_device(options.device))
            return cls(tokenizer, model, limit, " " if roberta else "", folder, options.bf16)

        return load_encoder(load, "BERTScore", folder)

    @property
    def ends(self) -> tuple[int, int]:
        """The start and the end token."""
        return self.tokenizer.cls_token_id, self.tokenizer.sep_token_id

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of stripped texts, cut at `limit`; an empty text has the start and the end token alone."""
        prefixed = [self.prefix + text if text else "" for text in texts]
        read = self.tokenizer(prefixed, truncation=True, max_length=self.limit)
        tokens: list[list[int]] = read["input_ids"]
        return tokens

    def embed(self, tokens: Sequence[Sequence[int]]) -> list[Tensor]:
        """A unit vector for each token of each text, shapes (tokens, d), float32, in main memory.

        Raises:
            MetricUnavailableError: a single text does not fit into the device's memory.
        """

        def run(places: Sequence[int]) -> list[Tensor]:
            return self._embed_batch([tokens[place] for place in places])

        return in_batches([len(one) for one in tokens], run, self.folder)

    def _embed_batch(self, batch: Sequence[Sequence[int]]) -> list[Tensor]:
        import torch

        width = max(map(len, batch))
        padding = self.tokenizer.pad_token_id
        ids = torch.tensor([[*tokens, *[padding] * (width - len(tokens))] for tokens in batch])
        lengths = torch.tensor([len(tokens) for tokens in batch])
        mask = (torch.arange(width)[None, :] < lengths[:, None]).long()
        device = self.model.device
        with torch.inference_mode(), precision(device.type, self.bf16):
            hidden = self.model(ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        unit = torch.nn.functional.normalize(hidden.float(), dim=-1).cpu()
        return [unit[row, :length].clone() for row, length in enumerate(lengths.tolist())]


def layers_read(config: Any, chosen: int | None) -> int:
    """The layer to read: the chosen, else the published, else the last.

    Raises:
        MetricUnavailableError: the encoder has no such layer.
    """
    depth = int(config.num_hidden_layers)
    layers = _PUBLISHED_LAYERS.get((config.model_type, depth), depth) if chosen is None else chosen
    if not 1 <= layers <= depth:
        raise MetricUnavailableError(f"layer {layers} asked of an encoder with {depth} layers")
    return layers


def _refuse_other_models(folder: Path, config: Any, tokenizer: Any) -> None:
    marks = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    if config.is_encoder_decoder or None in marks:
        reason = "encoder cannot be read: it has a decoder, or no start, end or padding token"
        raise MetricUnavailableError(reason, path=folder)


def _refuse_random_weights(folder: Path, missing: Iterable[str]) -> None:
    """Refuse weights that the library made up, save those of the pooler, which is not read."""
    lost = sorted(name for name in missing if "pooler" not in name)
    if lost:
        raise MetricUnavailableError(
            f"encoder lacks {len(lost)} weights, the first is {lost[0]}", path=folder
        )
