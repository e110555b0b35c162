"""How well a model knows what it cannot answer: the facts of a scorecard on abstention and confidence."""

from __future__ import annotations

from pydantic import Field

from microg_bench.records import Record

RIGHT_BY = "ROUGE-L"
RIGHT_FROM = 50.0  # ROUGE-L of an answer with its reference, ×100, from which it counts as right
BINS = 10  # of equal numbers of answers, over which the calibration error is taken


class Share(Record):
    """A share from 0 to 1 with its 95% interval, None where there are too few source videos."""

    value: float = Field(ge=0, le=1)
    interval: tuple[float, float] | None = None


class Confidence(Record):
    """Whether answers are the righter the more probable they were to the model.

    The confidence in an answer is its probability, the product of those of its tokens. An answer is right
    where its ROUGE-L with the reference is at least `right_from` (×100). `items` are the answers whose
    confidence is known. `risk_coverage` are points of the curve: the share of answers that is kept, the most
    confident first, and the share of wrong ones among them (El-Yaniv and Wiener 2010); `area` is the area
    below it, the mean risk over all coverages (Geifman and El-Yaniv 2017). `calibration_error` is the mean
    distance of confidence from the share of right answers over `bins` bins of equal numbers of answers
    (Naeini et al. 2015).
    """

    items: int
    right: Share
    right_from: float
    risk_coverage: tuple[tuple[float, float], ...]
    area: Share
    bins: int
    calibration_error: Share
