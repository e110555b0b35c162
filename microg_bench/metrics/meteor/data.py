"""METEOR's data for English, read in place from the published package, and the stemmer that it needs."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics.packages import published_file

# The bytes of the published files.
_SIZES = {"meteor-1.5.jar": 6318693, "paraphrase-en.gz": 61813011}
_REINSTALL = "pip install --force-reinstall pycocoevalcap==1.2"
# Later versions of the algorithm give other stems ("organize", "emergency") than the jar.
_STEMMER = ("snowballstemmer", "2.2.0")
# What the suffix of an inflected word is replaced by to find its base, in WordNet's order.
_SUFFIXES = (
    *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man")),
    *(("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    *(("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
)


def meteor_file(*path: str) -> Path:
    """A file of METEOR 1.5 in the package pycocoevalcap.

    Raises:
        MetricUnavailableError: the file is missing, or is of another version.
    """
    file = published_file("meteor", *path)
    if file.stat().st_size != _SIZES[path[-1]]:
        raise MetricUnavailableError(f"not of METEOR 1.5: {_REINSTALL}", path=file)
    return file


@cache
def _lines(name: str) -> list[str]:
    """The lines of a file inside the jar.

    Raises:
        MetricUnavailableError: the jar is missing or damaged.
    """
    jar = meteor_file("meteor-1.5.jar")
    try:
        with ZipFile(jar) as archive:
            return archive.read(name).decode().split("\n")
    except (OSError, KeyError, BadZipFile) as error:
        raise MetricUnavailableError(f"cannot be read: {error}", path=jar) from error


@cache
def abbreviations() -> tuple[frozenset[str], frozenset[str]]:
    """Words whose dot ends no sentence: always, and before a number."""
    entries = [line.split() for line in _lines("nonbreaking/english.prefixes") if line[:1] not in ("", "#")]
    always = frozenset(word for word, *rest in entries if not rest)
    return always, frozenset(word for word, *rest in entries if rest)


@cache
def function_words() -> frozenset[str]:
    """The words that count less."""
    return frozenset(_lines("function/english.words"))


@cache
def stemmer() -> Callable[[str], str]:
    """The Snowball stemmer for English.

    Raises:
        MetricUnavailableError: the package is missing, or another version of it is installed.
    """
    package, wanted = _STEMMER
    try:
        found = version(package)
    except PackageNotFoundError:
        found = "none"
    if found != wanted:
        raise MetricUnavailableError(
            f"METEOR needs {package} {wanted}, found {found}: pip install {package}=={wanted}"
        )
    from snowballstemmer.english_stemmer import EnglishStemmer  # type: ignore[import-untyped]

    stem: Callable[[str], str] = EnglishStemmer().stemWord
    return stem


@cache
def _synsets() -> dict[str, str]:
    lines = _lines("synonym/english.synsets")
    return dict(zip(lines[::2], lines[1::2], strict=False))


@cache
def _irregular() -> dict[str, list[str]]:
    """The bases of words that WordNet's exception list knows."""
    lines = _lines("synonym/english.exceptions")
    bases = defaultdict(list)
    for base, forms in zip(lines[::2], lines[1::2], strict=False):
        for form in forms.split():
            bases[form].append(base)
    return bases


def read_ahead() -> None:
    """Read what words are looked up in, so that it is there when it is needed; what is wrong is told then."""
    with suppress(MetricUnavailableError):
        stemmer()
        _synsets()
        _irregular()


def synsets(word: str) -> frozenset[str]:
    """The numbers of WordNet's synonym sets that a word or its bases belong to."""
    known = _synsets()
    return frozenset(number for form in (word, *_bases(word)) for number in known.get(form, "").split())


def _bases(word: str) -> Iterable[str]:
    """The base forms of a word: from the exception list, else by the first suffix rule that gives a word.

    WordNet has "boxesful" from "boxful", but the jar finds no base of words in "ful".
    """
    if word in _irregular():
        return _irregular()[word]
    if len(word) > 2 and not word.endswith(("ss", "ful")):
        for suffix, ending in _SUFFIXES:
            base = word.removesuffix(suffix) + ending
            if word.endswith(suffix) and base in _synsets():
                return [base]
    return []
