"""A vendor that is asked for one model: settings that the model rejects are left out of requests."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from microg_bench.engines.base import Job
from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.secrets import Access
from microg_bench.records import Response


class VendorBody(Protocol):
    """The requests of one run to one model."""

    def content(self, job: Job) -> Any:
        """What the model is shown; raises `PromptError` where that cannot be sent."""

    def settings(self, job: Job) -> Any:
        """How the answer is to be written, without what the model rejects."""

    def leave_out(self, fault: Fault, sent: Mapping[str, Any], access: Access) -> bool:
        """Leave out what `fault` rejects of the settings `sent`; false where it rejects none."""


@dataclass
class VendorServer(ABC):
    """A model of a vendor, asked with the vendor's `client`.

    `timeout` is what a request may take, in seconds.
    """

    access: Access
    client: Any
    body: VendorBody
    timeout: float

    @property
    def label(self) -> str:
        """Its address, where one was given."""
        return self.access.where

    async def ask(self, job: Job) -> Response:
        """Send one request; a setting that the model rejects is left out and the request sent again.

        Raises:
            PromptError: see `VendorBody.content`.
            RequestError: there is no answer.
        """
        content = await asyncio.to_thread(self.body.content, job)
        while True:
            settings = self.body.settings(job)
            said = await self.send(content, settings)
            if not isinstance(said, Fault):
                return self.read(job, said)
            if not self.body.leave_out(said, dict(settings), self.access):
                raise self.error(said)

    @abstractmethod
    async def send(self, content: Any, settings: Any) -> Any:
        """The response, as JSON or as the fault that it tells; raises `RequestError` where there is none."""

    @abstractmethod
    def read(self, job: Job, said: Any) -> Response:
        """The answer in a response, or raises `RequestError`."""

    def error(self, fault: Fault) -> RequestError:
        """What a fault means for the run."""
        return fault.error(self.access)
