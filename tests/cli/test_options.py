"""Options on the command line, in a file and in run.json: the same names, values, help and errors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from microg_bench.cli import main
from microg_bench.cli import run as run_verb
from microg_bench.cli.options import choices, default_words, kind
from microg_bench.errors import UsageError
from microg_bench.options import Options, about, flag
from microg_bench.runs.record import RUN_SCHEMA
from tests.helpers.datasets import bench
from tests.helpers.runs import make_settings

pytestmark = pytest.mark.slow

# Another value than the default: as texts on the command line, and as it is read.
VALUES: dict[str, tuple[tuple[str, ...], Any]] = {
    "model": (("blind",), "blind"),
    "checkpoint": (("org/name",), "org/name"),
    "revision": (("0a1b",), "0a1b"),
    "trust_remote_code": ((), True),
    "data": (("sample",), "sample"),
    "tasks": (("vqa",), ("vqa",)),
    "frames": (("4",), 4),
    "sampling": (("fps:2",), "fps:2"),
    "transforms": (("rotate:90,mirror",), ("rotate:90", "mirror")),
    "boxes": (("crop",), "crop"),
    "split": (("val",), "val"),
    "prompt": (("plain",), "plain"),
    "limit": (("2",), 2),
    "clips": (("a_000, b_000",), ("a_000", "b_000")),
    "shard": (("3/8",), "3/8"),
    "engine": (("server",), "server"),
    "dtype": (("float16",), "float16"),
    "attn_implementation": (("sdpa",), "sdpa"),
    "quantization": (("awq",), "awq"),
    "engine_args": (("max-num-seqs=128", "kind=fast"), {"max_num_seqs": 128, "kind": "fast"}),
    "processor_args": (("videos.fps=2", "images.size=big"), {"videos.fps": 2, "images.size": "big"}),
    "action_scores": (("logprob",), "logprob"),
    "device_map": (("cpu",), "cpu"),
    "batch_size": (("2",), 2),
    "tensor_parallel_size": (("2",), 2),
    "pipeline_parallel_size": (("3",), 3),
    "replicas": (("4",), 4),
    "ray_address": (("auto",), "auto"),
    "gpu_memory_utilization": (("0.5",), 0.5),
    "max_model_len": (("4096",), 4096),
    "max_concurrency": (("8",), 8),
    "num_workers": (("3",), 3),
    "max_tokens": (("12",), 12),
    "temperature": (("0.7",), 0.7),
    "top_p": (("0.9",), 0.9),
    "thinking": (("off",), "off"),
    "logprobs": ((), True),
    "seed": (("5",), 5),
    "cache": (("kept",), "kept"),
    "url": (("http://a,http://b",), ("http://a", "http://b")),
    "serve": ((), True),
    "port": (("8000",), 8000),
    "timeout": (("60",), 60.0),
    "media": (("video",), "video"),
    "jpeg_quality": (("80",), 80),
    "detail": (("low",), "low"),
    "batch": ((), True),
    "max_cost": (("1.5",), 1.5),
    "prices": (("prices.toml",), "prices.toml"),
    "metrics": (("CIDEr,METEOR",), ("CIDEr", "METEOR")),
    "protocol": (("coco",), "coco"),
    "clusters": (("clip",), "clip"),
    "actions": ((__file__,), __file__),
    "sentence_model": ((".",), "."),
    "bertscore_model": ((".",), "."),
    "bertscore_layers": (("17",), 17),
    "bertscore_idf": ((), True),
    "bertscore_rescale": ((), True),
    "bf16": ((), True),
    "device": (("cpu",), "cpu"),
}
AGAIN = ("trust_remote_code", "ray_address")  # asked for again beside a file that gives it
TYPED = [name for name in Options.model_fields if kind(name) in (int, float, Literal)]
OF_RUN = ("tasks", "boxes", "split", "action_scores")
VERBS = {"run": (), "caption": OF_RUN, "vqa": OF_RUN, "sweep": ("frames", "prompt", "batch")}
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `microg-bench` in the test's folder: exit status and standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["microg-bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture
def read(call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    """The options that `microg-bench run` makes of its arguments, instead of a run."""
    found: list[Options] = []

    def configure(options: Options, **others: object) -> None:
        found.append(options)
        raise UsageError("that is enough")

    def options(*arguments: str) -> Options:
        assert call("run", *arguments) == (1, "error: that is enough\n")
        return found[-1]

    monkeypatch.setattr(run_verb, "configure", configure)
    return options


def on_command_line(name: str) -> list[str]:
    texts, _ = VALUES[name]
    return [part for text in texts for part in (flag(name), text)] or [flag(name)]


def toml(value: Any) -> str:
    """A value as TOML, which JSON is but for mappings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def test_every_option_has_a_value_here() -> None:
    assert set(VALUES) == set(Options.model_fields)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_shows_every_option_with_its_default_and_choices(verb: str, tmp_path: Path) -> None:
    done = bench(verb, "--help", cwd=tmp_path, env={"COLUMNS": "300"})
    assert done.returncode == 0, done.stderr
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", done.stdout).split())
    for name in set(Options.model_fields) - set(VERBS[verb]):
        (told,) = re.findall(rf" {flag(name)} (.*?\[default: .*?\])(?= --| [A-Z]| $|$)", shown)
        assert about(name).help in told, name
        assert told.endswith(f"[default: ({default_words(name)})]"), name
        assert ", ".join(choices(name)) in told, name


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_cuts_no_name_in_a_narrow_window(verb: str, tmp_path: Path) -> None:
    shown = re.findall(r"[-\w]+", bench(verb, "--help", cwd=tmp_path, env={"COLUMNS": "80"}).stdout)
    for name in set(Options.model_fields) - set(VERBS[verb]):
        assert {flag(name), *choices(name)} <= set(shown), name


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "sweep"])
def test_a_verb_takes_no_option_that_does_not_apply(verb: str, tmp_path: Path) -> None:
    shown = bench(verb, "--help", cwd=tmp_path).stdout.split()
    assert not {flag(name) for name in VERBS[verb]} & set(shown)


