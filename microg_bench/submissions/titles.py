"""Whether the title of a model says what it is: not that of another, as a reader sees it."""

import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.registry import registered
from microg_bench.settings import Settings
from microg_bench.storage import read_json, shipped
from microg_bench.text import listed

SHORTEST = 5  # letters of a title from which one may differ
_BLANK = "\u115f\u1160\u3164\uffa0"  # letters that show nothing
_ALIKE = str.maketrans("01i", "oll")  # in ASCII


def is_blank(title: str) -> bool:
    """Whether a title shows no letter and no digit."""
    return not any(sign.isalnum() and sign not in _BLANK for sign in title)


def like_another(settings: Settings) -> Iterator[str]:
    """Whose title that of a model looks like, which it is not, a line each."""
    adapters = [one.adapter for one in registered() if one.adapter]
    known = {one.title: one.checkpoint for one in adapters}
    known |= read_json(shipped("results/published") / "paper.json")["checkpoints"]
    titles = {skeleton(settings.title), skeleton(settings.title.partition("(")[0])}
    for name, checkpoint in known.items():
        alike = any(_near(title, skeleton(name)) for title in titles)
        if alike and (checkpoint is None or checkpoint != settings.checkpoint):
            yield f"its title, {settings.title}, looks like that of another model, {name}"
    word = skeleton(next(one.title for one in adapters if issubclass(one, Baseline)).partition(":")[0])
    if any(title.startswith(word) for title in titles):
        yield f"its title, {settings.title}, is that of a baseline, which it is not"


@dataclass(frozen=True)
class Titled:
    """What a submission calls its model, and what makes that another `model` than those of others."""

    title: str
    model: tuple[str | None, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Titled":
        """The model that was asked."""
        return cls(settings.title, (settings.model, settings.checkpoint, settings.checkpoint_sha256))


def same_titles(models: Mapping[Path, Titled]) -> Iterator[tuple[Path, str]]:
    """Submissions that have the title of another model's, each with a line that names these."""
    found: dict[str, list[Path]] = defaultdict(list)
    for folder, one in models.items():
        found[skeleton(one.title)].append(folder)
    for folders in found.values():
        for folder in folders:
            own = models[folder].model
            if others := [other.name for other in folders if models[other].model != own]:
                yield folder, f"its title is that of another model too: {listed(others)}"


def skeleton(title: str) -> str:
    """What a reader sees of a title: letters and digits alone, those of other scripts as ASCII."""
    plain = unicodedata.normalize("NFKD", title).casefold().translate(_confusables()).translate(_ALIKE)
    return "".join(sign for sign in plain if sign.isalnum() and sign not in _BLANK)


@cache
def _confusables() -> dict[int, str]:
    text = Path(__file__).with_name("confusables.toml").read_text(encoding="utf-8")
    return {ord(sign): ascii_ for ascii_, signs in tomllib.loads(text).items() for sign in signs}


def _near(one: str, other: str) -> bool:
    """Whether two skeletons are the same, or long ones differ by a letter; versions differ by a digit."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(short) < SHORTEST or len(long) - len(short) > 1:
        return False
    pairs = zip(short, long, strict=False)
    start = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    behind = start + (len(short) == len(long))
    return short[behind:] == long[start + 1 :] and not (long[start] + short[start:behind]).isdigit()
