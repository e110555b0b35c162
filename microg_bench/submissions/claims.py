"""What a scorecard cannot claim, whatever was answered: numbers, intervals and signatures that are none."""

import re
from collections.abc import Iterator
from contextlib import suppress

from microg_bench.errors import MetricUnavailableError
from microg_bench.metrics import METRICS
from microg_bench.metrics.bertscore import published_baseline
from microg_bench.runs.record import SCORECARD_FILE
from microg_bench.scorecard import Scorecard, ScoreEntry, Signature, answering
from microg_bench.submissions.load import numbers
from microg_bench.text import first_line

ROUNDING = 1e-6
# The highest F1 that is published for unrelated texts, of any encoder and layer; BERTScore is rescaled by it.
HIGHEST_BASELINE = 0.985
_NUMBER = r"[0-9]{1,12}"
_VERSION = r"[0-9][0-9A-Za-z.!+-]{0,40}"
# The values of signatures: their names in order, and what each may be.
_FORMS = {
    "protocol": r"paper|coco|coco-isolated",
    "tokenizer": r"[A-Za-z0-9 ._-]{1,40}",
    "variant": "CIDEr-D",
    "sigma": "6",
    "beta": r"1\.2",
    "jar": r"1\.5",
    "flags": "-l en -norm",
    "model": r"[A-Za-z0-9._+-]{1,100}@[0-9a-f]{12}",
    "layers": r"[0-9]{1,3}",
    "idf": "yes|no",
    "rescaled": "yes|no",
    "dtype": "float32|bfloat16",
    **dict.fromkeys(("sentence-transformers", "transformers", "torch"), _VERSION),
    "items": _NUMBER,
    "version": _VERSION,
    "thinking": "on|off|low|medium|high|engine default",
    "input": ".{1,300}",  # what follows from the settings
}
_SENTENCE = ("model", "dtype", "sentence-transformers", "transformers", "torch")
_OWN: dict[str, tuple[str, ...]] = {
    "CIDEr": ("variant", "sigma"),
    "ROUGE-L": ("beta",),
    "METEOR": ("jar", "flags"),
    **dict.fromkeys(("S-BERT", "S-VQA"), _SENTENCE),
    "BERTScore": ("model", "layers", "idf", "rescaled", "dtype", "transformers", "torch"),
}


def claim_faults(card: Scorecard) -> Iterator[str]:
    """All faults of the numbers, intervals and signatures of a scorecard of answers, a line each."""
    yield from _reach(card)
    percentile = card.interval is not None and card.interval.method == "percentile"
    for name, one in card.scores.items():
        if one.interval and not _holds(one, percentile):
            low, high = one.interval
            between = f"{low:g} to {high:g}, which are not the bounds of {one.value}"
            yield f"{_place(name, 'interval')} = {between}"
        if one.value is not None and not _signed(card, name, one.signature):
            theirs = first_line(one.signature.long(), 100) if one.signature else None
            yield f"{_place(name, 'signature')} = {theirs}, which is none of this metric, protocol and items"


def _place(name: str, part: str) -> str:
    return f"{SCORECARD_FILE} claims scores.{first_line(name, 60)}.{part}"


def _reach(card: Scorecard) -> Iterator[str]:
    """The first score, bound, baseline or slice that no answers can have."""
    for place, name, value in numbers(card):
        low, high = METRICS[name].extremes if name in METRICS else (0.0, 0.0)
        if name == "BERTScore":
            low = _lowest(card.scores.get(name))
        if not low - ROUNDING <= value <= high + ROUNDING:
            reach = f"which lies outside of {low:g} to {high:g}"
            yield f"{SCORECARD_FILE} claims {first_line(place, 100)} = {value:g}, {reach}"
            return


def _lowest(entry: ScoreEntry | None) -> float:
    """The lowest BERTScore, ×100: of a cosine of -1, rescaled by the published baseline where it says so."""
    values = entry.signature.values if entry and entry.signature else {}
    if values.get("rescaled") != "yes":
        return -100.0
    baseline = HIGHEST_BASELINE
    # Otherwise the signature is refused, or nothing is published here.
    with suppress(MetricUnavailableError, KeyError, ValueError, IndexError):
        baseline = published_baseline(values["model"].rpartition("@")[0])[int(values["layers"][:3])][2]
    return float(-100 * (1 + baseline) / (1 - baseline))


def _holds(entry: ScoreEntry, percentile: bool) -> bool:
    """Whether an interval is in order and holds its value, as all but intervals of percentiles do."""
    low, high = entry.interval or (0.0, 0.0)
    if entry.value is None or low > high:
        return False
    return percentile or low - ROUNDING <= entry.value <= high + ROUNDING


def _signed(card: Scorecard, name: str, signature: Signature | None) -> bool:
    """Whether a signature is one that this score has, with the values that follow from the scorecard."""
    if signature is None or signature.metric != name:
        return False
    told = answering(card.settings)
    due = {"protocol": card.protocol, "items": str(card.items), **told}
    names = ["protocol", "tokenizer", *_OWN.get(name, ()), "items", "version", *told]
    return list(signature.values) == names and all(
        re.fullmatch(_FORMS[key], value) and due.get(key, value) == value
        for key, value in signature.values.items()
    )
