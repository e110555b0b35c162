"""Options become a configuration, and every mistake is found before a model is loaded."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from microg_bench.engines.checkpoint import content_sha256
from microg_bench.errors import DataError, UsageError
from microg_bench.options import Options
from microg_bench.runs.configure import Configuration, configure
from microg_bench.settings import Media
from tests.helpers.datasets import record, write_annotations
from tests.helpers.fault_server import FaultServer

TODAY = date(2026, 11, 26)
QWEN = {"model": "qwen2.5-vl", "engine": "transformers"}


def configured(**given: Any) -> Configuration:
    return configure(Options.of({"data": "sample", **given}))


@pytest.fixture
def _extras() -> None:
    for module in ("transformers", "openai"):
        pytest.importorskip(module, reason="an extra is not installed")


@pytest.mark.usefixtures("_extras")
def test_the_commit_of_an_adapter_belongs_to_its_own_weights() -> None:
    own = configured(**QWEN).settings("vqa")
    assert own.checkpoint == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert own.revision is not None
    other = configured(**QWEN, checkpoint="org/other").settings("vqa")
    assert (other.checkpoint, other.revision) == ("org/other", None)
    pinned = configured(**QWEN, checkpoint="org/other", revision="abc").settings("vqa")
    assert pinned.revision == "abc"


@pytest.mark.usefixtures("_extras")
def test_an_adapter_states_the_input_of_its_own_weights() -> None:
    own = configured(**QWEN)
    assert own.settings("vqa").processor_args == dict(own.adapter.processor_args)
    assert own.engine_options.processor_args == own.settings("vqa").processor_args
    other = configured(**QWEN, checkpoint="org/other").settings("vqa").processor_args
    assert other == {"videos.cap_pixels_per_frame": False}, "sizes belong to a checkpoint"


@pytest.mark.usefixtures("_extras")
def test_stated_arguments_count_over_the_adapters() -> None:
    given = ["videos.cap_pixels_per_frame=null", 'videos.size={"shortest_edge":1,"longest_edge":2}']
    one = configured(**QWEN, processor_args=[*given, "images.do_resize=false"])
    assert one.settings("vqa").processor_args == {
        "images.size": one.adapter.processor_args["images.size"],
        "videos.size": {"shortest_edge": 1, "longest_edge": 2},
        "images.do_resize": False,
    }
    assert one.default_folder != configured(**QWEN).default_folder
    assert one.cached_under({}) != configured(**QWEN).cached_under({})


@pytest.mark.usefixtures("_extras")
def test_nothing_is_stated_of_a_server_that_runs_already() -> None:
    with FaultServer() as server:
        server.models = ["a"]
        one = configured(model="qwen2.5-vl", url=server.url)
        assert one.settings("vqa").processor_args == one.engine_options.processor_args == {}
        with pytest.raises(UsageError, match="--processor-arg: needs --serve"):
            configured(model="qwen2.5-vl", url=server.url, processor_args=["videos.do_resize=false"])


@pytest.mark.usefixtures("_extras")
def test_a_server_is_asked_for_the_model_of_an_adapter_without_its_commit() -> None:
    with FaultServer() as server:
        server.models = ["a", "b"]
        one = configured(model="qwen2.5-vl", url=server.url)
    settings = one.settings("caption")
    assert (one.engine.name, settings.checkpoint, settings.revision) == (
        "server",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        None,
    )
    assert settings.media == Media(kind="images", jpeg_quality=90, detail="auto")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights, below one with a private name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = tmp_path / "private" / "finetuned"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.usefixtures("_extras")
def test_local_weights_are_known_by_their_content(weights: Path) -> None:
    given = {**QWEN, "checkpoint": str(weights)}
    one = configured(**given)
    assert (
        one.checkpoint_sha256 == one.settings("vqa").checkpoint_sha256 == content_sha256(str(weights), print)
    )
    assert configured(**given).default_folder == one.default_folder
    (weights / "model.safetensors").write_bytes(b"other")
    other = configured(**given)
    assert other.checkpoint_sha256 != one.checkpoint_sha256
    assert other.default_folder != one.default_folder
    assert other.cached_under({}) != one.cached_under({})
    changed = one.settings("vqa").difference(other.settings("vqa"))
    assert changed == f"the weights in {weights} have changed"


@pytest.mark.usefixtures("_extras")
def test_weights_that_are_not_loaded_here_are_not_read(weights: Path) -> None:
    server = {"model": "qwen2.5-vl", "checkpoint": str(weights)}
    assert configured(**server, url="http://127.0.0.1:1/v1", media="images").checkpoint_sha256 is None
    assert configured(**QWEN).checkpoint_sha256 is None
    assert configured(**QWEN, checkpoint="org/other").checkpoint_sha256 is None
    assert configured(model="blind").checkpoint_sha256 is None


@pytest.mark.usefixtures("_extras")
def test_a_title_names_the_checkpoint_that_is_not_the_adapters(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def title(**given: Any) -> str:
        one = configured(**given)
        assert one.settings("vqa").title == one.title
        return one.title

    own, url = "Qwen/Qwen2.5-VL-7B-Instruct", {"url": "http://127.0.0.1:1/v1", "media": "images"}
    assert {title(**QWEN), title(**QWEN, checkpoint=own)} == {"Qwen2.5-VL"}
    assert title(**QWEN, checkpoint="org/name") == "Qwen2.5-VL (org/name)"
    assert title(**QWEN, checkpoint="org/name", revision="abc") == "Qwen2.5-VL (org/name)"
    assert title(**QWEN, revision="abc") == f"Qwen2.5-VL ({own}@abc)"
    assert title(model="qwen2.5-vl", checkpoint="served", **url) == "Qwen2.5-VL (served)"
    assert title(model="qwen2.5-vl", checkpoint="/srv/private/m/", **url) == "Qwen2.5-VL (m)"
    digest = str(content_sha256(str(weights), print))[:8]
    local = f"Qwen2.5-VL (finetuned, {digest})"
    assert title(**QWEN, checkpoint=str(weights)) == title(**QWEN, checkpoint=f"{weights}/.") == local
    assert title(model="blind") == "Baseline: blind"
    assert title(model="server:org/name", **url) == "org/name"
    assert title(model="server:a/b/c/d", **url) == "d"
    assert title(model="server:/srv/private/m", **url) == "m"
    assert title(model=f"transformers:{weights}") == "finetuned"
    assert title(model="server:org/name", checkpoint="other", **url) == "org/name (other)"
    monkeypatch.chdir(weights)
    assert title(**QWEN, checkpoint=".") == local
    (weights.parent / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(weights.parent)
    empty = str(content_sha256("org/name", print))[:8]
    assert title(**QWEN, checkpoint="org/name") == f"Qwen2.5-VL (name, {empty})", "a folder wins"


@pytest.mark.usefixtures("_extras")
def test_the_one_model_of_a_server_is_asked_and_named(tmp_path: Path) -> None:
    with FaultServer() as server:
        server.models = ["/weights/mine"]
        one = configured(model="qwen2.5-vl", url=server.url)
        settings = one.settings("caption")
        assert (settings.checkpoint, settings.title) == ("/weights/mine", "Qwen2.5-VL (mine)")
        assert one.warnings(TODAY) == [
            "asks /weights/mine, the one model that the server has, not Qwen/Qwen2.5-VL-7B-Instruct; "
            "--checkpoint names another"
        ]
        named = configured(model="qwen2.5-vl", url=server.url, checkpoint="b").settings("caption")
        assert (named.checkpoint, named.title) == ("b", "Qwen2.5-VL (b)")
        generic = configured(model="server:NAME", url=server.url).settings("caption")
        assert (generic.checkpoint, generic.title) == ("NAME", "NAME")
        server.models = ["Qwen/Qwen2.5-VL-7B-Instruct"]
        one = configured(model="qwen2.5-vl", url=server.url)
        assert (one.settings("caption").title, one.warnings(TODAY)) == ("Qwen2.5-VL", [])
        server.models = ["a", "b"]
        one = configured(model="qwen2.5-vl", url=server.url)
        assert (one.settings("caption").checkpoint, one.warnings(TODAY)) == (
            "Qwen/Qwen2.5-VL-7B-Instruct",
            [],
        )


def test_the_announced_end_of_a_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.genai", reason="the extra gemini is not installed")
    (line,) = configured(model="gemini-2.5-pro").warnings(TODAY)
    assert line.startswith("gemini-2.5-pro: rerouted by its vendor on 2026-12-01 (in 5 days); known as of ")
    assert configured(model="gemini:gemini-3.5-flash").warnings(TODAY) == []
    assert configured(model="constant").warnings(TODAY) == []


def test_a_model_that_has_an_adapter_is_not_asked_without_it_in_silence() -> None:
    (line,) = configured(model="openai:gpt-5.4").warnings(TODAY)
    assert line == "openai:gpt-5.4 is asked in the plain form; --model gpt-5.4 is made for it"


def test_the_sample_set_is_no_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MICROG_BENCH_DATA", str(tmp_path / "none"))
    (line,) = configured(model="constant", data=None).warnings(TODAY)
    assert line == (
        "MicroG-4M was not fetched: this is the sample set of 14 clips, which is no benchmark; "
        "`microg-bench data fetch` downloads the dataset"
    )
    write_annotations(tmp_path / "fetched" / "refs.json", [record("a_001")])
    monkeypatch.setenv("MICROG_BENCH_DATA", str(tmp_path / "fetched"))
    assert configured(model="constant", data=None).warnings(TODAY) == []


def test_only_some_requests_are_asked() -> None:
    whole = configured(model="blind", clips="pedestrians-a_000,rocket-roll_001")
    some = replace(whole, only=frozenset({"pedestrians-a_000", "rocket-roll_001#2", "rocket-roll_001#1"}))
    assert {task: [item.request.id for item in items] for task, items in some.items.items()} == {
        "caption": ["pedestrians-a_000"],
        "vqa": ["rocket-roll_001#1", "rocket-roll_001#2"],
    }
    assert some.settings("vqa").requests == ("rocket-roll_001#1", "rocket-roll_001#2")
    assert whole.settings("vqa").requests is None
    assert whole.settings("vqa").difference(some.settings("vqa")) is not None


@pytest.mark.usefixtures("_extras")
def test_only_what_moves_an_answer_leads_to_another_folder(tmp_path: Path) -> None:
    folder = configured(**QWEN).default_folder
    assert folder.parent == Path("runs")
    assert folder.name.startswith("qwen2.5-vl-sample-")
    same = {"num_workers": 5, "batch_size": 1, "tasks": "vqa", "metrics": "CIDEr", "max_cost": None}
    assert configured(**QWEN, **same).default_folder == folder
    data = str(write_annotations(tmp_path / "vqa" / "refs.json", [record("a_001")]))
    folders = [
        configured(**QWEN, **{name: value}).default_folder
        for name, value in {"frames": 5, "temperature": 0.5, "limit": 2, "dtype": "bfloat16"}.items()
    ]
    folders += [configured(model="blind").default_folder, configured(model="blind", data=data).default_folder]
    assert len({folder, *folders}) == 1 + len(folders)


def test_the_settings_of_a_run_tell_what_is_asked() -> None:
    whole, some = configured(model="nearest-clip"), configured(model="nearest-clip", limit=2)
    assert whole.settings("vqa").clips is None
    assert some.settings("vqa").clips == tuple(clip.video_id for clip in some.clips)
    assert (len(whole.clips), len(some.clips)) == (14, 2)
    assert (whole.settings("vqa").shown, whole.settings("vqa").media) == ("uniform:4", None)
    blind = configured(model="blind").settings("vqa")
    assert (blind.frames, blind.prompt) == (None, None)
    assert configured(model="blind", max_tokens=7, seed=5).settings("vqa").generation.max_tokens == 7


def test_the_caption_is_asked_before_the_questions() -> None:
    one = configured(model="blind")
    for clip, requests in one.requests.items():
        assert [request.id for request in requests] == [clip, *(f"{clip}#{k + 1}" for k in range(6))]


@pytest.mark.usefixtures("_extras")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a model"),
        ({"model": "blid"}, "unknown model 'blid': did you mean blind"),
        ({"model": "blind", "tasks": ()}, "give at least one task"),
        ({"model": "blind", "frames": 3}, "--frames: does not apply: model blind sees no video"),
        ({"model": "blind", "checkpoint": "x"}, "--checkpoint: does not apply: model blind has no weights"),
        ({"model": "blind", "clips": "nope"}, "unknown clip of sample 'nope'"),
        ({"model": "blind", "prompt": "nope"}, "unknown caption prompt 'nope'"),
        ({"model": "blind", "max_cost": 1}, "--max-cost: no price is known for blind"),
        ({"model": "blind", "batch": True}, "--batch: engine function has no batch API"),
        ({"model": "nearest-clip", "sampling": "all", "frames": 3}, "--sampling all sets the number"),
        ({"model": "nearest-clip", "sampling": "sometimes"}, "unknown sampling 'sometimes'"),
        ({"model": "openai:m", "media": "clip", "frames": 3}, "--frames: does not apply: --media clip"),
        ({**QWEN, "media": "video"}, "--media: engine transformers does not take it"),
        (
            {"model": "qwen2.5-vl", "engine": "gemini"},
            "runs on vllm or transformers or server, not on gemini",
        ),
    ],
)
def test_what_cannot_be_used_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        configured(**given)


def test_there_must_be_something_to_ask(tmp_path: Path) -> None:
    captions = [{"video_id": "a_001", "caption": "A pen floats.", "qa_pairs": []}]
    data = str(write_annotations(tmp_path / "refs.json", captions))
    assert configured(model="blind", data=data, tasks="caption").items["caption"]
    with pytest.raises(DataError, match="refs: none of the chosen clips has a reference for vqa"):
        configured(model="blind", data=data)
    with pytest.raises(DataError, match="none of the chosen clips has a video, and model nearest-clip needs"):
        configured(model="nearest-clip", data=data, tasks="caption")


def test_a_shard_may_have_nothing_to_ask_where_the_run_has(tmp_path: Path) -> None:
    captions = [{"video_id": f"a_00{n}", "caption": "A pen floats.", "qa_pairs": []} for n in range(2)]
    asked = {
        "video_id": "a_002",
        "caption": "A pen sinks.",
        "qa_pairs": [{"Q": "Does it float?", "A": "No."}],
    }
    data = str(write_annotations(tmp_path / "refs.json", [*captions, asked]))
    numbers = [len(configured(model="blind", data=data, shard=f"{k}/3").items["vqa"]) for k in (1, 2, 3)]
    assert sorted(numbers) == [0, 0, 1]
    data = str(write_annotations(tmp_path / "refs.json", captions))
    with pytest.raises(DataError, match="refs: none of the chosen clips has a reference for vqa"):
        configured(model="blind", data=data, shard="1/2")


def thinking(**given: Any) -> tuple[str | None, dict[str, Any], int]:
    one = configured(url="http://127.0.0.1:1/v1", checkpoint="m", media="images", **given)
    return one.settings("vqa").thinking, dict(one.switches), one.generation("vqa").max_tokens


@pytest.mark.usefixtures("_extras")
def test_a_model_without_an_adapter_thinks_as_its_engine_does() -> None:
    assert thinking(model="server:m") == ("engine default", {}, 64)
    asked = {"chat_template_kwargs": {"enable_thinking": True}}
    assert thinking(model="server:m", thinking="on") == ("on", asked, 4096)
    assert thinking(model="server:m", thinking="on", max_tokens=100) == ("on", asked, 100)
    asked = {"chat_template_kwargs": {"enable_thinking": False}}
    assert thinking(model="server:m", thinking="off") == ("off", asked, 64)


THINKER = """
from microg_bench.adapters.base import Adapter
from microg_bench.records import Thinking, template_switches

