"""Replicas on a real Ray cluster of several nodes on this machine, whose nodes are killed."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

from microg_bench.errors import EngineError
from microg_bench.runs.replicas import cluster as replicas
from microg_bench.runs.replicas import driver
from tests.helpers.datasets import ROOT
from tests.helpers.stand_in import asked, environment
from tests.runs.replicas.conftest import IDS, Asking

pytestmark = pytest.mark.heavy
ALL = {*IDS, *(f"{name}#{k}" for name in IDS for k in (1, 2))}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The environment that the nodes start with: the stand-in notes what it does in the folder given."""
    folder = tmp_path_factory.mktemp("nodes") / "notes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAND_IN", environment(folder, seconds=0.15))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        yield folder


@pytest.fixture(scope="module")
def nodes(variables: Path) -> Iterator[Cluster]:
    """A head without processors for replicas, and two nodes with two each."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        found.add_node(num_cpus=2)
    yield found
    ray.shutdown()
    for node in [*found.worker_nodes, found.head_node]:
        found.remove_node(node, allow_graceful=False)  # which would be waited for without end


@pytest.fixture
def notes(variables: Path) -> Path:
    """The folder in which replicas note what they are asked, empty."""
    for file in variables.iterdir():
        file.unlink()
    return variables


@pytest.fixture
def on(asking: Asking, nodes: Cluster, notes: Path) -> Callable[..., Any]:
    """Asks with replicas on the cluster."""

    def run(count: int) -> Any:
        return asking(count, options={"ray_address": nodes.address})

    return run


def test_replicas_of_a_cluster_share_a_run(on: Callable[..., Any], notes: Path) -> None:
    found = on(4)
    assert found.texts.keys() == ALL
    assert Counter(asked(notes)) == Counter(ALL)
    # On a busy machine all may be asked before the last replica has started.
    assert 2 <= len(list(notes.glob("asked-*"))) <= 4


@pytest.mark.parametrize("point", range(10))
def test_nothing_is_lost_with_a_node(on: Callable[..., Any], nodes: Cluster, notes: Path, point: int) -> None:
    lost = nodes.add_node(num_cpus=2)
    after = random.Random(point).randrange(1, 30)

    def hunt() -> None:
        while len(asked(notes)) < after:
            time.sleep(0.005)
        nodes.remove_node(lost, allow_graceful=False)

    hunter = threading.Thread(target=hunt, daemon=True)
    hunter.start()
    found = on(6)
    hunter.join()
    assert found.texts.keys() == ALL
    assert not found.heard.failures
    twice = Counter(asked(notes)) - Counter(ALL)
    assert sum(twice.values()) <= 2 * 8, "what was under way in the two replicas of the node"


def test_a_cluster_without_a_place_ends_the_run(
    on: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PLACE_S", 2.0)
    monkeypatch.setattr(replicas, "PROCESSORS", 64)
    with pytest.raises(EngineError, match="there was a place for none within 2 seconds"):
        on(2)


def test_fewer_places_than_replicas_do_not_hang_the_run(on: Callable[..., Any]) -> None:
    found = on(7)
    assert found.texts.keys() == ALL


def test_what_nodes_lack_is_one_line_each(
    nodes: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.is_initialized() or ray.init(address=nodes.address)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    usable = replicas.check_nodes([tmp_path])
    assert [node.faults for node in usable] == [()] * 3
    assert all(node.versions == replicas.versions() for node in usable)
    for name in ("none", "empty"):
        for node in replicas.check_nodes([tmp_path / name]):
            (fault,) = node.faults
            assert "does not find" in fault
            assert name in fault
    monkeypatch.setattr(replicas, "versions", lambda: {"python": "2.7"})
    assert all("has python" in node.faults[0] for node in replicas.check_nodes([]))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_an_address_that_does_not_answer_is_one_line(address: str) -> None:
    ray.shutdown()
    with pytest.raises(EngineError, match="--ray-address"):
        replicas.connect(address)


@pytest.mark.parametrize("kind", ["another service", "a cluster that has ended"])
def test_what_is_no_cluster_is_said_soon(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()
    monkeypatch.setattr(replicas, "CONNECT_S", 8.0)
    with socket.create_server(("127.0.0.1", 0)) as service:
        address = f"127.0.0.1:{service.getsockname()[1]}"
        if kind != "another service":
            monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
            address = "auto"
        with pytest.raises(EngineError, match="no Ray cluster answers within 8 seconds"):
            replicas.connect(address)
