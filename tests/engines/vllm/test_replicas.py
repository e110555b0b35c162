"""Real vLLM in two replicas, one of which is killed."""

import os
from pathlib import Path

import psutil
import pytest

from microg_bench.engines.registry import ENGINES
from microg_bench.storage import read_journal
from tests.helpers.datasets import bench
from tests.helpers.runs import start_bench, wait_until

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

pytestmark = pytest.mark.heavy


def journalled(run: Path) -> list[str]:
    return [line["id"] for file in run.glob("*/journal.jsonl") for _, line in read_journal(file)]


def test_two_replicas_one_of_them_killed_give_the_scores_of_one_process(
    tiny_qwen: Path, tmp_path: Path
) -> None:
    given = {"--model": "qwen2.5-vl", "--engine": "vllm", "--data": "sample", "--checkpoint": tiny_qwen}
    given |= {"--metrics": "ROUGE-L", "--max-tokens": "64", "--max-concurrency": "2"}
    command = ["run", *(str(part) for pair in given.items() for part in pair)]
    whole = bench(*command, "--run", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    process = start_bench(*command, "--run", "two", "--replicas", "2", cwd=tmp_path, env={**os.environ})
    wait_until(lambda: len(journalled(tmp_path / "two")) >= 3, process)
    own = [one for one in psutil.Process(process.pid).children() if "worker" in " ".join(one.cmdline())]
    assert len(own) == 2
    own[0].kill()
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "was lost" in errors
    assert sorted(journalled(tmp_path / "two")) == sorted(journalled(tmp_path / "whole"))
    for task in ("caption", "vqa"):
        cards = [(tmp_path / run / task / "scorecard.json").read_bytes() for run in ("whole", "two")]
        assert cards[0] == cards[1]
