"""Models behind a server: no adapter file, no lost answer, no cost without consent, no key on disk."""

import base64
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.datasets import bench, make_dataset
from tests.helpers.fault_server import FaultServer
from tests.helpers.runs import start_bench, wait_until

pytestmark = pytest.mark.heavy

pytest.importorskip("openai", reason="the extra openai is not installed")

FAST = ("--metrics", "ROUGE-L")
IDS = ["a_000", "a_001", "b_000", "b_001"]
KEY = "sk-proj-0123456789abcdefghij"
ENV = {"OPENAI_API_KEY": KEY}
# One request of 100 prompt tokens, 64 of them cached, and 7 generated, as the server on loopback counts.
PRICES = "[openai.m]\ndate = 2026-01-01\ninput = 1000\ncached = 500\noutput = 10000\nimage = 10\n"
ONE = (36 * 1000 + 64 * 500 + 7 * 10000) / 1e6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def ask(server: FaultServer, data: Path, tmp_path: Path, *arguments: str | Path, verb: str = "vqa") -> Any:
    (tmp_path / "prices.toml").write_text(PRICES)
    command = (verb, "--model", "openai:m", "--url", server.url, "--data", data, "--frames", "2")
    return bench(*command, "--max-tokens", "8", *FAST, *arguments, cwd=tmp_path, env=ENV)


def journal(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]


