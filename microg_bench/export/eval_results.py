"""Scorecards as evaluation results in the repository of a model on the hub: `.eval_results/*.yaml`."""

from __future__ import annotations

from collections.abc import Sequence

from microg_bench.dataset.fetch import REPOSITORY
from microg_bench.errors import RunError
from microg_bench.scorecard import Scorecard
from microg_bench.tables.published import read_facts

FOLDER = ".eval_results"


def eval_results_file(card: Scorecard) -> str:
    """The path of the file for a task in the repository of the model."""
    return f"{FOLDER}/microg-4m-{card.task}.yaml"


def to_eval_results(card: Scorecard) -> str:
    """The scores ×100 of a scorecard as YAML, an entry a metric, as `huggingface_hub` writes and reads them.

    An entry is of the task `TASK-METRIC`, such as `vqa-rouge-l`. Its notes are the signature and, where there
    are any, what a reader of the score must know.

    Raises:
        RunError: the references are not the published ones, which alone are a dataset of the hub; or there is
            no score.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml  # a network client
    from yaml import safe_dump  # type: ignore[import-untyped]

    if card.fingerprint not in read_facts().datasets:
        raise RunError(f"was made on {card.dataset}, which is no dataset of the hub", item=card.task)
    entries = [
        EvalResultEntry(
            dataset_id=REPOSITORY,
            task_id=f"{card.task}-{name.lower()}",
            value=entry.value,
            notes="; ".join([entry.signature.long() if entry.signature else name, *_remarks(card, name)]),
        )
        for name, entry in card.scores.items()
        if entry.value is not None
    ]
    if not entries:
        raise RunError("has no score", item=card.task)
    text: str = safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
    return text


def _remarks(card: Scorecard, metric: str) -> Sequence[str]:
    unverified = ["unverified"] if card.scores[metric].unverified else []
    return [*unverified, *card.remarks()]
