"""Captions checked and questions made, with a model by rules behind a server on loopback."""

import json
import math
from pathlib import Path

import pytest

import microg_bench as mb
from microg_bench.annotation.questions import PER_CLIP
from microg_bench.dataset.annotations import read_annotations
from tests.helpers.datasets import record, write_annotations
from tests.helpers.fault_server import FaultServer
from tests.helpers.runs import Notes
from tests.helpers.scripted_annotator import ScriptedAnnotator, caption

pytestmark = pytest.mark.slow

WORDS = ("apple", "brush", "camera", "drill", "eagle", "flag", "glove", "hammer")
NO_FINDING = json.dumps({"findings": []})
FINDING = json.dumps({"findings": [{"pair": 1, "kind": "not supported", "reason": "by rules"}]})


def test_rules_need_no_model(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "set.json", [{**record("a_001"), "caption": "nan"}])
    found = mb.annotate_check(data)
    assert "blank-caption" in {one.kind for one in found.findings}
    assert (found.dataset.name, dict(found.unread), found.replies) == ("set", {}, None)


def test_a_loaded_dataset_is_checked_as_its_file(tmp_path: Path) -> None:
    data = write_annotations(tmp_path / "set.json", [{**record("a_001"), "caption": "nan"}])
    assert mb.annotate_check(mb.load_dataset(data)).findings == mb.annotate_check(data).findings
    assert repr(mb.annotate_check(data)).startswith("CheckedTexts('set': ")


@pytest.mark.parametrize(
    "wrong",
    [{"per_clip": 0}, {"per_clip": 21}, {"per_clip": 2.5}, {"unanswerable": 1.5}, {"unanswerable": math.nan}],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(mb.MicrogError, match="give a "):
        mb.annotate_questions("sample", "server:m", tmp_path / "out", url="http://127.0.0.1:1", **wrong)
    assert not (tmp_path / "out").exists()


def test_all_stages_together_are_confirmed_where_they_cost_much(server: FaultServer, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[server.m]\ninput = 10\noutput = 10\ndate = "2026-01-01"\n')
    given = {"url": server.url, "prices": str(prices), "progress": None}
    with pytest.raises(mb.MicrogError, match="all of this may cost"):
        mb.annotate_questions("sample", "server:m", tmp_path / "out", **given)
    assert not server.bodies


def test_what_a_model_finds_follows_what_rules_find(server: FaultServer, tmp_path: Path) -> None:
    texts = [{**record("a_001"), "caption": "A man floats."}, {**record("a_002"), "caption": "A man eats."}]
    data = write_annotations(tmp_path / "set.json", texts)
    rules = mb.annotate_check(data).findings
    server.says = lambda prompt: FINDING if "A man eats." in prompt else NO_FINDING
    given = {"url": server.url, "run": tmp_path / "run", "progress": None}
    found = mb.annotate_check(data, "server:m", **given)
    (own,) = found.findings[len(rules) :]
    assert found.findings[: len(rules)] == rules
    assert (own.item, own.kind, own.reason) == ("a_002#1", "not-supported", "by rules")
    assert found.replies is not None and found.replies.is_whole and found.replies.folder == tmp_path / "run"
    asked = len(server.bodies)
    assert mb.annotate_check(data, "server:m", **given).findings == found.findings
    assert len(server.bodies) == asked == 2, "what is answered is not asked again"


def test_all_stages_of_questions_share_an_engine(server: FaultServer, tmp_path: Path) -> None:
    texts = [
        {"video_id": f"a_{n:03}", "caption": caption([f"{word}{n}" for word in WORDS]), "qa_pairs": []}
        for n in range(2)
    ]
    data, notes = write_annotations(tmp_path / "set.json", texts), Notes()
    server.says = ScriptedAnnotator().says
    given = {"url": server.url, "progress": notes}
    made = mb.annotate_questions(data, "server:m", tmp_path / "out", **given)
    assert made.facts is not None and made.facts.pairs == 2 * PER_CLIP
    assert sum(one.outcomes.asked for one in made.replies.values()) > 2
    assert sum("starting engine" in line for line in notes.notes) == 1
    records = read_annotations(tmp_path / "out/vqa_and_captioning.json")
    assert [len(one.questions) for one in records] == [PER_CLIP] * 2
    one = mb.annotate_questions(data, "server:m", tmp_path / "one", limit=1, per_clip=2, **given)
    assert one.facts is not None and (one.facts.clips, one.facts.pairs) == (1, 2)
