"""Paraphrases: a model is asked the same questions in other words; do its answers follow from the words?

Each wording is a run of its own: first the questions as published, then the first paraphrase of each, and so
on. All share the engine and the decoding of each clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from microg_bench import variants
from microg_bench.api import Results, in_loop, run_variants
from microg_bench.dataset.load import Dataset, find_table, locate
from microg_bench.errors import RunError, UsageError
from microg_bench.pages.repeats_page import write_paraphrases_page
from microg_bench.progress import Progress, Show, shown
from microg_bench.runs.configure import Configuration
from microg_bench.runs.preview import Previews
from microg_bench.runs.record import RUN_FILE, RunRecord
from microg_bench.scoring.paraphrase_rows import read_paraphrases
from microg_bench.scoring.paraphrases import TASK, ParaphrasesReport, paraphrases_report
from microg_bench.storage import write_json, write_text
from microg_bench.tables.repeats import paraphrases_table
from microg_bench.tasks import paraphrase_id, question_id
from microg_bench.text import visible
from microg_bench.variants import folder_of, placed, previews, refuse

PARAPHRASES_FILE, TABLE_FILE = "paraphrases.json", "paraphrases.md"
PUBLISHED = "published"  # the wording of the dataset
BESIDE = ("paraphrases.jsonl", "paraphrases.csv")  # in the folder of a dataset
REFUSED = ("tasks", "batch", "shard")  # what paraphrases set themselves, or cannot do


@dataclass(frozen=True, eq=False, repr=False)
class Paraphrased:
    """What paraphrases give: folder, report, and the results of each wording, such as ``paraphrase-1``.

    `page` is the file for a browser.
    """

    folder: Path
    report: ParaphrasesReport
    results: Mapping[str, Results]
    page: Path

    def table(self) -> str:
        """A table in Markdown, one row a metric."""
        return paraphrases_table(self.report)

    def _repr_markdown_(self) -> str:
        return self.table()  # what a notebook shows

    def __repr__(self) -> str:
        return f"Paraphrased({str(self.folder)!r})"


def paraphrase(
    model: str,
    data: str | Path | Dataset | None = None,
    *,
    paraphrases: str | Path | None = None,
    run: str | Path | None = None,
    pictures: bool = True,
    progress: Show = "rich",
    yes: bool = False,
    **options: Any,
) -> Paraphrased:
    """Ask a model the same questions in other words, and tell how its answers and scores follow from them.

    Calling it again with the same arguments resumes. Each question is asked in as many paraphrases as the
    question with the fewest has. Questions without any are not asked.

    Args:
        model: as in `evaluate`.
        data: as in `evaluate`.
        paraphrases: a file of questions in other words; None takes that in the folder of the dataset.
        run: the folder of the runs, one below it for each wording; None takes one below ``runs/`` that is
            the same for the same options and paraphrases.
        pictures: whether the page shows the frames that the model was shown, of some clips.
        progress: as in `evaluate`.
        yes: as in `evaluate`.
        options: as in `evaluate`, without `tasks`, `batch` and `shard`.

    Raises:
        UsageError, DataError, EngineError, RunError: as `evaluate`; there are no paraphrases, they cannot be
            read, or they belong to other questions.
    """
    with shown(progress) as callback:
        found = configured(model, data, paraphrases, options, callback)
        found, root = _placed(found, run)
        first = found[PUBLISHED]
        results = in_loop(run_variants(placed(found, root), root, callback, yes))
        runs = [one.records[TASK] for one in results.values()]
        published = {item.request.id: item.request.question or "" for item in first.items[TASK]}
        report = paraphrases_report(runs, published)
        write_json(root / PARAPHRASES_FILE, report.model_dump(mode="json", by_alias=True))
        write_text(root / TABLE_FILE, paraphrases_table(report))
        wordings = dict(zip(results, runs, strict=True))
        page = write_paraphrases_page(
            root, report, wordings, first.dataset, pictures=pictures, progress=callback
        )
    return Paraphrased(root, report, results, page)


def preview_paraphrases(
    model: str,
    data: str | Path | Dataset | None = None,
    *,
    paraphrases: str | Path | None = None,
    run: str | Path | None = None,
    **options: Any,
) -> Previews:
    """What `paraphrase` would ask with the same arguments, and what it would cost; loads no model.

    Raises:
        UsageError, DataError, RunError: as `paraphrase`.
        DecodeError: a first clip cannot be decoded.
    """
    return previews(*_placed(configured(model, data, paraphrases, options, Progress()), run))


def configured(
    model: str,
    data: str | Path | Dataset | None,
    paraphrases: str | Path | None,
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Configuration]:
    """The configuration of each wording, by the name of its folder; first the questions as published.

    Raises:
        UsageError, DataError, EngineError: see `configure` and `paraphrase`.
    """
    refuse(options, REFUSED, "paraphrases")
    (plain,) = variants.configured(model, data, TASK, options, {PUBLISHED: {}}, progress).values()
    file = Path(paraphrases) if paraphrases is not None else _beside(data)
    known = read_paraphrases(file, plain.dataset)
    asked = {item.request.id for item in plain.items[TASK]}
    chosen = {name: texts for name, texts in known.items() if name in asked}
    if not chosen:
        raise UsageError("none of the chosen clips has a question with a paraphrase", path=file)
    count = min(map(len, chosen.values()))
    if unused := sum(map(len, chosen.values())) - count * len(chosen):
        progress.note(
            f"{unused} paraphrases are not asked: each question is asked in {count}, as the fewest have"
        )
    found = {PUBLISHED: replace(plain, only=frozenset(chosen))}
    for place in range(count):
        words = {paraphrase_id(name, texts[place]): texts[place] for name, texts in chosen.items()}
        found[f"paraphrase-{place + 1}"] = replace(plain, only=frozenset(words), paraphrases=words)
    return found


def _placed(
    found: Mapping[str, Configuration], run: str | Path | None
) -> tuple[dict[str, Configuration], Path]:
    """The wordings as runs in the folder `run` have them, and that folder; raises as `_as_before`."""
    root = folder_of(found[PUBLISHED], run, f"paraphrases-{_digest(found)}")
    return _as_before(found, root), root


def _as_before(found: Mapping[str, Configuration], root: Path) -> dict[str, Configuration]:
    """The wordings in the order of the runs below `root`: which stands first in the file does not count.

    Raises:
        RunError: a run asked a question in words that are no paraphrase of it now, or other questions; or it
            is damaged.
    """
    places = [name for name in found if name != PUBLISHED]
    texts = [{question_id(key): text for key, text in found[name].paraphrases.items()} for name in places]
    kept = {name: own for name in places if (own := _asked_before(root / name / TASK))}
    for name, own in kept.items():
        if differing := sorted(own.keys() ^ texts[0].keys()):
            was = "asked" if differing[0] in own else "did not ask"
            reason = f"{was} {differing[0]}: give the old paraphrases to resume, or another --run"
            raise RunError(reason, path=root / name)
    words: dict[str, dict[str, str]] = {name: {} for name in places}
    for question in texts[0]:
        left = [own[question] for own in texts]
        for name, own in kept.items():
            if (text := own[question]) not in left:
                reason = f"asked {question} as {visible(text)!r}, which is no paraphrase of it now"
                raise RunError(f"{reason}: put it back to resume, or give another --run", path=root / name)
            left.remove(text)
        for name, asked in words.items():
            text = kept[name][question] if name in kept else left.pop(0)
            asked[paraphrase_id(question, text)] = text
    changed = {
        name: replace(found[name], only=frozenset(own), paraphrases=own) for name, own in words.items()
    }
    return {**found, **changed}


def _asked_before(path: Path) -> dict[str, str]:
    """The words in which the run at `path` asked each question; none where it has no answer yet."""
    if not (path / RUN_FILE).is_file():
        return {}
    record = RunRecord.read(path)
    if not record.answers:
        return {}
    return {question_id(name): text for name, text in record.settings.paraphrases.items()}


def _beside(data: str | Path | Dataset | None) -> Path:
    """The file of paraphrases in the folder of a dataset.

    Raises:
        UsageError: there is none.
    """
    if isinstance(data, Dataset):
        raise UsageError("give a file: a loaded dataset tells of no folder", item="--paraphrases")
    file = find_table(locate(data), BESIDE)[0]
    if file is None:
        reason = f"give a file: there is no {' or '.join(BESIDE)} in the folder of the dataset"
        raise UsageError(reason, item="--paraphrases")
    return file


def _digest(found: Mapping[str, Configuration]) -> str:
    """What the folder of the runs is known by: other questions or words lead to another."""
    ids = sorted(name for one in found.values() for name in one.only or ())
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:6]