@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_the_same_from_the_command_line_a_file_and_a_run(
    name: str, read: Callable[..., Options], tmp_path: Path
) -> None:
    expected = Options(**{name: VALUES[name][1]})
    assert read(*on_command_line(name)) == expected
    again = on_command_line(name) if name in AGAIN else []
    for spelled in (name, name.replace("_", "-")):
        (tmp_path / "c.toml").write_text(f"{spelled} = {toml(VALUES[name][1])}\n")
        assert read("--config", "c.toml", *again) == expected
    settings = make_settings().model_dump(mode="json")
    content = {"schema": RUN_SCHEMA, "options": expected.given(), "settings": settings, "starts": []}
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert read("--config", "run.json", *again) == expected


def test_all_options_together_are_the_same_too(read: Callable[..., Options], tmp_path: Path) -> None:
    expected = Options(**{name: value for name, (_, value) in VALUES.items()})
    assert read(*(part for name in VALUES for part in on_command_line(name))) == expected
    lines = [f"{name} = {toml(value)}" for name, (_, value) in VALUES.items()]
    (tmp_path / "c.toml").write_text("\n".join(lines))
    assert read("--config", "c.toml", *(part for name in AGAIN for part in on_command_line(name))) == expected


def test_the_command_line_overrides_the_file(read: Callable[..., Options], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('frames = 3\nprompt = "plain"\nmetrics = ["CIDEr"]\n')
    options = read("--config", "c.toml", "--frames", "5", "--metrics", "METEOR")
    assert (options.frames, options.prompt, options.metrics) == (5, "plain", ("METEOR",))


@pytest.mark.parametrize("name", VALUES)
def test_a_value_has_the_declared_type(name: str, read: Callable[..., Options]) -> None:
    value = getattr(read(*on_command_line(name)), name)
    assert value == VALUES[name][1]
    assert type(value) is (str if kind(name) is Literal else kind(name))


@pytest.mark.parametrize("text", ["many", "", "0x4"])
@pytest.mark.parametrize("name", TYPED)
def test_a_wrong_value_on_the_command_line_names_the_flag(call: Call, name: str, text: str) -> None:
    status, said = call("run", "--model", "blind", "--data", "sample", flag(name), text)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"error: {flag(name)}: Input should be ")
    assert f"(given: {text!r})" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("limit", "0"),
        ("batch_size", "-1"),
        ("gpu_memory_utilization", "1.5"),
        ("gpu_memory_utilization", "nan"),
        ("temperature", "3"),
        ("top_p", "0"),
        ("port", "65536"),
        ("jpeg_quality", "96"),
        ("num_workers", "65"),
        ("max_cost", "-1"),
        ("timeout", "0"),
        ("tasks", "dance"),
        ("metrics", "Cider"),
        ("engine_args", "max_num_seqs"),
        ("processor_args", "size=3"),
        ("sentence_model", "nowhere"),
        ("bertscore_model", "nowhere"),
    ],
)
def test_a_value_out_of_range_names_the_flag(call: Call, name: str, text: str) -> None:
    status, said = call("run", "--model", "blind", "--data", "sample", flag(name), text)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"error: {flag(name)}: ")


@pytest.mark.parametrize("verb", ["caption", "vqa", "sweep", "score"])
def test_every_verb_refuses_a_wrong_value_alike(call: Call, verb: str) -> None:
    needs = {"sweep": ("--run", "s", "--model", "blind"), "score": (".",)}.get(verb, ())
    status, said = call(verb, *needs, "--bertscore-layers", "last")
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("error: --bertscore-layers: Input should be a valid integer")


@pytest.mark.parametrize("name", VALUES)
def test_no_wrong_type_reaches_an_engine(name: str) -> None:
    """Neither from a file nor from Python."""
    for wrong in (object(), 2.5, {"a": object()}, [None]):
        try:
            value = getattr(Options.of({name: wrong}), name)
        except UsageError as error:
            assert error.item == flag(name)
            assert "\n" not in str(error)
        else:
            assert type(value) is (str if kind(name) is Literal else kind(name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("frames = 'many'", "error: --frames: Input should be a valid integer"),
        ("max_concurrency = [1]", "error: --max-concurrency: Input should be a valid integer"),
        ("tensor_parallel_size = 1.5", "error: --tensor-parallel-size: "),
        ("url = 3", "error: --url: "),
        ("engine_args = 3", "error: --engine-arg: "),
        ("modle = 'x'", "error: unknown option 'modle': did you mean model"),
        ("= 1", "error: c.toml: --config: cannot be read"),
    ],
)
def test_a_wrong_value_in_a_file_names_the_flag(
    call: Call, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "c.toml").write_text(content)
    status, said = call("run", "--config", "c.toml")
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(message)
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_a_config_is_a_toml_file_or_a_run(call: Call, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    said = call("run", "--config", "other.json")[1]
    assert said == "error: other.json: --config: give a .toml file, or the run.json of a run\n"
