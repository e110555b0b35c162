import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import bench, record, write_annotations

FAST = ("--metrics", "CIDEr,BLEU-4,ROUGE-L")
RECORDS = [record("a_001", 1), record("a_002", 2), record("b_001", 3)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_annotations(tmp_path / "refs.json", RECORDS)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_run_is_scored_again_without_asking(data: Path, tmp_path: Path) -> None:
    bench("run", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    before = (tmp_path / "r" / "caption" / "journal.jsonl").read_bytes()
    done = bench("score", "r", "--protocol", "paper", "--metrics", "ROUGE-L,BLEU-1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| Floor: blind | 0 |") == 2
    card = json.loads((tmp_path / "r" / "vqa" / "scorecard.json").read_text())
    assert list(card["scores"]) == ["ROUGE-L", "BLEU-1"]
    assert (tmp_path / "r" / "caption" / "journal.jsonl").read_bytes() == before


def test_an_unfinished_run_is_scored_as_incomplete(data: Path, tmp_path: Path) -> None:
    bench("vqa", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    journal = tmp_path / "r" / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:4]))
    done = bench("score", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 1
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert (card["items"], card["missing"]) == (4, 2)
    assert "2 items have no prediction" in card["status"]


def test_a_run_is_not_scored_against_other_references(data: Path, tmp_path: Path) -> None:
    bench("caption", "--model", "constant", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    other = write_annotations(tmp_path / "other.json", RECORDS[:2])
    done = bench("score", "r", "--data", other, cwd=tmp_path)
    assert done.returncode == 1
    assert "give the right dataset with --data" in done.stderr


@pytest.mark.parametrize("damage", ['{"schema": 1}', '"settings": 3', "other references"])
def test_a_run_that_cannot_be_scored_leaves_the_others_alone(data: Path, tmp_path: Path, damage: str) -> None:
    bench("run", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    cards = {task: tmp_path / "r" / task / "scorecard.json" for task in ("caption", "vqa")}
    before = cards["vqa"].read_text()
    for card in cards.values():
        card.unlink()
    file = tmp_path / "r" / "caption" / "run.json"
    content = json.loads(file.read_text())
    content["settings"] = 3 if "settings" in damage else content["settings"] | {"fingerprint": "another"}
    file.write_text(damage if "schema" in damage else json.dumps(content))
    done = bench("score", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "r/caption" in done.stderr
    assert cards["vqa"].read_text() == before
    assert not cards["caption"].exists()
    assert "Floor: blind" in done.stdout


def test_runs_score_together_as_each_does_alone(data: Path, tmp_path: Path) -> None:
    bench("run", "--model", "constant", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    folders = [tmp_path / "r" / task for task in ("caption", "vqa")]
    together = [(folder / "scorecard.json").read_text() for folder in folders]
    for folder in folders:
        bench("score", folder, *FAST, cwd=tmp_path)
    assert [(folder / "scorecard.json").read_text() for folder in folders] == together


def test_a_predictions_file_gives_a_scorecard(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "p.json", {one["video_id"]: one["caption"] for one in RECORDS})
    done = bench(
        "score",
        "--task",
        "caption",
        "--predictions",
        "p.json",
        "--data",
        data,
        "--out",
        "card.json",
        *FAST,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["schema"] == "microg-bench/scorecard/1"
    assert (card["task"], card["protocol"], card["items"], card["failures"]) == ("caption", "paper", 3, 0)
    assert card["scores"]["ROUGE-L"]["value"] == pytest.approx(100.0)
    assert card["scores"]["BLEU-4"]["value"] == pytest.approx(100.0)


def test_missing_and_foreign_items_are_named_and_scored_only_on_request(data: Path, tmp_path: Path) -> None:
    write(tmp_path / "p.json", {"a_001": "one", "zzz_001": "two"})
    command = (
        "score",
        "--task",
        "caption",
        "--predictions",
        "p.json",
        "--data",
        data,
        "--out",
        "card.json",
        *FAST,
    )
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert "2 items without a prediction (a_002, b_001); 1 predictions of no item (zzz_001)" in done.stderr
    assert not (tmp_path / "card.json").exists()
    done = bench(*command, "--allow-missing", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["items"], card["missing"], card["foreign"]) == (1, 2, 1)
    assert card["status"].startswith("incomplete: 2 items have no prediction")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either a run folder, or --task"),
        (("nowhere",), "nowhere: not a run folder"),
        (("--task", "vqa"), "give either a run folder, or --task"),
        (("--task", "captions", "--predictions", "p.json"), "did you mean caption"),
        (("--task", "vqa", "--predictions", "none.json", "--data", "refs.json"), "none.json: no such file"),
    ],
)
def test_a_mistake_is_one_clear_line(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = bench("score", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("task", ["caption", "vqa"])
@pytest.mark.parametrize("protocol", ["paper", "coco"])
def test_the_small_oracle_is_scored_as_published(
    shared: Path, tmp_path: Path, task: str, protocol: str
) -> None:
    oracle = shared / "data" / "oracle" / "small"
    predictions = oracle / {"caption": "captions.json", "vqa": "vqa.json"}[task]
    data = shared / "data" / "microg4m" / "vqa_and_captioning.json"
    done = bench(
        "score",
        "--task",
        task,
        "--predictions",
        predictions,
        "--data",
        data,
        "--protocol",
        protocol,
        "--allow-missing",
        "--out",
        "card.json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    expected = json.loads((oracle / "expected.json").read_text())[task]
    assert card["items"] == expected["n"]
    for name, value in expected[protocol].items():
        assert card["scores"][name]["value"] == pytest.approx(value, abs=0.01), name
    sentence = "S-BERT" if task == "caption" else "S-VQA"
    assert card["scores"][sentence]["value"] == pytest.approx(expected["sentence_cosine"], abs=0.01)
    bertscore = card["scores"]["BERTScore"]
    assert bertscore["value"] is None
    assert "roberta-large" in bertscore["unavailable"]


def test_a_metric_is_explained_in_words_with_its_source(tmp_path: Path) -> None:
    done = bench("score", "--explain", "METEOR", cwd=tmp_path)
    assert done.returncode == 0
    assert "Denkowski and Lavie" in done.stdout
    done = bench("score", "--explain", "METEROR", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean METEOR" in done.stderr


def test_the_scorecard_has_intervals_slices_floors_and_abstention(data: Path, tmp_path: Path) -> None:
    bench("vqa", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    low, high = card["scores"]["ROUGE-L"]["interval"]
    assert low <= card["scores"]["ROUGE-L"]["value"] <= high
    assert card["interval"] == {
        "level": 0.95,
        "clusters": "source",
        "cluster_count": 2,
        "resamples": 1000,
        "seed": 0,
    }
    assert card["scores"]["ROUGE-L"]["signature_long"].startswith("ROUGE-L|protocol:paper")
    assert set(card["slices"]) == {"answerable", "question word", "source"}
    assert set(card["floors"]) == {"constant", "blind"}
    assert card["floors"]["blind"]["scores"]["ROUGE-L"] == card["scores"]["ROUGE-L"]["value"]
    assert card["abstention"] == {"absent": 0, "present": 6, "rightly": None, "wrongly": 0.0}
    done = bench("score", "r", "--by-clip", *FAST, cwd=tmp_path)
    assert "intervals: 1,000 resamples of 3 clips" in done.stdout
