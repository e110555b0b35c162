"""Every reader of files from elsewhere, each with a file that it reads.

``python -m tests.fuzz.readers NAME FILE`` reads a file as the reader NAME does, and prints how many bytes of
memory that took at most, and what the product said.
"""

import io
import json
import resource
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import polars

from microg_bench import har, storage
from microg_bench.annotation.agreement import agreements, read_agreement, write_agreement
from microg_bench.annotation.judgement import (
    JudgeCounts,
    JudgedItem,
    JudgeEntry,
    Judgement,
    judgements,
    scored,
    signature_of,
    text_hash,
)
from microg_bench.annotation.questions import Candidate, Ratings
from microg_bench.annotation.ratings import COLUMNS as RATED
from microg_bench.annotation.ratings import Rating, answer_key, answer_keys, read_ratings
from microg_bench.annotation.reviews import COLUMNS as PAIR_COLUMNS
from microg_bench.annotation.reviews import (
    merge_pair_reviews,
    pair_fingerprint,
    pairs,
    read_candidates,
    read_pair_reviews,
)
from microg_bench.annotation.rubrics import rubric_like
from microg_bench.cli.options import read_toml
from microg_bench.curation.detectors.base import DetectorFacts, Thresholds
from microg_bench.curation.folder import (
    Box,
    ClipBoxes,
    CurationFacts,
    CurationFolder,
    Footage,
    Verdict,
    read_curation,
)
from microg_bench.curation.footage import read_manifest
from microg_bench.curation.recipe import FOLDER as RECIPES
from microg_bench.curation.recipe import STAGES, read_curation_recipe
from microg_bench.curation.release import DatasetFacts, write_card
from microg_bench.curation.reviews import COLUMNS, fingerprint, merge_reviews, read_reviews
from microg_bench.curation.run import box_tables
from microg_bench.curation.tables import table_text
from microg_bench.curation.taxonomy import FILE as TAXONOMY
from microg_bench.curation.taxonomy import read_taxonomy
from microg_bench.dataset import check, fetch
from microg_bench.dataset.annotations import read_annotations
from microg_bench.dataset.labels import read_actions, read_label_map
from microg_bench.dataset.load import SAMPLE_FOLDER, load
from microg_bench.dataset.tabular import read_table
from microg_bench.errors import MicrogError
from microg_bench.har.reports import read_scorecards
from microg_bench.metrics.sentence import check_modules
from microg_bench.pages.review_page import read_prefill
from microg_bench.persons.convert import BOXES
from microg_bench.prompts import PROMPTS, read_template
from microg_bench.records import Answer, Failure, Request, TaskName
from microg_bench.runs.batches import Batches
from microg_bench.runs.budget import find_price
from microg_bench.runs.cost import add_measurement, read_cost, throughput
from microg_bench.runs.record import RunRecord
from microg_bench.runs.statistics import Statistics, read_statistics
from microg_bench.scoring.paraphrase_rows import read_paraphrases
from microg_bench.scoring.predictions import read_predictions
from microg_bench.scoring.probes import MetricEffect, ProbeEffect, ProbeReport
from microg_bench.scoring.score import answer_facts
from microg_bench.submissions import load as submissions
from microg_bench.submissions.actions import load_actions
from microg_bench.submissions.pack import pack
from microg_bench.tables import on_board
from microg_bench.tables.judged import judged_tables, to_json, to_markdown
from microg_bench.tables.on_board import on_board_tables
from microg_bench.tables.probes import read_report
from microg_bench.tasks import Item
from microg_bench.video.decode import decode
from microg_bench.video.sampling import FrameSpec
from microg_bench.video.source import probe
from tests.har import small
from tests.helpers.cards import make_card
from tests.helpers.datasets import record
from tests.helpers.measured import GPU, make_measurement
from tests.helpers.runs import make_settings
from tests.helpers.videos import write_clip
from tests.submissions.hostile.actions import honest_actions
from tests.submissions.small import made

MOST_MEMORY = 4 << 30  # bytes that a reader gets; what it may take is less


