"""What the published BERTScore package said once, and the encoder that it was asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from microg_bench.torchvision_repair import ensure_torchvision
from scripts.make_bertscore_reference import NAME, build_encoder

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "data/bertscore_reference.json").read_text())


def small_roberta(folder: Path) -> Path:
    """The encoder's folder inside `folder`, with the same content whatever the version of transformers."""
    ensure_torchvision()
    return build_encoder(folder / NAME, REFERENCE["merges"])
