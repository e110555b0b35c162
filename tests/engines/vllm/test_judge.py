"""Runs judged by a real vLLM: whatever a tiny language model writes fits the schema of a rubric."""

from pathlib import Path

import pytest

from microg_bench.engines.registry import ENGINES

if ENGINES["vllm"].missing():
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

from microg_bench.annotation.judge import Judge, judge_all
from microg_bench.annotation.judgement import read_judgement
from microg_bench.api import in_loop
from microg_bench.options import Options
from microg_bench.runs.record import RunRecord
from tests.helpers.judged import judged_runs
from tests.helpers.runs import Notes
from tests.helpers.tiny_text import build_tiny_text


def test_a_tiny_model_judges_two_runs(tmp_path: Path) -> None:
    weights = build_tiny_text("qwen3", tmp_path / "tiny")
    runs = [RunRecord.read(judged_runs(tmp_path)[1] / task) for task in ("vqa", "caption")]
    options = Options.of({"model": f"vllm:{weights}", "max_tokens": 400, "max_model_len": 2048})
    rubrics = ("short-answer", "caption-facts")
    judges = [Judge.of(run, options, rubric) for run, rubric in zip(runs, rubrics, strict=True)]
    notes = Notes()
    judged = in_loop(judge_all(judges, notes))
    assert sum("starting engine" in line for line in notes.notes) == 1, "one vLLM answers all"
    for run, found in zip(runs, judged, strict=True):
        one = found.judgement
        assert one is not None and one.counts.asked == len(run.answers) and not one.counts.failed
        assert one.counts.judged + one.counts.unreadable == one.counts.asked
        said = [answer for reply in found.replies for answer in reply.answers.values()]
        assert len(said) == one.counts.judged, "what is cut at the limit of tokens is not read"
        assert read_judgement(run, found.folder) == one
        assert one.signature.values["judge"].endswith(
            f"@{found.replies[0].record.settings.checkpoint_sha256[:12]}"
        )
