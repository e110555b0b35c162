"""Downloads MicroG-4M from the Hugging Face hub and unpacks it, resumably and safely.

The commit that was fetched is written beside the data and fetched again by every later call, until another
revision is asked for: the dataset does not change under a user's feet.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from microg_bench.errors import DataError

REPOSITORY = "LEI-QI-233/MicroG-4M"
FOLDER_VARIABLE = "MICROG_BENCH_DATA"
MANIFEST = "fetched.json"
# The published set is below 2 GiB; an archive that claims to unpack to far more is not it.
MAX_UNPACKED = 64 * 1024**3
OFFLINE_HELP = (
    "no connection to the hub: on a machine that has one run `hf download {repository} "
    "--repo-type dataset --local-dir MicroG-4M`, unpack videos.zip in it, copy the folder here and give "
    "it as --data; or try --data sample"
)


def fetched_folder() -> Path:
    """Where the fetched dataset lies: `$MICROG_BENCH_DATA`, else the user's cache folder."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "microg-bench" / "MicroG-4M"


def fetch(target: Path, revision: str | None = None, say: Callable[[str], None] = print) -> str:
    """Download the dataset at `revision` (default: the commit fetched before, else the newest) to `target`.

    Returns:
        The commit hash that was fetched.

    Raises:
        DataError: no network, no such revision, or an archive that is damaged or unsafe.
    """
    from huggingface_hub import HfApi, snapshot_download  # a network client
    from huggingface_hub.errors import HfHubHTTPError

    try:
        commit = revision or _fetched_commit(target)
        commit = HfApi().dataset_info(REPOSITORY, revision=commit, timeout=20).sha or commit
        say(f"fetching {REPOSITORY} at {commit} to {target}")
        snapshot_download(
            REPOSITORY,
            repo_type="dataset",
            revision=commit,
            local_dir=target,
            ignore_patterns=["*.md", ".gitattributes"],
        )
    except HfHubHTTPError as error:
        raise DataError(f"{REPOSITORY} at {revision or 'main'}: {str(error).splitlines()[0]}") from error
    except _network_errors() as error:
        raise DataError(OFFLINE_HELP.format(repository=REPOSITORY)) from error
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror}") from error
    for archive in sorted(target.glob("*.zip")):
        say(f"unpacking {archive.name}")
        unpack(archive, target)
    _write_manifest(target, str(commit))
    return str(commit)


def unpack(archive: Path, target: Path) -> int:
    """Unpack a zip file into `target`; files already there in full are left alone.

    Returns:
        The number of files that the archive holds.

    Raises:
        DataError: the archive is damaged, names a file outside `target`, holds a link, or is a zip bomb.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [member for member in bundle.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise DataError(f"{archive}: would unpack to more than {MAX_UNPACKED >> 30} GiB")
            for member in members:
                _extract(bundle, member, target / _safe_name(member, archive))
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive}: damaged archive ({error}); delete it and fetch again") from error
    return len(members)


def _safe_name(member: zipfile.ZipInfo, archive: Path) -> Path:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in member.filename:
        raise DataError(f"{archive}: {member.filename!r} would be written outside the folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive}: {member.filename!r} is a link")
    return Path(*name.parts)


def _extract(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    if path.is_file() and path.stat().st_size == member.file_size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with bundle.open(member) as packed, partial.open("wb") as file:
        shutil.copyfileobj(packed, file)
    partial.replace(path)


def _network_errors() -> tuple[type[Exception], ...]:
    """The connection errors of whichever HTTP client this version of the hub library uses."""
    clients = (("httpx2", "TransportError"), ("httpx", "TransportError"), ("requests", "ConnectionError"))
    found = [getattr(import_module(module), name) for module, name in clients if find_spec(module)]
    # The hub library says FileNotFoundError where neither the hub nor its cache has the file.
    return (ConnectionError, TimeoutError, FileNotFoundError, *found)


def _fetched_commit(target: Path) -> str | None:
    try:
        return str(json.loads((target / MANIFEST).read_text())["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_manifest(target: Path, commit: str) -> None:
    partial = target / (MANIFEST + ".part")
    partial.write_text(json.dumps({"repository": REPOSITORY, "revision": commit}) + "\n")
    partial.replace(target / MANIFEST)
