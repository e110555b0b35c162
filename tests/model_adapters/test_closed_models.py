"""Every closed model by the real command, against a server that answers only what its vendor describes.

The server decodes each picture that it is sent. Which frame of which clip that is, is found by comparing it
with every frame of the clips, decoded here by PyAV alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from microg_bench.adapters.base import Adapter
from microg_bench.adapters.registry import find_adapter
from microg_bench.dataset.load import load, select
from microg_bench.prompts import find_template
from microg_bench.records import Clip, TaskName
from microg_bench.tasks import TASKS, items_of
from tests.helpers.datasets import bench
from tests.helpers.fault_server import AnthropicWire, FaultServer, GeminiWire, OpenAIWire
from tests.helpers.vendor_api import AnthropicApi, Asked, GeminiApi, OpenAIApi, VendorApi
from tests.model_adapters.cases import ADAPTERS

pytestmark = pytest.mark.heavy

pytest.importorskip("openai", reason="the extra openai is not installed")
pytest.importorskip("google.genai", reason="the extra gemini is not installed")
pytest.importorskip("anthropic", reason="the extra anthropic is not installed")

KEY = "key-0123456789abcdef"
ENV = {"OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": "", "ANTHROPIC_API_KEY": KEY}
VENDORS: dict[str, tuple[Any, type[VendorApi]]] = {
    "openai": (OpenAIWire, OpenAIApi),
    "gemini": (GeminiWire, GeminiApi),
    "anthropic": (AnthropicWire, AnthropicApi),
}
LIMITS = {"openai": "max_completion_tokens", "gemini": "maxOutputTokens", "anthropic": "max_tokens"}
CLOSED = (
    *("gpt_4o", "gpt_5_4", "gpt_6_1_sol", "gpt_6_luna"),
    *("gemini_1_5_pro", "gemini_2_5_pro", "gemini_3_1_pro", "gemini_3_8_flash", "gemini_4_carbon"),
    *("claude_opus_5", "claude_sonnet_5"),
)
CLIPS = ("astronaut-drift_000", "rocket-roll_001")  # where the camera moves: no frame looks like another
ITSELF_DB, OTHERS_DB = 38.0, 33.0  # a frame after JPEG at quality 90 has 40 or more, any other 32.2 or less
EVERY = 4  # of the rows and columns of pixels, which are compared
TASK_NAMES: tuple[TaskName, ...] = ("caption", "vqa")


@dataclass(frozen=True)
class Proof:
    """A run of one model on two clips, and what the vendor got of it."""

    adapter: Adapter
    api: VendorApi
    status: int
    run: Path

    def journal(self, task: TaskName) -> dict[str, dict[str, Any]]:
        lines = map(json.loads, (self.run / task / "journal.jsonl").read_text().splitlines())
        return {line["id"]: line for line in lines}


def clips() -> tuple[Clip, ...]:
    return select(load("sample"), CLIPS, None)


def wanted() -> dict[str, tuple[str, str]]:
    """By the id of each request: the clip and the text that must be asked."""
    found = {}
    for task in TASK_NAMES:
        template = find_template(task, "default")
        for item in items_of(TASKS[task], clips()):
            instruction = template.render(item.request)
            assert not instruction.system
            found[item.request.id] = (item.request.video_id, instruction.user)
    return found


def blank_and_filtered() -> tuple[str, str]:
    """Two questions of the first clip: to one nothing is generated, the other is stopped by the filter."""
    first = [name for name in wanted() if name.startswith(f"{CLIPS[0]}#")]
    return first[0], first[1]


def reply(asked: Asked) -> tuple[str, str]:
    blank, filtered = (wanted()[name][1] for name in blank_and_filtered())
    ended = "filter" if asked.question == filtered else ""
    return ("" if asked.question in (blank, filtered) else f"\n It is so: {asked.question} \n"), ended


@pytest.fixture(scope="module", params=CLOSED)
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    adapter = find_adapter(str(ADAPTERS / f"{request.param}.py"))
    wire, vendor = VENDORS[adapter.engines[0]]
    place = tmp_path_factory.mktemp(request.param)
    with FaultServer(wire) as server:
        server.models, server.keys = [str(adapter.checkpoint)], {KEY}
        api = vendor(server, reply)
        model, asking = ("--model", adapter.name), ("--url", server.url, "--yes", "--run", "r")
        data = ("--data", "sample", "--clips", ",".join(CLIPS), "--metrics", "ROUGE-L")
        done = bench("run", *model, *data, *asking, cwd=place, env=ENV)
        yield Proof(adapter, api, done.returncode, place / "r")


@cache
def frames() -> dict[str, np.ndarray]:
    """All frames of each clip, a row of pixels each."""
    found = {}
    for clip in clips():
        with av.open(str(clip.video)) as video:
            shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        found[clip.video_id] = rows(shown)
    return found


def rows(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([picture[::EVERY, ::EVERY].ravel() for picture in pictures]).astype(float)


def similarity(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """PSNR in dB of each picture against all frames of the first clip, then of the second."""
    ours, theirs = np.concatenate(list(frames().values())), rows(pictures)
    squares = (theirs**2).sum(axis=1)[:, None] + (ours**2).sum(axis=1) - 2 * theirs @ ours.T
    decibels: np.ndarray = 10 * np.log10(255**2 / (squares / ours.shape[1]))
    return decibels


def test_each_item_is_asked_once_as_its_vendor_describes(proof: Proof) -> None:
    assert proof.api.refused == []
    assert proof.status == 0
    assert len(proof.api.asked) == len(wanted()) == 14
    assert {asked.model for asked in proof.api.asked} == {proof.adapter.checkpoint}
    assert sorted(asked.question for asked in proof.api.asked) == sorted(
        text for _, text in wanted().values()
    )


def test_its_settings_are_sent_under_the_vendors_names(proof: Proof) -> None:
    caption, vqa = (proof.adapter.generation[task].max_tokens for task in TASK_NAMES)
    captions = {text for name, (_, text) in wanted().items() if "#" not in name}
    (engine,) = proof.adapter.engines
    sampling = {} if engine == "anthropic" else {"temperature": 0, "seed": 0}
    for asked in proof.api.asked:
        assert asked.settings[LIMITS[engine]] == (caption if asked.question in captions else vqa)
        known = {name: asked.settings[name] for name in ("temperature", "seed") if name in asked.settings}
        assert known == sampling


def test_the_frames_that_the_journal_names_come_in_order_before_the_question(proof: Proof) -> None:
    recorded = {**proof.journal("caption"), **proof.journal("vqa")}
    open_requests = dict(wanted())
    for asked in proof.api.asked:
        *shown, question = asked.parts
        assert isinstance(question, str)
        assert len(shown) == len(asked.pictures) == proof.adapter.frames
        decibels = similarity(asked.pictures)
        places = decibels.argmax(axis=1)
        clip = CLIPS[places[0] // 90]
        name = next(name for name, item in open_requests.items() if item == (clip, question))
        del open_requests[name]
        assert [place - 90 * CLIPS.index(clip) for place in places] == recorded[name]["frames"]
        assert decibels.max(axis=1).min() > ITSELF_DB
        assert np.sort(decibels, axis=1)[:, -2].max() < OTHERS_DB
    assert not open_requests


def test_the_frames_are_spread_evenly_over_the_clip(proof: Proof) -> None:
    count = proof.adapter.frames
    middles = [(k + 0.5) * 90 / count for k in range(count)]
    for line in proof.journal("caption").values():
        assert all(0 <= middle - frame < 1 for middle, frame in zip(middles, line["frames"], strict=True))


def test_its_answers_are_the_vendors_words_and_an_empty_one_is_no_failure(proof: Proof) -> None:
    blank, filtered = blank_and_filtered()
    recorded = {**proof.journal("caption"), **proof.journal("vqa")}
    for name, (_, text) in wanted().items():
        line = recorded.pop(name)
        empty = text in (wanted()[blank][1], wanted()[filtered][1])
        assert line["answer"] == ("" if empty else f"It is so: {text}")
        stopped = "refusal" if proof.adapter.engines == ("anthropic",) else "content_filter"
        assert line["finish_reason"] == (stopped if text == wanted()[filtered][1] else "stop")
    assert not recorded
    scorecard = json.loads((proof.run / "vqa" / "scorecard.json").read_text())
    assert (scorecard["status"], scorecard["counts"]["failed"]) == ("complete", 0)
    empty_answers = sum(not line["answer"] for line in proof.journal("vqa").values())
    assert scorecard["counts"]["empty"] == empty_answers >= 2
