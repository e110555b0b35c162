from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from microg_bench.errors import MissingExtraError, RunError, UsageError
from microg_bench.export.mlflow import check_tracker, metrics, parameters, track
from tests.export.test_model_card import SIGNATURE, make_card
from tests.helpers.cards import with_settings

pytestmark = pytest.mark.slow


@pytest.fixture
def mlflow() -> Any:
    return pytest.importorskip("mlflow")


@pytest.fixture(params=["file", "sqlite"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: Any
) -> str:
    """A real local store of each kind."""
    if request.param == "sqlite" and not importlib.util.find_spec("sqlalchemy"):
        pytest.skip("sqlalchemy is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file:{tmp_path / 'ml'}" if request.param == "file" else f"sqlite:///{tmp_path / 'ml.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def test_scores_settings_and_the_scorecard_reach_the_store(store: str, mlflow: Any) -> None:
    check_tracker("mlflow")
    card = make_card("vqa")
    client = mlflow.MlflowClient()
    run = client.get_run(track(card))
    assert client.get_experiment(run.info.experiment_id).name == "microg-bench"
    assert (run.info.run_name, run.info.status) == ("m vqa", "FINISHED")
    assert run.data.metrics == {
        "CIDEr": 12.25,
        "CIDEr.low": 1e-05,
        "CIDEr.high": 20.5,
        "items": 3,
        "answered": 3,
        "failed": 0,
        "missing": 0,
        "unknown": 0,
        "empty": 0,
        "truncated": 1,
        "filtered": 0,
        "declined": 0,
        "thoughts": 0,
        "flagged": 0,
        "repeated": 0,
    }
    assert run.data.tags["mlflow.note.content"].splitlines() == [
        "- 1 of 3 answers hit the token limit; raise --max-tokens",
        "- METEOR: Java is missing",
    ]
    assert run.data.params["signature.CIDEr"] == SIGNATURE.long()
    assert run.data.params["generation.max_tokens"] == "8"
    assert run.data.params["checkpoint"] == "Org/Name-7B"
    assert json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/scorecard.json")) == card.to_json()


def test_neither_path_nor_login_nor_program_is_told(store: str, mlflow: Any) -> None:
    private = {"checkpoint": "/home/somebody/weights", "engine_args": {"adapter": "~/somebody/lora"}}
    run = mlflow.MlflowClient().get_run(track(with_settings(make_card(), **private)))
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/scorecard.json")
    assert "somebody" not in text + str(run.data.params) + str(run.data.tags)
    assert run.data.params["checkpoint"] == "weights"
    assert set(run.data.tags) == {"mlflow.runName", "mlflow.note.content"}


def test_runs_of_one_experiment_lie_together_under_the_name_of_the_environment(
    store: str, mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    ids = {track(make_card()), track(make_card("vqa"))}
    client = mlflow.MlflowClient()
    found = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert {run.info.run_id for run in found} == ids


def test_a_run_that_cannot_be_logged_whole_does_not_look_finished(store: str, mlflow: Any) -> None:
    card = make_card(scores={"a*b": {"value": 1.0}})
    with pytest.raises(RunError, match="the scorecard was not logged to MLflow") as raised:
        track(card)
    assert len(str(raised.value).splitlines()) == 1
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("microg-bench").experiment_id])
    assert run.info.status == "FAILED"


def test_a_store_that_cannot_be_reached_is_one_line_without_a_key(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pass-word-1@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RunError, match="not logged to MLflow") as raised:
        track(make_card())
    assert "pass-word-1" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'microg-bench\[mlflow\]'"):
        check_tracker("mlflow")


def test_an_unknown_tracker_is_named() -> None:
    with pytest.raises(UsageError, match="unknown tracker 'mlfow': did you mean mlflow"):
        check_tracker("mlfow")


def test_a_database_without_its_package_is_told_before_anything_is_scored(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "microg_bench.export.mlflow.find_spec", lambda name: None if name == "alembic" else found("os")
    )
    with pytest.raises(MissingExtraError, match="sqlite store needs an extra .*'alembic'"):
        check_tracker("mlflow")


def test_chosen_clips_are_logged_as_their_number_and_a_missing_score_not_at_all() -> None:
    card = with_settings(make_card(), clips=("a", "b"))
    assert parameters(card)["clips"] == "2"
    assert "signature.METEOR" not in parameters(card)
    assert "METEOR" not in metrics(card)
