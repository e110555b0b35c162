"""Tables as CSV and JSON, for programs."""

import csv
import json

import pytest

from microg_bench.scorecard import Counts, ScoreEntry, ServedModel
from microg_bench.tables.csv_json import to_csv, to_json
from microg_bench.tables.paper import paper_tables
from tests.helpers.cards import with_settings
from tests.helpers.tables import ours, qwen, reported, table


def test_json_holds_what_the_table_shows_in_full() -> None:
    content = to_json(table(4, qwen(value=12.3456)))
    (row,) = [row for row in content["rows"] if row["origin"] == "ours" and row["access"] == "open"]
    assert row["values"]["CIDEr"] == 12.3456
    assert row["intervals"]["CIDEr"] == pytest.approx([9.3456, 16.3456])
    assert row["comparable"] == ["CIDEr", "BLEU-4", "ROUGE-L", "METEOR"]  # its signatures name no encoders
    (change,) = [row for row in content["rows"] if row["origin"] == "difference"]
    assert change["values"]["CIDEr"] == pytest.approx(12.3456 - 2.99)


def test_json_is_read_back_as_it_was_written() -> None:
    cards = [qwen(), ours("Other", 30.0), ours("Third", protocol="coco")]
    for one in paper_tables(cards, reported()):
        content = to_json(one)
        assert json.loads(json.dumps(content, allow_nan=False)) == content
        assert len(content["rows"]) == len(one.lines)


def test_json_names_the_best() -> None:
    rows = {row["labels"]["model"]: row for row in to_json(table(4))["rows"]}
    assert rows["GPT-4o"]["best"] == ["CIDEr", "ROUGE-L", "METEOR", "S-VQA", "BERTScore"]
    assert rows["Video-LLaVA"]["second"] == ["CIDEr", "ROUGE-L"]


def test_csv_has_a_line_a_row_and_an_empty_cell_where_there_is_no_score() -> None:
    scores = {"CIDEr": ScoreEntry(value=1.0), "METEOR": ScoreEntry(unavailable="no Java found")}
    one = table(4, ours("Mine", scores=scores, protocol="coco"))
    rows = list(csv.DictReader(to_csv(one).splitlines()))
    assert len(rows) == len(one.lines)
    (mine,) = [row for row in rows if row["model"] == "Mine"]
    assert (mine["origin"], mine["access"], mine["CIDEr"]) == ("ours", "open", "1.00")
    assert (mine["METEOR"], mine["S-VQA"]) == ("", "")
    assert mine["notes"] == "protocol coco, where the published numbers have paper; METEOR: no Java found"


def test_a_row_of_ours_knows_what_became_of_its_requests() -> None:
    counts = Counts(answered=86, failed=12, missing=1, truncated=80, flagged=80)
    served = (ServedModel(name="gpt-4o-2024-08-06", answers=86),)
    card = with_settings(ours("Mine", counts=counts, served=served), thinking="low")
    one = table(4, card)
    rows = list(csv.DictReader(to_csv(one).splitlines()))
    (mine,) = [row for row in rows if row["model"] == "Mine"]
    assert {name: int(mine[name]) for name in Counts.model_fields} == counts.model_dump()
    assert mine["thinking"] == "low"
    assert {row["answered"] for row in rows if row["origin"] == "published"} == {""}
    (found,) = [row for row in to_json(one)["rows"] if row["labels"]["model"] == "Mine"]
    assert (found["counts"], found["thinking"]) == (counts.model_dump(), "low")
    assert found["served"] == [served[0].model_dump()]
    assert "80 of 86 answers hit the token limit; raise --max-tokens" in found["notes"]
