"""`microg-bench models`: what is listed and shown, what is written, and what a check says."""

from datetime import date
from pathlib import Path

import pytest

from microg_bench.adapters.registry import find_adapter, registered
from microg_bench.cli.models import announced_ends, to_install
from microg_bench.engines import registry
from tests.helpers.datasets import bench
from tests.helpers.scaffold import fill_in

pytestmark = pytest.mark.slow


def test_models_lists_every_model_with_what_it_needs(tmp_path: Path) -> None:
    done = bench("models", cwd=tmp_path)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert {"constant", "blind", "nearest-clip", "qwen2.5-vl"} <= rows.keys()
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in rows["qwen2.5-vl"]
    unproved = {found.name: found.adapter.unproved for found in registered() if found.adapter}
    assert unproved["kimi-k2.5"]
    for name, told in unproved.items():
        if told:
            assert f"{name}: unproved: {told}" in done.stdout
            assert told in bench("models", "show", name, cwd=tmp_path).stdout


def test_models_breaks_no_name_in_a_narrow_window(tmp_path: Path) -> None:
    done = bench("models", cwd=tmp_path, env={"COLUMNS": "80"})
    table = done.stdout.partition(": to install")[0].splitlines()[:-1]
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["model", "engines", "checkpoint"]
    told = done.stdout.replace(",", " ").split()
    for found in registered():
        assert found.adapter is not None
        named = [found.name, *found.adapter.engines, found.adapter.checkpoint or "–"]
        assert set(named) <= set(told)
    wide = bench("models", cwd=tmp_path, env={"COLUMNS": "100"}).stdout.splitlines()
    assert wide[0].split() == ["model", "engines", "frames", "checkpoint"]


def test_models_show_tells_everything_declared(tmp_path: Path) -> None:
    done = bench("models", "show", "qwen2.5-vl", cwd=tmp_path)
    for expected in ("9, uniform", "Apache-2.0", "cc594898137f460bfe9f0759e9844b3ce807cfb5", "sha256"):
        assert expected in done.stdout
    done = bench("models", "show", "qwen", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean qwen3.8 or qwen3.6 or qwen3.5 or qwen2.5-vl or qwen3-vl?" in done.stderr


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        ((), "pip install 'microg-bench[vllm]'"),
        (("openai", "httpx2", "PIL"), "nothing with --url, else: pip install 'microg-bench[vllm]'"),
        (("openai", "httpx2", "PIL", "vllm"), "nothing"),
    ],
)
def test_what_is_to_install_depends_on_what_is_here(
    monkeypatch: pytest.MonkeyPatch, modules: tuple[str, ...], told: str
) -> None:
    monkeypatch.setattr(registry, "_installed", lambda module: module in modules)
    monkeypatch.setattr("microg_bench.cli.models.unsupported", lambda engine, architecture: "")
    assert to_install(type(find_adapter("qwen2.5-vl"))) == told
    assert to_install(type(find_adapter("blind"))) == "nothing"


def test_models_tells_which_of_them_their_vendors_end(tmp_path: Path) -> None:
    (line,) = [one for one in announced_ends(date(2026, 11, 26)) if one.startswith("gemini-2.5-pro:")]
    assert line.startswith("gemini-2.5-pro: rerouted by its vendor on 2026-12-01 (in 5 days); known as of ")
    for command in (("models",), ("doctor",), ("models", "show", "gemini-2.5-pro")):
        told = bench(*command, cwd=tmp_path).stdout
        assert "gemini-2.5-pro: rerouted by its vendor on 2026-12-01 (" in told


def test_models_new_writes_an_adapter_that_passes_its_check_once_it_is_filled_in(tmp_path: Path) -> None:
    done = bench("models", "new", "model-of-a-test", "--into", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    adapter = tmp_path / "mine" / "model_of_a_test.py"
    assert done.stdout.splitlines()[-1] == f"then: microg-bench models check {adapter.relative_to(tmp_path)}"
    done = bench("models", "check", adapter, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:3] == [
        "FAIL  the template is filled in",
        "      write what FILL IN asks for: the docstring of the file, the docstring of the class, "
        "checkpoint, revision, architecture, licence, memory",
    ]
    left = done.stdout.splitlines()[2].strip()
    done = bench("vqa", "--model", adapter, "--data", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"error: {adapter}: {left}\n")
    fill_in(adapter)
    done = bench("models", "check", adapter, cwd=tmp_path)
    assert (done.returncode, "FAIL" in done.stdout) == (0, False), done.stdout
    again = bench("models", "new", "model-of-a-test", "--into", "mine", cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr == "error: mine/model_of_a_test.py: exists already; nothing was written\n"


def test_models_check_tells_what_is_wrong(tmp_path: Path) -> None:
    bench("models", "new", "mine", cwd=tmp_path)
    adapter = tmp_path / "mine.py"
    adapter.write_text(adapter.read_text().replace("frames = 8", "frames = 0"))
    done = bench("models", "check", "mine.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "FAIL  the declaration is complete\n      frames and sampling: the number of frames" in done.stdout
