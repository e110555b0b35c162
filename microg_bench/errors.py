"""The errors that a user may meet: one readable line each, saying what is wrong, where, and what to do.

Everything that derives from `MicrogError` is printed by the command line without a traceback and ends
the process with a non-zero status. Any other exception is a fault of ours and keeps its traceback.
"""


class MicrogError(Exception):
    """Base of all errors meant for the user's eyes; `str(error)` is the line that is printed."""


class UsageError(MicrogError):
    """A flag, name or setting that cannot be used as given."""


class DataError(MicrogError):
    """A dataset, annotation, predictions or prompt file that is missing, malformed or unsafe."""


class MissingExtraError(MicrogError):
    """An optional dependency is not installed.

    Args:
        what: what the user wanted, e.g. ``"engine transformers"``.
        extra: the extra of this distribution that installs it, e.g. ``"transformers"``.
        reason: what was found to be missing, e.g. ``"No module named 'torch'"``.
    """

    def __init__(self, what: str, extra: str, reason: str = "") -> None:
        detail = f" ({reason})" if reason else ""
        super().__init__(f"{what} needs an extra{detail}: pip install 'microg-bench[{extra}]'")
        self.extra = extra


class RunError(MicrogError):
    """A run folder that cannot be started, continued or written."""


class EngineError(MicrogError):
    """An engine or checkpoint that cannot be started; raised before any clip is asked about."""


class MetricUnavailableError(MicrogError):
    """A metric that cannot be computed here (model, Java or package missing); the others still can."""


class DecodeError(MicrogError):
    """A video that cannot be decoded; becomes the `Failure` of its clip, never the end of a run."""
