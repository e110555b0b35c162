import json
import re
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from microg_bench.adapters.registry import find_adapter, registered
from microg_bench.engines.checkpoint import Checkpoint
from microg_bench.engines.registry import ENGINES
from microg_bench.errors import EngineError
from microg_bench.options import Options

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

from microg_bench.engines.chat_template import model_inputs
from microg_bench.engines.processor import input_facts
from microg_bench.engines.transformers.loading import load_processor
from microg_bench.records import Image, Text, Video
from microg_bench.submissions.faults import text_faults
from tests.engines.conftest import job_of, noise_frames
from tests.helpers.tiny_models import build_tiny

pytestmark = pytest.mark.slow

# What becomes of 8 frames, or of one image, of 640 × 480 under the arguments that each adapter states.
MADE = {
    "qwen2.5-vl": ("videos", "640x480 as 4 x 644x476, 1566 tokens"),
    "qwen3-vl": ("videos", "640x480 as 4 x 640x480"),
    "llava-next-video": ("videos", "640x480 as 8 x 336x336"),
    "video-llava": ("videos", "640x480 as 8 x 224x224"),
    "llava-onevision": ("videos", "640x480 as 8 x 384x384"),
    "internvl3.5": ("videos", "640x480 as 8 x 448x448"),
    "smolvlm2": ("videos", "640x480 as 8 x 384x384"),
    "gemma-3": ("images", "640x480 as 1 x 896x896"),
}
QWENS = ("qwen2.5-vl", "qwen3-vl")
FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
Built = Callable[[str], Path]
OTHERS = {True: False, False: True}  # values of a default by another value of it


