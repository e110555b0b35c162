"""Makes any text safe to stand in Markdown or LaTeX: whatever a model or file is called, it stays text."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~^$])")
_LIST = re.compile(r"^(\d*)([-+.)])(?=[\s-]|$)")  # begins a list or a rule, where a paragraph begins
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "[": "{[}",  # after "\\\\" it would begin an option, and a star change what that does
    "*": "{*}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "-{}",  # "--" would become a dash
    ",": ",{}",  # ",," would become a quotation mark
    "?": "?{}",  # "?`" would become another sign, as would "!`"
    "!": "!{}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "×": r"\texttimes{}",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
}


def one_line(text: str) -> str:
    """`text` without line breaks and control characters; runs of white space become one space."""
    visible = (" " if unicodedata.category(sign).startswith(("C", "Z")) else sign for sign in text)
    return " ".join("".join(visible).split())


def markdown(text: str) -> str:
    """`text` as it reads in a cell or paragraph of Markdown."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LIST.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", plain))


def markdown_code(text: str) -> str:
    """`text` as code, outside of tables; a backtick, which would end it, becomes an apostrophe."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def latex(text: str) -> str:
    r"""`text` as it reads in LaTeX with pdfTeX and the T1 encoding.

    Letters of western alphabets stay; a sign that the fonts do not have becomes its number, `[U+5B87]`.
    """
    return "".join(_LATEX.get(sign) or _letter(sign) for sign in one_line(text))


def _letter(sign: str) -> str:
    known = sign.isascii() or ("\u00c0" <= sign <= "\u00ff")
    return sign if known else f"{{[}}U+{ord(sign):04X}]"
