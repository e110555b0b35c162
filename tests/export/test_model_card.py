from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from microg_bench.errors import DataError, RunError, UsageError
from microg_bench.export.model_card import check_one_model, eval_results, model_card, model_name
from microg_bench.scorecard import Counts, ModelEntry, Scorecard, ScoreEntry, Signature
from microg_bench.settings import PromptId
from microg_bench.tables.published import read_facts
from microg_bench.video.sampling import FrameSpec
from tests.helpers.cards import with_settings
from tests.helpers.runs import make_settings

SIGNATURE = Signature(
    metric="CIDEr", values={"protocol": "paper", "tokenizer": "none", "items": "3", "version": "0.1.0"}
)
OTHER = """---\r
license: apache-2.0\r
tags:\r
- video\r
model-index:\r
- name: Theirs\r
  results:\r
  - task:\r
      type: text-generation\r
    dataset:\r
      name: Another\r
      type: another\r
    metrics:\r
    - type: accuracy\r
      value: 0.5\r
---\r
# Mine\r
\r
Text with --- in it.\r
"""


def make_card(task: str = "caption", value: float | None = 12.25, **changed: Any) -> Scorecard:
    settings = make_settings(task=task, checkpoint=changed.pop("checkpoint", "Org/Name-7B"))
    values: dict[str, Any] = {
        "status": "complete",
        "task": task,
        "protocol": "paper",
        "items": 3,
        "counts": Counts(answered=3, truncated=1),
        "dataset": "refs",
        "fingerprint": "f" * 64,
        "model": ModelEntry(name="m", title="My model", frames=FrameSpec(count=8)),
        "scores": {
            "CIDEr": ScoreEntry(value=value, interval=(1e-05, 20.5), signature=SIGNATURE),
            "METEOR": ScoreEntry(unavailable="Java is missing"),
        },
        "settings": settings,
    }
    return Scorecard.model_validate({**values, **changed})


def test_the_card_is_read_back_by_the_hubs_library_as_it_was_meant() -> None:
    cards = [make_card("caption"), make_card("vqa", 99.5)]
    data = ModelCard(model_card(cards)).data
    expected = [result for card in cards for result in eval_results(card)]
    assert data.eval_results == expected
    assert data.model_name == "Org/Name-7B"
    index = data.to_dict()["model-index"]
    assert model_index_to_eval_results(index) == ("Org/Name-7B", expected)
    assert eval_results_to_model_index("Org/Name-7B", expected) == index


def test_a_result_holds_task_dataset_score_signature_and_interval() -> None:
    captions, answers = (eval_results(make_card(task)) for task in ("caption", "vqa"))
    (result,) = captions
    assert (result.task_type, answers[0].task_type) == ("video-text-to-text", "visual-question-answering")
    assert (result.dataset_type, result.dataset_name) == ("refs", "refs")
    assert result.dataset_args == {
        "fingerprint": "f" * 64,
        "items": 3,
        "counts": Counts(answered=3, truncated=1).model_dump(),
        "frames": "uniform:8",
        "prompt": "p@1:0a1b2c3d",
    }
    assert (result.metric_type, result.metric_name, result.metric_value) == ("cider", "CIDEr", 12.25)
    assert result.metric_args == {
        "signature": "CIDEr|protocol:paper|tokenizer:none|items:3|version:0.1.0",
        "interval_95": [1e-05, 20.5],
    }


def test_the_published_references_are_known_by_their_fingerprint() -> None:
    (result,) = eval_results(make_card(fingerprint=next(iter(read_facts().datasets))))
    assert (result.dataset_type, result.dataset_name) == ("LEI-QI-233/MicroG-4M", "MicroG-4M")


@pytest.mark.parametrize("checkpoint", [None, "gpt-4o", "/home/me/Org/Name", "./weights", "tests/export"])
def test_a_model_without_an_id_on_the_hub_goes_by_its_title(checkpoint: str | None) -> None:
    assert model_name(make_card(checkpoint=checkpoint)) == "My model"


