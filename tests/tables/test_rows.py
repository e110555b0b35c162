"""Our rows: which published row one reproduces, to which group it belongs, and what sets it apart."""

import pytest

from microg_bench.adapters.registry import registered
from microg_bench.scorecard import BaselineEntry, Counts, ModelEntry, Scorecard, ScoreEntry
from microg_bench.tables.published import read_facts, read_published
from microg_bench.tables.rows import OwnRow, access_of, text_rows
from tests.helpers.cards import signature, with_settings
from tests.helpers.tables import ours

FACTS = read_facts()
VQA = read_published(FACTS.tables[3])


def rows(*cards: Scorecard) -> list[OwnRow]:
    return text_rows(VQA, FACTS, cards)


def reproduced(card: Scorecard) -> str | None:
    place = rows(card)[0].published
    return None if place is None else VQA.rows[place].labels[0]


@pytest.mark.parametrize(
    ("title", "checkpoint", "name"),
    [
        ("Whatever", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL"),
        ("Qwen2.5-VL", "Qwen/Qwen2.5-VL-72B-Instruct", None),  # the name alone, of other weights
        ("Qwen2.5-VL", None, "Qwen2.5-VL"),
        ("openai:gpt-4o", None, "GPT-4o"),
        ("GPT-4o mini", "gpt-4o-mini", None),
    ],
)
def test_a_row_belongs_to_the_published_one_of_its_checkpoint_or_name(
    title: str, checkpoint: str | None, name: str | None
) -> None:
    assert reproduced(with_settings(ours(title), checkpoint=checkpoint)) == name


def test_weights_of_a_local_folder_reproduce_no_published_row() -> None:
    checkpoint = "Qwen/Qwen2.5-VL-7B-Instruct"  # a folder that is called so
    card = with_settings(ours("Qwen2.5-VL"), checkpoint=checkpoint, checkpoint_sha256="a" * 64)
    assert reproduced(card) is None


def test_the_published_checkpoints_are_those_of_the_adapters() -> None:
    known = {one.adapter.checkpoint for one in registered() if one.adapter}
    assert set(FACTS.checkpoints.values()) <= known
    names = {row.labels[0] for one in FACTS.tables[2:] for row in read_published(one).rows}
    assert set(FACTS.checkpoints) == names


@pytest.mark.parametrize(
    ("engine", "access"),
    [
        ("vllm", "open"),
        ("server", "open"),
        ("openai", "closed"),
        ("gemini", "closed"),
        ("anthropic", "closed"),
    ],
)
def test_the_engine_tells_open_from_closed(engine: str, access: str) -> None:
    assert rows(with_settings(ours("New"), engine=engine))[0].access == access


@pytest.mark.parametrize(("title", "access"), [("GPT-4o", "closed"), ("Qwen2.5-VL", "open")])
def test_a_published_model_is_open_or_closed_as_published(title: str, access: str) -> None:
    card = with_settings(ours(title), engine="server", model="server:some", thinking="low")
    (row, *_) = rows(card)
    assert (row.access, row.thinking) == (access, "low")
    assert access_of(card, "") == "open", "in a table that does not tell"


def test_what_a_server_calls_by_some_name_is_neither() -> None:
    assert rows(with_settings(ours("New"), engine="server", model="server:new"))[0].access == ""


def test_baselines_of_a_run_that_is_not_complete_are_left_out() -> None:
    assert [row.access for row in rows(ours("Mine", status="incomplete"))] == ["open"]


def test_a_baseline_that_was_run_as_a_model_stands_once_as_a_baseline() -> None:
    model = ModelEntry(name="blind", title="Baseline: blind", frame_count=0)
    found = rows(ours(model=model), ours("Other"))
    assert [(row.labels, row.access) for row in found] == [
        (("Baseline: blind", "0"), "baseline"),
        (("Other", "8"), "open"),
    ]


def test_baselines_on_other_references_stand_apart() -> None:
    found = rows(ours("One"), ours("Two", fingerprint="e" * 64))
    baselines = [row for row in found if row.access == "baseline"]
    assert [len(row.marks) for row in baselines] == [0, 1]


def blind(scores: dict[str, float]) -> dict[str, BaselineEntry]:
    return {"blind": BaselineEntry(title="Baseline: blind", scores=scores)}


def test_a_baseline_has_the_scores_of_all_runs_on_its_items_each_with_its_own_fault() -> None:
    other = ScoreEntry(value=50.0, signature=signature("S-VQA", model="other"))
    cider = ScoreEntry(value=20.0, signature=signature("CIDEr"))
    cards = [
        ours("One", scores={"S-VQA": other}, baselines=blind({"S-VQA": 5.0})),
        ours("Two", scores={"CIDEr": cider}, baselines=blind({"CIDEr": 12.0})),
        ours(
            "Three", scores={"CIDEr": cider, "S-VQA": cider}, baselines=blind({"CIDEr": 12.5, "S-VQA": 6.0})
        ),
    ]
    for given in (cards[:2], cards, cards[1::-1]):
        row = rows(*given)[-1]
        assert (row.access, row.values) == ("baseline", {"CIDEr": 12.0, "S-VQA": 5.0})
        assert row.scores["S-VQA"].signature == other.signature
        assert row.faults.keys() == {"S-VQA"}
        assert [row.comparable(name) for name in ("CIDEr", "S-VQA", "BLEU-4")] == [True, False, False]


@pytest.mark.parametrize(
    ("values", "lacks"),
    [
        ({"model": "all-MiniLM-L6-v2"}, ""),
        ({"model": "all-MiniLM-L6-v2@c9745ed1"}, ""),
        ({"model": "other@all-MiniLM-L6-v2"}, "model:all-MiniLM-L6-v2"),
        ({}, "model:all-MiniLM-L6-v2"),
    ],
)
def test_a_score_by_other_weights_is_not_the_published_one(values: dict[str, str], lacks: str) -> None:
    one = ScoreEntry(value=50.0, signature=signature("S-VQA", **values))
    (row,) = rows(ours(scores={"S-VQA": one}, baselines={}))
    assert row.faults == ({"S-VQA": f"S-VQA is not the published one, which has {lacks}"} if lacks else {})
    assert row.comparable("S-VQA") == (not lacks)


def test_a_score_that_is_lacking_or_claimed_is_not_compared() -> None:
    claimed = {name: one.model_copy(update={"unverified": True}) for name, one in ours().scores.items()}
    (row,) = rows(ours(scores=claimed, baselines={}))
    assert set(row.faults.values()) == {f"claimed and not verified: {', '.join(claimed)}"}
    (row,) = rows(ours(scores={"S-VQA": ScoreEntry(unavailable="no extra")}, baselines={}))
    assert (row.faults, row.comparable("S-VQA")) == ({}, False)


def test_a_run_of_which_most_requests_failed_is_doubtful() -> None:
    doubtful = ours(counts=Counts(answered=10, failed=80), status="incomplete: 80 requests failed")
    found = rows(ours(counts=Counts(answered=90)), doubtful)
    assert [(row.access, row.doubtful) for row in found] == [
        ("open", False), ("open", True), ("baseline", False),
    ]  # fmt: skip
    assert found[1].counts == doubtful.counts


def test_rows_of_another_task_are_left_out() -> None:
    assert rows(ours("Mine", task="caption")) == []


def test_a_run_of_some_clips_is_marked() -> None:
    assert rows(with_settings(ours(), clips=("a", "b")))[0].marks == ("2 clips only",)
    assert rows(with_settings(ours(), requests=("a#1",)))[0].marks == ("1 request only",)


def test_all_that_sets_a_row_apart_is_told() -> None:
    (row,) = rows(ours(protocol="coco", fingerprint="e" * 64, status="incomplete: 1 request failed"))
    assert row.marks == (
        "protocol coco, where the published numbers have paper",
        "dataset refs with 90 items (fingerprint eeeeeeeeeeee), not the references of the paper",
        "incomplete: 1 request failed",
    )
    assert not row.comparable("CIDEr")
