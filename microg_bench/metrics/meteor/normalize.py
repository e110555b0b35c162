"""METEOR's ``-norm``: punctuation set apart, quotes and dashes made plain, lower case.

The substitutions follow the tokeniser of Moses (Koehn et al. 2007). Each consumes the neighbours that it
looks at, so that "a,b,c" becomes "a , b,c", as in the jar; letters and digits are those that the jar knows.
"""

import re
from collections.abc import Sequence

from microg_bench.metrics.meteor.data import abbreviations

_L = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e\u0400-\u0527\u1d00-\u1d7f\ua640-\ua66e\ua67e-\ua697"
_SUBSTITUTIONS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        ("[\u2018\u2019`]", "'"),
        ("[\u201c\u201d]|''", '"'),
        ("\u2013", " - "),
        (rf"([^{_L}0-9\s.',-])", r" \1 "),
        (r"\.(\.+)", r" .\1 "),
        ("([^0-9]),([^0-9])", r"\1 , \2"),
        ("([0-9]),([^0-9])", r"\1 , \2"),
        ("([^0-9]),([0-9])", r"\1 , \2"),
        ("--", "-"),
        (f"([^{_L}])'([^{_L}])", r"\1 ' \2"),
        (f"([^{_L}0-9])'([{_L}])", r"\1 ' \2"),
        (f"([{_L}])'([^{_L}])", r"\1 ' \2"),
        (f"([{_L}])'([{_L}])", r"\1 '\2"),
        ("([0-9])'(s)", r"\1 '\2"),
        (f"([{_L}0-9.])-([{_L}0-9])", r"\1 \2"),
    )
]
_LETTER = re.compile(f"[{_L}]")
# A word that ends with a dot, and the first character of the word after it.
_DOTTED = re.compile(r"(?<=\s)(\S+)\.(?= +(\S?))")
# Letters without a lower case in Unicode 13, which Java 17 has; later versions of Python know more.
_LATER = re.compile("([\u2c2f\ua7c0\ua7cb-\ua7dc\U00010570-\U00010595\U00010d50-\U00010d65]+)")
# Java's `trim`, which the jar calls at the end, drops control characters as well.
_TRIMMED = "".join(map(chr, range(33)))


def normalize(texts: Sequence[str]) -> list[str]:
    """Texts, each of them one line with single spaces, as lower-case words parted by single spaces."""
    joined = " " + " \n ".join(texts) + " "
    for pattern, replacement in _SUBSTITUTIONS:
        joined = pattern.sub(replacement, joined)
    joined = _lower(re.sub("  +", " ", _DOTTED.sub(_end_sentence, joined)))
    return [line.strip(_TRIMMED) for line in joined.split("\n")]


def _end_sentence(dotted: re.Match[str]) -> str:
    """A word without its dots where it is an acronym, with its dot set apart where that ends a sentence."""
    word, after = dotted.groups()
    if not word.strip("."):
        return dotted[0]
    if "." in word and _LETTER.search(word):
        return word.replace(".", "")
    always, before_numbers = abbreviations()
    if word in always or "a" <= after <= "z" or (word in before_numbers and "0" <= after <= "9"):
        return dotted[0]
    return f"{word} ."


def _lower(text: str) -> str:
    """A text in lower case, as Java 17 makes it."""
    parts = _LATER.split(text)
    parts[::2] = map(str.lower, parts[::2])
    return "".join(parts)
