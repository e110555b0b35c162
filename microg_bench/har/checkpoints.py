"""Weights of the networks: by name from the zoo, from files of several layouts, and our own.

A file is read without running code of it, and fills the network whole: what it lacks, or has too much, is an
error that names the weights.
"""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from microg_bench.errors import DataError, UsageError
from microg_bench.har.models import NETWORKS
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import Recipe, read_recipe
from microg_bench.har.zoo import ZooEntry, read_zoo
from microg_bench.records import Record
from microg_bench.storage import cache_folder, file_sha256, write_bytes
from microg_bench.text import first_line, listed, unknown

RANDOM = "none"  # in the place of a checkpoint
HEAD = "head."
PROJECTION = ("head.projection.weight", "head.projection.bias")
FUSION = "s*_fuse.conv_f2s.weight"
FACTS = "microg-bench"  # the entry of a file of ours that tells how its weights came about
COUNTER = "num_batches_tracked"
MAX_NAMED = 4  # weights that an error names
Weights = dict[str, Tensor]


class _CodeError(Exception):
    """A file asks for more than is needed for weights."""


_DAMAGED = (
    *(pickle.UnpicklingError, SafetensorError, EOFError, ValueError, TypeError, LookupError, AttributeError),
    *(RuntimeError, MemoryError, ArithmeticError),
)


class WeightsFile(Record):
    """Weights that were found: the file, what they are called, and what they were trained on.

    `name` is that of the zoo or of the file; `network` are options of the network that they need.
    """

    name: str
    path: Path
    trained_on: str = ""
    network: dict[str, bool] = Field(default_factory=dict)


def find_checkpoint(given: str | Path) -> WeightsFile:
    """A file, or an entry of the zoo, which is downloaded to the cache once.

    Raises:
        UsageError: it is neither, or has to be fetched by hand.
        DataError: it cannot be downloaded, or is not the file that the zoo names.
    """
    path, zoo = Path(given), read_zoo()
    if path.is_file():
        return WeightsFile(name=path.name, path=path)
    if path.is_dir():
        raise UsageError(
            f"is a folder: give a file in it, as {path / 'best.safetensors'}", item="--checkpoint"
        )
    entry = zoo.get(str(given))
    if entry is None:
        near = unknown("weights", str(given), zoo).partition(" (known:")[0]
        raise UsageError(f"no such file; {near} (`har models` lists published weights)", item="--checkpoint")
    if entry.url is None:
        raise UsageError(f"fetch {given} by hand from {entry.page} and give the file", item="--checkpoint")
    kept = cache_folder("weights") / f"{str(given).replace('/', '--')}{Path(entry.url).suffix}"
    if not kept.is_file():
        _download(entry, kept)
    return WeightsFile(name=str(given), path=kept, trained_on=entry.trained_on, network=entry.network)


def _download(entry: ZooEntry, target: Path) -> None:
    from torch.hub import download_url_to_file

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        download_url_to_file(str(entry.url), str(part))
    except OSError as error:
        reason = f"cannot be downloaded ({first_line(error)}): fetch it elsewhere and give the file"
        raise DataError(reason, path=entry.url) from None
    if entry.sha256 and file_sha256(part) != entry.sha256:
        part.unlink()
        raise DataError(f"what was downloaded has another SHA-256 than {entry.sha256}", path=entry.url)
    part.replace(target)


def build(
    recipe: Recipe, classes: int, checkpoint: WeightsFile | None = None, *, dropout: float = 0.0
) -> ActionNetwork:
    """The network of a recipe with random weights, in the shape that the checkpoint needs."""
    options = recipe.network.model_dump(exclude_none=True) | (checkpoint.network if checkpoint else {})
    network = NETWORKS[recipe.model](classes=classes, **options)
    network.head.dropout.p = dropout
    return network


def load_model(
    name: str, checkpoint: str | Path | None = None, *, recipe: str = "fixed", classes: int = 50
) -> ActionNetwork:
    """A network of Tables 1 and 2 in evaluation mode.

    `network(frames, boxes)` takes float32 frames (B, 3, T, H, W), normalised, and boxes (K, 5) of the number
    of the clip and corners in pixels, and returns logits (K, classes).

    Args:
        name: of the model, as `microg-bench har models` lists it.
        checkpoint: a file, or a name of the zoo; None or "none" leaves the weights random. Where its last
            layer does not fit, it may lack what the recipe lists as random.
        recipe: "fixed" or "paper".
        classes: outputs; 50 for MicroG-4M, 80 for weights of AVA. Where the checkpoint has another number,
            the last layer stays random, which a warning tells.

    Raises:
        UsageError: there is no such model, recipe or checkpoint.
        DataError: the file is no checkpoint, holds code, or is not one of this model.
    """
    chosen = read_recipe(name, recipe)
    found = None if checkpoint in (None, RANDOM) else find_checkpoint(checkpoint)
    network = build(chosen, classes, found)
    if found is not None and not fill(network, read_weights(found.path, name), found.path, chosen.random):
        reason = f"its last layer does not have {classes} outputs, so that of the network stays random"
        warnings.warn(f"{found.name}: {reason}", stacklevel=2)
    return network.eval()


