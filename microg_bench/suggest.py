"""One sentence for a name that does not exist, with the names that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """`unknown model 'qwen': did you mean qwen2.5-vl? (known: …)`."""
    names = sorted(known)
    spelled = {other.lower(): other for other in names}
    near = [spelled[other] for other in get_close_matches(name.lower(), spelled, n=3, cutoff=0.4)]
    near += [other for other in names if name and name.lower() in other.lower() and other not in near]
    hint = f" did you mean {' or '.join(near)}?" if near else ""
    return f"unknown {kind} {name!r}:{hint} (known: {', '.join(names) or 'none'})"
