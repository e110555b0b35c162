"""Kept texts are parsed again with an edited adapter; nothing is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.errors import MicrogError, RunError, UsageError
from microg_bench.records import Answer, Failure, Response
from microg_bench.runs.record import RunRecord
from tests.helpers.datasets import record, write_annotations
from tests.helpers.runs import Notes, content

ADAPTER = """
from microg_bench.adapters.base import Baseline

class Chatty(Baseline):
    name = "chatty"
    title = "Chatty"

    def answer(self, request, descriptor, others):
        return f"Well: {request.id}" + (": nothing" if request.id == "a_002#2" else "")

    def parse(self, request, text):
        return text
"""
READS = "        return text\n"
EDITED = """
        if text.endswith("nothing"):
            raise ValueError("nothing said")
        return text.removeprefix("Well: ")
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_annotations(tmp_path / "refs.json", [record("a_001", 1), record("a_002", 2)])


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    file = tmp_path / "chatty.py"
    file.write_text(ADAPTER)
    return file


def evaluate(adapter: Path, data: Path, run: Path, **options: Any) -> mb.Results:
    return mb.evaluate(str(adapter), str(data), run=run, metrics="ROUGE-L", progress=None, **options)


def reparsed(run: Path, adapter: Path | None, **options: Any) -> Notes:
    notes, model = Notes(), str(adapter) if adapter else None
    mb.score(run, metrics="ROUGE-L", progress=notes, reparse=True, model=model, **options)
    return notes


