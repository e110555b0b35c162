"""A sound run of four answers made by hand, in which a test changes something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import Dataset, fingerprint
from microg_bench.records import Answer, Clip, Generation, Question
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import Counts, ScoreEntry, Signature, answering
from microg_bench.video.sampling import FrameSpec
from tests.helpers.cards import make_card
from tests.helpers.runs import open_run

WORDS = ("a red pen floats", "the crew smiles", "a man turns", "tools float in the air")
CLIPS = tuple(
    Clip(
        video_id=f"a_{n}",
        source="a",
        caption=f"caption {n}",
        questions=(Question(text="q?", answer=f"Ref {n}."),),
    )
    for n in range(4)
)
DATA = Dataset("refs", CLIPS, fingerprint(CLIPS))
LIMIT = 16


SIGNED = {
    "CIDEr": {"variant": "CIDEr-D", "sigma": "6"},
    "BLEU-4": {},
    "ROUGE-L": {"beta": "1.2"},
    "BERTScore": {
        "model": "roberta-large@0123456789ab",
        "layers": "17",
        "idf": "no",
        "rescaled": "no",
        "dtype": "float32",
        "transformers": "4.56.0",
        "torch": "2.4.0",
    },
}


def score(name: str, value: float = 20.0, interval: Any = None, **changed: str) -> ScoreEntry:
    """A score of four items with the signature that it has."""
    own = {"protocol": "paper", "tokenizer": "PTB", **SIGNED[name], "items": "4", "version": "1.0", **changed}
    return ScoreEntry(value=value, interval=interval, signature=Signature(metric=name, values=own))


def answer(n: int = 0, **changed: Any) -> Answer:
    values = {"id": f"a_{n}#1", "text": WORDS[n], "answer": WORDS[n], "frames": (22, 67)}
    return Answer(**{**values, "prompt_tokens": 10, "output_tokens": 5, **changed})


def made(
    folder: Path,
    *changed: Answer,
    options: Mapping[str, Any] | None = None,
    card: Any = None,
    **settings: Any,
) -> RunRecord:
    """A sound run of four answers, some of which are others, in which something may be changed."""
    answers = {f"a_{n}#1": answer(n) for n in range(4)} | {one.id: one for one in changed}
    fields = {"task": "vqa", "frames": FrameSpec(count=2), "fingerprint": DATA.fingerprint, "dataset": "refs"}
    fields |= {"generation": Generation(max_tokens=LIMIT), **settings}
    with open_run(folder / "r", **fields) as record:
        record.add(*answers.values())
    found = RunRecord.read(folder / "r")
    found.starts[-1]["started"] = "2026-01-01T00:00:00+00:00"
    found.options = dict(options or {"model": "m"})
    scorecard = make_card(
        items=4,
        counts=Counts(answered=4),
        fingerprint=found.settings.fingerprint,
        task=found.settings.task,
        dataset=found.settings.dataset,
        settings=found.settings,
        scores={name: score(name, **answering(found.settings)) for name in SIGNED},
        baselines={},
        slices={},
    )
    found.scorecard = scorecard.model_copy(update=card or {})
    return found


def alone(faults: list[str], *words: str) -> None:
    """One fault, which names these."""
    (fault,) = faults
    assert all(word in fault for word in words), fault
