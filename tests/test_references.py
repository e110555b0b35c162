"""The generated pages of the reference tell what is declared, and the tables of file formats every field."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from microg_bench.__main__ import VERBS
from microg_bench.abstention import Confidence, Share
from microg_bench.actions import ActionEntry, ActionFacts
from microg_bench.annotation.agreement import AgreementReport, RateEntry, ScoreAgreement
from microg_bench.annotation.judgement import JudgeCounts, JudgedItem, JudgeEntry, Judgement
from microg_bench.annotation.question_stages import QuestionFacts
from microg_bench.annotation.questions import AnswerComparison, Candidate, Ratings
from microg_bench.annotation.reviews import AgreementFacts, ReviewFacts
from microg_bench.dataset.annotations import FIELDS as ANNOTATION_FIELDS
from microg_bench.dataset.labels import LAYOUT
from microg_bench.drifts import DriftReport, MetricDrift, TaskDrift
from microg_bench.har.recipe import Input, Network, Recipe, Training
from microg_bench.har.runs import PredictSettings
from microg_bench.hardware import Hardware
from microg_bench.options import Options, flag
from microg_bench.records import Answer, Failure, Generation, Response, Withdrawal
from microg_bench.runs.batches import _Line
from microg_bench.runs.cost import CostReport, Delay, Measurement, PeakMemory
from microg_bench.runs.record import RunFile
from microg_bench.scorecard import (
    Abstention,
    BaselineEntry,
    Counts,
    FailedStage,
    IntervalEntry,
    ModelEntry,
    Scorecard,
    ScoreEntry,
    ServedModel,
    Signature,
)
from microg_bench.scoring.paraphrases import ParaphrasesReport, QuestionWordings, WordingEffect
from microg_bench.scoring.probes import MetricEffect, ProbeEffect, ProbeReport
from microg_bench.scoring.repeats import RepeatedScore, RepeatsReport, TaskRepeats
from microg_bench.settings import Media, PromptId, Settings
from microg_bench.slices import SliceDifference, SliceEntry
from microg_bench.submissions.load import PackedReparse, PackedRequest, PackedStart, PackedUsage
from microg_bench.video.sampling import FrameSpec

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/reference"


@pytest.mark.parametrize("script", ["make_options_reference", "make_command_reference"])
def test_a_generated_page_is_up_to_date(script: str) -> None:
    made = runpy.run_path(str(ROOT / f"scripts/{script}.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), f"run: python scripts/{script}.py"


def test_every_option_has_one_row() -> None:
    lines = (REFERENCE / "options.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `--")]
    assert [sum(line.startswith(f"| `{flag(name)}`") for line in rows) for name in Options.model_fields] == [
        1
    ] * len(rows)


def test_every_verb_has_a_section() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == list(VERBS)


# The tables of fields: page and heading, and the record that is described there.
TABLES: dict[tuple[str, str], type[BaseModel]] = {
    ("journal", "Response"): Response,
    ("journal", "Answer"): Answer,
    ("journal", "Failure"): Failure,
    ("journal", "Withdrawal"): Withdrawal,
    ("run", "Fields"): RunFile,
    ("run", "Settings"): Settings,
    ("run", "FrameSpec"): FrameSpec,
    ("run", "Media"): Media,
    ("run", "PromptId"): PromptId,
    ("run", "Generation"): Generation,
    ("run", "Start"): PackedStart,
    ("run", "Usage"): PackedUsage,
    ("run", "Reparse"): PackedReparse,
    ("run", "Prompted"): PackedRequest,
    ("run", "Batch"): _Line,
    ("scorecard", "Fields"): Scorecard,
    ("scorecard", "ScoreEntry"): ScoreEntry,
    ("scorecard", "Signature"): Signature,
    ("scorecard", "IntervalEntry"): IntervalEntry,
    ("scorecard", "Counts"): Counts,
    ("scorecard", "FailedStage"): FailedStage,
    ("scorecard", "ModelEntry"): ModelEntry,
    ("scorecard", "ServedModel"): ServedModel,
    ("scorecard", "BaselineEntry"): BaselineEntry,
    ("scorecard", "SliceEntry"): SliceEntry,
    ("scorecard", "SliceDifference"): SliceDifference,
    ("scorecard", "Abstention"): Abstention,
    ("scorecard", "Share"): Share,
    ("scorecard", "Confidence"): Confidence,
    ("scorecard", "ActionFacts"): ActionFacts,
    ("scorecard", "ActionEntry"): ActionEntry,
    ("cost", "Fields"): CostReport,
    ("cost", "Measurement"): Measurement,
    ("cost", "Hardware"): Hardware,
    ("cost", "Delay"): Delay,
    ("cost", "PeakMemory"): PeakMemory,
    ("drift", "Fields"): DriftReport,
    ("drift", "TaskDrift"): TaskDrift,
    ("drift", "MetricDrift"): MetricDrift,
    ("judgement", "Judgement"): Judgement,
    ("judgement", "JudgeEntry"): JudgeEntry,
    ("judgement", "JudgeCounts"): JudgeCounts,
    ("judgement", "JudgedItem"): JudgedItem,
    ("judgement", "Agreement"): AgreementReport,
    ("judgement", "ScoreAgreement"): ScoreAgreement,
    ("judgement", "RateEntry"): RateEntry,
    ("probes", "Fields"): ProbeReport,
    ("probes", "ProbeEffect"): ProbeEffect,
    ("probes", "MetricEffect"): MetricEffect,
    ("repeats", "Fields"): RepeatsReport,
    ("repeats", "TaskRepeats"): TaskRepeats,
    ("repeats", "RepeatedScore"): RepeatedScore,
    ("paraphrases", "Fields"): ParaphrasesReport,
    ("paraphrases", "WordingEffect"): WordingEffect,
    ("paraphrases", "QuestionWordings"): QuestionWordings,
    ("annotation", "Candidate"): Candidate,
    ("annotation", "Ratings"): Ratings,
    ("annotation", "AnswerComparison"): AnswerComparison,
    ("annotation", "QuestionFacts"): QuestionFacts,
    ("annotation", "ReviewFacts"): ReviewFacts,
    ("annotation", "AgreementFacts"): AgreementFacts,
    ("actions", "Fields"): PredictSettings,
    ("actions", "Recipe"): Recipe,
    ("actions", "Network"): Network,
    ("actions", "Input"): Input,
    ("actions", "Training"): Training,
}
NAMES = {model: heading for (_, heading), model in TABLES.items()}
WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null", Any: "value"}


@pytest.mark.parametrize(("page", "heading"), TABLES)
def test_a_table_has_every_field_with_its_type(page: str, heading: str) -> None:
    told = [cells[:2] for cells in table(REFERENCE / f"formats/{page}.md", heading)]
    assert told == [(f"`{name}`", kind) for name, kind in described(TABLES[page, heading])]


@pytest.mark.parametrize(
    ("heading", "columns"),
    [("Records", ANNOTATION_FIELDS), ("Action labels", tuple(column.name for column in LAYOUT))],
)
def test_a_table_has_every_column_of_a_dataset(heading: str, columns: tuple[str, ...]) -> None:
    told = [cells[0] for cells in table(REFERENCE / "formats/dataset.md", heading)]
    assert told == [f"`{name}`" for name in columns]


def test_every_kind_of_record_has_its_table() -> None:
    """What a described record holds is described too."""
    left = {inner for model in TABLES.values() for inner in records(model)} - set(NAMES)
    assert {model for model in left if not named(model)} == set()


def described(model: type[BaseModel]) -> list[tuple[str, str]]:
    """The fields of a record, with their types, that no table of a base of it has."""
    bases = {name for base in model.__mro__[1:] if base in NAMES for name in base.model_fields}
    fields = model.model_fields.items()
    return [(one.alias or name, words(one.annotation)) for name, one in fields if name not in bases]


def table(page: Path, heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below a heading, links as their words."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", page.read_text(encoding="utf-8"))
    section = re.split(rf"^#+ {heading}$", text, flags=re.MULTILINE)[1]
    rows = re.search(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    assert rows
    return [tuple(re.split(r"(?<!\\)\| *", row)[1:-1]) for row in rows[0].replace(" |", "|").splitlines()[2:]]


def words(kind: Any) -> str:
    """A type as the tables call it, in the words of JSON."""
    origin, arms = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arms)
    if origin is Annotated:
        return words(arms[0])
    if origin in (Union, UnionType):
        return " or ".join(map(words, arms))
    if origin is dict:
        return f"object of {words(arms[1])}"
    if origin in (tuple, list):
        several = Ellipsis in arms or origin is list
        return f"array of {words(arms[0])}" if several else f"array of {len(arms)} × {words(arms[0])}"
    return WORDS.get(kind) or NAMES[named(kind) or kind]


def named(kind: type) -> type | None:
    """The described record that is, or is a base of, a kind of record."""
    return next((one for one in kind.__mro__ if one in NAMES), None)


def records(kind: Any) -> Iterator[type]:
    """The kinds of records that a record holds."""
    for one in [field.annotation for field in kind.model_fields.values()]:
        yield from _within(one)


def _within(kind: Any) -> Iterator[type]:
    if isinstance(kind, type) and not get_origin(kind) and issubclass(kind, BaseModel):
        yield kind
    for arm in get_args(kind):
        yield from _within(arm)
