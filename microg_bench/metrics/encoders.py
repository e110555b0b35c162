"""Finding, naming, loading and running the encoders that S-BERT, S-VQA and BERTScore read texts with.

An encoder is always loaded from a local folder, so that nothing waits for a network in the middle of a
run; the hub is asked only for a folder that is not there yet, and answers within seconds or not at all.
"""

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeVar

from microg_bench.errors import MetricUnavailableError
from microg_bench.memory import halving
from microg_bench.metrics.packages import missing_extra, package_path
from microg_bench.text import first_line

Loaded = TypeVar("Loaded")
Vector = TypeVar("Vector")

BF16_NOTE = "encoder run in bfloat16"
_BATCH = 64

_HUB_SECONDS = 5.0
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_WANTED = ("*.json", "*.txt", "*.safetensors", "1_Pooling/*.json")


def encoder_folder(given: str | None, repository: str, flag: str, packaged: tuple[str, ...] = ()) -> Path:
    """The local folder of an encoder: the given one, else a package's, else the hub's cache, else downloaded.

    Args:
        given: the folder that the user chose, if any.
        repository: its name on the hub.
        flag: the command line flag that gives a folder, for the message.
        packaged: a package that ships it, and the folder inside, if there is one.

    Raises:
        MetricUnavailableError: it is nowhere to be had.
    """
    if given is not None:
        folder = Path(given)
        if not (folder / "config.json").is_file():
            raise MetricUnavailableError("not the folder of an encoder: it has no config.json", path=folder)
        # Without one the libraries make a tokeniser that knows no word, and every text is alike.
        if not any(file for pattern in _VOCABULARIES for file in folder.glob(pattern)):
            raise MetricUnavailableError("not the folder of an encoder: it has no tokeniser", path=folder)
        return folder
    config = package_path(*packaged, "config.json") if packaged else None
    return config.parent if config else _hub_folder(repository, flag)


def encoder_name(given: str | None, repository: str) -> str:
    """How signatures name an encoder: by its folder, else by its repository on the hub."""
    return Path(given).absolute().name if given else repository.split("/")[1]


@cache
def _hub_folder(repository: str, flag: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(_WANTED), local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        revision = HfApi(token=False).model_info(repository, timeout=_HUB_SECONDS).sha
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=list(_WANTED), token=False)
        )
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
        raise missing_extra(metric, str(error)) from error
    # A damaged folder makes the libraries raise anything from OSError to SafetensorError.
    except Exception as error:
        raise MetricUnavailableError(f"encoder cannot be loaded: {first_line(error)}", path=folder) from error


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


def in_batches(
    lengths: Sequence[int], run: Callable[[Sequence[int]], Sequence[Vector]], folder: Path
) -> list[Vector]:
    """Run an encoder over texts, those of like length together, the longest first.

    Where the device runs out of memory, the batch is halved from there on.

    Args:
        lengths: how long each text is, in any unit.
        run: embeds the texts at some places, one answer a place.
        folder: the encoder's, for messages.

    Returns:
        The answers in the order of the texts.

    Raises:
        MetricUnavailableError: a single text does not fit, or the encoder fails otherwise.
    """

    def too_large(place: int, said: str) -> NoReturn:
        reason = "encoder runs out of memory on a single text: choose another --device"
        raise MetricUnavailableError(reason, path=folder)

    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    try:
        answers, _ = halving(run, order, _BATCH, too_large)
    except MetricUnavailableError:
        raise
    # A folder whose parts do not fit together makes the libraries raise anything from IndexError on.
    except Exception as error:
        raise MetricUnavailableError(f"encoder cannot be run: {first_line(error)}", path=folder) from error
    by_place = dict(zip(order, answers, strict=True))
    return [by_place[place] for place in range(len(lengths))]


def precision(device: str, bf16: bool) -> AbstractContextManager[object]:
    """The arithmetic of an encoder: float32, or bfloat16 where torch deems it safe."""
    import torch

    return torch.autocast(device, torch.bfloat16) if bf16 else nullcontext()
