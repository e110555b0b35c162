"""The architecture of Video-ChatGPT (Maaz et al., ACL 2024, section 3), which no library has.

Every frame goes through CLIP ViT-L/14; the features of its patches in the last layer but one are averaged
over space into one temporal token a frame, padded with zeros to 100, and over time into 256 spatial tokens.
One linear layer brings these 356 into the space of a LLaMA. The names of the weights are the published ones.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download

from model_adapters._own_model import VIDEO, VideoProcessor, load_whole

transformers: Any = import_module("transformers")

PROJECTOR = "video_chatgpt-7B.bin"
PROJECTED = ("mm_projector.weight", "mm_projector.bias", "embed_tokens.weight")  # what it must hold
LANGUAGE = "mmaaz60/LLaVA-7B-Lightening-v1-1"
VISION = "openai/clip-vit-large-patch14"
COMMITS = {
    LANGUAGE: "36c0964cf16a0f7d30b08ca79f393eb99ac4c5a9",
    VISION: "32bd64288804d66eefd0ccbe215aa642df71cc41",
}

TEMPORAL = 100  # tokens
PATCH, START, END = "<vid_patch>", "<vid_start>", "<vid_end>"
SYSTEM = (
    "You are Video-ChatGPT, a large vision-language assistant. You are able to understand the video content"
    " that the user provides, and assist the user with a variety of tasks using natural language."
    "Follow the instructions carefully and explain your answers in detail based on the provided video."
)
TEMPLATE = (
    "{{ bos_token }}{% if messages[0].role != 'system' %}"
    + SYSTEM
    + " {% endif %}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content[0].text }} {% else %}{{ message.role.upper() }}: "
    "{% for part in message.content if part.type == 'video' %}" + VIDEO + "{{ '\n' }}{% endfor %}"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }} {% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


class VideoChatGpt(transformers.LlamaForCausalLM):  # type: ignore[misc]
    """A LLaMA with the published projector; `vision_tower` is put in after loading."""

    vision_tower: Any
    patch_token: int = -1

    def __init__(self, config: Any) -> None:
        """`config.mm_hidden_size` is the width of the vision tower, 1024 where it says nothing."""
        super().__init__(config)
        width = getattr(config, "mm_hidden_size", 1024)
        self.model.mm_projector = torch.nn.Linear(width, config.hidden_size)

    def video_tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """The embeddings of a video, shape (100 + patches of a frame, hidden), from (frames, 3, side, side).

        Raises:
            ValueError: more than 100 frames.
        """
        if len(pixels) > TEMPORAL:
            raise ValueError(f"Video-ChatGPT takes at most {TEMPORAL} frames, not {len(pixels)}")
        seen = self.vision_tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        temporal = torch.nn.functional.pad(seen.mean(dim=1), (0, 0, 0, TEMPORAL - len(pixels)))
        projected: torch.Tensor = self.model.mm_projector(torch.cat([temporal, seen.mean(dim=0)]))
        return projected

    def generate(
        self, input_ids: torch.Tensor, pixel_values_videos: torch.Tensor | None = None, **settings: Any
    ) -> torch.Tensor:
        """What is written, behind the prompt; `pixel_values_videos` is (videos, frames, 3, side, side)."""
        embeddings = self.get_input_embeddings()(input_ids)
        if pixel_values_videos is not None:
            videos = torch.cat([self.video_tokens(video) for video in pixel_values_videos])
            embeddings[input_ids == self.patch_token] = videos.to(embeddings)
        written = super().generate(inputs_embeds=embeddings, **settings)
        return torch.cat([input_ids, written], dim=1)


def load(place: str, source: dict[str, Any], settings: dict[str, Any]) -> tuple[Any, Any]:
    """The processor and the model from `place`, a folder or the hub id of the projector.

    Args:
        place: where the projector is; the other two parts are beside it, or come from the hub.
        source: `revision`, `local_files_only`, as `from_pretrained` takes them.
        settings: `dtype`, `device_map`, `attn_implementation`, as `from_pretrained` takes them.
    """
    folder = Path(place)
    local = {"local_files_only": source["local_files_only"]}
    if folder.is_dir():
        projector = str(folder / PROJECTOR)
        language, vision = (str(folder / part.split("/")[1]) for part in (LANGUAGE, VISION))
        language_source, vision_source, commits = local, local, {}
    else:
        projector = hf_hub_download(place, PROJECTOR, revision=source["revision"], **local)
        language, vision, commits = LANGUAGE, VISION, COMMITS
        language_source, vision_source = ({**local, "revision": commits[part]} for part in (LANGUAGE, VISION))
    config = transformers.LlamaConfig.from_pretrained(language, **language_source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(language, **language_source)
    model = load_whole(VideoChatGpt, language, "mm_projector", config=config, **language_source, **settings)
    new = tokenizer.add_tokens([PATCH, START, END], special_tokens=True)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.lm_head.weight.data[-new:] = 0  # never trained to be written; random rows would differ every time
    _load_projector(model, projector)
    model.patch_token = tokenizer.convert_tokens_to_ids(PATCH)
    tower = load_whole(transformers.CLIPVisionModel, vision, dtype=settings["dtype"], **vision_source)
    model.vision_tower = tower.to(model.device)
    model.commits = commits
    return _processor(tokenizer, tower.config), model


def _load_projector(model: Any, file: str) -> None:
    weights = torch.load(file, map_location="cpu", weights_only=True)
    found = model.load_state_dict(weights, strict=False)
    if missing := sorted({f"model.{name}" for name in PROJECTED} - set(weights)):
        raise ValueError(f"{PROJECTOR} lacks {missing[0]}")
    if found.unexpected_keys:
        raise ValueError(f"{PROJECTOR} holds {found.unexpected_keys[0]}, for which the model has no place")


def _processor(tokenizer: Any, vision: Any) -> VideoProcessor:
    side = {"height": vision.image_size, "width": vision.image_size}
    # Published: scaled to a square by nearest neighbour, before CLIP's own normalisation.
    reader = transformers.LlavaNextVideoVideoProcessor(size=side, do_center_crop=False, resample=0)
    tokens = TEMPORAL + (vision.image_size // vision.patch_size) ** 2
    return VideoProcessor(tokenizer, reader, TEMPLATE, lambda frames: START + PATCH * tokens + END)
