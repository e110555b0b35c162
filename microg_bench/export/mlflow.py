"""Logs a scorecard to MLflow: scores and intervals, settings, the scorecard itself. Nothing else is sent.

MLflow's own telemetry is switched off unless the user has decided on it, and what it would record of a run by
itself (login name, path of the program, checkout) is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from microg_bench.engines.http.secrets import Secrets
from microg_bench.errors import MissingExtraError, RunError, UsageError
from microg_bench.privacy import outgoing
from microg_bench.runs.record import SCORECARD_FILE
from microg_bench.scorecard import Scorecard
from microg_bench.text import markdown, unknown

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "microg-bench"
TRACKERS = ("mlflow",)
NOTES = "mlflow.note.content"  # the description of a run
_KEYS = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def check_tracker(name: str) -> None:
    """Accept a tracker that is known and installed, with what its store needs.

    Raises:
        UsageError: there is no such tracker.
        MissingExtraError: the extra is not installed.
    """
    if name not in TRACKERS:
        raise UsageError(unknown("tracker", name, TRACKERS))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import get_tracking_uri  # a network client
    except ImportError as error:
        raise MissingExtraError("--track mlflow", "mlflow", str(error)) from error
    scheme = urlsplit(get_tracking_uri()).scheme.partition("+")[0]
    for package in ("sqlalchemy", "alembic"):
        if scheme in _DATABASES and not find_spec(package):
            raise MissingExtraError(f"MLflow's {scheme} store", "mlflow", f"No module named '{package}'")


def track(card: Scorecard) -> str:
    """Log `card` as a run of MLflow, to `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME`.

    Returns:
        The id of MLflow's run.

    Raises:
        RunError: the store refuses or cannot be reached; the message holds no key.
    """
    from mlflow import MlflowClient, get_tracking_uri
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient()
        run = client.create_run(_experiment(client), run_name=run_name(card)).info.run_id
        try:
            now = int(time.time() * 1000)
            numbers = [Metric(name, value, now, 0) for name, value in metrics(card).items()]
            words = [Param(name, value) for name, value in parameters(card).items()]
            client.log_batch(run, numbers, words)
            client.set_tag(run, NOTES, notes(card))
            client.log_dict(run, outgoing(card.to_json()), SCORECARD_FILE)
            client.set_terminated(run)
        except BaseException:
            with suppress(MlflowException, OSError):
                client.set_terminated(run, "FAILED")
            raise
    except (MlflowException, OSError) as error:
        secrets = Secrets(urlsplit(get_tracking_uri()).password, *map(os.environ.get, _KEYS))
        raise RunError(f"the scorecard was not logged to MLflow: {secrets.line(error)}") from error
    return str(run)


def run_name(card: Scorecard) -> str:
    """How MLflow's run is called."""
    return f"{outgoing(card.model.name) if card.model else 'predictions'} {card.task}"


def metrics(card: Scorecard) -> dict[str, float]:
    """Scores ×100, each with the bounds of its interval, and what became of the requests."""
    found: dict[str, float] = {}
    for name, entry in card.scores.items():
        if entry.value is not None:
            found[name] = entry.value
        if entry.interval is not None:
            found[f"{name}.low"], found[f"{name}.high"] = entry.interval
    return {**found, "items": card.items, **card.counts.model_dump()}


def notes(card: Scorecard) -> str:
    """What a reader of the scores must know, which MLflow shows as the description of a run, in Markdown."""
    doubts = list(card.doubts())
    lines = [f"- **{markdown(line)}**" for line in doubts]
    lines += [f"- {markdown(line)}" for line in card.remarks() if line not in doubts]
    return "\n".join(lines)


def parameters(card: Scorecard) -> dict[str, str]:
    """Settings and signatures; of a path only the last part, of chosen clips or requests their number."""
    settings = card.settings.model_dump(mode="json") if card.settings else {}
    settings |= {
        name: len(settings[name]) for name in ("clips", "requests") if settings.get(name) is not None
    }
    facts = {name: getattr(card, name) for name in ("status", "task", "protocol", "dataset", "fingerprint")}
    signatures = {name: one.signature.long() for name, one in card.scores.items() if one.signature}
    whole = outgoing({**settings, **facts, "signature": signatures})
    return {name: str(value) for name, value in _flat(whole) if value is not None}


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _experiment(client: MlflowClient) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name))
