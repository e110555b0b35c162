"""Files of scorecards, of this version and of 0.1, and files that are none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from microg_bench import har
from microg_bench.errors import DataError
from microg_bench.har import reports
from microg_bench.storage import write_json

ROOT = Path(__file__).resolve().parents[2]
OLD = sorted(Path(__file__).with_name("data").glob("*.json"))
SHIPPED = ROOT / "results" / "actions" / "X3D_L.test.json"


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.name)
def test_a_report_of_version_0_1_becomes_the_scorecard_that_is_shipped(path: Path) -> None:
    (migrated,) = har.read_scorecards(path)
    (shipped,) = har.read_scorecards(ROOT / "results" / "actions" / path.name)
    assert len(migrated.fingerprint) == 12 and shipped.fingerprint.startswith(migrated.fingerprint)
    assert migrated.model_copy(update={"fingerprint": shipped.fingerprint}) == shipped


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.name)
def test_nothing_of_a_report_of_version_0_1_is_lost(path: Path) -> None:
    old = json.loads(path.read_text())
    (card,) = har.read_scorecards(path)
    new = card.to_json()
    for name, entry in old["scores"].items():
        assert new["scores"][name]["value"] == entry["value"]
        assert new["scores"][name]["interval"] == entry["interval"]
        signature = card.scores[name].signature
        assert signature is not None and signature.long() == entry["signature"]
    assert new["interval"] == {"method": "percentile", **old["interval"]}
    assert new["warnings"] == old["warnings"]
    for field in ("detections", "groundtruth", "counts", "actions"):
        assert new["har"][field] == old[field]
    assert new["har"]["map_over_ties"] == old["mAP_over_ties"]


def test_all_shipped_scorecards_have_a_test_of_their_migration() -> None:
    assert [path.name for path in OLD] == [path.name for path in sorted(SHIPPED.parent.glob("*.json"))]


def test_a_file_with_several_scorecards_gives_all_of_them(tmp_path: Path) -> None:
    (card,) = har.read_scorecards(SHIPPED)
    write_json(tmp_path / "two.json", [card.to_json(), card.to_json()])
    assert har.read_scorecards(tmp_path / "two.json") == [card, card]
    old = json.loads(OLD[0].read_text())
    schema = old.pop("schema")
    write_json(tmp_path / "two.json", {"schema": schema, "reports": [old, old]})
    assert har.read_scorecards(tmp_path / "two.json") == har.read_scorecards(OLD[0]) * 2


@pytest.mark.parametrize("source", [SHIPPED, OLD[-1]], ids=["this version", "version 0.1"])
@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        (r'"schema": "[^"]*"', '"schema": "microg-bench/actions/2"', "(schema microg-bench/scorecard/2)"),
        (r'"value": [\d.]+', '"value": -1e999', "damaged: mAP is -inf, not a number from 0 to 100"),
        (r'"value": [\d.]+', '"value": NaN', "damaged: mAP is nan, not a number from 0 to 100"),
        (r'"value": [\d.]+', '"value": 100.5', "damaged: mAP is 100.5, not a number from 0 to 100"),
        (r'"value": [\d.]+', '"value": "high"', "damaged: scores.mAP.value: "),
        (r'"value": [\d.]+', f'"value": 1{"0" * 400}', "damaged: "),
        (r'"AP": [\d.]+', '"AP": 1e999', "damaged: AP of action 1 is inf"),
        (r'"(map|mAP)_over_ties": \[', r'"\1_over_ties": [1, ', "_over_ties: "),
        (r'"detections": ', '"detection": ', "detections: Field required"),
        (r'"name": "stand"', '"title": "stand"', "name: Field required"),
        (r'"schema"', "schema", "not JSON"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, source: Path, pattern: str, new: str, message: str) -> None:
    file = tmp_path / "card.json"
    text, count = re.subn(pattern, new, source.read_text(), count=1)
    assert count == 1
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        har.read_scorecards(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("signature", ["mAP|iou", 7])
def test_a_signature_that_cannot_be_parsed_is_named(tmp_path: Path, signature: object) -> None:
    old = json.loads(OLD[0].read_text())
    old["scores"]["mAP"]["signature"] = signature
    write_json(tmp_path / "old.json", old)
    with pytest.raises(DataError, match="old.json: damaged: scores.mAP.signature: not a signature"):
        har.read_scorecards(tmp_path / "old.json")


def changed(**fields: Any) -> dict[str, Any]:
    return {**json.loads(SHIPPED.read_text()), **fields}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds no scorecards"),
        ("text", "not a scorecard of `microg-bench har score`"),
        (None, "not a scorecard of `microg-bench har score`"),
        (changed(task="vqa"), "not a scorecard of `microg-bench har score`"),
        (changed(har=None), "damaged: har: Field required"),
        ([changed(), changed(items="all")], "scorecard 2: damaged: items: "),
        ({"schema": reports.SCHEMA_1, "reports": [1]}, "damaged: "),
        ({"schema": reports.SCHEMA_1, "reports": []}, "holds no scorecards"),
        ({"schema": reports.SCHEMA_1}, "damaged: detections: Field required"),
    ],
)
def test_json_that_is_no_scorecard_of_actions_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    write_json(tmp_path / "card.json", content)
    with pytest.raises(DataError) as caught:
        har.read_scorecards(tmp_path / "card.json")
    assert str(caught.value).startswith(f"{tmp_path / 'card.json'}: {message}")


def test_a_file_that_is_too_large_or_missing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_BYTES", 1024)
    with pytest.raises(DataError, match=r"X3D_L\.test\.json: larger than"):
        har.read_scorecards(SHIPPED)
    with pytest.raises(DataError, match=r"nowhere\.json: no such file"):
        har.read_scorecards(tmp_path / "nowhere.json")
