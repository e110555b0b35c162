"""Downloads MicroG-4M from the Hugging Face hub and unpacks it, resumably and safely.

The commit that was fetched is written beside the data. Every later call fetches that commit again, until
another revision is asked for, so that the dataset does not change unnoticed.
"""

import json
import os
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from microg_bench.errors import DataError
from microg_bench.privacy import check_hub
from microg_bench.progress import Progress
from microg_bench.storage import cause, write_bytes, write_json
from microg_bench.text import first_line

REPOSITORY = "LEI-QI-233/MicroG-4M"
MANIFEST = "fetched.json"
# The published set is below 2 GiB, of 4,759 clips below 10 MiB: an archive that claims far more is not it.
MAX_UNPACKED = 16 * 1024**3
MAX_FILE = 1024**3
MAX_MEMBERS = 100_000
MAX_NAME = 200  # bytes; file systems take 255, and a file that is being written has a longer name
MAX_DEPTH = 16
CHUNK_BYTES = 1024**2
ENCRYPTED = 1  # bit of a member's flags
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without regard to a size
OFFLINE_HELP = (
    "no connection to the hub: on a machine that has one run `hf download {repository} "
    "--repo-type dataset --local-dir MicroG-4M`, unpack videos.zip in it, copy the folder here and give "
    "it as --data; or try --data sample"
)
# What zipfile raises for an archive that is broken.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def fetch(target: Path, revision: str | None = None, progress: Progress | None = None) -> str:
    """Download the dataset at `revision` (default: the commit fetched before, else the newest) to `target`.

    Returns:
        The commit hash that was fetched.

    Raises:
        UsageError: see `check_hub`.
        DataError: no network, no such revision, or an archive that is damaged or unsafe.
        RunError: a file cannot be written.
    """
    from huggingface_hub import HfApi, snapshot_download  # a network client
    from huggingface_hub.errors import HfHubHTTPError

    check_hub()
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

    Every member is checked before the first is written.

    Returns:
        The number of files that the archive holds.

    Raises:
        DataError: the archive is damaged or too large, or a member cannot be a file of its own in `target`.
        RunError: a file cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = _checked(bundle.infolist(), archive)
            for name, member in members.items():
                path = target / name
                if not (path.is_file() and path.stat().st_size == member.file_size):
                    write_bytes(path, _content(bundle, member))
    except _ZIP_ERRORS as error:
        reason = f"damaged archive ({first_line(error)}); delete it and fetch again"
        raise DataError(reason, path=archive) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=archive) from error
    return len(members)


def _content(bundle: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What a member holds; read in parts, since a part takes no more memory than it is asked for."""
    with bundle.open(member) as file:
        return b"".join(iter(lambda: file.read(CHUNK_BYTES), b""))


def _checked(members: Sequence[zipfile.ZipInfo], archive: Path) -> dict[Path, zipfile.ZipInfo]:
    """The files among `members` by their path in the folder.

    Raises:
        DataError: there are too many, they unpack to too much, or one has a fault; it is named.
    """
    if len(members) > MAX_MEMBERS:
        raise DataError(f"holds more than {MAX_MEMBERS:,} files", path=archive)
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise DataError(f"would unpack to more than {MAX_UNPACKED >> 30} GiB", path=archive)
    names = [PurePosixPath(member.filename.replace("\\", "/")) for member in members]
    named = list(zip(members, names, strict=True))
    for member, name in named:
        if fault := _fault(member, name):
            raise DataError(fault, path=archive, item=_quoted(member))
    _check_clashes(named, archive)
    return {Path(*name.parts): member for member, name in named if not _is_folder(member)}


def _fault(member: zipfile.ZipInfo, name: PurePosixPath) -> str | None:
    """What keeps a member from being unpacked, if anything does."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    plain = stat.S_IFDIR if _is_folder(member) else stat.S_IFREG
    outside = name.is_absolute() or ".." in name.parts or ":" in member.filename
    long = len(name.parts) > MAX_DEPTH or any(len(os.fsencode(part)) > MAX_NAME for part in name.parts)
    faults = {
        "would be written outside the folder": outside,
        "names no file": not name.parts,
        "is a link": kind == stat.S_IFLNK,
        "is no regular file": kind not in (0, plain),
        "has a name that is too long, or lies too deep": long,
        "has a name that cannot be printed": not member.filename.isprintable(),
        "is encrypted": member.flag_bits & ENCRYPTED != 0,
        "is packed by a method that is not supported": member.compress_type not in METHODS,
        f"is larger than {MAX_FILE >> 30} GiB": member.file_size > MAX_FILE,
    }
    return next((fault for fault, found in faults.items() if found), None)


def _check_clashes(members: Sequence[tuple[zipfile.ZipInfo, PurePosixPath]], archive: Path) -> None:
    """Refuse two members that would be one file, also where the disk does not tell letter case apart.

    Raises:
        DataError: there are two; the latter is named.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for member, name in members:
        path = PurePosixPath(unicodedata.normalize("NFC", str(name)).casefold())
        above = {str(parent) for parent in path.parents} | ({str(path)} if _is_folder(member) else set())
        own = set() if _is_folder(member) else {str(path)}
        if not files.isdisjoint(own | above) or not folders.isdisjoint(own):
            reason = "would be the same file as an earlier member, or its folder"
            raise DataError(reason, path=archive, item=_quoted(member))
        files |= own
        folders |= above


def _is_folder(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith("/")  # `is_dir` fails where there is no name


def _quoted(member: zipfile.ZipInfo) -> str:
    return repr(member.filename[:100])


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
