"""The table of a sweep: how the scores of one model move with its prompt and its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microg_bench.leaderboard.escape import markdown
from microg_bench.runs.scorecard import Scorecard
from microg_bench.tasks import TASKS


def sweep_table(cards: Mapping[str, Sequence[Scorecard]]) -> str:
    """Markdown: one table a task, one row a point, values ×100 with their 95% interval.

    Args:
        cards: the scorecards of each point, by its name; all points have the same tasks.
    """
    lines = []
    for number, first in enumerate(next(iter(cards.values()))):
        columns = list(first.scores)
        lines.append(f"{TASKS[first.task].title}, {first.items:,} items, protocol `{first.protocol}`\n")
        lines.append(f"| point | #f | {' | '.join(columns)} |")
        lines.append(f"|---|---:|{'---:|' * len(columns)}")
        for name, own in cards.items():
            card = own[number]
            frames = card.model.frame_count if card.model else None
            cells = [_cell(card, column) for column in columns]
            lines.append(f"| {markdown(name)} | {frames} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(card: Scorecard, column: str) -> str:
    entry = card.scores[column]
    if entry.value is None:
        return "n/a"
    bounds = f" ({entry.interval[0]:.2f}–{entry.interval[1]:.2f})" if entry.interval else ""
    return f"{entry.value:.2f}{bounds}"
