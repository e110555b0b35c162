"""Work that several metrics need, done when the first of them asks."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from microg_bench.errors import MetricUnavailableError

Result = TypeVar("Result")


class Once(Generic[Result]):
    """A call that is made at first need and never again, whichever threads ask and even where it fails."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._lock = Lock()
        self._result: tuple[Result] | None = None
        self._reason: str | None = None

    def __call__(self) -> Result:
        """What the call returned.

        Raises:
            MetricUnavailableError: the call raised it, now or before.
        """
        with self._lock:
            if self._reason is not None:
                raise MetricUnavailableError(self._reason)
            if self._result is None:
                try:
                    self._result = (self._call(),)
                except MetricUnavailableError as error:
                    self._reason = str(error)
                    raise
            return self._result[0]
