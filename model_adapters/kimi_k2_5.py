"""Kimi K2.5, which the paper does not test.

All settings are ours: 16 frames, the harness's default prompts, uniform sampling, and no thoughts.

Its tokenizer could not be built here, so that no test has run its processor.
"""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Thinking


class KimiK25(Adapter):
    """Kimi-K2.5, a mixture of experts of a trillion parameters."""

    name = "kimi-k2.5"
    title = "Kimi K2.5"
    checkpoint = "moonshotai/Kimi-K2.5"
    revision = "4d01dfe0332d63057c186e0b262165819efb6611"
    architecture = "KimiK25ForConditionalGeneration"
    frames = 16
    engines = ("vllm", "server")
    thinking = Thinking(
        default="off",
        switches={
            "vllm": {"on": {"thinking": True}, "off": {"thinking": False}},
            "server": {
                "on": {"chat_template_kwargs": {"thinking": True}},
                "off": {"chat_template_kwargs": {"thinking": False}},
            },
        },
    )
    licence = "a modified MIT licence"
    memory = "a trillion parameters in 4 bits, as its publisher counts them: eight GPUs"
    unproved = "the order of its frames, and its thoughts: its processor could not be built"
