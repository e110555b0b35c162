"""Scores fixed pairs with the published BERTScore package, for the tests to compare with.

Must run in the stack that the published numbers come from, in an environment of its own:

    python -m venv reference
    reference/bin/pip install torch==2.13.0
    reference/bin/pip install bert_score==0.3.13 'transformers==4.57.*'
    reference/bin/python scripts/make_bertscore_reference.py --text vqa_and_captioning.json

TEXT is what the byte pairs are learned from, any text file. The encoder is a small RoBERTa whose weights come
from a hash of their names, so that every stack builds the same; only its byte pairs are stored. Writes
tests/metrics/data/bertscore_reference.json: versions, byte pairs, baseline, pairs, and for
each choice of options precision, recall and F1 (0 to 1 where not rescaled).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).resolve().parents[1] / "tests/metrics/data/bertscore_reference.json"
NAME = "small-roberta"
VOCABULARY, WIDTH, LAYERS, POSITIONS = 1000, 64, 4, 514
FIRST, LAST = ("<s>", "<pad>", "</s>", "<unk>"), "<mask>"
BASELINE = """LAYER,P,R,F
0,0.20,0.21,0.22
1,0.30,0.31,0.32
2,0.40,0.41,0.42
3,0.50,0.51,0.52
4,0.60,0.61,0.62
"""
# (layers, idf, rescaled, several references)
OPTIONS = [(layers, False, False, False) for layers in (1, 2, 3, 4)]
OPTIONS += [(3, True, False, False), (3, False, True, False), (2, True, True, False)]
OPTIONS += [(3, False, False, True), (3, True, True, True)]

TEXTS = [
    "Two astronauts float inside the International Space Station, adjusting a white panel on the wall.",
    "The video shows a crew member in a blue shirt drifting slowly towards the camera while holding a tool.",
    "A woman with long hair, which stands on end in microgravity, explains how the crew eats dinner.",
    "Not mentioned.",
    "Not mentioned",
    "two",
    "Two.",
    "They are conducting a spacewalk outside the station; Earth's clouds are visible below.",
    "The astronaut's gloves grip the hand-rail (it's yellow), and he doesn't let go!",
    "Inside the module.",
    "inside the module",
    "Because there's no up or down, the man turns around - and around - and around.",
    'He is using a 3/8" wrench, 12.5 cm long, at 17:45 GMT.',
    "water, water, water, water, water, water, water, water",
    "floats",
    "Ω",
    "x",
    ".",
    "…?!",
    "   She waves at the camera.   ",
    "\tShe waves\n\nat the camera.\r\n",
    "She  waves \u2028 at\u00a0the camera.",
    "A caf\u00e9-style galley, na\u00efve d\u00e9cor, \u201cquoted\u201d \u2014 and an em dash.",
    "Космонавт Юрий Гагарин, 宇航员在空间站里漂浮。",
    "\U0001f680\U0001f468\u200d\U0001f680 liftoff \U0001f30d",
    "an astronaut </s> floats <mask> by",
    "The crew member floats past the window and waves. " * 80,
    "unbrokenword" * 150,
]
EMPTY = [("", TEXTS[0]), (TEXTS[0], ""), ("", ""), (" \n\t", TEXTS[5]), (TEXTS[5], "\u3000")]


def pairs() -> list[tuple[str, str]]:
    """Candidate and reference: every text with itself or another, the empty ones, and two repeated."""
    following = list(zip(TEXTS, [*TEXTS[1:], TEXTS[0]], strict=True))
    others = [(text, TEXTS[(7 * place + 3) % len(TEXTS)]) for place, text in enumerate(TEXTS)]
    return [*following, *EMPTY, *others, following[0], following[3], (TEXTS[26], TEXTS[26])]


def learned_merges(texts: list[str]) -> list[str]:
    """Byte pairs as lines of merges.txt."""
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=VOCABULARY - len(FIRST) - 1)
    return [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def build_encoder(folder: Path, merges: list[str]) -> Path:
    """Write the small RoBERTa as the hub keeps the large one, the same in every stack; returns its folder."""
    from transformers import RobertaConfig, RobertaModel

    folder.mkdir(parents=True)
    _write_tokenizer(folder, merges)
    model = RobertaModel(
        RobertaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            intermediate_size=2 * WIDTH,
            max_position_embeddings=POSITIONS,
            type_vocab_size=1,
        )
    )
    _fill(model)
    model.save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path, merges: list[str]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*FIRST, *letters, *(pair.replace(" ", "") for pair in merges), LAST]
    vocabulary = {word: place for place, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": POSITIONS - 2}))
    tokenizer = Tokenizer(models.BPE(vocabulary, [(left, right) for left, right in map(str.split, merges)]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    specials = [AddedToken(word, lstrip=word == LAST, normalized=False) for word in (*FIRST, LAST)]
    tokenizer.add_special_tokens(specials)
    tokenizer.save(str(folder / "tokenizer.json"))


def _fill(model: Any) -> None:
    """Set every weight from a hash of its name, near the sizes that trained encoders have."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            digest = hashlib.shake_256(name.encode()).digest(2 * weight.numel())
            even = np.frombuffer(digest, "<u2").reshape(weight.shape) / 32767.5 - 1
            norm = "LayerNorm.weight" in name
            scale = 0.2 if norm or weight.ndim == 1 else 1.7 / math.sqrt(weight.shape[-1])
            if "embeddings" in name and not norm:
                scale = 0.5
            weight.copy_(torch.from_numpy(even * scale + norm).float())


def published(folder: Path, baseline: Path, options: tuple[int, bool, bool, bool]) -> dict[str, Any]:
    """What the published package answers under one of `OPTIONS`."""
    import bert_score  # type: ignore[import-untyped]

    layers, idf, rescaled, several = options
    candidates = [pair[0] for pair in pairs()]
    references: list[Any] = [pair[1] for pair in pairs()]
    if several:
        references = [references[place : place + 3] for place in range(len(references))]
    answers = bert_score.score(
        candidates,
        references,
        model_type=str(folder),
        num_layers=layers,
        idf=idf,
        lang="en",
        rescale_with_baseline=rescaled,
        baseline_path=str(baseline),
        device="cpu",
    )
    values = {
        name: [round(number, 7) for number in answer.tolist()]
        for name, answer in zip(("P", "R", "F1"), answers, strict=True)
    }
    return {"layers": layers, "idf": idf, "rescaled": rescaled, "several": several, **values}


def main() -> None:
    """Write the file of reference values."""
    parser = argparse.ArgumentParser(description="Score fixed pairs with the published BERTScore package.")
    parser.add_argument("--text", type=Path, required=True, help="text file to learn byte pairs from")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file to write")
    args = parser.parse_args()
    packages = ("bert_score", "transformers", "tokenizers", "torch")
    stack = {"python": platform.python_version(), **{package: version(package) for package in packages}}
    if not stack["transformers"].startswith("4.57."):
        raise SystemExit(f"transformers {stack['transformers']} is not 4.57: see the top of this file")
    merges = learned_merges(args.text.read_text(encoding="utf-8").splitlines())
    with tempfile.TemporaryDirectory() as scratch:
        folder = build_encoder(Path(scratch, NAME), merges)
        baseline = Path(scratch, "baseline.tsv")
        baseline.write_text(BASELINE)
        results = [published(folder, baseline, options) for options in OPTIONS]
    content = {"stack": stack, "merges": merges, "baseline": BASELINE, "pairs": pairs(), "results": results}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content, allow_nan=False, indent=0) + "\n", encoding="utf-8")
    print(f"{args.out}: {args.out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
