from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.helpers.datasets import bench

pytestmark = pytest.mark.heavy


def test_both_tasks_become_one_model_card(scored: Path, tmp_path: Path) -> None:
    printed = bench("export", scored, "--format", "model-index", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    results = ModelCard(printed.stdout).data.eval_results
    assert [(result.task_name, result.metric_name) for result in results] == [
        ("Captioning", "CIDEr"),
        ("Captioning", "ROUGE-L"),
        ("Question answering", "CIDEr"),
        ("Question answering", "ROUGE-L"),
    ]
    card = json.loads((scored / "vqa" / "scorecard.json").read_text())
    assert results[2].metric_value == card["scores"]["CIDEr"]["value"]


def test_a_model_card_that_exists_is_added_to(scored: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("---\nlicense: mit\n---\n# Mine\n")
    for _ in range(2):
        done = bench("export", scored, "--format", "model-index", "--out", readme, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    card = ModelCard.load(readme)
    assert (card.data.license, card.text, len(card.data.eval_results)) == ("mit", "# Mine\n", 4)


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_predictions_are_printed_as_they_are_written(
    scored: Path,
    tmp_path: Path,
    format_: str,
) -> None:
    done = bench(
        "export", scored / "caption", scored / "vqa", "--format", format_, "--out", "p", cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "p\n"), done.stderr
    content = (tmp_path / "p").read_bytes()
    assert len(content.splitlines()) == 9 if format_ == "jsonl" else content.startswith(b"PAR1")


def test_without_the_dataset_references_are_null_and_it_is_said(
    scored: Path,
    tmp_path: Path,
) -> None:
    file = scored / "caption" / "run.json"
    content = json.loads(file.read_text())
    content["options"]["data"] = "nowhere.json"
    file.write_text(json.dumps(content))
    done = bench("export", scored / "caption", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert "questions and references are null: nowhere.json: no such" in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["reference"] for row in rows] == [None] * 3
    assert all(row["answer"] and row["CIDEr"] is not None for row in rows)
    done = bench("export", scored / "caption", "--format", "jsonl", "--data", "none.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_score_that_could_not_be_computed_is_named(scored: Path, tmp_path: Path) -> None:
    file = scored / "vqa" / "scorecard.json"
    card = json.loads(file.read_text())
    card["scores"]["CIDEr"] = {"unavailable": "no Java"}
    file.write_text(json.dumps(card))
    done = bench("export", scored / "vqa", "--format", "model-index", cwd=tmp_path)
    assert done.returncode == 0
    assert "left out CIDEr: no Java" in done.stderr
    assert [one.metric_name for one in ModelCard(done.stdout).data.eval_results] == ["ROUGE-L"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("r", "--format", "modelindex"), "did you mean model-index"),
        (("none", "--format", "jsonl"), "none: no such folder"),
        (("r/caption", "r/other", "--format", "model-index"), "r/other: no such folder"),
        (("r", "--format", "model-index", "--out", "bad.md"), "bad.md: its metadata cannot be read"),
        (("r", "--format", "model-index", "--out", "latin.md"), "latin.md: not UTF-8"),
        (("r", "--format", "model-index", "--out", "r"), "r: cannot be read: Is a directory"),
        (("r", "--format", "eval-results", "--out", "o"), "no dataset of the hub"),
        (("r", "--format", "jsonl", "--out", "bad.md/p"), "bad.md/p: cannot be written"),
    ],
)
def test_a_mistake_is_one_clear_line(
    scored: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "bad.md").write_text("---\n[1\n---\n")
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    done = bench("export", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr.replace("\n", " ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "bad.md").read_text() == "---\n[1\n---\n"


def test_a_score_is_tracked_on_request_only(scored: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    env = {"MLFLOW_TRACKING_URI": f"file:{tmp_path / 'ml'}", "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = bench("score", scored, "--metrics", "CIDEr", cwd=tmp_path, env=env)
    assert done.returncode == 0 and not (tmp_path / "ml").exists()
    done = bench("score", scored, "--metrics", "CIDEr", "--track", "mlflow", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    ids = [line.split()[-1] for line in done.stderr.splitlines() if "logged to MLflow as run" in line]
    card = json.loads((scored / "caption" / "scorecard.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        logged = mlflow.MlflowClient(env["MLFLOW_TRACKING_URI"]).get_run(ids[0])
    assert logged.data.metrics["CIDEr"] == card["scores"]["CIDEr"]["value"]
    assert len(ids) == 2


def test_tracking_that_fails_leaves_the_scorecard_and_says_so_in_a_line(
    scored: Path,
    tmp_path: Path,
) -> None:
    pytest.importorskip("mlflow")
    card = scored / "caption" / "scorecard.json"
    card.unlink()
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = bench(
        "score", scored / "caption", "--metrics", "CIDEr", "--track", "mlflow", cwd=tmp_path, env=env
    )
    assert done.returncode == 1
    assert json.loads(card.read_text())["scores"]["CIDEr"]["value"] is not None
    assert done.stderr.strip().splitlines()[-1].startswith("error: the scorecard was not logged to MLflow")
    assert "Traceback" not in done.stderr


def test_an_unknown_tracker_is_refused_before_anything_is_scored(scored: Path, tmp_path: Path) -> None:
    before = (scored / "caption" / "scorecard.json").stat().st_mtime_ns
    done = bench("score", scored, "--track", "wandb", cwd=tmp_path)
    assert done.returncode == 1
    assert "unknown tracker" in done.stderr
    assert (scored / "caption" / "scorecard.json").stat().st_mtime_ns == before


def test_a_submission_is_exported_as_it_is_checked(scored: Path, tmp_path: Path) -> None:
    """Its scores are marked unless they were computed again; one that is refused is not exported."""
    data = json.loads((scored / "vqa" / "run.json").read_text())["options"]["data"]
    packed = bench("submit", "pack", "r/vqa", "--into", "subs", cwd=tmp_path)
    folder = tmp_path / packed.stdout.strip()
    command = ("export", "subs", "--format", "model-index")
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unverified: true") == 2
    assert "> claimed and not verified: CIDEr, ROUGE-L" in done.stdout
    done = bench(*command, "--data", data, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "verified" not in done.stdout
    done = bench("export", "subs", "--format", "jsonl", "--data", data, cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6 and all(row["CIDEr"] is not None for row in rows)
    card = json.loads((folder / "scorecard.json").read_text())
    card["counts"]["empty"] = 1
    (folder / "scorecard.json").write_text(json.dumps(card))
    done = bench(*command, "--out", "card.md", cwd=tmp_path)
    assert done.returncode == 1
    assert "scorecard.json claims counts.empty = 1, but the answers give 0" in done.stderr
    assert not (tmp_path / "card.md").exists()


def test_predictions_as_csv_are_scored_again_with_the_same_scores(scored: Path, tmp_path: Path) -> None:
    done = bench("export", scored / "vqa", "--format", "csv", "--out", "p.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    data = json.loads((scored / "vqa" / "run.json").read_text())["options"]["data"]
    asked = ("score", "--task", "vqa", "--predictions", "p.csv", "--data", data, "--metrics", "ROUGE-L")
    done = bench(*asked, "--out", "again.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before = json.loads((scored / "vqa" / "scorecard.json").read_text())["scores"]["ROUGE-L"]["value"]
    assert json.loads((tmp_path / "again.json").read_text())["scores"]["ROUGE-L"]["value"] == before