def test_texts_are_parsed_again_and_the_run_goes_on(adapter: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    evaluate(adapter, data, run)
    before = {task: RunRecord.read(run / task) for task in ("caption", "vqa")}
    old = {task: (run / task / "journal.jsonl").read_bytes() for task in before}
    adapter.write_text(ADAPTER.replace(READS, EDITED).replace('"Chatty"', '"Chattier"'))
    with pytest.raises(
        RunError, match=r"caption: the file of the adapter chatty was edited since .* --reparse"
    ):
        evaluate(adapter, data, run)
    notes = reparsed(run, adapter)
    assert notes.notes == [
        f"{run}/caption: 2 texts were parsed again, 2 answers changed",
        f"{run}/vqa: 4 texts were parsed again, 4 answers changed",
    ]
    found = RunRecord.read(run / "vqa")
    assert {name: one.answer for name, one in found.answers.items()} == {
        name: name for name in ("a_001#1", "a_001#2", "a_002#1")
    }
    (failure,) = found.failures.values()
    assert (failure.id, failure.stage) == ("a_002#2", "parse")
    assert failure.response is not None and failure.response.text == "Well: a_002#2: nothing"
    assert sorted(one.text for one in found.responses) == sorted(one.text for one in before["vqa"].responses)
    assert (found.settings.title, found.scorecard.title) == ("Chattier", "Chattier")
    assert found.scorecard.counts.failed == 1
    assert found.starts[:-1] == before["vqa"].starts
    assert "versions" in found.starts[-1]
    assert found.starts[-1]["reparsed"] == {
        "from": before["vqa"].settings.adapter_sha256,
        "to": found.settings.adapter_sha256,
        "texts": 4,
        "changed": 4,
    }
    for task, lines in old.items():
        assert (run / task / "journal.jsonl").read_bytes().startswith(lines), "the journal is only added to"
    results = evaluate(adapter, data, run)
    assert results.usage.answers + results.usage.failures == 1, "only what has failed is asked again"


def test_a_failure_to_parse_becomes_an_answer(adapter: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    adapter.write_text(ADAPTER.replace(READS, EDITED))
    evaluate(adapter, data, run, tasks="vqa")
    assert list(RunRecord.read(run / "vqa").failures) == ["a_002#2"]
    adapter.write_text(ADAPTER)
    reparsed(run / "vqa", adapter)
    found = RunRecord.read(run / "vqa")
    assert (len(found.answers), found.failures, len(found.responses)) == (4, {}, 4)
    assert found.answers["a_002#2"].answer == "Well: a_002#2: nothing"
    assert found.scorecard.complete


def test_parsing_twice_changes_nothing(adapter: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    evaluate(adapter, data, run)
    adapter.write_text(ADAPTER.replace(READS, EDITED))
    reparsed(run, adapter)
    before = content(run)
    assert reparsed(run, adapter).notes[0].endswith("0 answers changed")
    assert content(run) == before


def test_what_was_shown_stays_known(adapter: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    evaluate(adapter, data, run, tasks="caption")
    shown: dict[str, Any] = {"frames": (1, 2), "clip_sha256": "0123456789abcdef"}
    lines = [
        {"type": "response", **Answer(id="a_001", text="Well: x", answer="Well: x", **shown).model_dump()},
        {
            "type": "failure",
            **Failure(
                id="a_002", stage="parse", reason="odd", response=Response(id="a_002", text="y"), **shown
            ).model_dump(),
        },
    ]
    journal = run / "caption" / "journal.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    adapter.write_text(ADAPTER.replace(READS, EDITED))
    reparsed(run, adapter)
    found = RunRecord.read(run / "caption").answers
    assert {name: (one.answer, one.frames, one.clip_sha256) for name, one in found.items()} == {
        name: (answer, (1, 2), "0123456789abcdef") for name, answer in (("a_001", "x"), ("a_002", "y"))
    }


def refused(run: Path, message: str, adapter: Path | None = None) -> None:
    before = content(run)
    with pytest.raises(MicrogError, match=message):
        reparsed(run, adapter)
    assert content(run) == before


def test_a_run_whose_adapter_is_not_there_is_refused(adapter: Path, data: Path, tmp_path: Path) -> None:
    evaluate(adapter, data, tmp_path / "r", tasks="caption")
    adapter.write_text(ADAPTER.replace('"chatty"', '"quiet"'))
    refused(tmp_path / "r", r"its adapter cannot be found: .*chatty.py is quiet, it was chatty", adapter)
    adapter.unlink()
    refused(tmp_path / "r", r"r/caption: its adapter cannot be found: .*chatty.py: no such file", adapter)


def test_an_adapter_file_is_run_only_where_the_caller_names_it(
    adapter: Path, data: Path, tmp_path: Path
) -> None:
    evaluate(adapter, data, tmp_path / "r", tasks="caption")
    kept = adapter.read_text()
    adapter.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n{kept}")
    refused(tmp_path / "r", r"r/caption: its adapter is a file: give --model .*chatty.py, if you trust")
    mb.score(tmp_path / "r", metrics="ROUGE-L", progress=None)
    assert not (tmp_path / "imported").exists()
    with pytest.raises(UsageError, match="--model: needs --reparse"):
        mb.score(tmp_path / "r", metrics="ROUGE-L", progress=None, model=str(adapter))
    refused(tmp_path / "r", "constant is constant, it was chatty", Path("constant"))
    assert not (tmp_path / "imported").exists()
    reparsed(tmp_path / "r", adapter)
    assert (tmp_path / "imported").exists()


def test_a_run_of_version_0_1_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    for file in (Path(__file__).parent / "data" / "v0.1").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    refused(folder, "r: was made by version 0.1 and is only read: its texts are not parsed again$")


def test_predictions_are_not_parsed(tmp_path: Path, data: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(UsageError, match="--reparse: does not apply to predictions"):
        mb.score(tmp_path / "p.json", "caption", data, reparse=True)


ASKS = """
    def prompt(self, request, instruction, frames):
        from microg_bench.records import Message, Prompt, Text

        return Prompt(messages=(Message(role="user", parts=(Text(text="Say hello."),)),))
"""


def test_an_adapter_that_asks_otherwise_is_refused(adapter: Path, data: Path, tmp_path: Path) -> None:
    evaluate(adapter, data, tmp_path / "r", tasks="vqa")
    before = content(tmp_path / "r")
    adapter.write_text(ADAPTER.replace(READS, EDITED) + ASKS)
    told = r"r/vqa: its adapter was edited, and now asks a_001#1 with another prompt: --run DIR asks anew"
    with pytest.raises(RunError, match=told):
        reparsed(tmp_path / "r", adapter)
    assert content(tmp_path / "r") == before


def test_an_adapter_that_wants_another_schema_is_refused(adapter: Path, data: Path, tmp_path: Path) -> None:
    evaluate(adapter, data, tmp_path / "r", tasks="caption")
    before = content(tmp_path / "r")
    wanted = "    generation = {**Baseline.generation, 'caption': Generation(answer_schema='{}')}\n"
    imported = "from microg_bench.records import Generation\n"
    adapter.write_text(
        imported + ADAPTER.replace('    title = "Chatty"\n', '    title = "Chatty"\n' + wanted)
    )
    with pytest.raises(
        RunError, match="r/caption: its adapter was edited, .*another schema: --run DIR asks anew"
    ):
        reparsed(tmp_path / "r", adapter)
    assert content(tmp_path / "r") == before


def test_what_a_run_does_not_tell_of_its_prompts_is_said(adapter: Path, data: Path, tmp_path: Path) -> None:
    evaluate(adapter, data, tmp_path / "r", tasks="vqa")
    file = tmp_path / "r" / "vqa" / "run.json"
    written = json.loads(file.read_text())
    assert written["starts"][0].pop("prompted")["id"] == "a_001#1"
    file.write_text(json.dumps(written))
    adapter.write_text(ADAPTER.replace(READS, EDITED))
    notes = reparsed(tmp_path / "r", adapter)
    assert notes.notes[0] == f"{tmp_path}/r/vqa: whether the adapter still asks as it did cannot be told"
