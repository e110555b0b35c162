"""What a stage finds of a clip."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StageFinding:
    """Whether a clip passed, why not, and what was measured."""

    passed: bool
    reason: str = ""
    numbers: Mapping[str, int | float | str | list[int]] = field(default_factory=dict)
