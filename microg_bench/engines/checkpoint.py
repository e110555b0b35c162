"""Finds the checkpoint that an engine is told to load, before anything heavy is imported.

A local folder is looked into; the hub is asked for an id once, without its client's long retries, so that a
wrong name, a gated checkpoint or a missing network is told in one line within seconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microg_bench.errors import EngineError
from microg_bench.text import first_line

_TIMEOUT = 10.0  # seconds that the hub may take to answer


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


def _hub(checkpoint: str, revision: str | None) -> Checkpoint:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

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