def fill(network: ActionNetwork, weights: Weights, path: Path, random: Iterable[str] = ()) -> bool:
    """Give a network the weights of a file, all of them; say whether its last layer is among them.

    The last layer may have another number of outputs: the weights are then a start for training. It stays
    random, as do the weights that match the patterns `random` where the file has none of their shape.

    Raises:
        DataError: weights are missing, have another shape, or are too many; they are named.
    """
    own = {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTER)}
    given = {key: value for key, value in weights.items() if not key.endswith(COUNTER)}
    fits = {key: value for key, value in given.items() if key in own and value.shape == own[key].shape}
    if set(PROJECTION) <= set(fits):
        random = ()
    for key in set(own) & set(given) - set(fits):
        if not _any(key, random) and fnmatchcase(key, FUSION):
            fits[key] = _padded(given[key], own[key])
    lacking = [key for key in own if key not in fits and key not in PROJECTION and not _any(key, random)]
    unused = [key for key in given if key not in fits and not key.startswith(HEAD) and not _any(key, random)]
    shapes = [key for key in lacking if key in given]
    faults = {
        "missing": [key for key in lacking if key not in given],
        "of another shape": [
            f"{key} {tuple(given[key].shape)}, not {tuple(own[key].shape)}" for key in shapes
        ],
        "unknown": [key for key in unused if key not in own],
    }
    said = [f"{len(keys)} {what} ({listed(keys[:MAX_NAMED])})" for what, keys in faults.items() if keys]
    if said:
        raise DataError(f"does not fill the network: of {len(own)} weights {'; '.join(said)}", path=path)
    if odd := [key for key, value in fits.items() if not torch.isfinite(value).all()]:
        raise DataError("holds numbers that are not finite", path=path, item=odd[0])
    network.load_state_dict(fits, strict=False)
    return set(PROJECTION) <= set(fits)


