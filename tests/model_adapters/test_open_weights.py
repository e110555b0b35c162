"""Every open-weight adapter with a tiny checkpoint of its real architecture, on the engine `transformers`."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from microg_bench.engines.registry import ENGINES
from microg_bench.options import Options

if ENGINES["transformers"].missing():
    pytest.skip("the extra transformers is not installed", allow_module_level=True)

from microg_bench.adapters.base import split_thoughts
from microg_bench.engines.chat_template import opened_thought
from microg_bench.engines.transformers.engine import TransformersEngine
from microg_bench.model_checks import check_model
from microg_bench.records import Failure, Response, ThinkingLevel
from tests.engines.conftest import AnswerAll
from tests.helpers.tiny_newer import NEWER
from tests.helpers.tiny_own import OWN
from tests.helpers.tiny_parts import TINY
from tests.model_adapters.cases import (
    ADAPTERS,
    CASES,
    LEVELS,
    Case,
    instruction_of,
    job_for,
    levels_of,
    switches,
)
from tests.model_adapters.conftest import Tiny

pytestmark = pytest.mark.slow

Start = Callable[..., TransformersEngine]


@pytest.fixture
def start(tiny: Tiny) -> Start:
    def make(name: str, level: ThinkingLevel | None = None) -> TransformersEngine:
        options = Options(checkpoint=str(tiny(name)))
        adapter = CASES[name].adapter()
        engine = TransformersEngine(options, loader=adapter.loader, thinking=switches(name, level))
        engine.start()
        return engine

    return make


def spy(engine: TransformersEngine, case: Case, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What entered the vision tower, under "pixels", and what the model was called with."""
    seen: dict[str, Any] = {}
    model = engine._ready.model
    generate = model.generate

    def enter(module: Any, args: Any, kwargs: Any) -> None:
        seen["pixels"] = args[0] if args else kwargs.get("pixel_values", kwargs.get("hidden_states"))

    def watched(**inputs: Any) -> Any:
        seen.update(inputs)
        return generate(**inputs)

    tower = next(part for name, part in model.named_modules() if name.split(".")[-1] == case.tower)
    tower.register_forward_pre_hook(enter, with_kwargs=True)
    monkeypatch.setattr(model, "generate", watched)
    return seen


def write(engine: TransformersEngine, tokens: Sequence[int]) -> None:
    """Make the model write `tokens`, whatever it is shown."""
    left = list(tokens)

    def prefer(module: Any, args: Any, logits: Any) -> Any:
        logits = logits.clone()
        logits[..., left.pop(0)] = 1e4
        return logits

    engine._ready.model.get_output_embeddings().register_forward_hook(prefer)


def responses(outcomes: list[Response | Failure]) -> list[Response]:
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if isinstance(outcome, Response)]