@dataclass(frozen=True)
class Reader:
    """A reader, the content of a file that it reads, and the name of that file in its folder.

    `beside` are other files of that folder, which are whole.
    """

    read: Callable[[Path], object]
    content: bytes
    name: str = "file"
    beside: Mapping[str, bytes] = field(default_factory=dict)

    @contextmanager
    def file(self, content: bytes) -> Iterator[Path]:
        """A file with this content."""
        with tempfile.TemporaryDirectory() as folder:
            for name, whole in {**self.beside, self.name: content}.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(whole)
            yield Path(folder, self.name)


def _as_json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


def _read_run(file: Path) -> None:
    run = RunRecord.read(file.parent)
    _ = run.answers, run.failures, run.scorecard, run.rejected, run.requests(), list(run.scorecard.remarks())


def _run() -> dict[str, bytes]:
    """The files of a run with an answer and a failure, and of a submission."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "run")
        settings = make_settings(task="vqa", fingerprint="f" * 64)
        start = {"started": "2026-01-01T00:00:00+00:00", "git": None, "versions": {"numpy": "2"}}
        with RunRecord.open(folder, settings, {"model": "m"}, start) as run:
            run.add(Answer(id="a_001#1", text="Yes.", answer="Yes.", frames=(1, 3), output_tokens=2))
        card = make_card(settings=settings)
        storage.write_json(folder / "scorecard.json", card.to_json())
        requests = [Request(id="a_001#1", task="vqa", video_id="a_001", source="a")]
        Statistics.of(requests, {"ROUGE-L": np.zeros((1, 2))}).write(folder / "statistics.npz")
        with RunRecord.reopen(folder) as run:
            run.add(Failure(id="a_001#2", stage="engine", reason="busy"))
            usage = {"output_tokens": 2, "seconds": {"generating": 0.5}}
            run.note(hardware=GPU.model_dump(mode="json"), usage=usage)
        add_measurement(
            RunRecord.read(folder), make_measurement(GPU, weights=None, unknown={"weights": "none"})
        )
        return _packed() | {file.name: file.read_bytes() for file in folder.iterdir()}


def _packed() -> dict[str, bytes]:
    """The files of a submission."""
    with tempfile.TemporaryDirectory() as name:
        parts, record = make_card(), made(Path(name))
        record.starts[-1] |= {"git": None, "versions": {"numpy": "2"}}
        model = answer_facts(record.settings, list(record.answers.values()), {}, (), missing=0)["model"]
        told = {"model": model, "baselines": parts.baselines, "slices": parts.slices}
        record.scorecard = record.scorecard.model_copy(update=told)
        storage.write_json(record.path / "scorecard.json", record.scorecard.to_json())
        return {f"packed {file.name}": file.read_bytes() for file in pack(record, Path(name)).iterdir()}


def _read_cost(file: Path) -> None:
    run = RunRecord.read(file.parent)
    _ = read_cost(run), throughput(run)
    for found in on_board_tables([run])[0]:
        on_board.to_markdown(found), on_board.to_json(found)


RUN = _run()


def _probes() -> bytes:
    """A report of one condition."""
    values = {"base": 41.5, "changed": 40.0, "difference": -1.5, "interval": (-3.0, 0.5), "p": 0.25}
    effect = ProbeEffect(
        probe="mirror",
        task="vqa",
        base="plain",
        transforms="mirror",
        sampled=False,
        asked=100,
        items=4,
        other=0.5,
        metrics={"ROUGE-L": MetricEffect.model_validate(values)},
    )
    report = ProbeReport(title="A model", dataset="set", fingerprint="f" * 64, warnings=(), effects=(effect,))
    return _as_json(report.to_json())


SAMPLE_SET = load("sample")
PACKED = {name.removeprefix("packed "): content for name, content in RUN.items() if "packed" in name}


def _packed_actions() -> dict[str, bytes]:
    """The files of a submission of action recognition."""
    with tempfile.TemporaryDirectory() as name:
        return {file.name: file.read_bytes() for file in honest_actions(Path(name)).iterdir()}


PACKED_ACTIONS = _packed_actions()


def _parquet() -> bytes:
    out = io.BytesIO()
    polars.DataFrame([record("a_001"), record("b_001", 1)]).write_parquet(out)
    return out.getvalue()


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("videos/a_001.mp4", b"one" * 100)
        bundle.writestr("videos/b_001.mp4", b"two")
    return out.getvalue()


def _video(ending: str, codec: str = "libx264") -> bytes:
    with tempfile.TemporaryDirectory() as name:
        return write_clip(Path(name, f"a.{ending}"), frames=12, size=(48, 32), codec=codec).read_bytes()


def _decode(file: Path) -> None:
    probe(file, full=True, limit_s=5)
    decode(file, FrameSpec(count=3), limit_s=5, threads=1)


def _unpack(file: Path) -> None:
    target = file.with_name("target")
    target.mkdir()
    fetch.unpack(file, target)
    assert {path.name for path in file.parent.iterdir()} == {file.name, "target"}


def _batches() -> bytes:
    lines = [
        {"type": "sending", "token": "t", "requests": {"a_001": [1, 2]}, "clips": {"a_001": "0" * 16}},
        {"type": "sent", "token": "t", "name": "batch_1"},
        {"type": "ended", "token": "t", "queue_limit": 100},
        {"type": "sending", "token": "u", "requests": {"a_002": []}, "clips": {}, "dollars": 0.5},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _har() -> bytes:
    """A scorecard of a few actions."""
    card = json.loads((storage.shipped("results") / "actions" / "X3D_L.test.json").read_bytes())
    facts = card["har"]
    return _as_json({**card, "har": {**facts, "actions": facts["actions"][:3]}})


def _predictions() -> dict[str, Reader]:
    """A reader of each layout of predictions files, and each format."""
    item = Item(REQUEST, "A man.")
    answers = [{"index": 0, "video": "a_001", "question": "Who?", "prediction": "A man."}]
    logged = {"doc_id": 0, "target": "A man.", "input": "Who?", "filtered_resps": ["A man."]}
    exported = {"model": "m", "task": "vqa", "id": "a_001#1", "question": "Who?", "answer": "A man."}
    frame, book, parquet = polars.DataFrame(answers), openpyxl.Workbook(), io.BytesIO()
    frame.write_parquet(parquet)
    for row in (frame.columns, *frame.iter_rows()):
        book.active.append(list(row))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.xlsx")
        book.save(file)
        workbook = file.read_bytes()
    files: dict[str, tuple[TaskName, bytes]] = {
        "records": ("vqa", ANNOTATIONS),
        "captions": ("caption", _as_json({"a_001": "A man.", "b_001": "Two."})),
        "lmms-eval": ("vqa", json.dumps(logged).encode() + b"\n" + json.dumps(logged).encode() + b"\n"),
        "export": ("vqa", _as_json([exported])),
        "csv": ("vqa", frame.write_csv().encode()),
        "parquet": ("vqa", parquet.getvalue()),
        "workbook": ("vqa", workbook),
    }
    return {
        name: Reader(lambda file, task=task: read_predictions(file, task, [item]), content)  # type: ignore[misc]
        for name, (task, content) in files.items()
    }


LABELS = read_label_map()


RECIPE = read_curation_recipe("paper")
DETECTOR = DetectorFacts(
    name="hog", facts={}, thresholds=Thresholds(present=0.6, track=0.55, high=0.5, new=0.6)
)


def _write_curation(path: Path) -> None:
    """Two clips with a person each, of which the second was rejected."""
    folder = CurationFolder(path)
    footage = Footage(name="orbit", file="orbit.mp4", size=1, modified=1, key="k", more={"place": "Cupola"})
    folder.write_facts(CurationFacts(recipe=RECIPE, detector=DETECTOR, footage={"orbit": footage}))
    box = Box(frame=50, person=1, xmin=1, ymin=2, xmax=30, ymax=40.5, confidence=0.9)
    for clip in ("orbit_000", "orbit_001"):
        folder.add(Verdict(clip=clip, stage="trim", key="k", passed=True, numbers={"sha256": "0" * 64}))
        folder.add(ClipBoxes(clip=clip, of="tracks", key="t", boxes=(box,)))
        for stage in STAGES[1:]:
            folder.add(Verdict(clip=clip, stage=stage, key="t", passed=clip == "orbit_000"))
    folder.close()


def _read_curation(file: Path) -> None:
    folder = read_curation(file.parent)
    box_tables(folder, folder.accepted())
    for clip in folder.clips:
        assert folder.video(clip).resolve().is_relative_to(file.parent.resolve()), "no clip is elsewhere"
        folder.is_judged(clip), fingerprint(folder, clip), int(clip.rpartition("_")[2])


def _curation() -> dict[str, bytes]:
    """The files of a curation, and a review of it."""
    with tempfile.TemporaryDirectory() as name:
        _write_curation(Path(name))
        folder = read_curation(Path(name))
        row = {"annotator": "ann", "decision": "accept", "person_id": "1", "actions": "12 79", "crew": "Ann"}
        rows = [
            {**row, "video_id": "orbit_000", "caption": 'A man, "afloat".'},
            {**row, "video_id": "orbit_000", "annotator": "ben", "actions": ""},
            {"video_id": "orbit_001", "annotator": "ann", "decision": "reject", "reason": "cut"},
        ]
        for one in rows:
            one["fingerprint"] = fingerprint(folder, one["video_id"])
        review = table_text(COLUMNS, [[one.get(column, "") for column in COLUMNS] for one in rows])
        return {
            "review.csv": review.encode(),
            **{file.name: file.read_bytes() for file in Path(name).iterdir()},
        }


CURATION = _curation()
JOURNALS = ("curation.json", "verdicts.jsonl", "boxes.jsonl")


def _read_review(file: Path) -> None:
    folder = read_curation(file.parent)
    merge_reviews(folder, read_reviews([file], folder, LABELS).found)


def _judged() -> dict[str, bytes]:
    """The files of a run, of its judgement, of the agreement of its judge and of the ratings behind that."""
    judge = JudgeEntry(model="m", title="M", engine="server", checkpoint="m", commit=None)
    item = JudgedItem(id="a_001#1", source="a", answer=text_hash("Yes."), counts={"rating": (1.0, 1.0)})
    scores, made = scored([item], ["rating"])
    found = Judgement(
        task="vqa",
        rubric="short-answer",
        judge=judge,
        dataset="d",
        fingerprint="f" * 64,
        counts=JudgeCounts(judged=1),
        scores=scores,
        interval=made,
        signature=signature_of("short-answer", judge, [], "0a1b2c", 1, 0),
        items=(item,),
    )
    key = answer_key(make_settings(task="vqa", fingerprint="f" * 64), "a_001#1", "Yes.")
    rows = [[key, "a_001#1", rater, "right", 'a "note"'] for rater in ("ann", "ben")]
    with tempfile.TemporaryDirectory() as name:
        for file in ("run.json", "journal.jsonl"):
            Path(name, file).write_bytes(RUN[file])
        judged = Path(name, "judge/m")
        storage.write_json(judged / "judgement.json", found.model_dump(mode="json", by_alias=True))
        reports = agreements([RunRecord.read(Path(name))], [Rating(key, "ann", "right")])
        write_agreement(judged, reports[judged])
        files = {str(file.relative_to(name)): file.read_bytes() for file in Path(name).rglob("*.json*")}
    return {**files, "ratings.csv": table_text(RATED, rows).encode()}


JUDGED = _judged()


def _read_judgements(file: Path) -> None:
    run = RunRecord.read(file.parents[2])
    for folder, one in judgements(run).items():
        read_agreement(folder, one)
    for table in judged_tables([run])[0]:
        to_markdown(table), to_json(table)


def _read_ratings(file: Path) -> None:
    run = RunRecord.read(file.parent)
    agreements([run], read_ratings([file], answer_keys(run).values()))


def _pairs() -> dict[str, bytes]:
    """The files of a set of questions, and a review of it."""
    with tempfile.TemporaryDirectory() as name:
        annotations = _as_json([record("orbit_000")])
        place = Path(name, "set.json")
        place.write_bytes(annotations)
        rows = [
            (item, "ann", "edit", "", 'What, "two"?', "A man.", pair_fingerprint(clip, pair))
            for item, clip, pair in pairs(load(place))
        ]
    made = Candidate(
        id="orbit_000#c1",
        video_id="orbit_000",
        question="Who is it?",
        answer="A man.",
        form="who",
        scope="broad",
        ratings=Ratings(reason="", logical_consistency=5, fluency=4, relevance=4, information_value=3),
        outcome="chosen",
    )
    return {
        "vqa_and_captioning.json": annotations,
        "review.csv": table_text(PAIR_COLUMNS, rows).encode(),
        "candidates.jsonl": f"{made.model_dump_json()}\n".encode(),
    }


PAIRS = _pairs()


def _read_pair_review(file: Path) -> None:
    dataset = load(file.parent)
    merge_pair_reviews(dataset, read_pair_reviews([file], dataset).found)


DATASET = {
    "footage.csv": b"name,kind,origin,licence,mission\norbit,real,NASA,public domain,ISS-40\n",
    "curation.json": _as_json(
        DatasetFacts(recipe=RECIPE, detector=DETECTOR, clips={}).model_dump(by_alias=True)
    ),
    "annotation_files/actions.csv": b"video_id,movie_or_real,person_id,action\norbit_000,r,1,12\n",
    "annotation_files/disagreements.csv": b"video_id,what,said,outcome\norbit_000,decision,1 of 3,rejected\n",
    "annotation_files/vqa_and_captioning.json": _as_json([{"video_id": "orbit_000", "qa_pairs": []}]),
}
TEMPLATE = b"""id = "mine"
version = 1
task = "vqa"
purpose = "to try"
system = "You watch."
user = "{{ question }}{% if question %}!{% endif %}"
"""
PRICES = b'[openai."gpt-4o"]\ninput = 2.5\noutput = 10.0\ndate = "2026-01-01"\n'
ANNOTATIONS = _as_json([record("a_001"), {**record("b_001", 1), "source": "b"}])
REQUEST = Request(id="a_001#1", task="vqa", video_id="a_001", source="a", question="Who?")

READERS: dict[str, Reader] = {
    "text": Reader(storage.read_text, "id,text\n1,Ärmel\n".encode()),
    "json": Reader(storage.read_json, ANNOTATIONS),
    "annotations": Reader(read_annotations, ANNOTATIONS, "a.json"),
    "annotations in parquet": Reader(read_annotations, _parquet(), "a.parquet"),
    "dataset": Reader(lambda file: load(str(file)), ANNOTATIONS, "a.json"),
    "data check": Reader(lambda file: check.check(str(file)), ANNOTATIONS, "a.json"),
    "actions": Reader(
        lambda file: read_actions(file, LABELS),
        b"video_id,movie_or_real,person_id,action\na_001,r,0,12\nb_001,m,1,17\n",
    ),
    "detections": Reader(
        lambda file: har.read_detections(file, LABELS), small.DETECTIONS[:2000].rpartition("\n")[0].encode()
    ),
    "ground truth": Reader(lambda file: har.read_ground_truth(file, LABELS), small.TRUTH.encode()),
    "boxes": Reader(
        lambda file: read_table(file, BOXES),
        b"video_id,frame_id,person_id,xmin,ymin,xmax,ymax\na_001,3,0,1,2,30,40\n",
    ),
    "label map": Reader(
        read_label_map, b'item {\n  name: "run"\n  id: 1\n}\nitem {\n  name: "sit"\n  id: 2\n}\n'
    ),
    "template": Reader(lambda file: read_template(file).render(REQUEST), TEMPLATE, "t.toml"),
    "options": Reader(read_toml, b'model = "blind"\ntasks = ["vqa"]\n[engine-args]\na = 1\n'),
    "prices": Reader(lambda file: find_price("openai", "gpt-4o", file), PRICES),
    "scorecards of actions": Reader(read_scorecards, _har()),
    **{f"predictions: {layout}": reader for layout, reader in _predictions().items()},
    "batches": Reader(Batches.read, _batches()),
    "statistics": Reader(read_statistics, RUN["statistics.npz"]),
    "probes": Reader(read_report, _probes()),
    "paraphrases": Reader(
        lambda file: read_paraphrases(file, SAMPLE_SET),
        b"\n".join((SAMPLE_FOLDER / "paraphrases.jsonl").read_bytes().splitlines()[:4]),
        "paraphrases.jsonl",
    ),
    "archive": Reader(_unpack, _archive(), "a.zip"),
    **{
        f"judged run: {name}": Reader(_read_judgements, JUDGED[f"judge/m/{name}"], f"judge/m/{name}", JUDGED)
        for name in ("judgement.json", "agreement.json")
    },
    "ratings": Reader(_read_ratings, JUDGED["ratings.csv"], "ratings.csv", JUDGED),
    "modules of an encoder": Reader(
        lambda file: check_modules(file.parent),
        _as_json([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]),
        "modules.json",
    ),
    **{
        f"measured run: {name}": Reader(_read_cost, RUN[name], name, RUN)
        for name in ("cost.json", "run.json")
    },
    **{
        f"run: {name}": Reader(_read_run, RUN[name], name, RUN)
        for name in ("run.json", "journal.jsonl", "scorecard.json")
    },
    **{
        f"submission of actions: {name}": Reader(
            lambda file: load_actions(file.parent), PACKED_ACTIONS[name], name, PACKED_ACTIONS
        )
        for name in PACKED_ACTIONS
    },
    **{
        f"submission: {name}": Reader(lambda file: submissions.load(file.parent), PACKED[name], name, PACKED)
        for name in PACKED
    },
    **{f"curation: {name}": Reader(_read_curation, CURATION[name], name, CURATION) for name in JOURNALS},
    "review": Reader(_read_review, CURATION["review.csv"], "review.csv", CURATION),
    "review of pairs": Reader(_read_pair_review, PAIRS["review.csv"], "review.csv", PAIRS),
    "candidates": Reader(
        lambda file: read_candidates(file.parent), PAIRS["candidates.jsonl"], "candidates.jsonl", PAIRS
    ),
    "rubric": Reader(
        lambda file: rubric_like("annotate", "check", str(file)),
        (PROMPTS / "annotate/check.toml").read_bytes(),
        "r.toml",
    ),
    "prefill": Reader(
        lambda file: read_prefill(file, {"orbit_000"}), b"video_id,caption,crew\norbit_000,A man.,Ann\n"
    ),
    "manifest": Reader(read_manifest, DATASET["footage.csv"]),
    "recipe of a curation": Reader(read_curation_recipe, (RECIPES / "paper.toml").read_bytes(), "a.toml"),
    "taxonomy": Reader(
        lambda file: read_taxonomy(LABELS, file), TAXONOMY.read_bytes()[:2000].rpartition(b"\n[")[0]
    ),
    **{
        f"curated dataset: {name}": Reader(
            lambda file: write_card(
                file.parent if file.parent.name != "annotation_files" else file.parents[1], "x"
            ),
            DATASET[name],
            name,
            DATASET,
        )
        for name in DATASET
    },
    "video in mp4": Reader(_decode, _video("mp4"), "a.mp4"),
    "video in mkv": Reader(_decode, _video("mkv"), "a.mkv"),
    "video in webm": Reader(_decode, _video("webm", "libvpx"), "a.webm"),
    "video in avi": Reader(_decode, _video("avi", "mpeg4"), "a.avi"),
}


def main(name: str, file: Path) -> None:
    """Read a file, with a bound on memory."""
    reader = READERS[name]
    with reader.file(reader.content) as whole:
        reader.read(whole)  # so that what is imported late does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    said = ""
    try:
        reader.read(file)
    except MicrogError as error:
        said = str(error)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)  # noqa: T201
    print(said)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
