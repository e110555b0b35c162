"""What the installed libraries cannot load is told without importing them."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from microg_bench.engines import registry
from microg_bench.engines.registry import choose_engine, unsupported
from microg_bench.errors import MissingExtraError
from microg_bench.options import Options


@pytest.mark.parametrize("library", ["vllm", "transformers"])
def test_a_class_that_the_library_lacks_is_named(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    assert unsupported(library, "Qwen2_5_VLForConditionalGeneration") == ""
    reason = unsupported(library, "NoSuchModel")
    assert reason.startswith(f"{library} ")
    assert reason.endswith(" has no NoSuchModel")


def test_vllm_has_no_class_for_video_llava() -> None:
    if find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    assert unsupported("vllm", "VideoLlavaForConditionalGeneration")


def test_what_cannot_be_told_is_no_reason() -> None:
    assert unsupported("server", "NoSuchModel") == ""
    assert unsupported("transformers", "") == ""


def test_a_model_needs_a_server_where_only_clients_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_installed", lambda module: module in ("openai", "httpx2", "PIL"))
    engines = ("vllm", "transformers", "server")
    command = r"needs an extra \(no module vllm\): pip install 'microg-bench\[vllm\]'$"
    with pytest.raises(MissingExtraError, match=f"^without --url of a server, engine vllm {command}"):
        choose_engine("m", engines, "", Options())
    for given, own in ((Options(engine="vllm"), engines), (Options(), engines[:2])):
        with pytest.raises(MissingExtraError, match=f"^engine vllm {command}"):
            choose_engine("m", own, "", given)
    assert choose_engine("m", engines, "", Options(url=("http://localhost:1",))).name == "server"


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from microg_bench.engines.registry import unsupported;"
        "unsupported('transformers', 'X'); unsupported('vllm', 'X');"
        "print([name for name in ('torch', 'vllm', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
