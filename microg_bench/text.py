"""Text from elsewhere made fit for a line of a terminal, a file or a message."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from string import ascii_lowercase

_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~^$])")
_LIST = re.compile(r"^(\d*)([-+.)])(?=[\s-]|$)")  # begins a list or a rule, where a paragraph begins


def well_formed(text: str, replacement: str = "\ufffd") -> str:
    """`text` with each lone surrogate, which has no UTF-8 form, replaced."""
    return _SURROGATE.sub(replacement, text)


def printable(text: str) -> str:
    """`text` that cannot control a terminal: each character that is not printable becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def one_line(text: str) -> str:
    """`text` without line breaks and control characters; each run of white space becomes one space."""
    visible = (" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    return " ".join("".join(visible).split())


def markdown(text: str) -> str:
    """`text` as it reads in a cell or paragraph of Markdown."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LIST.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", plain))


def markdown_code(text: str) -> str:
    """`text` as code, outside of tables; a backtick, which would end it, becomes an apostrophe."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def first_line(said: object, limit: int = 300) -> str:
    """The first line of an exception or a text that is not blank, cut to `limit` characters."""
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    line = lines[0] if lines else type(said).__name__
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first names of a list: ``a, b, c, …``."""
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")


def lettered(texts: Iterable[str]) -> dict[str, str]:
    """A letter for each different text, in their order: a, b and so on to z, then aa, ab."""
    return {text: _letter(place) for place, text in enumerate(dict.fromkeys(texts))}


def _letter(place: int) -> str:
    high, low = divmod(place, len(ascii_lowercase))
    return (_letter(high - 1) if high else "") + ascii_lowercase[low]


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """`unknown model 'qwen': did you mean qwen2.5-vl? (known: …)`."""
    names = sorted(known)
    spelled = {other.lower(): other for other in names}
    near = [spelled[other] for other in get_close_matches(name.lower(), spelled, n=3, cutoff=0.4)]
    near += [other for other in names if name and name.lower() in other.lower() and other not in near]
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(names) or 'none'})"
