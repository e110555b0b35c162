import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.datasets import bench, record, write_annotations

VERBS = [
    "caption",
    "vqa",
    "run",
    "score",
    "compare",
    "models",
    "models show",
    "data check",
    "data fetch",
    "doctor",
]
HEAVY = (
    "torch",
    "transformers",
    "vllm",
    "sentence_transformers",
    "bert_score",
    "openai",
    "google.genai",
    "polars",
    "cv2",
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, tmp_path: Path) -> None:
    done = bench(*verb.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"microg-bench {verb}" in done.stdout.split("Example", 1)[1]


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, microg_bench, microg_bench.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_lists_every_model_with_what_it_needs(tmp_path: Path) -> None:
    done = bench("models", cwd=tmp_path)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert {"constant", "blind", "nearest-clip", "qwen2.5-vl"} <= rows.keys()
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in rows["qwen2.5-vl"]


def test_models_show_tells_everything_declared(tmp_path: Path) -> None:
    done = bench("models", "show", "qwen2.5-vl", cwd=tmp_path)
    for expected in ("9, uniform", "Apache-2.0", "cc594898137f460bfe9f0759e9844b3ce807cfb5", "sha256"):
        assert expected in done.stdout
    done = bench("models", "show", "qwen", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean qwen3-vl or qwen2.5-vl" in done.stderr


def test_data_check_tells_faults_in_words_and_as_json(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.json", [record("a_001", 1), record("a_001", 2)])
    done = bench("data", "check", "a.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "repeated-id (1)" in done.stdout
    assert "a_001: in records 1, 2" in done.stdout
    report = json.loads(bench("data", "check", "a.json", "--json", cwd=tmp_path).stdout)
    assert {"kind": "repeated-id", "item": "a_001"}.items() <= report["faults"][0].items()


def test_data_check_of_the_sample_finds_nothing(tmp_path: Path) -> None:
    done = bench("data", "check", "sample", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "nothing is wrong" in done.stdout


def test_doctor_names_what_is_missing_and_how_to_mend_it(tmp_path: Path) -> None:
    done = bench("doctor", cwd=tmp_path, env={"MICROG_BENCH_DATA": str(tmp_path / "none")})
    assert done.returncode == 0, done.stderr
    found = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert "MicroG-4M not fetched microg-bench data fetch" in found
    assert any(line.startswith("engine function usable") for line in found)
    assert any(line.startswith("Java (METEOR, protocol coco) openjdk") for line in found)


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert bench("--version", cwd=tmp_path).stdout.startswith("microg-bench 0.")


def test_a_flag_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = bench("caption", "--modle", "blind", cwd=tmp_path)
    assert done.returncode == 2
    assert "--modle" in done.stderr
