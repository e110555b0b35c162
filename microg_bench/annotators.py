"""Has a language model check and make questions; what is asked and what follows is in `annotation`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from microg_bench.annotation.consistency import TextFinding, judged, queries, text_findings, verdict_fault
from microg_bench.annotation.inquiry import Inquiry, Replies
from microg_bench.annotation.question_stages import Made, QuestionMaker
from microg_bench.annotation.questions import PER_CLIP, UNANSWERABLE_SHARE
from microg_bench.annotation.rubrics import StageRubrics, rubric_like
from microg_bench.api import in_loop, load_dataset
from microg_bench.dataset.annotations import Annotation, read_annotations
from microg_bench.dataset.load import Dataset, find_layout, locate, select
from microg_bench.options import Options
from microg_bench.progress import Show, shown
from microg_bench.records import Clip
from microg_bench.text import many

FOLDER = Path("annotations")  # of what models answered, where the user names none


@dataclass(frozen=True, repr=False)
class CheckedTexts:
    """What a check of captions and pairs finds.

    Attributes:
        dataset: whose texts they are.
        findings: those of the rules, then those of the model.
        unread: why the model gave no verdict on a clip, by its id.
        replies: what the model was asked; None without one.
    """

    dataset: Dataset
    findings: tuple[TextFinding, ...]
    unread: Mapping[str, str] = field(default_factory=dict)
    replies: Replies | None = None

    def __repr__(self) -> str:
        return f"CheckedTexts({self.dataset.name!r}: {many(len(self.findings), 'finding')})"


def annotate_check(
    data: str | Path | Dataset | None = None,
    model: str | None = None,
    *,
    run: str | Path | None = None,
    rubric: str | Path = "check",
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> CheckedTexts:
    """Look for captions and pairs that are inconsistent: by rules, and by a language model if one is given.

    Calling it again with the same arguments resumes what the model is asked.

    Args:
        data: ``sample``, ``microg-4m``, a folder, an annotation file, or a loaded dataset, of whose records
            with the same id the last is left.
        model: the language model, ``ENGINE:MODEL``.
        run: the folder of its answers; None takes one below ``annotations/`` that is the same for the same
            options.
        rubric: what it is asked: ``check``, or a .toml file with other words.
        progress: as in `evaluate`.
        yes: spend money without a question.
        options: options of a language model, named as in `microg_bench.options.Options`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`.
    """
    dataset = load_dataset(data)
    found = text_findings(
        [_annotation(clip) for clip in dataset.clips]
        if isinstance(data, Dataset)
        else read_annotations(find_layout(locate(data)).annotations)
    )
    if model is None:
        return CheckedTexts(dataset, found)
    inquiry = check_inquiry(dataset, rubric, Options.of({"model": model, **options}))
    asked = queries(dataset)
    folder = Path(run) if run else FOLDER / inquiry.model.default_folder.name / "check"
    with shown(progress) as callback:
        callback.note(f"{inquiry.model.title} on {dataset.name}, into {folder}")
        replies = in_loop(inquiry.ask(asked, folder, callback, yes, verdict_fault(dataset)))
    verdicts = judged(dataset, replies)
    return CheckedTexts(dataset, (*found, *verdicts.findings), verdicts.unread, replies)


def check_inquiry(dataset: Dataset, rubric: str | Path, options: Options) -> Inquiry:
    """What a model is asked to check a dataset; see `annotate_check`."""
    return Inquiry(rubric_like("annotate", "check", str(rubric)), options, dataset)


def annotate_questions(  # noqa: PLR0913 - what is made, of what and by whom
    data: str | Path | Dataset | None,
    model: str,
    out: str | Path,
    *,
    per_clip: int = PER_CLIP,
    unanswerable: float = UNANSWERABLE_SHARE,
    limit: int | None = None,
    rubrics: str | Path | None = None,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Made:
    """Make questions and answers of the captions of a dataset, for people to review.

    Calling it again with the same arguments resumes. The model is loaded once for all stages.

    Args:
        data: ``sample``, ``microg-4m``, a folder, an annotation file, or a loaded dataset.
        model: the language model, ``ENGINE:MODEL``.
        out: the folder of what is asked and made.
        per_clip: pairs a clip.
        unanswerable: the share of pairs that the caption does not answer, 0 to 1.
        limit: only the first clips.
        rubrics: a folder of rubrics of your own, STAGE.toml; None takes the shipped ones.
        progress: as in `evaluate`.
        yes: spend money without a question.
        options: options of a language model, named as in `microg_bench.options.Options`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; `out` holds annotations that were made
            elsewhere.
    """
    given = Options.of({"model": model, **options})
    maker = question_maker(data, given, out, per_clip, unanswerable, limit, rubrics)
    with shown(progress) as callback:
        return in_loop(maker.make(callback, yes))


def _annotation(clip: Clip) -> Annotation:
    return Annotation(
        video_id=clip.video_id, source=clip.source, caption=clip.caption, questions=clip.questions
    )


def question_maker(
    data: str | Path | Dataset | None,
    options: Options,
    out: str | Path,
    per_clip: int,
    unanswerable: float,
    limit: int | None,
    rubrics: str | Path | None,
) -> QuestionMaker:
    """What makes questions; see `annotate_questions`."""
    dataset = load_dataset(data)
    chosen = replace(dataset, clips=select(dataset, limit=limit))
    words = StageRubrics.read(Path(rubrics) if rubrics else None)
    return QuestionMaker(chosen, options, Path(out), words, per_clip, unanswerable)