def _any(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _padded(kernel: Tensor, own: Tensor) -> Tensor:
    """A kernel over fewer frames as one over more with zeros about it, which is the same function."""
    more = own.shape[2] - kernel.shape[2]
    if kernel.dim() != own.dim() or more < 0 or more % 2 or kernel.shape[:2] != own.shape[:2]:
        return kernel
    return nn.functional.pad(kernel, (0, 0, 0, 0, more // 2, more // 2))


def read_weights(path: Path, model: str | None = None) -> Weights:
    """The weights of a file by their names in PySlowFast: safetensors, torch (.pyth) or Caffe2 (.pkl).

    Raises:
        DataError: the file is none of these, holds code, or is our own of another model than `model`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    if not start:
        raise DataError("is empty", path=path)
    try:
        if start[8:9] == b"{":
            return _safetensors(path, model)
        if zipfile.is_zipfile(path) or _legacy(start):
            return _torch(path)
        return _caffe2(path)
    except _CodeError as error:
        raise DataError(f"is no checkpoint that can be read safely: {error}", path=path) from None
    except _DAMAGED:
        raise DataError("is damaged, or no checkpoint of a known layout", path=path) from None


def save_weights(path: Path, network: ActionNetwork, facts: Mapping[str, str]) -> None:
    """Write weights as safetensors, with `facts` on how they came about, `model` among them."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    # One entry: safetensors writes several in an order that changes.
    write_bytes(path, save(tensors, metadata={FACTS: json.dumps(facts, sort_keys=True)}))


def read_facts(path: Path) -> dict[str, str]:
    """What a file of ours says of its weights; empty for files of others."""
    try:
        with safe_open(path, framework="pt") as file:
            return _facts(file.metadata())
    except (SafetensorError, OSError):
        return {}


def _facts(metadata: Mapping[str, str] | None) -> dict[str, str]:
    facts = json.loads((metadata or {}).get(FACTS, "{}"))
    return {str(name): str(value) for name, value in facts.items()} if isinstance(facts, dict) else {}


def _safetensors(path: Path, model: str | None) -> Weights:
    with safe_open(path, framework="pt") as file:
        named = _facts(file.metadata()).get("model", model)
        if model is not None and named != model:
            raise DataError(f"holds the weights of {named}, not of {model}", path=path)
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _legacy(start: bytes) -> bool:
    """Whether a file begins as torch wrote it before it wrote zip files."""
    return b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." in start


def _torch(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _CodeError("it holds more than weights") from None
    if not isinstance(content, dict):
        raise DataError("holds no weights", path=path)
    weights: Any = content.get("model_state", content.get("state_dict", content))
    named = {str(key): value for key, value in weights.items() if isinstance(value, Tensor)}
    if not named:
        raise DataError("holds no weights", path=path)
    return (
        _from_pytorchvideo(named)
        if any(key.startswith("cls_positional_encoding.") for key in named)
        else named
    )


_PYTORCHVIDEO = {
    "patch_embed.patch_model.": "patch_embed.proj.",
    "cls_positional_encoding.": "",
    "norm_embed.": "norm.",
}


def _from_pytorchvideo(weights: Weights) -> Weights:
    """MViT as pytorchvideo names it; queries, keys and values have a layer each there."""
    renamed: Weights = {}
    for key, value in weights.items():
        prefix = next((one for one in _PYTORCHVIDEO if key.startswith(one)), "")
        renamed[_PYTORCHVIDEO.get(prefix, "") + key.removeprefix(prefix)] = value
    for key in [key for key in renamed if re.fullmatch(r"blocks\.\d+\.attn\.q\.(weight|bias)", key)]:
        parts = [renamed.pop(key.replace(".attn.q.", f".attn.{one}.")) for one in "qkv"]
        renamed[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
    return renamed


class _Arrays(pickle.Unpickler):
    """Reads a pickle of numpy arrays, and refuses all that is not needed for them."""

    ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy.core.multiarray", "scalar"): np._core.multiarray.scalar,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): __import__("_codecs").encode,
        ("collections", "OrderedDict"): dict,
    }

    def find_class(self, module: str, name: str) -> Any:
        """One of the six allowed globals."""
        found = self.ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise _CodeError(f"it asks for {module}.{name}")
        return found


def _caffe2(path: Path) -> Weights:
    with path.open("rb") as file:
        content = _Arrays(file, encoding="latin1").load()
    blobs = content.get("blobs") if isinstance(content, dict) else None
    if not isinstance(blobs, dict):
        raise DataError("holds no weights: it has no 'blobs'", path=path)
    weights: Weights = {}
    for name, array in blobs.items():
        key = caffe2_key(str(name))
        if key is not None and isinstance(array, np.ndarray) and array.dtype.kind == "f":
            weights[key] = torch.from_numpy(np.array(array, dtype=np.float32))
    return weights


_ENDINGS = {"w": "weight", "b": "bias", "s": "weight", "rm": "running_mean", "riv": "running_var"}
_CAFFE2 = (
    (r"conv1", "s1.pathway{p}_stem.conv"),
    (r"res_conv1_bn", "s1.pathway{p}_stem.bn"),
    (r"res(\d)_(\d+)_branch1(_bn)?", "s{0}.pathway{p}_res{1}.branch1{2}"),
    (r"res(\d)_(\d+)_branch2([abc])(_bn)?", "s{0}.pathway{p}_res{1}.branch2.{2}{3}"),
    (r"nonlocal_conv(\d)_(\d+)_bn", "s{0}.pathway{p}_nonlocal{1}.bn"),
    (r"nonlocal_conv(\d)_(\d+)_(theta|phi|g|out)", "s{0}.pathway{p}_nonlocal{1}.conv_{2}"),
    (r"pool1_subsample", "s1_fuse.conv_f2s"),
    (r"pool1_subsample_bn", "s1_fuse.bn"),
    (r"res(\d)_\d+_branch2c_bn_subsample", "s{0}_fuse.conv_f2s"),
    (r"res(\d)_\d+_branch2c_bn_subsample_bn", "s{0}_fuse.bn"),
    (r"pred", "head.projection"),
)


def caffe2_key(blob: str) -> str | None:
    """The name in PySlowFast of a blob of the Caffe2 zoo; None for blobs that are no weights, as momenta."""
    stem, _, ending = blob.rpartition("_")
    if ending not in _ENDINGS:
        return None
    fast = stem.startswith("t_")
    for pattern, key in _CAFFE2:
        if match := re.fullmatch(pattern, stem.removeprefix("t_")):
            return f"{key.format(*(part or '' for part in match.groups()), p=int(fast))}.{_ENDINGS[ending]}"
    return None
