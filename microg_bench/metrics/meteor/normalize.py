"""METEOR's ``-norm``: punctuation set apart, quotes and dashes made plain, lower case.

The substitutions follow the tokeniser of Moses (Koehn et al. 2007). Each consumes the neighbours that it
looks at, so that "a,b,c" becomes "a , b,c", as in the jar; letters and digits are those that the jar knows.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from microg_bench.metrics.meteor.data import abbreviations

_L = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e\u0400-\u0527\u1d00-\u1d7f\ua640-\ua66e\ua67e-\ua697"


def _between(left: str, sign: str, right: str, replacement: str) -> tuple[re.Pattern[str], str]:
    """The substitution of a sign between two characters, which reads ``(left)sign(right)`` in the tokeniser.

    The pattern begins with the sign, since the few signs of a text are found much faster than all characters
    that can stand to the left of one. It also takes a sign behind `right`, so that `right`, which is
    consumed, is to the left of none.
    """
    return re.compile(f"{sign}(?<={left}{sign})({right}{sign}?)"), rf"{replacement}\1"


# In this order: two plain quotes become one.
_PLAIN = (
    *(("\u2018", "'"), ("\u2019", "'"), ("`", "'")),
    *(("\u201c", '"'), ("\u201d", '"'), ("''", '"')),
    ("\u2013", " - "),
)
_SUBSTITUTIONS = [
    (re.compile(rf"([^{_L}0-9\s.',-])"), r" \1 "),
    (re.compile(r"\.(\.+)"), r" .\1 "),
    _between("[^0-9]", ",", "[^0-9]", " , "),
    _between("[0-9]", ",", "[^0-9]", " , "),
    _between("[^0-9]", ",", "[0-9]", " , "),
    (re.compile("--"), "-"),
    _between(f"[^{_L}]", "'", f"[^{_L}]", " ' "),
    _between(f"[^{_L}0-9]", "'", f"[{_L}]", " ' "),
    _between(f"[{_L}]", "'", f"[^{_L}]", " ' "),
    _between(f"[{_L}]", "'", f"[{_L}]", " '"),
    _between("[0-9]", "'", "s", " '"),
    _between(f"[{_L}0-9.]", "-", f"[{_L}0-9]", " "),
]
_LETTER = re.compile(f"[{_L}]")
# Letters without a lower case in Unicode 13, which Java 17 has; later versions of Python know more.
_LATER = re.compile("([\u2c2f\ua7c0\ua7cb-\ua7dc\U00010570-\U00010595\U00010d50-\U00010d65]+)")
# Java's `trim`, which the jar calls at the end, drops control characters as well.
_TRIMMED = "".join(map(chr, range(33)))


def normalize(texts: Sequence[str]) -> list[str]:
    """Texts, each of them one line with single spaces, as lower-case words parted by single spaces."""
    joined = " " + " \n ".join(texts) + " "
    for sign, plain in _PLAIN:
        joined = joined.replace(sign, plain)
    for pattern, replacement in _SUBSTITUTIONS:
        joined = pattern.sub(replacement, joined)
    joined = _lower(re.sub("  +", " ", _end_sentences(joined)))
    return [line.strip(_TRIMMED) for line in joined.split("\n")]


def _end_sentences(text: str) -> str:
    """A text whose dots at the end of words are kept, set apart or, in acronyms, left out."""
    parts = text.split(". ")
    ended = []
    for part, rest in pairwise(parts):
        word = part.rfind(" ") + 1
        ended.append(part[:word] + _with_dot(part[word:], rest.lstrip(" ")[:1]))
    return " ".join((*ended, parts[-1]))


def _with_dot(word: str, after: str) -> str:
    """A word with the dot behind it, where `after` is the first character of the next word."""
    if "." in word and _LETTER.search(word):
        return word.replace(".", "")
    always, before_numbers = abbreviations()
    dots_alone = not word.strip(".")
    if (
        dots_alone
        or word in always
        or "a" <= after <= "z"
        or (word in before_numbers and "0" <= after <= "9")
    ):
        return f"{word}."
    return f"{word} ."


def _lower(text: str) -> str:
    """A text in lower case, as Java 17 makes it."""
    parts = _LATER.split(text)
    parts[::2] = map(str.lower, parts[::2])
    return "".join(parts)