def test_every_tiny_checkpoint_is_of_an_adapter() -> None:
    assert set(CASES) == {*TINY, *NEWER, *OWN}
    assert [case.adapter().name for case in CASES.values()] == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_its_frames_reach_the_vision_tower_in_order(
    name: str, start: Start, answer_all: AnswerAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, engine = CASES[name], start(name)
    adapter, seen = case.adapter(), spy(engine, case, monkeypatch)
    responses(answer_all(engine, [job_for(adapter)]))
    processor = engine._ready.processor
    reader = getattr(processor, "video_processor", None) or processor.image_processor
    shown = levels_of(seen["pixels"], adapter.frames)
    levels = [round((level * reader.image_std[0] + reader.image_mean[0]) * 255) for level in shown]
    assert levels == LEVELS[: adapter.frames]


@pytest.mark.parametrize("name", CASES)
def test_the_model_is_given_its_own_template_with_the_video_first(
    name: str, start: Start, answer_all: AnswerAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, engine = CASES[name], start(name)
    seen, job = spy(engine, case, monkeypatch), job_for(case.adapter())
    responses(answer_all(engine, [job]))
    text = engine._ready.processor.tokenizer.decode(seen["input_ids"][0])
    text = re.sub(r"(<[^<>]+>)\1+", r"\1", text)
    assert re.fullmatch(case.prompt.format(user=re.escape(instruction_of(job))), text), text


@pytest.mark.parametrize("name", CASES)
def test_no_special_token_is_left_in_an_answer(name: str, start: Start, answer_all: AnswerAll) -> None:
    engine = start(name)
    tokenizer = engine._ready.processor.tokenizer
    marks = " ".join(sum(engine.marks, ()))
    special = [
        token
        for token in tokenizer.all_special_ids
        if token not in engine._ready.stops and tokenizer.convert_ids_to_tokens(token) not in marks
    ]
    assert special
    words = tokenizer("A man.", add_special_tokens=False)["input_ids"]
    script = [*special, *words, *special, tokenizer.eos_token_id]
    write(engine, script)
    (answer,) = responses(answer_all(engine, [job_for(CASES[name].adapter(), max_tokens=64)]))
    assert (answer.text, answer.finish_reason, answer.output_tokens) == ("A man.", "stop", len(script))


@pytest.mark.parametrize("name", CASES)
def test_an_empty_generation_is_an_empty_answer(name: str, start: Start, answer_all: AnswerAll) -> None:
    engine, adapter = start(name), CASES[name].adapter()
    write(engine, [engine._ready.processor.tokenizer.eos_token_id])
    job = job_for(adapter)
    (answer,) = responses(answer_all(engine, [job]))
    assert (adapter.parse(job.request, answer.text), answer.finish_reason) == ("", "stop")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.adapter().thinking])
def test_its_thoughts_are_kept_apart_from_its_answer(name: str, start: Start, answer_all: AnswerAll) -> None:
    engine, adapter = start(name, "on"), CASES[name].adapter()
    processor = engine._ready.processor
    tokenizer, opened = processor.tokenizer, opened_thought(processor, engine.thinking, engine.marks)
    opening, closing = next(pair for pair in engine.marks if pair[1] in tokenizer.get_vocab())
    thought = f"{'' if opened else opening}The man.{closing}A man."
    script = tokenizer(thought, add_special_tokens=False)["input_ids"]
    write(engine, [*script, tokenizer.eos_token_id])
    (said,) = responses(answer_all(engine, [job_for(adapter, max_tokens=64)]))
    thoughts, answer = split_thoughts(said.text, adapter.thinking)
    assert (thoughts, answer) == ("The man.", "A man.")


@pytest.mark.heavy
@pytest.mark.parametrize("name", CASES)
def test_it_captions_and_answers_about_sample_clips(name: str, tiny: Tiny) -> None:
    model, checkpoint = str(ADAPTERS / CASES[name].file), str(tiny(name))
    checks = check_model(model, checkpoint, "transformers")
    assert checks[-1].what == "the checkpoint captions and answers about two sample clips"
    assert [check for check in checks if check.problem] == []


@pytest.mark.parametrize("name", CASES)
def test_a_batch_gives_the_texts_of_single_prompts_also_with_a_clip_of_fewer_frames(
    name: str, tiny: Tiny, answer_all: AnswerAll
) -> None:
    adapter, texts = CASES[name].adapter(), []
    jobs = [job_for(adapter, question) for question in ("Who is there?", "What floats?", "Where is she?")]
    jobs.append(job_for(adapter, "Who is here?", frames=adapter.frames // 2))
    for batch_size in (1, 4):
        options = Options(checkpoint=str(tiny(name)), batch_size=batch_size, dtype="float32")
        engine = TransformersEngine(options, loader=adapter.loader, thinking=switches(name))
        engine.start()
        texts.append([(answer.text, answer.prompt_tokens) for answer in responses(answer_all(engine, jobs))])
    assert texts[0] == texts[1]
