"""Finds the checkpoint that an engine is told to load, before anything heavy is imported.

A local folder is looked into; the hub is asked for an id once, without its client's long retries, so that a
wrong name, a gated checkpoint or a missing network is told in one line within seconds. A folder is known by
the content of its files.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.errors import DataError, EngineError, RunError
from microg_bench.privacy import check_hub
from microg_bench.storage import cache_folder, file_sha256, read_json, write_json
from microg_bench.text import first_line

_TIMEOUT = 10.0  # seconds that the hub may take to answer
_LARGE = 2**30  # bytes: reading fewer takes no time worth a word
_RECENT = 2.0  # seconds within which a file may change again and keep its time of change


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint is: `name` and `revision` for `from_pretrained`, and if it must leave the hub alone.

    `commit` is what the revision stands for on the hub, None for a folder. Of a checkpoint from the hub
    `revision` is that commit, too: what is recorded is what is loaded, also where the branch changes then.
    """

    name: str
    revision: str | None = None
    offline: bool = True
    commit: str | None = None

    def source(self, trust_remote_code: bool) -> dict[str, Any]:
        """Where from and how `from_pretrained` is to load it."""
        return {
            "revision": self.revision or "main",
            "trust_remote_code": trust_remote_code,
            "local_files_only": self.offline,
        }


def locate(checkpoint: str | None, revision: str | None, *, own_layout: bool = False) -> Checkpoint:
    """Find `checkpoint`, a local folder or a hub id; a folder wins where both readings are possible.

    A folder must look like a checkpoint, but not where its model has an `own_layout`.

    Raises:
        EngineError: there is none, it is no model, or the hub refuses it or cannot be reached.
        UsageError: see `check_hub`.
    """
    if not checkpoint:
        raise EngineError("no checkpoint given: name a hub id (org/model) or a local folder")
    folder = Path(checkpoint).expanduser()
    if folder.exists():
        return _local(folder, own_layout)
    if folder.is_absolute() or checkpoint.startswith((".", "~")) or len(folder.parts) > 2:
        raise EngineError("no such checkpoint folder", path=checkpoint)
    return _hub(checkpoint, revision)


def _local(folder: Path, own_layout: bool) -> Checkpoint:
    if not folder.is_dir():
        raise EngineError("a checkpoint must be a folder, this is a file", path=folder)
    if not own_layout and not (folder / "config.json").is_file():
        raise EngineError("not a model checkpoint (the folder holds no config.json)", path=folder)
    return Checkpoint(str(folder))


def content_sha256(checkpoint: str | None, note: Callable[[str], None]) -> str | None:
    """What identifies the weights in a local folder: the SHA-256 of the names and contents of its files.

    Hidden files and `__pycache__` are left out. A link counts as what it leads to, wherever that is: it
    is what is loaded. A folder is read once, however many links lead to it. What was read is kept in the
    user's cache, so that only files are read again that were changed, replaced or moved since.

    Args:
        checkpoint: a folder or a hub id.
        note: is told where reading takes long.

    Returns:
        64 hex digits; None where there is no such folder.

    Raises:
        EngineError: a file cannot be read.
    """
    folder = Path(checkpoint or "").expanduser()
    if not checkpoint or not folder.is_dir():
        return None
    memo = cache_folder("checkpoints") / f"{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:32]}.json"
    try:
        digests = _digests(folder, memo, note)
    except OSError as error:
        raise EngineError(f"cannot be read: {error.strerror}", path=error.filename or folder) from error
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def _digests(folder: Path, memo: Path, note: Callable[[str], None]) -> dict[str, str]:
    """The SHA-256 of each file by its name in `folder`; those that `memo` knows are not read."""
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    states = {name: path.stat() for name, path in files.items()}
    known = _known(memo)
    kept = {
        name: known[name][-1]
        for name, state in states.items()
        if name in known and known[name][:-1] == _state(state)
    }
    left = [name for name in files if name not in kept]
    if not left:
        return kept
    if sum(states[name].st_size for name in left) > _LARGE:
        note(f"identifying the weights in {folder}")
    started = time.time()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        read = threads.map(file_sha256, [files[name] for name in left])
        digests = kept | dict(zip(left, read, strict=True))
    with suppress(RunError):  # the cache saves time, and nothing else
        settled = {name: one for name, one in states.items() if one.st_mtime < started - _RECENT}
        write_json(memo, {name: [*_state(one), digests[name]] for name, one in settled.items()})
    return digests


