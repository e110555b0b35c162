"""What stands in the place of a processor for a checkpoint that reads text alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from microg_bench.engines.chat_template import PromptError


@dataclass
class TextProcessor:
    """A tokenizer with a chat template, called as the processors of vision-language models are."""

    tokenizer: Any

    @property
    def chat_template(self) -> Any:
        """That of the tokenizer."""
        return self.tokenizer.chat_template

    def apply_chat_template(self, chat: Sequence[dict[str, Any]], **settings: Any) -> str:
        """The text of a chat; the content of each turn goes to the template as one text.

        Raises:
            PromptError: the chat shows something.
        """
        if any(part["type"] != "text" for turn in chat for part in turn["content"]):
            raise PromptError("the checkpoint reads only text: it cannot be shown a clip")
        turns = [{**turn, "content": "".join(part["text"] for part in turn["content"])} for turn in chat]
        text: str = self.tokenizer.apply_chat_template(turns, **settings)
        return text

    def __call__(self, text: list[str], text_kwargs: dict[str, Any], return_tensors: str, **_: Any) -> Any:
        """The tensors of texts, as `model_inputs` asks for them."""
        kept = {**text_kwargs, "return_tensors": return_tensors, "return_token_type_ids": False}
        return self.tokenizer(text, **kept)
