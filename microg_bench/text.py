"""Text from elsewhere made fit for a line of a terminal, a file or a message; JSON that reads in one way."""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from string import ascii_lowercase
from typing import Any

MAX_DEPTH = 32  # levels of JSON that this program writes; the deepest has six
MAX_DIGITS = 20  # of a whole number, as 64 bits hold it
_TOO_DEEP = "nested too deeply"
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXTRA = r"(?<=\w)\[[a-z,]+\](?![\[(:])"  # as in a command to install one: no link, and copied as it stands
_INSIDE = r"(?<=[^\W_])_+(?=[^\W_])|#(?=[^\W\d_])"  # in a word, as set_1, or before one, as #f: no markup
_MARKDOWN = re.compile(rf"{_EXTRA}|{_INSIDE}|([\\`*_{{}}\[\]#|~^$])")
_LIST = re.compile(r"^(\d*)([-+.)])(?=[\s-]|$)")  # begins a list or a rule, where a paragraph begins


def well_formed(text: str, replacement: str = "\ufffd") -> str:
    """`text` with each lone surrogate, which has no UTF-8 form, replaced."""
    return _SURROGATE.sub(replacement, text)


def printable(text: str) -> str:
    """`text` that cannot control a terminal: each character that is not printable becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def visible(text: str) -> str:
    """`text` in which each character that is not printable is written as its escape in Python."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text
    )


def one_line(text: str) -> str:
    """`text` without line breaks and control characters; each run of white space becomes one space."""
    visible = (" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    return " ".join("".join(visible).split())


def markdown(text: str) -> str:
    """`text` as it reads in a cell or paragraph of Markdown."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN.sub(lambda found: f"\\{found[1]}" if found[1] else found[0], plain)
    return _LIST.sub(r"\1\\\2", escaped)


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


def many(count: int, what: str) -> str:
    """A number of things in words: ``1 box``, ``2 boxes``, ``2 rows of the ground truth``."""
    noun, *rest = re.split(r"(?= (?:of|without) )", what, maxsplit=1)
    plural = noun if count == 1 else noun + ("es" if noun.endswith("x") else "s")
    return f"{count:,} {plural}{''.join(rest)}"


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


def strict_json(content: bytes) -> Any:
    """The JSON in `content`, where all readers understand the same.

    Raises:
        ValueError: it is not UTF-8 without a byte-order mark, a key occurs twice in one object, a number is
            infinite, none, or a whole one of more than 20 digits, or more than 32 levels are nested.
    """
    try:
        found = json.loads(
            content.decode(),
            object_pairs_hook=each_key_once,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level, depth = [found], 0
    while level := [inner for one in level for inner in _inner(one)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
    return found


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON of its pairs.

    Raises:
        ValueError: a key occurs twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = max(times, key=times.__getitem__)
        raise ValueError(f"the key {first_line(repr(twice), 60)} occurs twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a whole number has {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{first_line(digits, 60)} is no finite number")
    return number


def _inner(content: Any) -> Iterable[Any]:
    """What an array or object holds; nothing of anything else."""
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()