@pytest.fixture(scope="module")
def built(tiny_qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Tiny checkpoints by adapter, whose files leave everything open that the adapter states."""

    @cache
    def make(name: str) -> Path:
        if name == "smolvlm2":
            pytest.importorskip("num2words", reason="its processor needs it")
        folder = tmp_path_factory.mktemp("open") / name
        if name == "qwen2.5-vl":
            shutil.copytree(tiny_qwen, folder)
        else:
            build_tiny(name, folder)
        for file in filter(Path.is_file, (folder / file for file in FILES)):
            content = json.loads(file.read_text())
            for part in (content, content.get("image_processor", {}), content.get("video_processor", {})):
                for argument in ("cap_pixels_per_frame", "max_video_tokens", *_names(name)):
                    part.pop(argument, None)
            file.write_text(json.dumps(content))
        return folder

    return make


def _names(adapter: str) -> list[str]:
    return [name.partition(".")[2] for name in find_adapter(adapter).processor_args]


def _stated(adapter: str, without: str = "") -> Options:
    own = find_adapter(adapter).processor_args
    return Options.of({"processor_args": {name: value for name, value in own.items() if name != without}})


def _loaded(folder: Path, options: Options) -> Any:
    checkpoint = Checkpoint(str(folder))
    return load_processor(checkpoint, checkpoint.source(trust_remote_code=False), options)


def _facts(folder: Path, options: Options) -> dict[str, str]:
    return input_facts(_loaded(folder, options), options.processor_kwargs())


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, Mapping):
        return {key: one // 2 for key, one in value.items()}
    return OTHERS.get(value, value)


def _change_defaults(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new version of the library might: other values of everything that the adapter states."""
    processor = _loaded(folder, Options())
    parts = {"images": processor.image_processor, "videos": getattr(processor, "video_processor", None)}
    for argument, value in find_adapter(name).processor_args.items():
        kind, _, own = argument.partition(".")
        monkeypatch.setattr(type(parts[kind]), own, _other(value))
    if name in QWENS:
        monkeypatch.setattr(type(parts["videos"]), "max_video_tokens", 200)  # so few that the cap cuts
    if name == "gemma-3":
        import transformers.models.gemma3.processing_gemma3 as module

        defaults = getattr(module.Gemma3Processor, "images_kwargs", None)
        defaults = defaults or module.Gemma3ProcessorKwargs._defaults["images_kwargs"]
        monkeypatch.setitem(defaults, "do_pan_and_scan", True)


@pytest.mark.parametrize("name", MADE)
def test_another_library_does_not_change_what_is_stated(
    name: str, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, made = MADE[name]
    before, open_before = _facts(built(name), _stated(name)), _facts(built(name), Options())
    assert before[kind].startswith(made)
    _change_defaults(name, built(name), monkeypatch)
    assert _facts(built(name), _stated(name))[kind] == before[kind]
    open_now = _facts(built(name), Options())
    assert open_now != open_before
    assert open_now[kind] != before[kind], "what is not stated follows the library, and is told"


def test_every_adapter_with_weights_of_a_library_states_its_input() -> None:
    adapters = [one.adapter for one in registered() if one.adapter and one.adapter.architecture]
    classes = [
        one for one in adapters if not one.unproved or one.processor_args
    ]  # its processor can be built
    assert [one.name for one in classes if not one.processor_args] == []
    assert set(MADE) <= {one.name for one in classes}


@pytest.mark.parametrize("name", MADE)
def test_what_is_recorded_can_be_submitted(name: str, built: Built) -> None:
    facts = _facts(built(name), _stated(name))
    assert list(text_faults({"run.json": {"engine": facts}})) == []


def test_a_long_value_is_recorded_as_a_hash(built: Built) -> None:
    options = Options.of(
        {"processor_args": {"images.image_grid_pinpoints": [[56, 56 * k] for k in range(1, 40)]}}
    )
    facts = _facts(built("llava-onevision"), options)
    assert re.fullmatch("sha256=[0-9a-f]{64}", facts["images.image_grid_pinpoints"])


@pytest.mark.parametrize("name", QWENS)
def test_the_cap_of_a_video_is_stated(name: str, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _facts(built(name), _stated(name))
    kind = type(_loaded(built(name), Options()).video_processor)
    monkeypatch.setattr(kind, "cap_pixels_per_frame", True)
    monkeypatch.setattr(kind, "max_video_tokens", 200)
    assert _facts(built(name), _stated(name))["videos"] == before["videos"]
    open_now = _facts(built(name), _stated(name, without="videos.cap_pixels_per_frame"))
    assert open_now["videos.cap_pixels_per_frame"] == "true"
    assert open_now["videos"] != before["videos"]


def test_an_argument_that_the_library_no_longer_has_is_refused(
    tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options.of({"processor_args": {"videos.cap_pixels_per_frame": False}})
    kind = type(_loaded(tiny_qwen, options).video_processor)
    kept = {name: one for name, one in kind.valid_kwargs.__annotations__.items() if "cap_" not in name}
    monkeypatch.setattr(kind.valid_kwargs, "__annotations__", kept)
    said = (
        r"Qwen2VLVideoProcessor of transformers [\d.]+ has no argument cap_pixels_per_frame, which is stated"
    )
    with pytest.raises(EngineError, match=said) as caught:
        _loaded(tiny_qwen, options)
    assert "--processor-arg videos.cap_pixels_per_frame=null" in str(caught.value)


def test_a_processor_without_that_part_is_named(built: Built) -> None:
    options = Options.of({"processor_args": {"videos.do_resize": True}})
    with pytest.raises(EngineError, match=r"takes no videos: leave --processor-arg videos\.… out"):
        _loaded(built("gemma-3"), options)


def test_what_is_recorded_is_what_a_prompt_gets(tiny_qwen: Path) -> None:
    pixels = {"shortest_edge": 28 * 28, "longest_edge": 8 * 28 * 28}
    options = Options.of({"processor_args": {"videos.size": pixels, "images.size": pixels}})
    processor = _loaded(tiny_qwen, options)
    facts = input_facts(processor, options.processor_kwargs())
    assert json.loads(facts["videos.size"]) == json.loads(facts["images.size"]) == pixels
    assert facts["videos"] == "640x480 as 4 x 84x56, 26 tokens"
    for part, name in ((Video(), "video_grid_thw"), (Image(frame=0), "image_grid_thw")):
        job = job_of(0, frames=noise_frames(0, count=8), parts=(part, Text(text="Who?")))
        inputs = model_inputs(processor, [job], None, options.processor_kwargs())
        assert inputs[name][0].prod() * 14 * 14 <= (4 if name.startswith("video") else 1) * 8 * 28 * 28
