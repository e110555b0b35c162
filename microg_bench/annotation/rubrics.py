"""Rubrics of a user in place of the shipped ones: other words, the same fields and the same schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from microg_bench.errors import DataError
from microg_bench.prompts import Rubric, find_rubric

# The rubrics of the questions of a dataset, each with its folder in `prompts/` and its name there.
STAGES: Mapping[str, tuple[Literal["annotate", "judge"], str]] = {
    "candidates": ("annotate", "candidates"),
    "unanswerable": ("annotate", "unanswerable"),
    "ratings": ("annotate", "ratings"),
    "answers": ("annotate", "answers"),
    "comparisons": ("judge", "short-answer"),
}


@dataclass(frozen=True)
class StageRubrics:
    """What is asked in each stage of making questions."""

    candidates: Rubric
    unanswerable: Rubric
    ratings: Rubric
    answers: Rubric
    comparisons: Rubric

    @classmethod
    def read(cls, folder: Path | None = None) -> "StageRubrics":
        """The shipped rubrics, each replaced by the file `STAGE.toml` in `folder`, where there is one.

        Raises:
            UsageError, DataError: as `rubric_like`; or `folder` has none of these files.
        """
        own = {} if folder is None else {stage: folder / f"{stage}.toml" for stage in STAGES}
        given = {stage: path for stage, path in own.items() if path.is_file()}
        if folder is not None and not given:
            raise DataError(f"has none of {', '.join(path.name for path in own.values())}", path=folder)
        return cls(
            **{
                stage: rubric_like(kind, name, str(given.get(stage, name)))
                for stage, (kind, name) in STAGES.items()
            }
        )


def rubric_like(kind: Literal["annotate", "judge"], name: str, given: str) -> Rubric:
    """The rubric `given`, a name or a file, which is to take the place of the shipped rubric `name`.

    Raises:
        UsageError: there is none of that name, or its schema cannot be used.
        DataError: it cannot be read, does not render, or has other fields or another schema.
    """
    rubric, shipped = find_rubric(kind, given), find_rubric(kind, name)
    if set(rubric.fields) != set(shipped.fields):
        raise DataError(f"needs the fields {', '.join(shipped.fields)}", item=f"rubric {rubric.id}")
    if rubric.answer_schema != shipped.answer_schema:
        raise DataError(f"needs the schema of {shipped.id}", item=f"rubric {rubric.id}")
    return rubric
