"""Evaluation results are read back by the hub's library as they were meant."""

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from microg_bench.errors import RunError
from microg_bench.export.eval_results import eval_results_file, to_eval_results
from microg_bench.tables.published import read_facts
from tests.export.test_model_card import make_card

PUBLISHED = next(iter(read_facts().datasets))


def test_an_entry_holds_dataset_task_score_and_signature() -> None:
    card = make_card(fingerprint=PUBLISHED)
    (entry,) = parse_eval_result_entries(yaml.safe_load(to_eval_results(card)))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("LEI-QI-233/MicroG-4M", "caption-cider", 12.25)
    signature = card.scores["CIDEr"].signature
    assert signature and entry.notes and entry.notes.startswith(signature.long())
    assert all(line in entry.notes for line in card.remarks())


def test_an_unverified_score_says_so() -> None:
    card = make_card(fingerprint=PUBLISHED)
    claimed = card.scores["CIDEr"].model_copy(update={"unverified": True})
    card = card.model_copy(update={"scores": {"CIDEr": claimed}})
    assert "unverified" in yaml.safe_load(to_eval_results(card))[0]["notes"]


def test_other_references_are_refused() -> None:
    with pytest.raises(RunError, match="no dataset of the hub"):
        to_eval_results(make_card())


def test_a_run_without_scores_is_refused() -> None:
    with pytest.raises(RunError, match="no score"):
        to_eval_results(make_card(fingerprint=PUBLISHED, value=None))


def test_each_task_has_a_file_of_its_own() -> None:
    assert eval_results_file(make_card("vqa")) == ".eval_results/microg-4m-vqa.yaml"
