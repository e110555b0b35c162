"""What ends a command from outside ends it in one line."""

import os
import signal
from collections.abc import Callable

import pytest
import typer

from microg_bench.cli.console import INTERRUPTED, TERMINATED, columns, interruptible, print_table


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


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        ("25", ["name            told       of", "a-name-to-copy  a few      7", "                words"]),
        ("10", ["name            told", "a-name-to-copy  a few", "                words"]),
        (None, ["name            told         of", "a-name-to-copy  a few words  7"]),
    ],
)
def test_a_table_is_folded_at_blanks_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str | None, lines: list[str]
) -> None:
    if width:
        monkeypatch.setenv("COLUMNS", width)
    else:
        monkeypatch.delenv("COLUMNS", raising=False)
    table = columns("name", "told", "of")
    table.add_row("a-name-to-copy", "a few words", "7")
    print_table(table, spare=("of",))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == lines
