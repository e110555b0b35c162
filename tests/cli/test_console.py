"""What ends a command from outside ends it in one line."""

import os
import signal
from collections.abc import Callable

import pytest
import typer

from microg_bench.cli.console import INTERRUPTED, TERMINATED, interruptible


@pytest.mark.parametrize("ignored", [False, True], ids=["terminal", "background"])
def test_sigterm_ends_as_an_interrupt_does(capsys: pytest.CaptureFixture[str], ignored: bool) -> None:
    before: tuple[Callable | int | None, ...] = (
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with pytest.raises(typer.Exit) as ended, interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert ended.value.exit_code == TERMINATED != INTERRUPTED
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert signal.getsignal(signal.SIGTERM) == before[1]
