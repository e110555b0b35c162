"""Downloads MicroG-4M from the Hugging Face hub and unpacks it, resumably and safely.

The commit that was fetched is written beside the data. Every later call fetches that commit again, until
another revision is asked for, so that the dataset does not change unnoticed.
"""

import json
import os
import stat
import zipfile
import zlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from microg_bench.errors import DataError
from microg_bench.progress import Progress
from microg_bench.storage import cache_folder, cause, write_bytes, write_json
from microg_bench.text import first_line

REPOSITORY = "LEI-QI-233/MicroG-4M"
FOLDER_VARIABLE = "MICROG_BENCH_DATA"
MANIFEST = "fetched.json"
# The published set is below 2 GiB, of clips below 10 MiB: an archive that claims far more is not it.
MAX_UNPACKED = 64 * 1024**3
MAX_FILE = 1024**3
OFFLINE_HELP = (
    "no connection to the hub: on a machine that has one run `hf download {repository} "
    "--repo-type dataset --local-dir MicroG-4M`, unpack videos.zip in it, copy the folder here and give "
    "it as --data; or try --data sample"
)
# What zipfile raises for an archive that is broken, encrypted or packed by an unknown method.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def fetched_folder() -> Path:
    """The folder of the fetched dataset: `$MICROG_BENCH_DATA`, else in the user's cache folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else cache_folder("MicroG-4M")


def fetch(target: Path, revision: str | None = None, progress: Progress | None = None) -> str:
    """Download the dataset at `revision` (default: the commit fetched before, else the newest) to `target`.

    Returns:
        The commit hash that was fetched.

    Raises:
        DataError: no network, no such revision, or an archive that is damaged or unsafe.
        RunError: a file cannot be written.
    """
    from huggingface_hub import HfApi, snapshot_download  # a network client
    from huggingface_hub.errors import HfHubHTTPError

    progress = progress or Progress()
    try:
        commit = revision or _fetched_commit(target)
        commit = HfApi().dataset_info(REPOSITORY, revision=commit, timeout=20).sha or commit
        progress.note(f"fetching {REPOSITORY} at {commit} to {target}")
        snapshot_download(
            REPOSITORY,
            repo_type="dataset",
            revision=commit,
            local_dir=target,
            ignore_patterns=["*.md", ".gitattributes"],
        )
    except HfHubHTTPError as error:
        raise DataError(first_line(error), item=f"{REPOSITORY} at {revision or 'main'}") from error
    except _network_errors() as error:
        raise DataError(OFFLINE_HELP.format(repository=REPOSITORY)) from error
    except OSError as error:
        raise DataError(f"cannot be written: {cause(error)}", path=target) from error
    for archive in sorted(target.glob("*.zip")):
        progress.note(f"unpacking {archive.name}")
        unpack(archive, target)
    write_json(target / MANIFEST, {"repository": REPOSITORY, "revision": commit})
    return str(commit)


def unpack(archive: Path, target: Path) -> int:
    """Unpack a zip file into `target`; files already there in full are left alone.

    Returns:
        The number of files that the archive holds.

    Raises:
        DataError: the archive is damaged, names a file outside `target`, holds a link, or is a zip bomb.
        RunError: a file cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [member for member in bundle.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > MAX_UNPACKED:
                raise DataError(f"would unpack to more than {MAX_UNPACKED >> 30} GiB", path=archive)
            if max((member.file_size for member in members), default=0) > MAX_FILE:
                raise DataError(f"holds a file of more than {MAX_FILE >> 30} GiB", path=archive)
            for member in members:
                path = target / _safe_name(member, archive)
                if not (path.is_file() and path.stat().st_size == member.file_size):
                    write_bytes(path, bundle.read(member))
    except _ZIP_ERRORS as error:
        reason = f"damaged archive ({first_line(error)}); delete it and fetch again"
        raise DataError(reason, path=archive) from error
    return len(members)


def _safe_name(member: zipfile.ZipInfo, archive: Path) -> Path:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in member.filename:
        raise DataError(f"{member.filename!r} would be written outside the folder", path=archive)
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{member.filename!r} is a link", path=archive)
    return Path(*name.parts)


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
