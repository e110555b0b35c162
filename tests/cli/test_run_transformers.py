"""A real checkpoint through the command line: random weights, real architecture, generated text."""

import json
import shutil
from pathlib import Path

import pytest

from microg_bench.engines.checkpoint import content_sha256
from tests.helpers.datasets import bench
from tests.helpers.tiny_qwen import build_tiny_qwen

pytestmark = pytest.mark.heavy

COMMAND = ("--model", "qwen2.5-vl", "--engine", "transformers", "--data", "sample", "--metrics", "ROUGE-L")


@pytest.fixture(scope="module")
def run(tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    done = bench("run", *COMMAND, "--checkpoint", tiny_qwen, "--limit", "2", "--run", "r", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder / "r"


def test_every_request_has_generated_text_and_its_counts(run: Path) -> None:
    for task, count in (("caption", 2), ("vqa", 12)):
        records = [json.loads(line) for line in (run / task / "journal.jsonl").read_text().splitlines()]
        assert len(records) == count
        for record in records:
            assert record["text"].strip()
            assert "<|" not in record["text"]
            assert record["prompt_tokens"] > 9
            assert 0 < record["output_tokens"] <= {"caption": 256, "vqa": 64}[task]
            assert record["frames"] == [5, 15, 25, 35, 45, 55, 65, 75, 85]


def test_what_the_engine_ran_on_is_recorded(run: Path) -> None:
    (start,) = json.loads((run / "caption" / "run.json").read_text())["starts"]
    assert start["engine"]["model_class"] == "Qwen2_5_VLForConditionalGeneration"
    assert start["engine"]["dtype"] in ("float32", "bfloat16")
    assert start["versions"]["transformers"] == start["engine"]["transformers"]


def test_a_local_checkpoint_is_named_and_known_by_its_content(run: Path, tiny_qwen: Path) -> None:
    settings = json.loads((run / "vqa" / "run.json").read_text())["settings"]
    assert settings["checkpoint_sha256"] == content_sha256(str(tiny_qwen), print)
    title = f"Qwen2.5-VL (tiny-qwen, {settings['checkpoint_sha256'][:8]})"
    assert settings["title"] == title
    (row,) = (
        line for line in (run / "vqa" / "table.md").read_text().splitlines() if line.startswith(f"| {title}<")
    )
    assert row.split(" | ")[1] == "9"
    assert json.loads((run / "vqa" / "scorecard.json").read_text())["model"]["title"] == title


def test_other_weights_in_the_same_folder_are_another_run(tiny_qwen: Path, tmp_path: Path) -> None:
    weights = Path(shutil.copytree(tiny_qwen, tmp_path / "weights"))
    command = ("vqa", *COMMAND, "--checkpoint", "weights", "--limit", "1", "--max-tokens", "2")
    done = bench(*command, "--run", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    build_tiny_qwen(weights, seed=7)
    done = bench(*command, "--run", "r", cwd=tmp_path)
    assert done.returncode == 1
    told = "r: the weights in weights have changed since the run was started; put the old ones back to resume"
    assert done.stderr.splitlines()[-1].startswith(f"error: {told}, or give --run DIR")


def test_a_second_start_loads_no_model_and_asks_nothing(run: Path, tiny_qwen: Path) -> None:
    before = (run / "vqa" / "journal.jsonl").read_bytes()
    done = bench("run", *COMMAND, "--checkpoint", tiny_qwen, "--limit", "2", "--run", "r", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert "loading" not in done.stderr
    assert (run / "vqa" / "journal.jsonl").read_bytes() == before


@pytest.mark.usefixtures("_transformers")
@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("./nowhere", "./nowhere: no such checkpoint folder"),
        ("empty", "not a model checkpoint"),
        ("org/unknown", "the hub cannot be reached"),
    ],
)
def test_a_bad_checkpoint_is_one_clear_line_before_anything_is_asked(
    tmp_path: Path, checkpoint: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = bench("caption", *COMMAND, "--checkpoint", checkpoint, "--run", "r", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"], "nothing was asked: no run is there"


def test_a_model_that_thinks_is_told_how_much(thinking_qwen: Path, tmp_path: Path) -> None:
    model = f"transformers:{thinking_qwen}"
    command = ("vqa", "--model", model, "--data", "sample", "--limit", "2", "--metrics", "ROUGE-L")
    thought = bench(*command, "--thinking", "on", "--max-tokens", "20", "--run", "on", cwd=tmp_path)
    assert thought.returncode == 1
    assert (
        "still thinking at the limit of 20 tokens: raise --max-tokens, or lower --thinking" in thought.stderr
    )
    lines = [json.loads(line) for line in (tmp_path / "on" / "journal.jsonl").read_text().splitlines()]
    assert {(line["type"], line["stage"]) for line in lines} == {("failure", "thinking")}
    assert all(line["response"]["text"].startswith("<think>") for line in lines)
    card = json.loads((tmp_path / "on" / "scorecard.json").read_text())
    assert (card["items"], card["scores"]["ROUGE-L"]["value"]) == (0, None)

    answered = bench(*command, "--thinking", "off", "--max-tokens", "20", "--run", "off", cwd=tmp_path)
    assert answered.returncode == 0, answered.stderr
    card = json.loads((tmp_path / "off" / "scorecard.json").read_text())
    assert (card["items"], card["settings"]["thinking"]) == (12, "off")
    assert card["scores"]["ROUGE-L"]["signature"]["values"]["thinking"] == "off"
    unknown = bench(*command, "--thinking", "low", "--run", "low", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "--thinking: low is not known" in unknown.stderr
    assert not (tmp_path / "low").exists()
