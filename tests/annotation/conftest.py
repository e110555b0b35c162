"""A language model on loopback, whose answers are scripted."""

from collections.abc import Iterator

import pytest

from tests.helpers.fault_server import FaultServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-this-test")
    with FaultServer() as running:
        yield running