class Thinker(Adapter):
    name = "thinker"
    title = "Thinker"
    checkpoint = "org/thinker"
    thinking = Thinking(
        default="low",
        switches=template_switches({"low": {"budget": 100}, "off": {"budget": 0}}),
        max_tokens=300,
    )
"""


@pytest.mark.usefixtures("_extras")
def test_an_adapter_declares_the_levels_of_its_model(tmp_path: Path) -> None:
    model = tmp_path / "thinker.py"
    model.write_text(THINKER)
    asked = {"chat_template_kwargs": {"budget": 100}}
    assert thinking(model=str(model)) == ("low", asked, 300)
    assert thinking(model=str(model), thinking="off")[::2] == ("off", 64)
    here = configured(model=str(model), engine="transformers")
    assert (here.switches, here.generation("caption").max_tokens) == ({"budget": 100}, 300)
    reason = r"--thinking: high is not known for thinker on engine server \(known: low, off\)"
    with pytest.raises(UsageError, match=reason):
        thinking(model=str(model), thinking="high")


@pytest.mark.usefixtures("_extras")
def test_a_model_that_does_not_think_takes_no_level() -> None:
    assert thinking(model="qwen2.5-vl") == (None, {}, 64)
    with pytest.raises(UsageError, match="--thinking: does not apply: .*qwen2.5-vl declares no thinking"):
        thinking(model="qwen2.5-vl", thinking="off")
    with pytest.raises(UsageError, match="--thinking: does not apply: .*blind declares no thinking"):
        configured(model="blind", thinking="on")


@pytest.mark.usefixtures("_extras")
def test_thinking_leads_to_another_folder() -> None:
    folders = {
        configured(model="server:m", url="http://h/v1", media="images", thinking=level).default_folder
        for level in ("on", "off", None)
    }
    assert len(folders) == 3


TOKEN = "hf_" + "q" * 30


@pytest.mark.usefixtures("_extras")
@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"model": f"server:{TOKEN}", "url": "http://h/v1"}, "--model"),
        ({"model": "vllm:org/m", "checkpoint": f"org/{TOKEN}"}, "--checkpoint"),
        ({"model": "server:m", "url": f"http://ann:{TOKEN}@h/v1"}, "--url"),
        ({"model": "server:m", "url": "https://h/v1?api_key=qqqq"}, "--url"),
        ({"model": "vllm:org/m", "engine_args": ["hf-token=qqqq"]}, "--engine-arg hf_token"),
        ({"model": "vllm:org/m", "engine_args": [f"seed={TOKEN}"]}, "--engine-arg seed"),
        (
            {"model": "vllm:org/m", "engine_args": ['hf_overrides={"headers": {"Authorization": "qqqq"}}']},
            "--engine-arg hf_overrides.headers.Authorization",
        ),
        ({"model": "vllm:org/m", "engine_args": [f"{TOKEN}=1"]}, "--engine-arg [secret]"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(given: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError) as caught:
        configured(**given)
    assert str(caught.value) == f"{option}: holds a key, token or login; give it in the environment instead"


@pytest.mark.parametrize("given", [{"engine_args": TOKEN}, {"engine_args": [TOKEN]}, {"temperature": TOKEN}])
def test_a_secret_in_the_wrong_place_is_not_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        configured(model="vllm:org/m", **given)
    assert "qqq" not in str(caught.value)


@pytest.mark.usefixtures("_extras")
def test_the_name_of_a_run_folder_and_a_title_hold_nothing_private() -> None:
    path = "s3://bucket/ann/tiny"
    one = configured(model=f"server:{path}", url="http://127.0.0.1:9/v1", media="images")
    assert one.default_folder.name.startswith("server-tiny-sample-")
    assert one.title == "tiny"
