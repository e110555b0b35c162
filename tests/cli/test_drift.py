"""`microg-bench drift`: what is printed and written, exit statuses, and resuming after a kill."""

import json
import os
import signal
from datetime import date
from pathlib import Path

import pytest

from tests.helpers.datasets import bench, make_dataset
from tests.helpers.fault_server import FaultServer
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.slow

FAST = ("--metrics", "ROUGE-L")
ENV = {"OPENAI_API_KEY": "sk-none"}
IDS = [f"{source}_{k:03d}" for source in "abc" for k in range(4)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def test_a_baseline_answers_as_it_did(tmp_path: Path) -> None:
    bench("run", "--model", "constant", "--data", "sample", "--run", "r", *FAST, cwd=tmp_path)
    done = bench("drift", "r", "--sample", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / f"r-drift-{date.today()}"
    assert done.stderr.splitlines()[:2] == [
        f"{task}: asks for 5 of {count} answers again, into {folder.name}/{task}"
        for task, count in (("caption", 14), ("vqa", 84))
    ]
    assert "Captioning on sample: Baseline: constant, asked again, 5 of 14 answers, seed 0" in done.stdout
    assert done.stdout.count("- identical answers: 100.0%; 100.0% but for white space") == 2
    assert done.stdout.splitlines()[-1] == f"{folder.name}/drift.json"
    assert next(row for row in done.stdout.splitlines() if row.startswith("| ROUGE-L")).endswith(
        "| +0.00 | +0.00 to +0.00 | 1.0000 |"
    )
    report = json.loads((folder / "drift.json").read_text())
    assert {task: found["identical"] for task, found in report["tasks"].items()} == {"caption": 1, "vqa": 1}
    assert len((folder / "vqa" / "journal.jsonl").read_text().splitlines()) == 5


@pytest.mark.heavy
def test_a_killed_drift_is_resumed_and_what_fails_is_told(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    ask = ("--model", "openai:m", "--frames", "1", "--max-tokens", "8", "--data", str(data), *FAST)
    with FaultServer() as server:
        done = bench("vqa", *ask, "--url", server.url, "--run", "r", cwd=tmp_path, env=ENV)
        assert done.returncode == 0, done.stderr
        asked = server.asked.total()
        server.script = lambda question, attempt: "" if server.asked.total() <= asked + 6 else "silent"
        again = ("drift", "r", "--sample", "12", "--run", "d", "--max-concurrency", "1", "--url", server.url)
        process = start_bench(*again, cwd=tmp_path, env={**os.environ, **ENV})
        journal = tmp_path / "d" / "journal.jsonl"
        wait_until(lambda: journal.is_file() and journal.read_text().count("\n") >= 6, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = journal.read_text()
        assert kept.count("\n") == 6

        server.script = lambda question, attempt: "400" if question.startswith("Who") else ""
        done = bench(*again, cwd=tmp_path, env=ENV)
        assert done.returncode == 1
        assert "run the same command again to retry them" in done.stderr
        assert "of 12 requests failed" in done.stdout
        server.script = lambda question, attempt: ""
        done = bench(*again, cwd=tmp_path, env=ENV)
        assert done.returncode == 0, done.stderr
        assert journal.read_text().startswith(kept)
        assert "identical answers: 100.0%" in done.stdout


def test_a_name_from_a_server_stays_text(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    ask = ("--model", "openai:m", "--frames", "1", "--data", str(data), "--limit", "2", *FAST)
    with FaultServer() as server:
        bench("vqa", *ask, "--url", server.url, "--run", "r", cwd=tmp_path, env=ENV)
        plain = server.wire.answer("A man.")
        named = plain | {"model": "<script>|[x](y)\x1b[2J\n- forged"}
        server.routes["POST", "/"] = lambda call: (200, named)
        done = bench("drift", "r", "--run", "d", "--url", server.url, cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "who answered now" in line]
    assert "&lt;script&gt;\\|\\[x\\](y)" in line
    assert "\x1b" not in done.stdout
    assert "- forged" not in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: no such folder"),
        (("r", "--run", "r"), "r: was started with other settings (clips: "),
        (("r", "--data", "refs.json"), "refs.json"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    bench("vqa", "--model", "constant", "--data", "sample", "--run", "r", *FAST, cwd=tmp_path)
    done = bench("drift", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
