"""Questions of captions, made by a model by rules through the real client of a server on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest

from microg_bench.annotation.question_stages import Made, QuestionFacts, QuestionMaker
from microg_bench.annotation.rubrics import StageRubrics
from microg_bench.api import in_loop
from microg_bench.dataset.annotations import read_annotations
from microg_bench.dataset.load import load
from microg_bench.errors import DataError, MicrogError, RunError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.storage import read_strict_json
from tests.helpers.batch_vendors import OpenAIVendor
from tests.helpers.datasets import write_annotations
from tests.helpers.fault_server import FaultServer, OpenAIWire
from tests.helpers.scripted_annotator import ScriptedAnnotator, caption

pytestmark = pytest.mark.slow

WORDS = ("apple", "brush", "camera", "drill", "eagle", "flag", "glove", "hammer")
STAGES = ["candidates", "unanswerable", "ratings", "answers", "comparisons"]
FILES = ("candidates.jsonl", "questions.json", "vqa_and_captioning.json")


@pytest.fixture
def model(server: FaultServer) -> ScriptedAnnotator:
    made = ScriptedAnnotator()
    server.says = made.says
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    records: list[dict[str, Any]] = [
        {"video_id": f"a_{n:03}", "caption": caption([f"{word}{n}" for word in WORDS]), "qa_pairs": []}
        for n in range(5)
    ]
    records.append({"video_id": "b_001", "caption": "nan", "qa_pairs": []})
    return write_annotations(tmp_path / "set.json", records)


def maker(server: FaultServer, data: Path, folder: Path, **options: Any) -> QuestionMaker:
    given = Options.of({"model": "server:m", "url": server.url, **options})
    return QuestionMaker(load(data), given, folder, StageRubrics.read())


def make(server: FaultServer, data: Path, folder: Path, **options: Any) -> Made:
    return in_loop(maker(server, data, folder, **options).make(Progress()))


def facts(made: Made) -> QuestionFacts:
    assert made.facts is not None
    return made.facts


def candidates(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "candidates.jsonl").read_text().splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


def test_six_pairs_a_clip_are_made_in_the_published_layout(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = facts(make(server, data, out))
    assert (found.clips, found.without_caption, found.pairs, found.unanswerable) == (5, 1, 30, 3)
    assert (found.reviewed, found.short, found.failed, found.failures) == (False, {}, {}, 0)
    records = read_annotations(out / "vqa_and_captioning.json")
    assert [len(one.questions) for one in records] == [6] * 5
    answers = [pair.answer for one in records for pair in one.questions]
    assert answers.count("Not mentioned.") == 3
    assert records[0].questions[0].text == "What does Person2 hold?", "the first broad one"
    kept = candidates(out)
    assert len(kept) == found.candidates == 5 * 8 + 3 * 3
    places = [one["place"] for one in kept.values() if one["video_id"] == "a_000" and one["place"]]
    assert sorted(places) == [1, 2, 3, 4, 5, 6]
    assert all(one["reason"] for one in kept.values() if one["outcome"] != "chosen")
    assert sorted(path.name for path in (out / "asked").iterdir()) == sorted(STAGES[:4])


def test_the_same_call_asks_nothing_again_and_writes_the_same_bytes(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    make(server, data, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in FILES}
    asked = len(server.bodies)
    make(server, data, tmp_path / "out")
    assert len(server.bodies) == asked
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == before


def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    make(server, data, tmp_path / "whole")
    total = len(server.bodies)
    server.script = lambda question, attempt: "401" if len(server.bodies) > total + 20 else ""
    with pytest.raises(MicrogError):
        make(server, data, tmp_path / "out", max_concurrency=2)
    assert not (tmp_path / "out" / "questions.json").exists()
    server.script = lambda question, attempt: ""
    make(server, data, tmp_path / "out")
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_does_not_hold_is_rejected_with_its_reason(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    four = dict.fromkeys(("logical_consistency", "fluency", "relevance", "information_value"), 4)
    low = json.dumps({"reason": "It is dull.", **four, "relevance": 1})
    model.changed = {
        ("ratings", 'Answer: "apple0."'): low,
        ("answers", "holds apple1."): '{"answer": "a fruit"}',
        ("answers", "holds camera2."): '{"answer": "a lens"}',
        ("comparisons", '"a fruit"'): json.dumps({"reason": "Less precise.", "rating": "partly"}),
        ("comparisons", '"a lens"'): json.dumps({"reason": "The same.", "rating": "right"}),
    }
    make(server, data, tmp_path / "out")
    kept = candidates(tmp_path / "out")
    assert kept["a_000#c1"]["reason"] == "relevance is below 3"
    assert kept["a_000#c1"]["ratings"]["reason"] == "It is dull."
    assert kept["a_000#c1"]["second_answer"] is None
    assert kept["a_001#c1"]["reason"] == "the second answer differs: Less precise."
    assert kept["a_001#c1"]["comparison"] == {"by": "model", "same": False, "reason": "Less precise."}
    assert kept["a_002#c3"]["comparison"]["same"] and kept["a_002#c3"]["outcome"] != "rejected"
    assert kept["a_003#c1"]["comparison"] == {"by": "words", "same": True, "reason": ""}


def test_an_unanswerable_question_that_the_caption_answers_is_rejected(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    model.changed = {("answers", 'Question: "Why does'): '{"answer": "To eat it."}'}
    found = facts(make(server, data, tmp_path / "out"))
    kept = [one for one in candidates(tmp_path / "out").values() if one["question"].startswith("Why")]
    assert kept and {one["reason"] for one in kept} == {"the second answer differs: the caption answers it"}
    assert found.unanswerable == 3


def test_failures_are_counted_and_asked_again(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    model.changed = {("candidates", "apple0."): "no JSON"}
    found = facts(make(server, data, tmp_path / "out"))
    assert list(found.failed) == ["a_000"] and "it is no JSON" in found.failed["a_000"]
    assert found.short == {"a_000": 1}
    model.changed = {}
    whole = facts(make(server, data, tmp_path / "out"))
    assert (whole.failed, whole.failures, whole.pairs) == ({}, 0, 30)


def test_the_limit_of_cost_holds_over_all_stages(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(
        '[server."m"]\ninput = 1.0\ncached = 1.0\noutput = 1.0\nbatch = 1.0\nimage = 0\nsecond = 0\n'
        'date = "2026-01-01"\n'
    )
    more = {"prices": str(prices), "max_concurrency": 1}
    made = make(server, data, tmp_path / "out", max_cost=0.006, **more)
    assert made.facts is None
    spent = sum(one.dollars or 0.0 for one in made.replies.values())
    assert 0 < spent <= 0.006
    assert not (tmp_path / "out" / "questions.json").exists()
    assert facts(make(server, data, tmp_path / "out", max_cost=1.0, **more)).pairs == 30


def test_batches_are_collected_stage_by_stage(data: Path, server: FaultServer, tmp_path: Path) -> None:
    vendor, model = OpenAIVendor(server), ScriptedAnnotator()
    texts: dict[str, str] = {}
    vendor.says = lambda key: model.says(texts[key])
    rounds = 0
    while (made := make(server, data, tmp_path / "out", model="openai:m", batch=True)).facts is None:
        rounds += 1
        open_ = [name for name, batch in vendor.batches.items() if batch["status"] != "completed"]
        for name in open_:
            texts |= {one["custom_id"]: OpenAIWire.question(one["body"]) for one in vendor.requests(name)}
            vendor.end(name, lambda key: "")
            texts.clear()
    assert rounds == 3, "candidates and unanswerable ones in one round, then ratings, then answers"
    assert facts(made).pairs == 30 and server.asked.total() == 0


def test_what_would_be_asked_is_told_before(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    expected = dict(maker(server, data, tmp_path / "out").expected())
    assert list(expected) == STAGES
    most = {stage: len(one.texts) for stage, one in expected.items()}
    assert not server.bodies and not (tmp_path / "out").exists()
    make(server, data, tmp_path / "out")
    assert model.asked["candidates"] == most["candidates"] == 5
    assert model.asked["unanswerable"] == most["unanswerable"] == 3


def test_annotations_from_elsewhere_are_not_replaced(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    own = write_annotations(
        tmp_path / "mine" / "vqa_and_captioning.json", [{"video_id": "a", "caption": "b"}]
    )
    before = own.read_bytes()
    with pytest.raises(RunError, match="was not made here"):
        make(server, data, own.parent)
    assert own.read_bytes() == before and not server.bodies


def test_other_captions_are_refused_before_anything_is_asked(
    server: FaultServer, model: ScriptedAnnotator, data: Path, tmp_path: Path
) -> None:
    make(server, data, tmp_path / "out")
    asked = len(server.bodies)
    other = write_annotations(tmp_path / "other.json", [{"video_id": "a_000", "caption": caption(WORDS)}])
    with pytest.raises(RunError, match="other settings"):
        make(server, other, tmp_path / "out")
    assert len(server.bodies) == asked
    assert read_strict_json(tmp_path / "out" / "questions.json")["clips"] == 5


def test_a_dataset_without_captions_is_refused(server: FaultServer, tmp_path: Path) -> None:
    bare = write_annotations(tmp_path / "bare.json", [{"video_id": "a_000", "caption": "nan"}])
    with pytest.raises(DataError, match="no clip has a caption"):
        maker(server, bare, tmp_path / "out")
