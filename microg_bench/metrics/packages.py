"""Files that installed packages ship, and packages that are missing; nothing is imported to find out."""

from importlib.util import find_spec
from pathlib import Path

from microg_bench.errors import MetricUnavailableError, MissingExtraError


def package_path(package: str, *path: str) -> Path | None:
    """A file or folder inside an installed package; None where it is not there."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((found for folder in folders if (found := Path(folder, *path)).exists()), None)


def published_file(*path: str) -> Path:
    """A file of ``pycocoevalcap``, the published scorers.

    Raises:
        MetricUnavailableError: the package or the file is missing.
    """
    found = package_path("pycocoevalcap", *path)
    if found is None:
        raise MetricUnavailableError(f"{path[-1]} not found: pip install pycocoevalcap")
    return found


def require(metric: str, *packages: str) -> None:
    """Say which extra a metric needs, before anything is looked for that only matters with it.

    Raises:
        MetricUnavailableError: a package is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_extra(metric, f"No module named {package!r}")


def missing_extra(metric: str, missing: str) -> MetricUnavailableError:
    """The error that names the extra that a metric needs."""
    return MetricUnavailableError(str(MissingExtraError(metric, "score", missing)))
