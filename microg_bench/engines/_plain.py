"""Keeps text of a dataset from being read as control tokens.

A question that holds `<|im_end|>` must not end the turn, nor one that holds `<|video_pad|>` ask for frames.
Such words are marked before the chat template is filled in, and then tokenised as the characters that they
are made of. A control token parts the text before it from the text after it in any case, so nothing else of
the prompt is tokenised otherwise than usual.
"""

from __future__ import annotations

import re
from typing import Any

# Code points that no text has: they are reserved, and no character will ever be one of them.
_MARKED = re.compile("\ufdd0([0-9]+)\ufdd1")


def control_tokens(tokenizer: Any) -> dict[str, int]:
    """What the tokenizer reads as one token with a meaning of its own, and its id."""
    return {
        token.content: number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }


def mark(text: str, tokenizer: Any) -> str:
    """`text` with its control tokens marked."""
    known = control_tokens(tokenizer)
    if not any(token in text for token in known):
        return text
    longest_first = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    return re.sub(longest_first, lambda found: f"\ufdd0{known[found[0]]}\ufdd1", text)


def read_marks(tokenizer: Any) -> None:
    """Make `tokenizer` tokenise what is marked as plain characters, also when a processor calls it."""
    kind = type(tokenizer)
    tokenizer.__class__ = type(kind.__name__, (_Marked, kind), {})


class _Marked:
    """What `read_marks` puts before a tokenizer's own class."""

    def __call__(self, text: Any, **settings: Any) -> Any:
        texts = [text] if isinstance(text, str) else text
        own: Any = super()
        if not any(_MARKED.search(one) for one in texts):
            return own.__call__(text, **settings)
        shape = {name: settings.pop(name) for name in ("padding", "return_tensors") if name in settings}
        return own.pad({"input_ids": [self._row(one, **settings) for one in texts]}, **shape)

    def _row(self, text: str, add_special_tokens: bool = True, **_: Any) -> list[int]:
        own: Any = super()
        row: list[int] = []
        # At odd places stand the ids of what was marked, between what was not.
        for place, piece in enumerate(_MARKED.split(text)):
            if place % 2:
                row += self._characters(int(piece))
            elif piece or not place:
                row += own.__call__(piece, add_special_tokens=add_special_tokens and not place)["input_ids"]
        return row

    def _characters(self, control: int) -> list[int]:
        own: Any = super()
        word = own.convert_ids_to_tokens(control)
        row: list[int] = own.__call__(word, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if control in row:
            raise ValueError(f"the prompt holds {word}, which this model's tokenizer cannot read as text")
        return row
