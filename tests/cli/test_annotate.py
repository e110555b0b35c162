"""`microg-bench annotate`: what is printed and written, exit statuses, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.datasets import bench, record, write_annotations
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

ENV = {"OPENAI_API_KEY": "sk-none"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def test_findings_are_a_table_json_and_a_page(tmp_path: Path) -> None:
    write_annotations(tmp_path / "set.json", [{**record("a_001"), "caption": "nan"}])
    done = bench("annotate", "check", "set.json", "--page", "page", cwd=tmp_path)
    assert done.returncode == 1 and "page/index.html" in done.stderr
    assert done.stdout.split()[:3] == ["item", "kind", "reason"]
    assert "blank-caption" in done.stdout and (tmp_path / "page/index.html").is_file()
    told = json.loads(bench("annotate", "check", "set.json", "--json", cwd=tmp_path).stdout)
    assert told["data"] == "set" and told["model"] is None
    assert [set(one) for one in told["findings"]] == [{"item", "kind", "reason"}] * 2


def test_a_dataset_without_findings_ends_well(tmp_path: Path) -> None:
    done = bench("annotate", "check", "sample", cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "no findings")


def test_a_model_is_asked_as_a_run(server: FaultServer, tmp_path: Path) -> None:
    ask = ("annotate", "check", "sample", "--model", "server:m", "--url", server.url, "--run", "r")
    done = bench(*ask, "--dry-run", cwd=tmp_path, env=ENV)
    assert done.returncode == 0 and "14 requests" in done.stdout and not server.bodies
    server.says = lambda asked: '{"findings": []}' if "grass" in asked else "no JSON"
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert done.returncode == 1 and "no findings" in done.stdout
    assert "no verdict on" in done.stderr
    server.says = lambda asked: '{"findings": []}'
    done = bench(*ask, cwd=tmp_path, env=ENV)
    assert (done.returncode, done.stdout.strip()) == (0, "no findings")
    assert (tmp_path / "r" / "journal.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "nowhere"), "nowhere: no such dataset folder or annotation file"),
        (("check", "sample", "--dry-run"), "--dry-run: applies to a model only: give --model too"),
        (("check", "sample", "--max-tokens", "9"), "--max-tokens: applies to a model only"),
        (("check", "sample", "--model", "blind"), "blind: is a baseline, which reads no text"),
        (("check", "sample", "--model", "server:m", "--rubric", "nothing"), "unknown rubric 'nothing'"),
        (("check", "sample", "--model", "server:m", "--rubric", "own.toml"), "cannot be rendered"),
        (("check", "bare.json", "--model", "server:m"), "no clip has a caption"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    rubric = (Path(__file__).parents[2] / "prompts/annotate/check.toml").read_text()
    (tmp_path / "own.toml").write_text(rubric.replace("caption |", "captions |"))
    write_annotations(tmp_path / "bare.json", [{"video_id": "a_001", "qa_pairs": []}])
    before = sorted(tmp_path.iterdir())
    done = bench("annotate", *arguments, cwd=tmp_path, env=ENV)
    assert done.returncode == 1 and told in done.stderr
    assert done.stderr.count("\n") == 1 and sorted(tmp_path.iterdir()) == before
