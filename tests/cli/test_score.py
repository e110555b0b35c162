"""`microg-bench score`: runs are scored again, and predictions files from elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.tables.markdown import scorecard_table
from tests.helpers.datasets import bench, record, write_annotations
from tests.helpers.runs import content

pytestmark = pytest.mark.slow

SLOW_BASELINE = Path(__file__).parents[1] / "helpers" / "slow_baseline.py"
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
    assert done.stdout.count("| Baseline: blind | 0 |") == 2
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
    assert (card["items"], card["counts"]["missing"]) == (4, 2)
    assert "2 items without a prediction" in card["status"]


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
    assert "Baseline: blind" in done.stdout


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
    assert card["schema"] == "microg-bench/scorecard/2"
    assert (card["task"], card["protocol"], card["items"]) == ("caption", "paper", 3)
    assert card["counts"] == {**dict.fromkeys(card["counts"], 0), "answered": 3}
    assert card["scores"]["ROUGE-L"]["value"] == pytest.approx(100.0)
    assert card["scores"]["BLEU-4"]["value"] == pytest.approx(100.0)


def test_missing_and_unknown_items_are_named_and_scored_only_on_request(data: Path, tmp_path: Path) -> None:
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
    assert "2 items without a prediction (a_002, b_001); 1 prediction of no item (zzz_001)" in done.stderr
    assert not (tmp_path / "card.json").exists()
    done = bench(*command, "--allow-missing", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["items"], card["counts"]["missing"], card["counts"]["unknown"]) == (1, 2, 1)
    assert card["status"].startswith("incomplete: 2 items without a prediction")
    assert "1 of 3 items, protocol" in done.stdout
    assert "</sup> without an answer: 2 of 3 items\n" in done.stdout
    assert "</sup> predictions of no item: 1\n" in done.stdout
    assert "</sup> CIDEr: can only be 0 here: one item\n" in done.stdout


def test_predictions_that_are_no_answers_are_said(data: Path, tmp_path: Path) -> None:
    texts = [("a_001", "one"), ("a_001", "Let me see. It"), ("a_002", " "), ("b_001", "<think>x</think> two")]
    rows = [{"video_id": video_id, "caption": text} for video_id, text in texts]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    command = ("score", "--task", "caption", "--predictions", "p.json", "--data", data, "--out", "c.json")
    done = bench(*command, "--metrics", "ROUGE-L", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "c.json").read_text())["counts"]
    assert {name: count for name, count in counts.items() if count} == {
        "answered": 3,
        "repeated": 1,
        "empty": 1,
        "thoughts": 2,
        "flagged": 3,
    }
    assert [line for line in done.stdout.splitlines() if line.startswith(("**", "- <sup>"))] == [
        "**predictions: 1 of 3 answers is empty**",
        "**predictions: 2 of 3 answers look like thinking, not like an answer**",
        "**predictions: in all, 3 of 3 answers are one of these**",
        "- <sup>a</sup> 1 of 3 answers is empty",
        "- <sup>b</sup> 2 of 3 answers look like thinking, not like an answer",
        "- <sup>c</sup> repeated predictions, which a later one of the same item replaces: 1",
    ]
    assert "WARNING: do not rely on these scores\np.json: 1 of 3 answers is empty\n" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either a run folder, or --task"),
        (("nowhere",), "nowhere: no such folder"),
        (("refs.json",), "refs.json: is a file, not the folder of a run"),
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


PREDICTIONS = ("--predictions", "p.json", "--task", "caption")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r/vqa", "--task", "vqa"), "--task: does not apply to a run: it has its own task and items"),
        (("r", "--allow-missing"), "--allow-missing: does not apply to a run: it has its own task and items"),
        (
            ("r", "--out", "x.json"),
            "--out: does not apply to several runs: their scorecards are in their folders",
        ),
        ((*PREDICTIONS, "--plots"), "--plots: does not apply to predictions: give a run"),
        ((*PREDICTIONS, "--reparse"), "--reparse: does not apply to predictions: give a run"),
        (("r", "--model", "own.py"), "--model: does not apply to scores alone: add --reparse"),
        (
            ("r", "--device", "cpu"),
            "--device: does not apply to these metrics: add S-BERT or S-VQA or BERTScore",
        ),
        (
            (*PREDICTIONS, "--bf16"),
            "--bf16: does not apply to these metrics: add S-BERT or S-VQA or BERTScore",
        ),
        (
            ("r", "--sentence-model", "."),
            "--sentence-model: does not apply to these metrics: add S-BERT or S-VQA",
        ),
        (
            ("r", "--bertscore-layers", "3"),
            "--bertscore-layers: does not apply to these metrics: add BERTScore",
        ),
    ],
)
def test_an_option_that_does_not_apply_is_refused_and_nothing_is_written(
    data: Path, scored: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "p.json", {"a_001": "one"})
    before = content(tmp_path)
    done = bench("score", *arguments, "--metrics", "ROUGE-L", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {message}")
    assert content(tmp_path) == before


def test_what_the_command_line_refuses_the_api_refuses(data: Path, scored: Path) -> None:
    for item, given in {"--task": {"task": "vqa"}, "--allow-missing": {"allow_missing": True}}.items():
        with pytest.raises(mb.MicrogError, match=f"{item}: does not apply to runs"):
            mb.score(scored, metrics="ROUGE-L", progress=None, **given)


def test_every_option_that_applies_to_a_run_is_honoured(scored: Path, tmp_path: Path) -> None:
    (scored.parent / "elsewhere").mkdir()
    data = write_annotations(tmp_path / "elsewhere" / "refs.json", RECORDS)
    given = ("--data", data, "--out", "out/card.json", "--clusters", "clip", "--protocol", "coco")
    done = bench("score", "r/vqa", *given, "--metrics", "ROUGE-L", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out" / "card.json").read_bytes()
    assert written == (scored / "vqa" / "scorecard.json").read_bytes()
    card = json.loads(written)
    assert (card["protocol"], list(card["scores"]), card["interval"]["clusters"]) == (
        "coco",
        ["ROUGE-L"],
        "clip",
    )


def test_an_error_that_all_runs_have_is_told_once(scored: Path, tmp_path: Path) -> None:
    done = bench("score", "r", "--data", "nowhere", "--metrics", "ROUGE-L", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: nowhere: no such dataset folder or annotation file"]


def test_a_run_is_parsed_again_with_its_edited_adapter(data: Path, tmp_path: Path) -> None:
    adapter = SLOW_BASELINE.read_text().replace("sees_video = True", "sees_video = False")
    (tmp_path / "own.py").write_text(adapter)
    command = ("vqa", "--model", "own.py", "--data", data, "--run", "r", "--metrics", "ROUGE-L")
    assert bench(*command, cwd=tmp_path).returncode == 0
    with (tmp_path / "own.py").open("a") as file:
        file.write("\n    def parse(self, request, text):\n        return text.upper()\n")
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "`microg-bench score r --reparse --model own.py` parses the kept texts again with it" in done.stderr
    )
    again = ("score", "r", "--reparse", "--metrics", "ROUGE-L")
    done = bench(*again, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "give --model own.py" in done.stderr
    done = bench(*again, "--model", "own.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["r: 6 texts were parsed again, 6 answers changed"]
    assert bench(*command, cwd=tmp_path).returncode == 0
    answers = [one.answer for one in mb.load_run(tmp_path / "r").answers.values()]
    assert len(answers) == 6
    assert all(answer.isupper() for answer in answers)


@pytest.mark.heavy
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


def test_the_scorecard_has_intervals_slices_baselines_and_abstention(data: Path, tmp_path: Path) -> None:
    bench("vqa", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    low, high = card["scores"]["ROUGE-L"]["interval"]
    assert low <= card["scores"]["ROUGE-L"]["value"] <= high
    assert card["interval"] == {
        "method": "symmetric bootstrap-t",
        "level": 0.95,
        "clusters": "source",
        "cluster_count": 2,
        "resamples": 1000,
        "seed": 0,
    }
    assert card["scores"]["ROUGE-L"]["signature"]["values"]["protocol"] == "paper"
    assert set(card["slices"]) == {"answerable", "question_word", "source"}
    assert set(card["baselines"]) == {"constant", "blind"}
    assert card["baselines"]["blind"]["scores"]["ROUGE-L"] == card["scores"]["ROUGE-L"]["value"]
    shares = {
        "unanswerable": 0,
        "answerable": 6,
        "rate_on_unanswerable": None,
        "rate_on_answerable": 0.0,
    }
    assert shares.items() <= card["abstention"].items()
    done = bench("score", "r", "--clusters", "clip", *FAST, cwd=tmp_path)
    assert "1,000 resamples of 3 clips (fewer than 20: often too narrow)" in done.stdout


def test_what_is_printed_and_written_is_what_the_api_gives(data: Path, tmp_path: Path) -> None:
    for name in ("cli", "api"):
        mb.evaluate("blind", data, run=tmp_path / name, metrics="CIDEr", progress=None)
    done = bench("score", "cli", *FAST, "--clusters", "clip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cards = mb.score(tmp_path / "api", metrics=FAST[1], clusters="clip", progress=None)
    assert done.stdout == "\n".join(scorecard_table([card]) for card in cards)
    for task, card in zip(("caption", "vqa"), cards, strict=True):
        assert json.loads((tmp_path / "cli" / task / "scorecard.json").read_text()) == card.to_json()
        for name in ("scorecard.json", "predictions.json", "statistics.npz", "table.md"):
            here, there = (tmp_path / folder / task / name for folder in ("cli", "api"))
            assert here.read_bytes() == there.read_bytes(), name


def test_the_scorecard_of_predictions_is_what_the_api_gives(data: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "p.json", {one["video_id"]: one["caption"] for one in RECORDS})
    command = ("score", "--task", "caption", "--predictions", file, "--data", data, "--out", "card.json")
    done = bench(*command, *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (card,) = mb.score(file, "caption", data, metrics=FAST[1])
    assert done.stdout == scorecard_table([card])
    assert json.loads((tmp_path / "card.json").read_text()) == card.to_json()
