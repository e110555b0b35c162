"""`microg-bench paraphrase`: do answers follow from the words of a question?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from microg_bench.cli.console import AsJson, drawn, interruptible, note, output, print_report
from microg_bench.cli.options import ASKING, SCORING, with_options
from microg_bench.cli.run import DryRun, Pictures, Yes, finish
from microg_bench.options import OF_PERSONS
from microg_bench.paraphrases import PARAPHRASES_FILE, REFUSED, TABLE_FILE, preview_paraphrases
from microg_bench.paraphrases import paraphrase as ask
from microg_bench.plots.repeats import draw_paraphrases

app = typer.Typer(rich_markup_mode="markdown", add_completion=False)

OPTIONS = [name for name in (*ASKING, *SCORING) if name not in (*REFUSED, *OF_PERSONS)]

EPILOG = """Examples:

    microg-bench paraphrase --model qwen2.5-vl --data microg-4m --paraphrases mine.jsonl

    microg-bench paraphrase --model blind --data sample --metrics ROUGE-L --run paraphrases/blind

The same command resumes. Each wording is an ordinary run in a folder of its own.
"""


@app.command("paraphrase", epilog=EPILOG)
@with_options(OPTIONS)
def paraphrase(
    paraphrases: Annotated[
        Path | None,
        typer.Option(
            help="Questions in other words: JSONL or CSV with video_id, question, paraphrase.",
            show_default="paraphrases.jsonl of the dataset folder",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs.", show_default="runs/MODEL-DATASET-HASH-paraphrases-HASH"),
    ] = None,
    pictures: Pictures = True,
    yes: Yes = False,
    as_json: AsJson = False,
    dry_run: DryRun = False,
    **given: Any,
) -> None:
    """Ask a model the same questions in other words, and tell how its answers and scores follow from them.

    The result is the share of answers that change; a table with each mean score and its interval, and the
    variance by the words apart from that between clips; a page with all answers; and, with the extra plots, a
    chart. Wordings share the engine and the decoding of each clip.
    """
    options = {name: value for name, value in given.items() if value is not None}
    model, data = options.pop("model", ""), options.pop("data", None)
    if dry_run:
        output().print(str(preview_paraphrases(model, data, paraphrases=paraphrases, run=run, **options)))
        return
    with interruptible():
        asked = ask(model, data, paraphrases=paraphrases, run=run, pictures=pictures, yes=yes, **options)
    files = [asked.folder / TABLE_FILE, asked.folder / PARAPHRASES_FILE, asked.page]
    files += drawn(lambda: draw_paraphrases(asked.report, asked.folder))
    content = asked.report.model_dump(mode="json", by_alias=True)
    print_report(content, asked.table(), files, as_json)
    note(*asked.report.warnings)
    finish(asked.results.values())
