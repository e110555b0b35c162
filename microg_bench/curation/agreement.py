"""Agreement of annotators beyond chance: Krippendorff's alpha for nominal data.

K. Krippendorff, Content Analysis (2004), chapter 11: alpha is 1 less the observed disagreement divided by the
one that is expected where values are paired by chance.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha; None where all values are alike, or no unit has two.

    `units` are those with two values at least, `coders` the most values of a unit.
    """

    alpha: float | None
    units: int
    coders: int


def krippendorff_alpha(units: Sequence[Sequence[Hashable]]) -> Agreement:
    """The agreement on units, each with the values that annotators gave it, in any order."""
    paired = [values for values in units if len(values) > 1]
    coders = max(map(len, paired), default=0)
    totals: Counter[Hashable] = Counter(value for values in paired for value in values)
    count = sum(totals.values())
    expected = count**2 - sum(number**2 for number in totals.values())
    if not expected:
        return Agreement(None, len(paired), coders)
    observed = sum(
        (len(values) ** 2 - sum(number**2 for number in Counter(values).values())) / (len(values) - 1)
        for values in paired
    )
    return Agreement(1 - (count - 1) * observed / expected, len(paired), coders)