def test_a_model_needs_no_adapter_file_and_its_tokens_are_recorded(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 0, done.stderr
    found = journal(tmp_path / "r")
    assert len(found) == 8
    assert {(one["prompt_tokens"], one["cached_tokens"], one["output_tokens"]) for one in found} == {
        (100, 64, 7)
    }
    assert "tokens: 800 in prompts (64% from the prefix cache), 56 generated" in done.stderr
    settings = json.loads((tmp_path / "r" / "run.json").read_text())["settings"]
    assert (settings["model"], settings["checkpoint"], settings["engine"]) == ("openai:m", "m", "openai")
    assert settings["media"] == {"kind": "images", "jpeg_quality": 90, "detail": "auto"}
    assert settings["generation"]["max_tokens"] == 8


def test_the_key_is_neither_on_disk_nor_printed(server: FaultServer, data: Path, tmp_path: Path) -> None:
    server.keys = {"another"}
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 1
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    server.keys = {KEY}
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr + ask(server, data, tmp_path, "--dry-run").stdout
    for path in (tmp_path / "r").iterdir():
        assert KEY.encode() not in path.read_bytes()


def test_what_a_run_costs_is_estimated_told_and_kept_below_a_limit(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    done = ask(server, data, tmp_path, "--prices", "prices.toml", "--dry-run")
    assert "cost        about $" in done.stdout
    assert "for 8 requests" in done.stdout
    done = ask(server, data, tmp_path, "--prices", "prices.toml", "--run", "r")
    assert done.returncode == 1
    assert "give --yes (yes=True) or --max-cost" in done.stderr
    assert not server.asked
    limited = ("--prices", "prices.toml", "--run", "r", "--max-concurrency", "1")
    done = ask(server, data, tmp_path, *limited, "--max-cost", "0.6")
    assert done.returncode == 1
    assert "stopped at --max-cost; run the same command with a higher one" in done.stderr
    answered = len(journal(tmp_path / "r"))
    assert 1 <= answered < 8
    assert answered * ONE <= 0.6
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert card["status"].startswith("incomplete")
    done = ask(server, data, tmp_path, *limited, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"cost: ${8 * ONE:.2f} so far" in done.stderr
    assert sum(server.asked.values()) == 8


def test_a_limit_without_a_price_is_refused_before_anything(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    done = ask(server, data, tmp_path, "--max-cost", "1")
    assert done.returncode == 1
    assert "--max-cost: no price is known for openai:m" in done.stderr
    assert not server.asked


def test_a_second_run_takes_the_answers_of_the_first_from_the_cache(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    assert ask(server, data, tmp_path, "--run", "one", "--cache", "kept").returncode == 0
    asked = sum(server.asked.values())
    done = ask(server, data, tmp_path, "--run", "two", "--cache", "kept")
    assert done.returncode == 0, done.stderr
    assert sum(server.asked.values()) == asked
    assert "8 answers came from the cache" in done.stderr
    texts = [[one["text"] for one in journal(tmp_path / run)] for run in ("one", "two")]
    assert sorted(texts[0]) == sorted(texts[1])
    sampled = ask(server, data, tmp_path, "--run", "three", "--cache", "kept", "--temperature", "0.7")
    assert sampled.returncode == 0, sampled.stderr
    assert sum(server.asked.values()) == 2 * asked


def test_a_killed_run_resumes_and_pays_for_nothing_twice(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    server.script = lambda question, attempt: "slow"
    where = ("run", "--model", "openai:m", "--url", server.url, "--data", str(data), "--run", "r")
    command = (*where, *FAST, "--max-concurrency", "1", "--max-tokens", "8")
    env = {**os.environ, **ENV, "HF_HUB_OFFLINE": "1"}
    process = start_bench(*command, cwd=tmp_path, env=env)
    wait_until(lambda: sum(server.answered.values()) >= 5, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = sum(len(journal(tmp_path / "r" / task)) for task in ("caption", "vqa"))
    assert 4 <= kept < 12
    done = bench(*command, cwd=tmp_path, env=ENV)
    assert done.returncode == 0, done.stderr
    # At most the one request that was under way is asked again.
    assert 12 <= sum(server.answered.values()) <= 13
    ids = [one["id"] for task in ("caption", "vqa") for one in journal(tmp_path / "r" / task)]
    assert sorted(ids) == sorted(set(ids))
    assert len(ids) == 12


def test_what_failed_is_retried_by_the_next_start(server: FaultServer, data: Path, tmp_path: Path) -> None:
    server.script = lambda question, attempt: "400" if "floats" in question else ""
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 1
    assert "4 requests failed; run the same command again" in done.stderr
    server.script = lambda question, attempt: ""
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 0, done.stderr
    assert max(server.answered.values()) == sum(server.answered.values()) // 2 == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch-size", "2"), "--batch-size: engine openai does not take it"),
        (("--serve",), "--serve: engine openai does not take it"),
        (("--media", "clip", "--sampling", "uniform"), "--media clip sends the whole file"),
        (("--engine-arg", "x"), "give NAME=VALUE"),
        (("--prices", "nowhere.toml"), "nowhere.toml"),
        (("--jpeg-quality", "0"), "--jpeg-quality"),
    ],
)
def test_an_option_that_does_not_fit_is_one_clear_line(
    server: FaultServer, data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = ask(server, data, tmp_path, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not server.asked


def test_an_adapter_is_asked_of_a_server_by_the_name_that_it_has_there(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    server.models = ["/weights/tiny"]
    command = ("caption", "--model", "qwen2.5-vl", "--data", data, "--frames", "2", *FAST)
    done = bench(*command, "--url", server.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = "asks /weights/tiny, the one model that the server has, not Qwen/Qwen2.5-VL-7B-Instruct"
    assert told in done.stderr
    assert {body["model"] for body in server.bodies} == {"/weights/tiny"}
    (run,) = tmp_path.glob("runs/qwen2.5-vl-set-*/caption")
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert (settings["checkpoint"], settings["title"]) == ("/weights/tiny", "Qwen2.5-VL (tiny)")
    assert "| Qwen2.5-VL (tiny)" in done.stdout

    server.models = ["other"]
    done = bench(*command, "--url", server.url, cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"was started with other settings \(.*tiny.* → .*other", done.stderr)
    server.models = ["a", "b"]
    done = bench(*command, "--url", server.url, "--run", "new", cwd=tmp_path)
    assert done.returncode == 1
    assert "(known: a, b): name one with --checkpoint" in done.stderr
    done = bench(*command, "--url", server.url, "--checkpoint", "b", "--run", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_start_that_asked_nothing_claims_no_folder(server: FaultServer, data: Path, tmp_path: Path) -> None:
    nowhere = ("vqa", "--model", "server:typo", "--url", "http://127.0.0.1:9/v1", "--data", data)
    done = bench(*nowhere, "--run", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 1
    assert not (tmp_path / "r").exists()
    done = ask(server, data, tmp_path, "--run", "r")
    assert done.returncode == 0, done.stderr


def test_a_run_that_was_answered_nothing_may_be_begun_with_another_model(
    server: FaultServer, data: Path, tmp_path: Path
) -> None:
    server.script = lambda question, attempt: "400"
    done = ask(server, data, tmp_path, "--run", "r")
    assert (done.returncode, {one["type"] for one in journal(tmp_path / "r")}) == (1, {"failure"})
    server.script = lambda question, attempt: ""
    done = ask(server, data, tmp_path, "--run", "r", "--temperature", "0.5")
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert (card["counts"]["answered"], card["counts"]["failed"]) == (8, 0)
    assert card["settings"]["generation"]["temperature"] == 0.5


def test_a_file_outside_the_dataset_is_never_sent(server: FaultServer, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    (tmp_path / "secret.mp4").write_bytes(next(data.rglob("a_000.mp4")).read_bytes() + b"PRIVATE KEY")
    for name, content in (("a_000", None), ("a_001", b"PRIVATE KEY")):
        [video] = data.rglob(f"{name}.mp4")
        video.unlink()
        video.symlink_to(tmp_path / "secret.mp4") if content is None else video.write_bytes(content)
    options = ("--model", "server:m", "--url", server.url, "--data", data, "--media", "clip", "--run", "r")
    done = bench("caption", *options, *FAST, cwd=tmp_path, env=ENV)
    assert done.returncode == 1
    for name, why in (
        ("a_000", "is a link that leads out of the dataset"),
        ("a_001", "its content is no mp4, mkv, webm, avi or mov file"),
    ):
        told = f"that can be used: {name}.mp4: {why}; `microg-bench data check` tells more"
        assert f"failed: {name}: {name}: the dataset holds no video of this clip {told}" in done.stderr
    sent = re.findall(r"base64,([A-Za-z0-9+/=]+)", json.dumps(server.bodies))
    assert len(sent) == 2
    assert not any(b"PRIVATE KEY" in base64.b64decode(one) for one in sent)


@pytest.mark.parametrize("engine", ["openai", "server", "gemini", "anthropic"])
def test_a_vendors_key_goes_where_a_file_says_only_with_consent(
    server: FaultServer, data: Path, tmp_path: Path, engine: str
) -> None:
    if engine in ("gemini", "anthropic"):
        library = {"gemini": "google.genai", "anthropic": "anthropic"}[engine]
        pytest.importorskip(library, reason=f"the extra {engine} is not installed")
    keys = {"gemini": "GEMINI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    key = keys.get(engine, "OPENAI_API_KEY")
    unset = dict.fromkeys(("OPENAI_API_KEY", "GOOGLE_API_KEY", *keys.values(), "MICROG_BENCH_SERVER_KEY"), "")
    file = f'model = "{engine}:m"\nurl = "{server.url}"\ndata = "{data}"\nframes = 2\nmetrics = ["ROUGE-L"]\n'
    (tmp_path / "c.toml").write_text(file)
    command = ("vqa", "--config", "c.toml", "--run", "r")
    done = bench(*command, cwd=tmp_path, env={**unset, key: KEY})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"--url: the key in {key} would be sent where a file says: add --url" in done.stderr
    assert not server.asked
    if engine in keys:
        return
    done = bench(*command, "--url", server.url, cwd=tmp_path, env={**unset, key: KEY})
    assert done.returncode == 0, done.stderr
    server.keys = {"another-key"}
    done = bench(
        *command[:-1], "s", cwd=tmp_path, env={**unset, key: KEY, "MICROG_BENCH_SERVER_KEY": "another-key"}
    )
    assert done.returncode == (0 if engine == "server" else 1), done.stderr
