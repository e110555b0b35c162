"""Parts of a task that deserve a score of their own: absent questions, question words, source videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microg_bench.dataset.wording import is_absent, question_word
from microg_bench.records import Record
from microg_bench.tasks import Item


def slice_rows(items: Sequence[Item]) -> dict[str, dict[str, list[int]]]:
    """The positions of the items of each slice, by kind of slice.

    Questions are sliced by whether the clip answers them ("present", "absent"), by their first word and by
    source video; captions by source video.
    """
    rows: dict[str, dict[str, list[int]]] = {}
    for row, item in enumerate(items):
        request = item.request
        labels = {"source": request.source}
        if request.question is not None:
            labels = {
                "answerable": "absent" if is_absent(item.reference) else "present",
                "question word": question_word(request.question),
                **labels,
            }
        for kind, label in labels.items():
            rows.setdefault(kind, {}).setdefault(label, []).append(row)
    return rows


class Abstention(Record):
    """How often the model answered "Not mentioned.".

    `rightly` is the share of absent questions on which it did, `wrongly` the share of present ones; from 0
    to 1, None where there is no such question.
    """

    absent: int
    present: int
    rightly: float | None
    wrongly: float | None


def abstention(items: Sequence[Item], answers: Mapping[str, str]) -> Abstention | None:
    """Abstention on the questions among `items`, None where there are none."""
    said: dict[bool, list[bool]] = {True: [], False: []}
    for item in items:
        if item.request.question is not None:
            said[is_absent(item.reference)].append(is_absent(answers[item.request.id]))
    if not said[True] and not said[False]:
        return None
    return Abstention(
        absent=len(said[True]),
        present=len(said[False]),
        rightly=_share(said[True]),
        wrongly=_share(said[False]),
    )


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None
