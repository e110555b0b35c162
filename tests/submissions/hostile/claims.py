"""Submissions of the right form: forged claims, texts that are no names, and what is only suspicious."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from microg_bench.dataset.load import load
from microg_bench.tasks import TASKS, items_of
from tests.submissions.hostile.changes import (
    FIRST,
    Change,
    Content,
    Hostile,
    each_value,
    places,
    put,
    says_of,
    scored,
)


def _more(value: Any) -> Any:
    return value + 1


# What the answers do not give.
FORGED: dict[str, tuple[object, ...]] = {
    "card.scores.CIDEr.value": (_more, -1.0, 1e6),
    "card.scores.ROUGE-L.value": (_more, 101.0, lambda value: value + 1e-4),
    "card.scores.CIDEr.interval": ([90.0, 95.0], [95.0, 90.0], [-1e9, 1e9]),
    "card.scores.CIDEr.signature.metric": ("ROUGE-L", "__proto__"),
    "card.scores.CIDEr.signature.values.protocol": ("coco",),
    "card.scores.CIDEr.signature.values.items": ("42",),
    "card.scores.CIDEr.signature.values.sigma": ("7",),
    "card.scores.CIDEr.signature.values.approved": ("yes",),
    "card.scores.CIDEr.signature": (None, {"metric": "CIDEr", "values": {}}),
    "card.scores.CIDEr.notes": (["state of the art"],),
    "card.scores.CIDEr.unavailable": ("no Java",),
    "card.scores.CIDEr.unverified": (True,),
    "card.scores.Beauty": ({"value": 100.0},),
    "card.scores": ({},),
    "card.baselines.blind.scores.CIDEr": (0.0, -1e9),
    "card.baselines.blind.title": ("Baseline: GPT-4o",),
    "card.baselines.dataset": ({"title": "Baseline: GPT-4o", "scores": {"CIDEr": 0.0, "ROUGE-L": 0.0}},),
    "card.baselines.settings": ({"title": "Baseline: GPT-4o", "scores": {"CIDEr": 0.0, "ROUGE-L": 0.0}},),
    "card.slices.question_word.who.scores.CIDEr": (_more, 1e6),
    "card.slices.question_word.who.items": (_more, -9),
    "card.slices.question_word.who.sources": (_more, None),
    "card.slices.question_word.who.intervals": ({"CIDEr": [90.0, 95.0]},),
    "card.slices.question_word.who.differences": ({"CIDEr": {"value": 9.0, "p": 0.0, "corrected": 0.0}},),
    "card.slices.dataset": ({"x": {"items": 1, "scores": {"ROUGE-L": 99.0}}},),
    "card.slices.settings": ({"x": {"items": 1, "scores": {"ROUGE-L": 99.0}}},),
    "card.slices.source.zvezda": ({"items": 1, "scores": {"ROUGE-L": 99.0}},),
    "card.abstention.rate_on_unanswerable": (1.0, 2.0),
    "card.abstention.unanswerable": (0, 15),
    "card.abstention.F1.value": (1.0, 2.0),
    "card.abstention.confidence": ({"items": 84},),
    "card.counts.answered": (83, 85, -1),
    "card.counts.failed": (1,),
    "card.counts.missing": (1,),
    "card.counts.repeated": (1,),
    "card.counts.empty": (1,),
    "card.counts.thoughts": (84,),
    "card.items": (83, 1237, -1),
    "card.failures": ([{"stage": "engine", "count": 1, "reason": "busy", "frequency": 1}],),
    "card.served": ([{"name": "gpt-9"}], [{"name": "nearest-clip", "answers": 84}]),
    "card.rejected": (["temperature"], ["beauty"]),
    "card.recipe": ("fine-tuned",),
    "card.har": (
        {"detections": "a", "groundtruth": "b", "map_over_ties": [1.0, 2.0], "counts": {}, "actions": []},
    ),
    "card.warnings": (["the best model of all"],),
    "card.dataset": ("MicroG-4M (official, verified)", "microg-4m", ""),
    "both.dataset": ("MicroG-4M (official, verified)", "microg-4m", ""),
    "card.fingerprint": ("0" * 64,),
    "both.title": ("GPT-4o", "Baseline: nearest clip (verified)", ""),
    "card.model.title": ("GPT-4o",),
    "card.model.name": ("gpt-4o",),
    "card.model.frame_count": (32, -1, None),
    "card.model": (None,),
    "card.settings": (None,),
    "card.interval.level": (0.99, 2.0, -1.0),
    "card.interval.cluster_count": (8, -1, 10**30),
    "card.interval.resamples": (0, -1, 10**12),
    "card.interval.seed": (1, -1),
    "line.answer": ("something else", ""),
    "run.starts.0.started": ("9999-12-31T00:00:00+00:00", "9999-99-99T99:99:99+00:00"),
    "run.options.model": ("blind", "gpt-4o"),
    "run.options.temperature": (0.7,),
    "run.options.max_tokens": (32,),
    "run.options.seed": (7,),
    "run.options.engine": ("vllm",),
    "run.options.frames": (8,),
}  # fmt: skip


ELSE = {
    "card.scores": "score",
    "card.counts.failed": "complete",
    "card.counts.missing": "complete",
    "card.failures": "complete",
    "card.fingerprint": "references",
    "line.answer": "claims",
}


def forged() -> Iterator[Hostile]:
    """Claims that do not follow from the answers."""
    yield from each_value(FORGED, ELSE, "is forged:")
    reach = {"value": 60.0, "interval": [50.0, 70.0], "signature": _bertscore()}
    unmeasured = put(("card.scores.BERTScore", reach))
    yield Hostile("a score that cannot be computed here", unmeasured, "noted", "BERTScore")
    rescaled = {"signature": _bertscore(rescaled="yes"), "interval": None}
    let_in = put(("card.scores.BERTScore", {**reach, **rescaled, "value": -40.0}))
    yield Hostile("a rescaled score below 0", let_in, "noted", "BERTScore")
    faulty: tuple[dict[str, Any], ...] = (
        *({"value": value} for value in (250.0, -1e6, -101.0)),
        *({**rescaled, "value": value} for value in (101.0, -1e6, -1100.0)),
        *({"interval": bounds} for bounds in ([50.0, 250.0], [-1e7, 70.0])),
        *({"interval": bounds} for bounds in ([0.0, 1.0], [70.0, 50.0], [61.0, 70.0])),
        *({"signature": one} for one in (None, {"metric": "CIDEr", "values": {}})),
        {"signature": {"metric": "BERTScore", "values": {}}},
        {"signature": _bertscore(metric="S-VQA")},
        {"signature": _bertscore(note="verified by the maintainers")},
        {"signature": _bertscore(model="verified by the maintainers")},
        {"signature": _bertscore(version="0.2.0 (verified)")},
        {"signature": _bertscore(layers="best")},
        {"signature": _bertscore(items="1237")},
        {"signature": _bertscore(protocol="coco")},
        {"signature": _bertscore(thinking="high")},
    )
    for number, change in enumerate(faulty):
        claim = put(("card.scores.BERTScore", {**reach, **change}))
        yield Hostile(f"a score that cannot be, {number}: {str(change)[-90:]}", claim, says="BERTScore")


def _bertscore(metric: str = "BERTScore", **changed: str) -> dict[str, Any]:
    """The signature of an honest BERTScore of the sample set, with other values."""
    values = {
        "protocol": "paper",
        "tokenizer": "none",
        "model": "roberta-large@bcfe46d679df",
        "layers": "17",
        "idf": "no",
        "rescaled": "no",
        "dtype": "float32",
        "transformers": "5.23.0",
        "torch": "2.13.0+cpu",
        "items": "84",
        "version": "0.1.0",
    }
    return {"metric": metric, "values": {**values, **changed}}


# Texts that are no name, and where they may be tried; all but the last are addresses or secrets.
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
)
CONTROL = (
    "a\x1b[2Jb",
    "a\x1b]0;title\x07b",
    "a\u202eb",
    "a\u2066b",
    "a\x9b2Jb",
    "a\nok       all",
    "a\rb",
    "a\0b",
    "a\u2028b",
)
PRIVATE = (
    "/home/ann/secret/model", "~/secret/model", "../secret/model", "C:\\Users\\ann\\model",
    "\\\\nas\\share\\model",
    "file:///home/ann/model", "s3://bucket/ann/model", "ann@nas:models/x", "https://ann:secret@host/v1?key=1",
    "http://10.0.0.7:8000/v1", "hf_" + "a1B2" * 9, "sk-" + "a1B2" * 9, "Bearer " + "a1B2" * 9,
)  # fmt: skip
LONG = ("x" * 10_000, "word " * 2_000)
ANY_TEXT = places(
    both=(
        "model title checkpoint revision engine dtype attn_implementation quantization "
        "engine_args.load_format prompt.id prompt.hash thinking dataset"
    ),
    run="options.model options.checkpoint starts.0.git starts.0.started starts.0.versions.numpy",
    card=(
        "status protocol dataset model.title baselines.blind.title recipe "
        "scores.CIDEr.unavailable interval.method"
    ),
    line="id served_model served_version finish_reason clip_sha256",
)
ALL_TEXTS = ("both.checkpoint", "run.starts.0.versions.numpy", "line.served_model")


def texts() -> Iterator[Hostile]:
    """Markup, control characters, addresses, secrets and endless texts in place of a name."""
    kinds = (MARKUP, CONTROL, PRIVATE, LONG)
    for place in ANY_TEXT:
        for value in (texts for kind in kinds for texts in (kind if place in ALL_TEXTS else kind[:1])):
            says = f"{says_of(place)}|served"
            yield Hostile(f"{place} is {value[:40]!r}", put((place, value)), says=says)
    values = ("both.engine_args.{}", "both.processor_args.{}", "card.scores.CIDEr.signature.values.{}")
    for place in ("run.starts.0.versions.{}", *values):
        for key in (MARKUP[0], CONTROL[0], LONG[0]):
            yield Hostile(
                f"{place} has a key {key[:40]!r}", put((place.format(key), "1")), says=place.split(".")[-2]
            )
    many = {str(number): "1" for number in range(100_000)}
    for place in (
        "both.engine_args",
        "both.processor_args",
        "run.starts.0.versions",
        "card.slices",
        "card.scores",
        "card.baselines",
    ):
        yield Hostile(f"{place} has 100,000 keys", put((place, many)), says=f"{says_of(place)}|bytes")
    for place in ("card.warnings", "card.served", "card.rejected", "run.starts", "both.transforms"):
        yield Hostile(
            f"{place} has 100,000 parts", put((place, ["x"] * 100_000)), says=f"{says_of(place)}|bytes"
        )
    for words in (200_000, 5_000_000):
        long = "word " * words
        yield Hostile(
            f"an answer of {words:,} words", put(("line.answer", long), ("line.text", long)), says=FIRST
        )
    spaces = "<" + " " * 8_000_000
    yield Hostile("a text of a mark and endless spaces", put(("line.text", spaces)), says=FIRST)
    yield Hostile("reasoning without end", put(("line.reasoning", "\N{ROCKET}" * 600_000)), says=FIRST)
    for start in ("<", "</", "<think", "eyJ", "&#", "a@", "//", "so "):
        change = put(("line.reasoning", (start * 20_000)[:16_000]), ("line.output_tokens", 60))
        yield Hostile(f"reasoning of nothing but {start!r}", change, "neutralised")
        change = scored(*_elsewhere(), ("line.text", start * 4_000), ("line.answer", start * 4_000))
        yield Hostile(f"a text of nothing but {start!r}", change, "neutralised")
    for value in MARKUP:
        change = put(("line.answer", value), ("line.text", value))
        yield Hostile(f"an answer of {value!r}", change, says=f"{FIRST}|claims")


def _elsewhere(**names: str) -> tuple[tuple[str, object], ...]:
    """Settings of an adapter that is not here."""
    named = {"model": "stranger", "title": "Stranger", **names}
    return ("run.options.model", named["model"]), *((f"run.settings.{name}", named[name]) for name in named)


def names() -> Iterator[Hostile]:
    """Names of models and folders that a program or a page may take for something else."""
    for model in ("notes.py", "os:system", "notes", "tests.submissions.changes", "__proto__", "constructor"):
        yield Hostile(
            f"the model is {model}", scored(*_elsewhere(model=model)), "neutralised", f"{model}.*not here"
        )
    for model in (
        "./notes.py",
        "/tmp/notes.py",
        "../notes.py",
        "a" * 299 + ".py",
        "a" * 5000 + ".py",
        "notes.py\0",
        "",
    ):
        change = put(("both.model", model), ("run.options.model", model))
        yield Hostile(f"the model is {model[:9]!r}, {len(model)} long", change, says="model")
    titles = (
        "<b onmouseover=alert(1)>Stranger</b>", "**Stranger** [x](javascript:alert)", "a | b",
        "\\input{secret}",
        "$x$ \\write18{id}", "=HYPERLINK(1)", "+1", "@SUM(1)", "-1", "&lt;b&gt;", "__proto__", "toString",
        "{{7*7}}",
        "${alert(1)}", "%n", "'\"><b onmouseover=alert(1)>",
    )  # fmt: skip
    for title in titles:
        yield Hostile(f"the title is {title}", scored(*_elsewhere(title=title)), "neutralised")
    for title in (
        *("GPT-4o", "gpt-4o", "GPT\u20114o", "G\u03a1T-4o", "Baseline: nearest clip", "QWEN2.5-VL", "GPT-40"),
        *("GPT-4o (official)", "GPT-4\u0585", "GPT\u20114\u1d0f", "\ua4d6PT-4o", "Qwen2.5-VI"),
        "Baseline: chance",
    ):
        change = scored(*_elsewhere(title=title))
        yield Hostile(f"the title is another's: {title}", change, "noted", "title")
    for title in ("\u2800", "\u3164", "\u2800 \u3164", "-", "\U0001f680"):
        change = put(*_elsewhere(title=title), *(("both.title", title), ("both.model", "stranger")))
        yield Hostile(f"the title shows nothing: {title!r}", change, says="title")
    same = scored(*_elsewhere(model="other stranger", title="Stranger"))
    yield Hostile("the title of two models", same, "noted", "title is that of another model too")
    folders = (
        "a\x1b[2Jb", "a\nok       all", "a\u202eb", "<b onmouseover=alert(1)>", "=HYPERLINK(1)", "a b", "-rf",
        "[red]x[", "x" * 250, os.fsdecode(b"a\xff"),
    )  # fmt: skip
    for name in folders:
        yield Hostile(f"the folder is called {name[:30]!r}", put(), "neutralised", folder=name)


def _references() -> dict[str, str]:
    items = items_of(TASKS["vqa"], load("sample").clips, None)
    return {item.request.id: item.reference for item in items}


def _copied(mark: str) -> Change:
    """Answers that are the references, with a mark behind each."""

    def change(folder: Path) -> None:
        references, content = _references(), Content(folder)
        for line in content.lines:
            line["answer"] = line["text"] = references[line["id"]] + mark
        content.write(folder)
        scored(*_elsewhere())(folder)

    return change


MEDIA = {"kind": "images", "jpeg_quality": 90, "detail": "auto"}


def baselines() -> Iterator[Hostile]:
    """What claims to be a baseline, and is not."""
    other = put(("both.adapter_sha256", "0" * 64))
    yield Hostile("a baseline of another version", other, says="another version")
    for engine in ("vllm", "transformers"):
        yield Hostile(f"a baseline on {engine}", put(("both.engine", engine)), says="engine")
    better = scored(("line.answer", "A man walks."), ("line.text", "A man walks."))
    yield Hostile("an answer that the baseline does not give", better, says=FIRST)
    unseen = scored(("lines.clip_sha256", "0" * 16), ("line.answer", "A man."), ("line.text", "A man."))
    yield Hostile("a baseline on other clips", unseen, "noted", "not computed again")


def suspicious() -> Iterator[Hostile]:
    """What may be honest, and is to be told."""
    yield Hostile("an adapter that is not here", scored(*_elsewhere()), "noted", "stranger is not here")
    stranger = scored(*_elsewhere(model="gpt-4o", title="GPT-4o"), ("run.settings.engine", "openai"),
                      ("run.settings.checkpoint", "gpt-4o"), ("run.settings.media", MEDIA))  # fmt: skip
    yield Hostile("an adapter of another version", stranger, "noted", "another version")
    yield Hostile("the sample set", put(), "noted", "no benchmark")
    yield Hostile("answers of another", scored(*_elsewhere()), "noted", "answers .*those of")
    for mark in ("", "!", " \u2026"):
        yield Hostile(f"answers that are the references{mark}", _copied(mark), "noted", "references")
    prompt = {"id": "vqa-default", "version": 9, "hash": "0" * 8}
    asked = scored(*_elsewhere(), ("run.settings.prompt", prompt))
    yield Hostile("a prompt of another version", asked, "noted", "prompt .*another version")
    yield Hostile("intervals over clips", scored(clusters="clip"), "noted", "over clips, not over source")
    overall = put(("card.interval.clusters", "all"))
    yield Hostile("intervals over items", overall, "noted", "over all items, not over source")
    percentile = put(("card.interval.method", "percentile"))
    yield Hostile("intervals of another method", percentile, "noted", "percentile")
    version = put(("card.scores.CIDEr.signature.values.version", "0.1.9"))
    yield Hostile("scores of another version", version, "noted", "0.1.9")
    for value in (
        "<b onmouseover=alert(1)>x</b>",
        "**x** [y](z)",
        "a\x1b[2Jb",
        "a\u202eb",
        "=HYPERLINK(1)",
        "\\input{secret}",
    ):
        change = scored(*_elsewhere(), ("line.answer", value), ("line.text", value))
        yield Hostile(f"an answer of {value!r}", change, "neutralised")
    for value in ("__proto__", "constructor", "toString"):
        change = put((f"both.engine_args.{value}", "1"))
        yield Hostile(f"an engine argument {value}", change, "neutralised")
        change = put((f"run.starts.0.versions.{value}", "1"))
        yield Hostile(f"a version of {value}", change, "neutralised")
