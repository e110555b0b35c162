"""What a request of Gemini's interface v1beta may hold, by its published protocol buffers and guides.

The messages are those of `google/ai/generativelanguage/v1beta` (content.proto, generative_service.proto) in
December 2025; ranges, media types and that a part is of one kind are told in comments and guides beside them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Message(BaseModel):
    """A message in JSON, which may name a field as protocol buffers do or in camel case."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class Blob(Message):
    mime_type: Literal[
        "image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "video/mp4", "video/mpeg",
        "video/mov", "video/avi", "video/x-flv", "video/mpg", "video/webm", "video/wmv", "video/3gpp",
    ]  # fmt: skip
    data: str


class VideoMetadata(Message):
    start_offset: str | None = Field(None, pattern=r"^\d+(\.\d+)?s$")
    end_offset: str | None = Field(None, pattern=r"^\d+(\.\d+)?s$")
    fps: float | None = Field(None, gt=0, le=24)


class Part(Message):
    text: str | None = None
    inline_data: Blob | None = None
    video_metadata: VideoMetadata | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Part:
        if (self.text is None) == (self.inline_data is None):
            raise ValueError("oneof field 'data' must be set once")
        return self


class Content(Message):
    parts: list[Part] = Field(min_length=1)
    role: Literal["user", "model"] | None = None


class ThinkingConfig(Message):
    include_thoughts: bool | None = None
    thinking_budget: int | None = Field(None, ge=-1)
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class GenerationConfig(Message):
    candidate_count: int | None = Field(None, ge=1, le=8)
    stop_sequences: list[str] | None = Field(None, max_length=5)
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = None
    seed: int | None = Field(None, ge=-(2**31), lt=2**31)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None
    media_resolution: str | None = Field(None, pattern="^MEDIA_RESOLUTION_(LOW|MEDIUM|HIGH)$")


class GenerateContentRequest(Message):
    """What of it a question about frames can need; tools and stored contexts are left out."""

    contents: list[Content] = Field(min_length=1)
    system_instruction: Content | None = None
    generation_config: GenerationConfig | None = None