def test_a_card_that_exists_keeps_its_text_and_all_other_metadata() -> None:
    merged = model_card([make_card()], OTHER)
    assert merged.endswith(" -->\r\n\r\n# Mine\r\n\r\nText with --- in it.\r\n")
    assert "\n" not in merged.replace("\r\n", "")
    data = ModelCard(merged).data
    assert (data.license, data.tags, data.model_name) == ("apache-2.0", ["video"], "Theirs")
    assert [result.metric_type for result in data.eval_results] == ["accuracy", "cider"]


def test_results_of_the_same_task_and_references_are_replaced_not_doubled() -> None:
    once = model_card([make_card("caption", 1.0), make_card("vqa", 2.0)], OTHER)
    twice = model_card([make_card("caption", 3.0)], once)
    values = [result.metric_value for result in ModelCard(twice).data.eval_results]
    assert values == [0.5, 2.0, 3.0]
    other = model_card([make_card("caption", 4.0, fingerprint="0" * 64)], twice)
    assert [result.metric_value for result in ModelCard(other).data.eval_results] == [0.5, 2.0, 3.0, 4.0]


def test_what_a_reader_must_know_stands_above_the_text() -> None:
    cut = Counts(answered=3, truncated=2, flagged=2)
    text = model_card([make_card(counts=cut), make_card("vqa", scores={"CIDEr": ScoreEntry(value=1.0)})])
    told = text.split("---\n")[2]
    assert told.splitlines() == [
        "<!-- microg-bench caption ffffffffffff: begin -->",
        "> [!WARNING]",
        "> Captioning, scored by microg-bench:",
        ">",
        "> **Do not rely on these scores: 2 of 3 answers hit the token limit; raise --max-tokens**",
        ">",
        "> METEOR: Java is missing",
        "<!-- microg-bench caption ffffffffffff: end -->",
        "",
        "<!-- microg-bench vqa ffffffffffff: begin -->",
        "> [!WARNING]",
        "> Question answering, scored by microg-bench:",
        ">",
        "> 1 of 3 answers hit the token limit; raise --max-tokens",
        "<!-- microg-bench vqa ffffffffffff: end -->",
        "",
    ]


def test_what_was_told_is_replaced_and_the_other_task_keeps_its_own() -> None:
    both = model_card([make_card(), make_card("vqa")], OTHER)
    sound = {"counts": Counts(answered=3), "scores": {"CIDEr": ScoreEntry(value=1.0)}}
    after = model_card([make_card(**sound)], both)
    assert "Captioning, scored by" not in after
    assert after.count("Question answering, scored by") == 1
    assert model_card([make_card("vqa", **sound)], after).endswith(
        "---\r\n# Mine\r\n\r\nText with --- in it.\r\n"
    )


def test_the_level_of_thinking_is_told() -> None:
    (result,) = eval_results(with_settings(make_card(), thinking="low"))
    assert result.dataset_args["thinking"] == "low"


@pytest.mark.parametrize(
    "given",
    [
        "---\n[1\n---\n",
        "---\n- 1\n---\n",
        "---\nmodel-index:\n- name: x\n---\n",
        "---\n!!python/none 1\n---\n",
    ],
)
def test_a_card_that_cannot_be_read_is_refused(given: str) -> None:
    with pytest.raises(DataError, match="metadata cannot be read"):
        model_card([make_card()], given)


def test_what_no_single_model_card_can_hold_is_refused() -> None:
    check_one_model([make_card("caption"), make_card("vqa")])
    with pytest.raises(UsageError, match="same task"):
        check_one_model([make_card(), make_card()])
    with pytest.raises(UsageError, match=r"not of Org/Another, Org/Name-7B"):
        check_one_model([make_card(), make_card("vqa", checkpoint="Org/Another")])
    with pytest.raises(UsageError, match="names no model"):
        check_one_model([make_card(model=None)])
    with pytest.raises(RunError, match="2 requests failed"):
        check_one_model([make_card(status="incomplete: 2 requests failed")])
    with pytest.raises(RunError, match="has a score"):
        model_card([make_card(value=None)])


def test_no_path_of_this_machine_is_in_the_card() -> None:
    card = make_card(checkpoint="/home/somebody/weights")
    card = with_settings(card, prompt=PromptId(id="/home/somebody/p.toml", version=1, hash="0a1b2c3d"))
    assert "somebody" not in model_card([card])
    assert "p.toml@1" in model_card([card])
