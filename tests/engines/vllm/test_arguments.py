"""What of a user's engine arguments reaches vLLM, and what does not: no vLLM is needed to tell."""

import importlib
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.openai_compatible import local_server
from microg_bench.engines.openai_compatible.server import ServerEngine
from microg_bench.engines.registry import ENGINES
from microg_bench.engines.vllm.arguments import arguments, check_arguments, flags
from microg_bench.errors import EngineError, UsageError
from microg_bench.options import Options
from tests.helpers.datasets import ROOT, bench

pytestmark = pytest.mark.slow

SERVES = {"serve": True, "checkpoint": "org/model"}
# Stands in place of vLLM: what its server is called with is written down.
STAND_IN = {
    "__init__.py": "",
    "platforms.py": "class current_platform:\n    is_cpu = staticmethod(lambda: False)\n",
    "engine/arg_utils.py": """
class EngineArgs:
    model: str = ""
    load_format: str = ""
    worker_cls: str = ""
    limit_mm_per_prompt: dict = {}
    enforce_eager: bool = False
    ignore_patterns: list = []
    reasoning_parser: str = ""
""",
    "entrypoints/__init__.py": "",
    "entrypoints/launchers/cli_args.py": """
class FrontendArgs:
    chat_template: str = ""
    host: str = ""
""",
    "entrypoints/openai/__init__.py": "",
    "entrypoints/openai/api_server.py": """
import json, os, pathlib, sys
pathlib.Path(os.environ["RECORDED"]).write_text(json.dumps(sys.argv[1:]))
sys.exit("RuntimeError: recorded")
""",
}


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in for vLLM writes the words that its server was called with."""
    for name, text in STAND_IN.items():
        file = tmp_path / "site" / "vllm" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))
    monkeypatch.setenv("RECORDED", str(tmp_path / "argv.json"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path / "argv.json"


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    return str(tmp_path / "m")


def refusal(arguments: dict[str, Any], **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        ServerEngine.check(Options(**SERVES, **options, engine_args=arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("_transformers")  # the server loads torchvision before vLLM
@pytest.mark.skipif(bool(ENGINES["server"].missing()), reason="the extra openai is not installed")
def test_each_argument_is_one_word_of_the_server(
    recorded: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "_get", lambda port, path: None)  # nobody else may answer there
    given = {
        "load_format": "--trust-remote-code",
        "limit_mm_per_prompt": {"video": 1},
        "enforce_eager": False,
        "ignore_patterns": ["a b", "c"],
        "chat_template": "",
    }
    options = Options(
        serve=True, checkpoint=model, engine_args=given, quantization="--trust-remote-code", port=None
    )
    ServerEngine.check(options)
    with pytest.raises(EngineError, match="RuntimeError: recorded"):
        local_server.LocalServer(options).start()
    words = json.loads(recorded.read_text())
    assert "--load-format=--trust-remote-code" in words
    assert "--quantization=--trust-remote-code" in words
    assert '--limit-mm-per-prompt={"video": 1}' in words
    assert "--no-enforce-eager" in words
    assert "--chat-template=" in words
    place = words.index("--ignore-patterns")
    assert words[place + 1 : place + 3] == ["a b", "c"]
    assert [one for one in words if not one.startswith("--")] == ["a b", "c"]
    assert "--trust-remote-code" not in words


@pytest.mark.skipif(bool(ENGINES["server"].missing()), reason="the extra openai is not installed")
@pytest.mark.parametrize(
    "line",
    [
        'load_format = ["auto", "--trust-remote-code"]',
        "trust_remote = true",
        "trust_remote_code = true",
        '"trust-remote-code" = true',
        'tool_parser_plugin = "evil.py"',
        'worker_cls = "evil.Worker"',
        'worker-ext = "evil.Worker"',
        'config = "evil.yaml"',
        '"config.x" = "evil.yaml"',
        'host = "0.0.0.0"',
        "no_such_argument = 1",
    ],
)
@pytest.mark.usefixtures("recorded")
def test_what_a_file_names_starts_no_server(line: str) -> None:
    assert "engine argument" in refusal(tomllib.loads(line))


@pytest.mark.skipif(bool(ENGINES["server"].missing()), reason="the extra openai is not installed")
def test_a_file_that_names_code_runs_nothing(recorded: Path, model: str, tmp_path: Path) -> None:
    argument = 'load_format = ["auto", "--trust-remote-code"]'
    content = f'serve = true\nmodel = "server:{model}"\ndata = "sample"\n[engine_args]\n{argument}\n'
    (tmp_path / "evil.toml").write_text(content)
    done = bench("run", "--config", "evil.toml", "--run", "r", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: engine argument load_format: a value in a list must not begin")
    assert not recorded.exists()
    assert not (tmp_path / "r").exists()


CODE = {
    "tool_parser_plugin": "a.py",
    "some_new_plugin": "a.py",
    "worker_cls": "a.B",
    "worker-extension-cls": "a.B",
    "middleware": ["a.b"],
    "logits_processors": ["a.B"],
    "compilation_config": {"backend": "a.b"},
    "kv_transfer_config": {"kv_connector_module_path": "a"},
    "distributed_executor_backend": "a.B",
    "log_config_file": "a.json",
}


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("server", [True, False])
def test_what_runs_code_needs_consent_on_the_command_line(
    name: str, server: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microg_bench.engines.vllm.arguments.find_spec", lambda name: None)
    options = Options(engine_args={name: CODE[name]})
    with pytest.raises(UsageError, match="give --trust-remote-code on the command line"):
        check_arguments(options, server)
    check_arguments(options.model_copy(update={"trust_remote_code": True}), server)


@pytest.mark.parametrize("name", ["trust_remote", "work", "tool_parser_pl", "log_c", "worker_cls.x"])
def test_without_vllm_a_name_that_is_cut_short_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.engines.vllm.arguments.find_spec", lambda name: None)
    assert f"engine argument {name} may be read as" in refusal({name: True})


def test_what_runs_no_code_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microg_bench.engines.vllm.arguments.find_spec", lambda name: None)
    taken = {"reasoning_parser": "qwen3", "distributed_executor_backend": "ray", "swap_space": 1}
    ServerEngine.check(Options(**SERVES, engine_args={**taken, "ignore_patterns": ["a", 1]}))


def test_arguments_of_the_processor_have_an_option() -> None:
    given = {"videos": {"size": {"longest_edge": 9}}, "images.do_resize": True}
    stated = Options.of({"processor_args": given})
    kwargs = {"videos_kwargs": {"size": {"longest_edge": 9}}, "images_kwargs": {"do_resize": True}}
    assert arguments(stated)["mm_processor_kwargs"] == kwargs
    assert "mm_processor_kwargs" not in arguments(Options())
    words = flags(arguments(stated))
    assert f"--mm-processor-kwargs={json.dumps(kwargs)}" in words
    said = refusal({"mm_processor_kwargs": {}})
    assert said == "engine argument mm_processor_kwargs is set here by --processor-arg"


def test_log_probabilities_are_no_argument_of_the_engine() -> None:
    options = Options.of({"model": "m", "checkpoint": "c", "logprobs": True})
    assert arguments(options) == arguments(options.model_copy(update={"logprobs": False}))
