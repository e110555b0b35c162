"""Fills in an adapter that `models new` wrote, as its author would."""

import re
from pathlib import Path

WRITTEN = {
    "checkpoint": '"your-org/YourModel-7B"',
    "revision": f'"{"0123456789abcdef" * 2}01234567"',
    "architecture": '"Qwen2_5_VLForConditionalGeneration"',
    "licence": '"Apache-2.0"',
    "memory": '"7 billion parameters × 2 bytes = 14 GB in bfloat16"',
}


def fill_in(adapter: Path) -> None:
    """Write everything that the template asks for."""
    text = adapter.read_text()
    for name, value in WRITTEN.items():
        text, count = re.subn(
            f'^    {name} = "FILL IN: .*"$', f"    {name} = {value}", text, flags=re.MULTILINE
        )
        assert count == 1
    text, count = re.subn(r"FILL IN: (what)", r"This is \1", text)
    assert count == 2
    adapter.write_text(text)
