"""Models by name: `ENGINE:NAME`, without any adapter file."""

import pytest

from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.errors import UsageError
from microg_bench.prompts import Instruction
from microg_bench.records import Request, Text, Video


@pytest.mark.parametrize(
    ("model", "engine", "checkpoint"),
    [
        ("openai:gpt-4o", "openai", "gpt-4o"),
        ("gemini:gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("anthropic:claude-opus-5", "anthropic", "claude-opus-5"),
        ("server:org/model:7b", "server", "org/model:7b"),
        ("vllm:ORG/CHECKPOINT", "vllm", "ORG/CHECKPOINT"),
        ("transformers:./folder", "transformers", "./folder"),
    ],
)
def test_a_name_at_an_engine_needs_no_file(model: str, engine: str, checkpoint: str) -> None:
    adapter = find_adapter(model)
    assert (adapter.name, adapter.engines, adapter.checkpoint) == (model, (engine,), checkpoint)
    assert (adapter.revision, adapter.sees_video) == (None, True)
    assert len(source_sha256(adapter)) == 64


def test_it_is_asked_in_the_plain_chat_form() -> None:
    adapter = find_adapter("openai:gpt-4o")
    request = Request(id="a", task="caption", video_id="a", source="a")
    prompt = adapter.prompt(request, Instruction(system="Be brief.", user="Describe."), None)
    assert [message.role for message in prompt.messages] == ["system", "user"]
    assert prompt.messages[1].parts == (Video(), Text(text="Describe."))
    assert adapter.parse(request, " A man.\n") == "A man."


@pytest.mark.parametrize("model", ["openai:", "vllm:a b", "gemini:a\nb", "server:\x1b[2J"])
def test_an_empty_or_unprintable_name_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match="give a name after the colon"):
        find_adapter(model)


def test_an_engine_that_asks_no_models_by_name_is_an_unknown_model() -> None:
    with pytest.raises(UsageError, match="unknown model 'function:x'"):
        find_adapter("function:x")
