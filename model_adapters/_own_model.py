"""What models share that no library has a class for: how they read prompts, and how they are loaded whole.

`VideoProcessor` has what the engine `transformers` asks of a processor: `tokenizer`, `video_processor`,
`chat_template`, `apply_chat_template`, and a call that makes padded tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VIDEO = "\ufdd2"  # a reserved code point, which no question has in it


class VideoProcessor:
    """Puts `placeholder(frames)` where the chat template writes `VIDEO`."""

    def __init__(
        self, tokenizer: Any, video_processor: Any, chat_template: str, placeholder: Callable[[int], str]
    ) -> None:
        """`video_processor` is one of transformers; it makes pixels of shape (frames, 3, height, width)."""
        self.tokenizer = tokenizer
        self.video_processor = video_processor
        self.chat_template = chat_template
        self._placeholder = placeholder

    def apply_chat_template(self, chat: Any, **settings: Any) -> Any:
        """The text of `chat` in the model's form, with `VIDEO` for a video."""
        return self.tokenizer.apply_chat_template(chat, chat_template=self.chat_template, **settings)

    def __call__(
        self,
        text: list[str],
        images: Any = None,
        videos: list[list[Any]] | None = None,
        videos_kwargs: dict[str, Any] | None = None,
        text_kwargs: dict[str, Any] | None = None,
        **shape: Any,
    ) -> Any:
        """The padded tokens of all texts, and under `pixel_values_videos` the frames of all videos.

        `videos` are those of each text that has any.

        Raises:
            ValueError: a prompt with images: such a model is shown videos only.
        """
        if images:
            raise ValueError("this model is shown videos only, no images")
        shown = [video for own in videos or [] for video in own]
        waiting = list(shown)
        texts = [self._filled(one, waiting) for one in text]
        inputs = self.tokenizer(texts, **(text_kwargs or {}), **shape)
        if shown:
            inputs.update(self.video_processor(shown, **(videos_kwargs or {}), **shape))
        return inputs

    def _filled(self, text: str, waiting: list[Any]) -> str:
        before, *parts = text.split(VIDEO)
        return before + "".join(self._placeholder(len(waiting.pop(0))) + part for part in parts)


def load_whole(kind: Any, place: str | None, found_elsewhere: str = "", **settings: Any) -> Any:
    """`kind.from_pretrained(place, **settings)`.

    Raises:
        ValueError: weights are missing, other than those whose names hold `found_elsewhere`; transformers
            would put random numbers in their place.
    """
    model, info = kind.from_pretrained(place, output_loading_info=True, **settings)
    missing = [
        name for name in sorted(info["missing_keys"]) if not found_elsewhere or found_elsewhere not in name
    ]
    if missing:
        raise ValueError(f"{len(missing)} weights are missing, such as {missing[0]}")
    return model
