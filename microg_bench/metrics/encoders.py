"""Finding, naming and quietly loading the encoders that S-BERT, S-VQA and BERTScore read texts with.

An encoder is always loaded from a local folder, so that nothing waits for a network in the middle of a
run; the hub is asked only for a folder that is not there yet, and answers within seconds or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from microg_bench.errors import MetricUnavailableError, MissingExtraError

Loaded = TypeVar("Loaded")

_HUB_SECONDS = 5.0
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_WANTED = ("*.json", "*.txt", "*.safetensors", "1_Pooling/*.json")


def encoder_folder(given: Path | None, repository: str, flag: str, packaged: str | None = None) -> Path:
    """The local folder of an encoder: the given one, else a package's, else the hub's cache, else downloaded.

    Args:
        given: the folder that the user chose, if any.
        repository: its name on the hub.
        flag: the command line flag that gives a folder, for the message.
        packaged: ``package/folder`` of an installed package that ships it.

    Raises:
        MetricUnavailableError: it is nowhere to be had.
    """
    if given is not None:
        if not (given / "config.json").is_file():
            raise MetricUnavailableError(f"{given} is not the folder of an encoder: it has no config.json")
        # Without one the libraries make a tokeniser that knows no word, and every text is alike.
        if not any(file for pattern in _VOCABULARIES for file in given.glob(pattern)):
            raise MetricUnavailableError(f"{given} is not the folder of an encoder: it has no tokeniser")
        return given
    shipped = _packaged_folder(packaged) if packaged else None
    return shipped or _hub_folder(repository, flag)


def require(metric: str, *packages: str) -> None:
    """Say which extra a metric needs, before anything is looked for that only matters with it.

    Raises:
        MetricUnavailableError: a package is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            missing = MissingExtraError(metric, "score", f"No module named {package!r}")
            raise MetricUnavailableError(str(missing))


def _packaged_folder(packaged: str) -> Path | None:
    package, _, inside = packaged.partition("/")
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [Path(folder, inside) for folder in folders if Path(folder, inside, "config.json").is_file()]
    return found[0] if found else None


@cache
def _hub_folder(repository: str, flag: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(_WANTED), local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        revision = HfApi().model_info(repository, timeout=_HUB_SECONDS).sha
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_WANTED)))
    # Each version of the hub's client raises other errors of its own and of its network library.
    except Exception as error:
        raise MetricUnavailableError(
            f"encoder {repository} is not on this machine and the hub cannot be reached "
            f"({type(error).__name__}): give {flag} DIR"
        ) from error


@cache
def encoder_hash(folder: Path) -> str:
    """The content of an encoder (weights, settings, vocabulary) in 12 hexadecimal digits, for a signature."""
    digest = hashlib.sha256()
    patterns = ("*.safetensors", "*.bin", "*.json", "*.txt")
    for file in sorted(file for pattern in patterns for file in folder.rglob(pattern)):
        digest.update(file.relative_to(folder).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:12]


def load_encoder(load: Callable[[], Loaded], metric: str, folder: Path) -> Loaded:
    """Call a loader in silence.

    Raises:
        MetricUnavailableError: a library is missing, or the folder holds no encoder that it can read.
    """
    try:
        if find_spec("torchvision"):
            from microg_bench.torchvision_repair import ensure_torchvision

            ensure_torchvision()
        with quiet():
            return load()
    except MetricUnavailableError:
        raise
    except ModuleNotFoundError as error:
        raise MetricUnavailableError(str(MissingExtraError(metric, "score", str(error)))) from error
    # A damaged folder makes the libraries raise anything from OSError to SafetensorError.
    except Exception as error:
        raise MetricUnavailableError(f"encoder {folder} cannot be loaded: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says, in its first line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, warnings or log lines of the model libraries inside."""
    from transformers.utils import logging as transformers_logging

    had_bars = transformers_logging.is_progress_bar_enabled()
    level = logging.root.manager.disable
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if had_bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def torch_device(given: str | None) -> str:
    """The torch device to compute on: the given one, else a GPU where there is one."""
    import torch

    return given or ("cuda" if torch.cuda.is_available() else "cpu")
