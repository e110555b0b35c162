"""The page of a training: its loss, rate and scores by epoch."""

from collections.abc import Mapping, Sequence

from microg_bench.pages.shell import render

SCORES = ("mAP", "F1", "recall", "AUROC")


def training_page(
    title: str, curves: Sequence[Mapping[str, float | None]], facts: Mapping[str, str]
) -> bytes:
    """One file, as UTF-8: charts of the loss and of the scores, and a table of all epochs.

    Args:
        title: of the page.
        curves: of each epoch: the columns of `curves.csv`, scores in % where it was evaluated.
        facts: what was trained and how, by name.
    """
    rows = [{name: value for name, value in curve.items() if value is not None} for curve in curves]
    return render("training", ("charts",), {"curves": rows, "scores": SCORES}, title=title, facts=facts)