def _state(file: os.stat_result) -> list[int]:
    """What another content of a file changes: archives restore its size and time of modification."""
    return [file.st_size, file.st_mtime_ns, file.st_ctime_ns, file.st_ino]


def _files(folder: Path) -> Iterator[Path]:
    seen: set[Path] = set()

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        real = Path(place).resolve()
        folders[:] = [] if real in seen else sorted(filter(_counts, folders))
        if real not in seen:
            yield from filter(Path.is_file, (Path(place, name) for name in sorted(filter(_counts, names))))
        seen.add(real)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__"


def _known(memo: Path) -> Mapping[str, list[Any]]:
    """`_state` and SHA-256 by file name; nothing where `memo` is damaged."""
    try:
        content = read_json(memo)
    except DataError:
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: one for name, one in content.items() if isinstance(one, list) and one}


def weight_bytes(checkpoint: str, commit: str | None) -> int | None:
    """The size of the files of weights that are loaded of a checkpoint that is on this machine, in bytes.

    They are those that its index names, else all its safetensors.

    Args:
        checkpoint: a folder or a hub id.
        commit: of a checkpoint from the hub.

    Returns:
        None where it holds no safetensors, or is not on this machine.

    Raises:
        DataError: its index cannot be read.
    """
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(checkpoint, revision=commit, local_files_only=True))
        except OSError:  # as it is not in the cache
            return None
    index = folder / "model.safetensors.index.json"
    named = read_json(index) if index.is_file() else {}
    weights = named.get("weight_map") if isinstance(named, dict) else None
    names = {str(name) for name in weights.values()} if isinstance(weights, dict) else set()
    whole = folder / "model.safetensors"
    files = [file for file in folder.glob("*.safetensors") if not names or file.name in names]
    sizes = [file.stat().st_size for file in ([whole] if not names and whole.is_file() else files)]
    return sum(sizes) or None


def _hub(checkpoint: str, revision: str | None) -> Checkpoint:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    check_hub()
    try:
        commit = HfApi().model_info(checkpoint, revision=revision, timeout=_TIMEOUT).sha
    except HFValidationError:
        raise EngineError("neither a folder here nor a hub id (org/model)", item=checkpoint) from None
    except GatedRepoError:
        raise _gated(checkpoint) from None
    except RepositoryNotFoundError:
        raise EngineError(
            "neither a folder here nor a model on the hub that you may read"
            " (check the spelling; for a private one, run `hf auth login`)",
            item=checkpoint,
        ) from None
    except RevisionNotFoundError:
        raise EngineError(f"the hub has no revision {revision!r} of it", item=checkpoint) from None
    except Exception as error:  # the class for "no network" depends on the HTTP library of the hub client
        return _cached(checkpoint, revision, error)
    return Checkpoint(checkpoint, commit or revision, offline=False, commit=commit)


def _cached(checkpoint: str, revision: str | None, error: Exception) -> Checkpoint:
    """The copy in the local cache, where the hub cannot be asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(checkpoint, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError:
        raise EngineError(
            "not a folder here, not in the hub cache, and the hub cannot be reached"
            f" ({first_line(error)}): connect, or give a local folder",
            item=checkpoint,
        ) from None
    commit = Path(folder).name
    return Checkpoint(checkpoint, commit, commit=commit)


def _gated(checkpoint: str) -> EngineError:
    return EngineError(
        "the hub gives it only to those who accepted its terms:"
        f" accept them at https://huggingface.co/{checkpoint}, then run `hf auth login`",
        item=checkpoint,
    )


def load_failure(checkpoint: str, error: Exception) -> EngineError:
    """What to tell the user where loading a found checkpoint failed."""
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError) or isinstance(error.__cause__, GatedRepoError):
        return _gated(checkpoint)
    if "trust_remote_code" in str(error):
        return EngineError(
            "runs code of its own; if you trust its authors, allow it with --trust-remote-code",
            item=checkpoint,
        )
    return EngineError(f"cannot be loaded: {type(error).__name__}: {first_line(error)}", item=checkpoint)
