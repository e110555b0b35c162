"""Hostile submissions of action recognition, each made from the honest one of `honest_actions`."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from microg_bench import har
from microg_bench.storage import write_json
from microg_bench.submissions.actions import pack_actions
from tests.har import small
from tests.submissions.hostile.changes import (
    CARD,
    Change,
    Hostile,
    device,
    doubled,
    extra,
    instead,
    instead_of_folder,
    link,
    nested,
    recoded,
    sparse,
)
from tests.submissions.hostile.forms import wrong

DETECTIONS = "detections.csv.gz"


def honest_actions(place: Path, text: str = small.DETECTIONS, name: str = "d.csv", **options: Any) -> Path:
    """Score detections of a file of this name against `small.TRUTH`, and pack them below `place`."""
    place.mkdir(parents=True, exist_ok=True)
    _, truth = small.write(place)
    (place / "d.csv").rename(place / name)
    (place / name).write_text(text)
    labels = har.read_label_map()
    detections = har.read_detections(place / name, labels)
    card = har.evaluate(detections, har.read_ground_truth(truth, labels), labels, **options)
    write_json(place / "card.json", card.to_json())
    (folder,) = pack_actions(place / "card.json", [place / name], place / "packed")
    return folder


def _scored(text: str = small.DETECTIONS, name: str = "d.csv", **options: Any) -> Change:
    """Other detections, scored and packed as their owner would."""

    def change(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as place:
            packed = honest_actions(Path(place), text, name, **options)
            for file in (CARD, DETECTIONS):
                shutil.copy(packed / file, folder / file)

    return change


def _card(change: Callable[[Any], object]) -> Change:
    """A change to the content of scorecard.json."""

    def changed(folder: Path) -> None:
        content = json.loads((folder / CARD).read_text())
        change(content)
        (folder / CARD).write_text(json.dumps(content))

    return changed


def _put(place: str, value: object) -> Change:
    """Set a place in scorecard.json; a callable makes the value from what is there."""

    def change(content: Any) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
        for step in way:
            content = content[step]
        before = content[last] if isinstance(last, int) else content.get(last)
        content[last] = value(before) if callable(value) else value

    return _card(change)


def _rows(change: Callable[[str], str]) -> Change:
    """A change to the text of the detections."""

    def changed(folder: Path) -> None:
        text = gzip.decompress((folder / DETECTIONS).read_bytes()).decode()
        (folder / DETECTIONS).write_bytes(gzip.compress(change(text).encode()))

    return changed


def _raised(content: Any) -> None:
    """An AP that is raised, and the mAP with it."""
    scored = [one for one in content["har"]["actions"] if one["AP"] is not None]
    scored[0]["AP"] -= 0.1
    content["scores"]["mAP"]["value"] -= 0.1 / len(scored)


def _more(value: Any) -> Any:
    return value - 0.1


# What the detections do not give, or no scorecard of actions has; with what the verdict says.
FORGED: dict[str, tuple[str, tuple[object, ...]]] = {
    "scores.mAP.value": ("mAP", (_more, 101.0, -1.0, None)),
    "scores.F1.value": ("F1", (_more,)),
    "scores.mAP.interval": ("mAP", ([90.0, 95.0], [0.0, 250.0], None)),
    "scores.AUROC.interval": ("AUROC", ([1.0, 2.0],)),
    "scores.mAP.signature": ("signature", (None,)),
    "scores.mAP.signature.values.iou": ("signature", ("0.1",)),
    "scores.mAP.signature.values.labels": ("signature", ("0" * 12,)),
    "scores.mAP.signature.values.groundtruth": ("signature", ("f1154779a6b6",)),
    "scores.mAP.signature.values.approved": ("signature", ("yes",)),
    "scores.mAP.unverified": ("unverified", (True,)),
    "scores.mAP.notes": ("notes", (["state of the art"],)),
    "scores.Beauty": ("Beauty", ({"value": 100.0},)),
    "scores": ("exactly mAP", ({},)),
    "har.actions.0.AP": ("AP", (99.0, 250.0, -1.0)),
    "har.actions.0.id": ("label map", (2, 7, 999)),
    "har.actions.0.name": ("label map", ("win", "<script>alert(1)</script>", "/home/ann/x")),
    "har.actions.0.examples": ("examples", (99,)),
    "har.actions": ("label map", ([],)),
    "har.map_over_ties": ("ties", ([0.0, 100.0], [0.0, 250.0], None)),
    "har.counts.boxes": ("boxes", (9,)),
    "har.counts.videos": ("videos", (9, -1)),
    "har.counts.approved": ("approved", (1,)),
    "har.counts": ("counts", ({},)),
    "har": ("har", (None,)),
    "har.detections": ("detections", ("../d.csv", "/home/ann/d.csv", "", ".csv", "a\\d.csv", "x" * 400)),
    "har.groundtruth": ("groundtruth", ("/home/ann/g.csv", "<script>alert(1)</script>", "a\x1b[2Jb")),
    "har.checkpoint": ("checkpoint", ("/home/ann/w.pyth", "x" * 400, "a\u202eb", "../w.pyth")),
    "fingerprint": ("fingerprint|signature", ("0" * 64, "", "f1154779a6b6" + "0" * 52)),
    "items": ("items", (1, 1137, -1)),
    "counts.answered": ("answered", (1,)),
    "counts.failed": ("complete", (1,)),
    "status": ("complete", ("certified",)),
    "protocol": ("protocol", ("mine",)),
    "task": ("task|har", ("vqa", "caption")),
    "schema": ("schema|damaged", ("microg-bench/scorecard/1", "microg-bench/scorecard/9")),
    "model": ("model", ({"name": "gpt-4o", "title": "GPT-4o"},)),
    "settings": ("settings", ({},)),
    "recipe": ("recipe", ("fine-tuned",)),
    "baselines": ("baselines", ({"b": {"title": "GPT-4o", "scores": {"mAP": 0.0}}},)),
    "slices": ("slices", ({"source": {"a": {"items": 1, "scores": {"mAP": 99.0}}}},)),
    "served": ("served", ([{"name": "gpt-9"}],)),
    "interval": ("interval", (None,)),
    "interval.seed": ("seed", (1,)),
    "interval.cluster_count": ("cluster_count", (500,)),
    "warnings": ("warnings", (["the best of all"], ["x" * 400])),
    "approved": ("approved", (True,)),
}  # fmt: skip


def forged_actions() -> Iterator[Hostile]:
    """Claims that do not follow from the detections."""
    for place, (says, values) in FORGED.items():
        for value in values:
            told = getattr(value, "__name__", None) or str(value)
            yield Hostile(
                f"{place} of actions is forged: {told[:40]}", _put(place, value), says=says, of="har"
            )
    for place in ("items", "scores.mAP.value", "har.actions.0.AP", "har.counts.boxes", "har.detections"):
        says = place.split(".")[1] if "." in place else place
        yield Hostile(f"{place} of actions is of another type", _put(place, wrong), says=says, of="har")
    raised = _card(_raised)
    yield Hostile("an AP is forged, and the mAP with it", raised, says="AP = .*detections give", of="har")
    for number in ("NaN", "Infinity", "1e999"):
        change = recoded(CARD, lambda text, number=number: _with_number(text, number))  # type: ignore[misc]
        yield Hostile(f"the mAP of actions is {number}", change, says=CARD, of="har")
    key = '"task": "har"'
    yield Hostile("a key of actions stands twice", doubled(CARD, key), says="task", of="har")
    yield Hostile("the counts are deep", _put("har.counts", nested(300)), says=CARD, of="har")


def _with_number(text: bytes, number: str) -> bytes:
    content = json.loads(text)
    content["scores"]["mAP"]["value"] = "here"
    return json.dumps(content).replace('"here"', number).encode()


def files_of_actions() -> Iterator[Hostile]:
    """Other files than the two of such a submission, and detections that are none."""
    inside: dict[str, tuple[Change, str]] = {
        "one file more": (extra("run.json"), "exactly"),
        "a page": (extra("index.html"), "exactly"),
        "detections that are a link": (instead(DETECTIONS, link), DETECTIONS),
        "detections that are a device": (instead(DETECTIONS, device), DETECTIONS),
        "detections of a terabyte": (instead(DETECTIONS, sparse), DETECTIONS),
        "detections that are a folder": (instead(DETECTIONS, Path.mkdir), DETECTIONS),
        "a scorecard that is a link": (instead(CARD, link), CARD),
        "no scorecard": (lambda folder: (folder / CARD).unlink(), "exactly"),
        "a link to the folder": (instead_of_folder(lambda folder, away: folder.symlink_to(away)), "folder"),
        "a bomb": (_bomb, "unpacked|MiB"),
        "detections without rows": (_rows(lambda text: ""), DETECTIONS),
        "detections that are no gzip": (recoded(DETECTIONS, lambda text: b"a_001,10"), "gzip"),
        "detections that are cut": (recoded(DETECTIONS, lambda text: text[:-9]), DETECTIONS),
        "detections that are JSON": (_rows(lambda text: "{}"), DETECTIONS),
        "detections that are packed twice": (recoded(DETECTIONS, gzip.compress), DETECTIONS),
        "a score that is no number": (_rows(lambda text: _last(text, "nan")), DETECTIONS),
        "a score without end": (_rows(lambda text: _last(text, "inf")), DETECTIONS),
        "a coordinate beyond the frame": (_rows(lambda text: text.replace("0.5", "1.5")), DETECTIONS),
        "a video in a folder": (_rows(lambda text: text.replace("a_001", "../a")), "video_id"),
        "videos of no ground truth": (_rows(lambda text: text.replace("_001", "_9")), "ground truth"),
        "actions of no label map": (_rows(_other_actions), "label map"),
        "one box less": (_rows(lambda text: "".join(text.splitlines(True)[:50])), "boxes|items"),
        "boxes that are many": (_rows(_many), DETECTIONS),
        "other scores": (_rows(lambda text: text.replace(",12,-", ",12,")), "give"),
    }  # fmt: skip
    for name, (change, says) in inside.items():
        yield Hostile(f"actions: {name}", change, says=says, of="har")


def _bomb(folder: Path) -> None:
    part = gzip.compress(small.DETECTIONS.encode() * 9000)
    (folder / DETECTIONS).write_bytes(part * 20)


def _last(text: str, score: str) -> str:
    return text.rstrip().rpartition(",")[0] + f",{score}\n"


def _other_actions(text: str) -> str:
    rows = (line.split(",") for line in text.splitlines())
    return "".join(",".join([*row[:6], "999", row[7]]) + "\n" for row in rows)


def _many(text: str) -> str:
    return "".join(f"a_001,{frame},0,0,1,1,12,0\n" for frame in range(400_000))


def suspicious_actions() -> Iterator[Hostile]:
    """What may be honest, and is told; and names that mean something elsewhere."""
    told = {
        "those of another": (_scored(name="mine.csv"), "boxes, with their scores, are those of"),
        "intervals over clips": (_scored(clusters="clip"), "over clips, not over source"),
        "no intervals": (_scored(resamples=0), "over all items, not over source"),
        "a class outside of the map": (
            _scored(small.DETECTIONS + small.box("a_001", small.BOX_A, [9], [999])), "not in the label map"
        ),
        "one score for all": (_scored(small.box("a_001", small.BOX_A, [0] * 50)), "one and the same score"),
        "another version": (_all_versions, "version:0.1.9"),
        "a box without an area": (
            _scored(small.DETECTIONS + small.box("a_001", "0.1,0.1,0.1,0.1", small.rising(-7))),
            "without an area",
        ),
    }  # fmt: skip
    for name, (change, says) in told.items():
        yield Hostile(f"actions: {name}", change, "noted", says, of="har")
    names = (
        "<b onmouseover=alert(1)>.csv", "**Stranger** [x](javascript.csv", "a | b.csv",
        "\\\\input{secret}.csv",
        "$x$ \\write18{id}.csv", "=HYPERLINK(1).csv", "+1.csv", "@SUM(1).csv", "__proto__.csv",
        "constructor.csv", "X3D_L.test.csv.xz", "GPT-4o.csv",
    )  # fmt: skip
    for name in names:
        change = _put("har.detections", name)
        yield Hostile(f"the detections are called {name}", change, "neutralised", of="har")
    for name in ("<script>alert(1)<", "a\x1b[2Jb", "a\u202eb", "a\nok       all", "ann@host.org"):
        change = _put("har.detections", name)
        yield Hostile(f"the detections are called {name!r}", change, says="detections", of="har")


def _all_versions(folder: Path) -> None:
    for name in ("mAP", "F1", "recall", "AUROC"):
        _put(f"scores.{name}.signature.values.version", "0.1.9")(folder)
