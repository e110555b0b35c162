"""Checkpoints that read only text, on the engine transformers; vLLM has its own tests of them."""

import json
import shutil
from pathlib import Path

import pytest

from microg_bench.engines.registry import ENGINES

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

from microg_bench.engines.base import Job
from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.errors import EngineError
from microg_bench.options import Options
from microg_bench.records import Failure, Generation, Image, Message, Prompt, Request, Response, Text, Video
from tests.engines.conftest import AnswerAll, grey_frames, job_of
from tests.helpers.tiny_text import NAMED, build_tiny_text

pytestmark = pytest.mark.slow


def text_job(key: int, *said: str) -> Job:
    """A chat whose turns are those of user and assistant by turns; nothing is shown."""
    turns = (
        Message(role="assistant" if k % 2 else "user", parts=(Text(text=text[:3]), Text(text=text[3:])))
        for k, text in enumerate(said)
    )
    request = Request(id=f"c{key}", task="caption", video_id=f"c{key}", source="s")
    return Job(request, Prompt(messages=tuple(turns)), None, Generation(max_tokens=12))


def started(folder: Path) -> TransformersEngine:
    engine = TransformersEngine(Options(checkpoint=str(folder), dtype="float32", batch_size=4))
    engine.start()
    return engine


@pytest.mark.parametrize("name", NAMED)
def test_the_text_is_that_of_plain_transformers(name: str, tmp_path: Path, answer_all: AnswerAll) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_tiny_text(name, tmp_path)
    jobs = [
        text_job(0, "Who is there?"),
        text_job(1, "Who is there?", "A woman.", "Is <|im_end|> </s> sure?"),
    ]
    outcomes = answer_all(started(folder), jobs)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    chat = [{"role": "user", "content": "Who is there?"}]
    plain = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(plain, add_special_tokens=False, return_tensors="pt", return_token_type_ids=False)
    rows = model.generate(**inputs, do_sample=False, max_new_tokens=12, repetition_penalty=1.0)
    said = tokenizer.decode(rows[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert isinstance(outcomes[0], Response)
    assert outcomes[0].text == said
    assert outcomes[0].prompt_tokens == inputs["input_ids"].shape[1]
    assert isinstance(outcomes[1], Response)


@pytest.mark.parametrize("shown", [Video(), Image(frame=0)])
def test_what_it_cannot_see_fails_with_one_line(
    tmp_path: Path, answer_all: AnswerAll, shown: Video | Image
) -> None:
    engine = started(build_tiny_text("qwen3", tmp_path))
    jobs = [job_of(0, frames=grey_frames([1, 2]), parts=(shown, Text(text="Who?"))), text_job(1, "Who?")]
    failure, response = answer_all(engine, jobs)
    assert isinstance(failure, Failure)
    assert (failure.stage, "reads only text" in failure.reason) == ("prompt", True)
    assert isinstance(response, Response)


def test_a_model_that_sees_needs_its_processor(tiny_qwen: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "blinded"))
    for file in folder.glob("*processor*.json"):
        file.unlink()
    with pytest.raises(EngineError) as caught:
        started(folder)
    assert "\n" not in str(caught.value)
    assert "processor" in str(caught.value)


def test_a_language_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = build_tiny_text("qwen3", tmp_path)
    for file in folder.glob("*.jinja"):
        file.unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(EngineError, match="has no chat template"):
        started(folder)


def test_what_moves_its_output_is_told(tmp_path: Path) -> None:
    told = started(build_tiny_text("llama", tmp_path)).provenance()
    assert told["model_class"] == "LlamaForCausalLM"
    assert not {"images", "videos"} & told.keys()
