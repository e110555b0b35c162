"""Files of predictions as other harnesses write them.

lmms-eval and VLMEvalKit are not installed for tests. The fields and the calls that write them are those of
`EvaluationTracker.save_results_samples` (lmms-eval 0.4 and later), and of `infer_data_job_video` and `dump`
(VLMEvalKit), which writes by pandas.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from microg_bench.tasks import Item


def lmms_eval_sample(number: int, item: Item, text: str) -> dict[str, Any]:
    """One line of the samples of lmms-eval; there are more fields, of the metrics of the task."""
    asked = item.request.question or "Describe the clip."
    return {
        "doc_id": number,
        "target": item.reference,
        "filtered_resps": text,
        "token_counts": [{"input_tokens": 900, "output_tokens": 7, "reasoning_tokens": None}],
        "doc_hash": "0" * 64,
        "exact_match": 0.0,
        "input": f"{asked}\nAnswer in one sentence.",
    }


def write_lmms_eval(path: Path, samples: Sequence[Mapping[str, Any]]) -> Path:
    """Write lines of samples."""
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in samples), encoding="utf-8")
    return path


def vlmevalkit_table(items: Sequence[Item], texts: Mapping[str, str | None]) -> pd.DataFrame:
    """The table of VLMEvalKit: that of its dataset, whose references are `answer`, with the predictions."""
    rows = [
        {
            "index": number,
            "video": f"{item.request.video_id}.mp4",
            "question": item.request.question or "Describe the clip.",
            "answer": item.reference,
            "prediction": texts[item.request.id],
        }
        for number, item in enumerate(items)
        if item.request.id in texts
    ]
    return pd.DataFrame(rows)


def write_vlmevalkit(path: Path, table: pd.DataFrame) -> Path:
    """Write a table in the format of the file's ending, as VLMEvalKit does."""
    if path.suffix == ".xlsx":
        options = {"options": {"strings_to_formulas": False}}
        with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as writer:
            table.to_excel(writer, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, sep="\t", index=False, encoding="utf-8", quoting=csv.QUOTE_ALL)
    else:
        path.write_text(json.dumps(table.to_dict("records"), indent=4, ensure_ascii=False), encoding="utf-8")
    return path
