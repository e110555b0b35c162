"""How the words of the dataset are told apart: the designed answer "Not mentioned.", and question words."""

from __future__ import annotations

import re

ABSENT = "not mentioned"
QUESTION_WORDS = ("what", "who", "how", "where", "why", "which", "when")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# Words that hold sentences together and say nothing of what is seen.
_FILLERS = """
    a an the and or but nor if so than then as while that this these those there here it its it's he his him
    she her hers they them their theirs we our us you your i my me who whom whose which what when where why
    how
    is are was were be been being am do does did done doing has have had having can could may might must shall
    should will would not no yes of in on at to into onto from by for with without within about above below
    over under between through during before after against along around across near off out up down both each
    either also very just only other another such some any all more most same own too
"""
FILLERS = frozenset(_FILLERS.split())


def is_absent(text: str) -> bool:
    """Whether a text is the designed answer "Not mentioned.", with or without its full stop."""
    return text.strip().rstrip(".").strip().lower() == ABSENT


def question_word(question: str) -> str:
    """The first word of a question, if it is one of `QUESTION_WORDS`, else "other"."""
    first = question.split(maxsplit=1)[0].lower() if question.strip() else ""
    return first if first in QUESTION_WORDS else "other"


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; `astronaut's` is one."""
    return _WORD.findall(text.lower())
