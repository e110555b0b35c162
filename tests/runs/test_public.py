"""Nothing private is in what a run gives to others, wherever it stood in the run."""

from pathlib import Path

import polars as pl
import pytest

from tests.helpers.datasets import bench, make_dataset
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

IDS = ["a_000", "a_001", "b_000", "b_001"]
PRIVATE = (b"annabel", b"hidden-lab", b"127.0.0.1", b"bucket")


def holding(*places: Path) -> list[str]:
    """The files and folders that hold something private, or are named after it."""
    found = []
    for path in (path for place in places for path in (place, *place.rglob("*"))):
        content = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        found += [f"{path.name}: {word.decode()}" for word in PRIVATE if word in content.lower()]
    return found


@pytest.mark.heavy
@pytest.mark.parametrize(
    "model",
    ["/home/annabel/hidden-lab/ckpt-7b", "s3://bucket/hidden-lab/annabel-7b", "annabel@127.0.0.1:ckpt"],
)
def test_nothing_private_leaves(model: str, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    home = tmp_path / "home" / "annabel"
    data = make_dataset(home / "annabel-set", IDS)
    env = {"LOGNAME": "annabel", "HOME": str(home)}

    def run(*arguments: str | Path) -> None:
        done = bench(*arguments, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr

    with FaultServer() as server:
        server.models = [model]
        asked = ("--model", f"server:{model}", "--url", server.url, "--frames", "2")
        run("run", *asked, "--data", data, "--metrics", "CIDEr,ROUGE-L")
    (folder,) = (tmp_path / "runs").iterdir()
    out = tmp_path / "out"
    run("submit", "pack", folder, "--into", out / "submissions")
    run("tables", "--runs", "runs", "--out", out / "tables")
    run("report", folder, "--data", data, "--out", out / "page")
    run("leaderboard", "build", "--runs", "runs", "--out", out / "site", "--data", data)
    run("plots", folder / "caption", "--out", out / "plots")
    for form in ("jsonl", "model-index", "parquet"):
        run("export", folder, "--format", form, "--data", data, "--out", out / f"export.{form}")
    assert holding(out) == []
    assert "annabel" not in folder.name
    assert not any(word in str(pl.read_parquet(out / "export.parquet").rows()).encode() for word in PRIVATE)
    run("submit", "check", *(out / "submissions").iterdir(), "--data", data)
