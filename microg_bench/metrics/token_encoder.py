"""The encoder of BERTScore: a vector for each token of a text, out of one layer of a language model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.base import MetricOptions
from microg_bench.metrics.batches import in_batches, precision
from microg_bench.metrics.encoders import load_encoder, torch_device

if TYPE_CHECKING:
    from torch import Tensor

# Layers that the authors chose by correlation with human judgement, by architecture and depth.
_PUBLISHED_LAYERS = {("roberta", 24): 17}


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
    def load(cls, folder: Path, options: MetricOptions) -> TokenEncoder:
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
        raise MetricUnavailableError(
            f"encoder {folder} cannot be read: it has a decoder, or no start, end or padding token"
        )


def _refuse_random_weights(folder: Path, missing: Iterable[str]) -> None:
    """Refuse weights that the library made up, save those of the pooler, which is not read."""
    lost = sorted(name for name in missing if "pooler" not in name)
    if lost:
        raise MetricUnavailableError(f"encoder {folder} lacks {len(lost)} weights, the first is {lost[0]}")
