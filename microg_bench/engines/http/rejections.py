"""Settings that a model rejects: it is asked without them from then on."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from microg_bench.engines.http.errors import RequestError
from microg_bench.engines.http.faults import Fault
from microg_bench.engines.http.secrets import Access
from microg_bench.options import flag

log = logging.getLogger(__name__)


@dataclass
class Rejections:
    """What `model` rejects.

    `rejected` are names of settings, and grows; `thinking` is what is sent so that the model thinks as it
    should. That is never left out: its answers would be another model's. Nor is the schema of an answer;
    `engine` is who is asked for it.
    """

    model: str
    rejected: set[str]
    thinking: Mapping[str, Any]
    engine: str = "server"

    def without(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """`settings` but for those that the model rejects."""
        return {name: value for name, value in settings.items() if name not in self.rejected}

    def leave_out(self, fault: Fault, sent: Iterable[str], access: Access) -> bool:
        """Leave out what `fault` rejects of the settings that were sent; false where it rejects none.

        Args:
            fault: what the server said.
            sent: names of settings, the most dispensable first.
            access: the server, for the message.

        Raises:
            RequestError: the server does not know the level of thinking, or takes no schema.
        """
        fields = set(_names(self.thinking))
        name = fault.rejects([*sent, *fields])
        said = f"{access.where}: {fault.status}: {access.secrets.line(fault.message)}"
        if name is None and fault.of_schemas:
            reason = (
                f"{said}: engine {self.engine} gets no structured answers (JSON schema) from {self.model}"
            )
            raise RequestError("fatal", f"{reason} there: choose another model or server")
        if name in fields or (name is None and fields and fault.of_thoughts):
            reason = f"{said}: the level of thinking that is asked for is not known there"
            raise RequestError("fatal", f"{reason}: choose another {flag('thinking')}, or none")
        if name is None:
            return False
        if name not in self.rejected:
            log.warning("%s rejects %s: it is left out from here on", self.model, name)
            self.rejected.add(name)
        return True


def _names(fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        yield name
        if isinstance(value, Mapping):
            yield from _names(value)
