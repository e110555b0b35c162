"""A model that is asked about texts alone, in the schema of a rubric."""

from typing import Any

from microg_bench.adapters.base import Adapter, Baseline
from microg_bench.adapters.registry import usable_adapter
from microg_bench.errors import UsageError
from microg_bench.prompts import Instruction, Rubric
from microg_bench.records import Generation, Message, Prompt, Request, Text

# What a model that reads texts takes of the adapter that names it.
_TAKEN = (
    *("name", "title", "checkpoint", "revision", "architecture"),
    *("loader", "engines", "thinking", "licence"),
)


class TextModel(Adapter):
    """The model of another adapter, such as that of ``vllm:ORG/CHECKPOINT``; it is shown nothing.

    Args:
        model: the name of the model.
        rubric: what it is asked.

    Raises:
        UsageError: there is no such model, or it is a baseline.
    """

    sees_video = False

    def __init__(self, model: str, rubric: Rubric) -> None:
        adapter = usable_adapter(model)
        if isinstance(adapter, Baseline):
            raise UsageError("is a baseline, which reads no text", item=model)
        self._made_of = model, rubric
        schema = Generation(max_tokens=rubric.max_tokens, answer_schema=rubric.schema_text)
        vars(self).update({name: getattr(adapter, name) for name in _TAKEN}, generation={"text": schema})

    def prompt(self, request: Request, instruction: Instruction, frames: Any) -> Prompt:
        """The instruction alone."""
        system = Message(role="system", parts=(Text(text=instruction.system),))
        user = Message(role="user", parts=(Text(text=instruction.user),))
        return Prompt(messages=(system, user) if instruction.system else (user,))

    def __reduce__(self) -> tuple[Any, ...]:
        return TextModel, self._made_of
