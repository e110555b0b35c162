"""Replicas on a Ray cluster: an actor each, placed by its GPUs.

Ray places actors and tells when one is lost. Whether a request is asked again is for the driver to say, so
that no task of Ray is ever tried twice.
"""

import asyncio
import logging
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from microg_bench.errors import EngineError, MissingExtraError
from microg_bench.options import Options, flag
from microg_bench.runs.replicas.replica import Order, Replica, ReplicaLostError, Report, Setup, read_report
from microg_bench.runs.start import package_sha256
from microg_bench.text import first_line, listed

VERSIONS = ("microg-bench", "vllm", "torch", "transformers")
PROCESSORS = 1  # of a replica without GPUs
CONNECT_S = 30.0  # that a cluster may take to answer
CHECK_S = 60.0  # that a node may take to answer


class ClusterReplica(Replica):
    """An actor on `gpus` GPUs of one node; on one processor of it, where the cluster has no GPU."""

    def __init__(self, name: str, gpus: int) -> None:
        self.name = name
        self._gpus = gpus
        self._actor: Any = None

    async def start(self, setup: Setup) -> None:
        """Create the actor, and wait until a node has a place for it; see `Replica`."""
        ray = _ray()
        kind = ray.remote(_Actor)
        self._actor = kind.options(
            num_gpus=self._gpus,
            num_cpus=0 if self._gpus else PROCESSORS,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=4,
            scheduling_strategy="DEFAULT" if self._gpus else "SPREAD",
        ).remote()
        self.place = await self._call("begin", setup.model_dump_json())

    async def give(self, order: Order) -> None:
        """Call the actor; see `Replica`."""
        await self._call("give", order.model_dump_json(exclude_defaults=True))

    async def report(self) -> Report:
        """Call the actor, which answers when it has something to say; see `Replica`."""
        return read_report(await self._call("report"))

    async def _call(self, method: str, *arguments: str) -> Any:
        ray = _ray()
        try:
            return await getattr(self._actor, method).remote(*arguments)
        except (ray.exceptions.RayActorError, ray.exceptions.NodeDiedError):
            raise ReplicaLostError("its process or its node has ended") from None
        except ray.exceptions.RayError as error:
            raise ReplicaLostError(first_line(str(error).strip().splitlines()[0], 300)) from None

    async def close(self) -> None:
        """Kill the actor; see `Replica`."""
        actor, self._actor = self._actor, None
        if actor is not None:
            with suppress(Exception):  # of a cluster that is gone
                _ray().kill(actor)


class _Actor:
    """What runs on a node: a replica between two queues."""

    def __init__(self) -> None:
        self._orders: asyncio.Queue[Order | None] = asyncio.Queue()
        self._reports: asyncio.Queue[str] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None

    async def begin(self, setup: str) -> str:
        """The node that it runs on."""
        self._serving = asyncio.create_task(self._serve(Setup.model_validate_json(setup)))
        return _node_name(_ray().util.get_node_ip_address(), _ray().get_runtime_context().get_node_id())

    async def _serve(self, setup: Setup) -> None:
        from microg_bench.runs.replicas.worker import serve

        def send(report: Report) -> None:
            self._reports.put_nowait(report.model_dump_json(exclude_defaults=True))

        try:
            await serve(setup, self._orders, send)
        except Exception as error:  # a bug ends the replica, and not only its task
            send(Report(error=f"{type(error).__name__}: {first_line(error)}"))

    async def give(self, order: str) -> None:
        self._orders.put_nowait(Order.model_validate_json(order))

    async def report(self) -> str:
        return await self._reports.get()


def cluster_replicas(options: Options, files: Sequence[Path]) -> list[Replica]:
    """The replicas of a run on a cluster, not started; its nodes have been checked.

    Args:
        options: with `ray_address`, `replicas` and how many GPUs each takes.
        files: what each node must find.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: the cluster does not answer, is of another version, or a node lacks something.
    """
    connect(str(options.ray_address))
    of_each = options.tensor_parallel_size * options.pipeline_parallel_size
    faults = [f"{node.name} {fault}" for node in check_nodes(files) for fault in node.faults]
    if faults:
        raise EngineError(faults[0] + (f" (and {len(faults) - 1} more)" if faults[1:] else ""))
    has_gpus = _ray().cluster_resources().get("GPU", 0) > 0
    gpus = of_each if has_gpus else 0
    return [ClusterReplica(f"replica {number}", gpus) for number in range(1, options.replicas + 1)]


def connect(address: str) -> None:
    """Connect to a cluster; to one that is started here for ``local``.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: the cluster does not answer, or is of another version.
    """
    ray = _ray()
    if ray.is_initialized():
        return
    try:
        if address != "local":
            _check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(f"{address}: {first_line(error)}", item=flag("ray_address")) from None


def _check_answers(address: str) -> None:
    """Wait for an answer for a while; Ray itself would wait for minutes.

    Raises:
        OSError: there is none; why it refuses is for Ray to say.
    """
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    known = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", *known]
    try:
        subprocess.run(command, capture_output=True, check=False, timeout=CONNECT_S)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"no Ray cluster answers within {CONNECT_S:.0f} seconds") from None


@dataclass(frozen=True)
class Node:
    """A node of a cluster: its `versions` by package, and what is wrong with it, a line each."""

    name: str
    versions: dict[str, str]
    faults: tuple[str, ...]


def check_nodes(files: Sequence[Path]) -> list[Node]:
    """The nodes that can hold a replica: those with GPUs, and all where there is none.

    Args:
        files: what each must find; a folder must not be empty.
    """
    ray = _ray()
    nodes = [node for node in ray.nodes() if node["Alive"]]
    with_gpus = [node for node in nodes if node["Resources"].get("GPU", 0) > 0]
    asked = {}
    for node in with_gpus or nodes:
        place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(look_around).options(num_cpus=0, scheduling_strategy=place, max_retries=0)
        name = _node_name(node["NodeManagerAddress"], node["NodeID"])
        asked[name] = task.remote([str(file) for file in files])
    found = []
    for name, answer in asked.items():
        try:
            theirs, missing = ray.get(answer, timeout=CHECK_S)
            found.append(Node(name, theirs, tuple(_faults(theirs, missing))))
        except ray.exceptions.TaskUnschedulableError:
            continue  # it has gone, which Ray says a little later
        except ray.exceptions.RayError as error:
            found.append(Node(name, {}, (f"does not answer: {first_line(str(error).splitlines()[0], 200)}",)))
    return found


def _node_name(address: str, node: str) -> str:
    return f"node {address} ({node[:8]})"


def _faults(theirs: dict[str, str], missing: Sequence[str]) -> list[str]:
    """What is wrong with a node that has these versions, and does not find these files."""
    faults = [
        f"has {package} {theirs.get(package, 'not installed')}, not {here}"
        for package, here in versions().items()
        if theirs.get(package) != here
    ]
    if missing:
        faults.append(f"does not find {listed(missing)}: is it on storage that all nodes share?")
    return faults


def look_around(files: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The versions on a machine, and which of the files it does not find, or finds empty."""
    return versions(), [file for file in files if not _is_there(Path(file))]


def _is_there(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def versions() -> dict[str, str]:
    """The versions here of what moves an answer."""
    found = {"python": platform.python_version(), "source of microg-bench": package_sha256()[:12]}
    for package in VERSIONS:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingExtraError(flag("ray_address"), "ray", first_line(error)) from None
    return ray
