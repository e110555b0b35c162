"""The errors that a user may meet: one readable line each, saying what is wrong, where, and what to do.

Everything that derives from `MicrogError` is printed by the command line without a traceback and ends the
process with a non-zero status. Any other exception is a bug and keeps its traceback.
"""

from pathlib import Path
from typing import Any


class MicrogError(Exception):
    """Base of all errors meant for the user's eyes; `str(error)` is the line that is printed.

    Args:
        reason: what is wrong and what to do.
        path: the file or folder concerned, if there is one.
        item: the place in the file, or the id, option or setting concerned, if there is one.
    """

    def __init__(self, reason: str, *, path: Path | str | None = None, item: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.item = item

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self.path, self.item, self.reason) if part is not None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(vars(self)))


def _rebuild(kind: type[MicrogError], state: dict[str, Any]) -> MicrogError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["reason"])
    vars(error).update(state)
    return error


class UsageError(MicrogError):
    """An option, name or setting that cannot be used as given."""


class DataError(MicrogError):
    """A dataset, annotation, predictions or prompt file that is missing, malformed or unsafe."""


class MissingExtraError(MicrogError):
    """An optional dependency is not installed.

    Args:
        what: what the user wanted, e.g. ``"engine transformers"``.
        extra: the extra of this distribution that installs it, e.g. ``"transformers"``.
        missing: what was found to be missing, e.g. ``"No module named 'torch'"``.
    """

    def __init__(self, what: str, extra: str, missing: str = "") -> None:
        detail = f" ({missing})" if missing else ""
        super().__init__(f"{what} needs an extra{detail}: {install_command(extra)}")
        self.extra = extra


class RunError(MicrogError):
    """A run folder that cannot be started, resumed, read or written."""


class EngineError(MicrogError):
    """An engine or checkpoint that cannot be started, or that cannot go on."""


class MetricUnavailableError(MicrogError):
    """A metric that cannot be computed here (model, Java or package missing); the others still can."""


class DecodeError(MicrogError):
    """A video that cannot be decoded; becomes the `Failure` of its clip, never the end of a run."""


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation; pip needs no index that has the distribution."""
    return f"pip install 'microg-bench[{extra}]'"
