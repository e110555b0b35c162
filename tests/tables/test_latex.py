"""Tables in LaTeX: they compile as they are, fit the page, and keep their numbers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from microg_bench.scorecard import ScoreEntry
from microg_bench.tables.latex import document, to_latex
from microg_bench.tables.paper import PaperTable, paper_tables
from tests.helpers.cards import signature
from tests.helpers.tables import HOSTILE, ours, qwen, reported, table, with_har

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed: LaTeX is not compiled"
)


def compiled(tables: list[PaperTable], folder: Path) -> str:
    """What pdflatex said; the PDF is in `folder`."""
    for one in tables:
        (folder / f"table{one.facts.number}.tex").write_text(to_latex(one))
    (folder / "tables.tex").write_text(document([one.facts.number for one in tables]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "tables.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


@needs_pdflatex
def test_the_tables_compile_as_they_are_and_fit_the_page(tmp_path: Path) -> None:
    said = compiled(paper_tables([qwen(), ours("Another", protocol="coco")], reported()), tmp_path)
    assert "Overfull" not in said
    numbered = (tmp_path / "tables.aux").read_text()
    assert r"\newlabel{tab:microg-bench-1}{{1}" in numbered


@needs_pdflatex
def test_hostile_names_compile_to_text(tmp_path: Path) -> None:
    scores = {
        "CIDEr": ScoreEntry(unavailable=HOSTILE),
        "BLEU-4": ScoreEntry(value=1.0, signature=signature(HOSTILE)),
    }
    (card,) = reported("X3D_L.test")
    named = with_har(card, detections=HOSTILE.replace("/", ""), groundtruth=HOSTILE)
    cards = [ours(HOSTILE, scores=scores, dataset=HOSTILE, fingerprint="%\\{$_", protocol="#&")]
    said = compiled(paper_tables(cards, [named]), tmp_path)
    assert "passwd" not in said  # nothing was read


@needs_pdflatex
def test_a_table_alone_keeps_its_number(tmp_path: Path) -> None:
    compiled(paper_tables([qwen()], [], published=False), tmp_path)
    assert r"\newlabel{tab:microg-bench-4}{{4}" in (tmp_path / "tables.aux").read_text()


def test_the_best_is_bold_and_the_second_best_underlined() -> None:
    text = to_latex(table(4))
    assert r"GPT-{}4o & 6 & \textbf{33.98}" in text
    assert r"Video-{}LLaVA & 8 & \underline{25.70}" in text


def test_splits_stand_above_their_columns() -> None:
    text = to_latex(table(1))
    assert r" &  &  &  & \multicolumn{4}{c}{validation} & \multicolumn{4}{c}{test} \\" in text
    assert r"\cmidrule(lr){5-8}\cmidrule(lr){9-12}" in text
    assert r"\cmidrule" not in to_latex(table(3))


def test_a_difference_has_a_real_minus() -> None:
    assert "$-1.99$" in to_latex(table(4, qwen(value=1.0)))
