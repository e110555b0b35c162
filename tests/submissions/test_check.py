"""The verdict on submissions: what is refused and why, what is noted, and what of them is shown."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microg_bench import __version__
from microg_bench.dataset.load import load as load_dataset
from microg_bench.errors import RunError
from microg_bench.metrics import METRICS
from microg_bench.options import ScoringOptions
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import REFERENCES, Scorecard
from microg_bench.submissions import faults, rescore
from microg_bench.submissions.check import check as check_all
from microg_bench.submissions.load import find_submissions, load
from microg_bench.submissions.pack import pack
from microg_bench.tables.published import read_facts
from tests.helpers.datasets import bench, record, write_annotations
from tests.submissions.conftest import FAST, IDS, check, edit, edit_journal

pytestmark = pytest.mark.slow


def test_what_was_packed_passes(packed: Path, data: Path) -> None:
    found = check(packed, data)
    assert (found.problems, found.notes) == ([], [])
    assert found.record is not None
    assert set(found.record.statistics.metrics) == {"CIDEr", "ROUGE-L"}


def test_a_sample_of_requests_is_no_submission(run: Path, packed: Path, data: Path, tmp_path: Path) -> None:
    asked = {"requests": ["a_000#1"]}
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    edit(copy / "run.json", lambda content: content["settings"].update(asked))
    edit(copy / "run.json", lambda content: content["options"].update(model=content["settings"]["model"]))
    with pytest.raises(RunError, match="asks 1 request only, not the whole dataset"):
        pack(RunRecord.read(copy), tmp_path / "other")
    edit(packed / "run.json", lambda content: content["settings"].update(asked))
    edit(packed / "scorecard.json", lambda content: content["settings"].update(asked))
    assert "asks 1 request only, not the whole dataset" in check(packed, data).problems


def test_a_submission_of_the_sample_set_is_noted(tmp_path: Path) -> None:
    bench("caption", "--model", "blind", "--data", "sample", "--run", "r", *FAST, cwd=tmp_path)
    pack(RunRecord.read(tmp_path / "r"), tmp_path / "packed")
    (checked,) = check_all(find_submissions(tmp_path / "packed"), load_dataset("sample"))
    assert checked.problems == []
    assert "made on the sample set of 14 clips: no benchmark" in checked.notes


def test_who_answered_is_noted_and_no_path_of_theirs_is_packed(run: Path, data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    lines = [json.loads(line) for line in (copy / "journal.jsonl").read_text().splitlines()]
    served = [{**line, "served_model": "/home/ann/models/other"} for line in lines]
    (copy / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in served))
    asked = {"engine": "server", "checkpoint": "org/asked", "model": "mine", "title": "Mine"}
    edit(copy / "run.json", lambda content: content["settings"].update(asked))
    edit(copy / "run.json", lambda content: content["options"].update(model=content["settings"]["model"]))
    done = bench("score", copy, *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = bench("submit", "pack", copy, "--into", "packed", cwd=tmp_path)
    said = "answered by other, not org/asked as asked: 8 of 8 answers"
    assert done.stderr.splitlines() == [f"note: {said}"]
    found = check(find_submissions(tmp_path / "packed")[0], data)
    assert found.problems == []
    assert found.notes[-1] == said
    folder = find_submissions(tmp_path / "packed")[0]
    content = (folder / "scorecard.json").read_bytes() + gzip.decompress(
        (folder / "journal.jsonl.gz").read_bytes()
    )
    assert b"ann" not in content.replace(b"annotation", b"")


@pytest.mark.heavy
def test_a_submission_of_version_0_1_is_read_and_checked(shared: Path) -> None:
    folders = find_submissions(shared / "data" / "v0.1" / "submissions")
    for checked in check_all(folders, load_dataset("sample")):
        assert checked.problems == []
        assert "scored with other versions than here: version:0.1.0" in checked.notes
        assert checked.record is not None
        card = checked.record.scorecard
        assert card.title == "Baseline: nearest clip"
        theirs = "its intervals are of another method (percentile)"
        assert f"{theirs}: symmetric bootstrap-t takes their place" in checked.notes
        assert card.interval is not None
        assert card.interval.method == "symmetric bootstrap-t"
        for name, entry in load(checked.folder).record.scorecard.scores.items():
            own = card.scores[name].value
            assert (own is None) == (entry.value is None)
            # An encoder's last digits follow from the processor.
            assert own is None or own == pytest.approx(entry.value, rel=1e-6)
            assert entry.interval is None or card.scores[name].interval != entry.interval


def raise_score(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["value"] += 0.001


def widen_interval(card: dict[str, Any]) -> None:
    card["scores"]["ROUGE-L"]["interval"][1] += 1


def hide_failures(card: dict[str, Any]) -> None:
    card["counts"]["failed"] = 3


def lower_baseline(card: dict[str, Any]) -> None:
    card["baselines"]["blind"]["scores"]["CIDEr"] -= 1


def change_signature(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["signature"]["values"]["x"] = "1"


def leave_out_version(card: dict[str, Any]) -> None:
    del card["scores"]["CIDEr"]["signature"]["values"]["version"]


def change_protocol(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["signature"]["values"]["protocol"] = "coco"


def script_title(card: dict[str, Any]) -> None:
    card["model"]["title"] = "<script>alert(1)</script>"


def add_field(card: dict[str, Any]) -> None:
    card["approved"] = True


def leave_path(card: dict[str, Any]) -> None:
    card["dataset"] = "/home/ann/data"


def unknown_metric(card: dict[str, Any]) -> None:
    card["scores"]["Beauty"] = {"value": 100.0}


def unknown_protocol(card: dict[str, Any]) -> None:
    card["protocol"] = "mine"


def not_a_number(card: dict[str, Any]) -> None:
    card["scores"]["CIDEr"]["value"] = float("nan")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (raise_score, "scorecard.json claims scores.CIDEr."),
        (widen_interval, "scorecard.json claims scores.ROUGE-L.interval = "),
        (hide_failures, "is not complete"),
        (lower_baseline, "scorecard.json claims baselines.blind.scores.CIDEr = "),
        (change_signature, "scorecard.json claims scores.CIDEr.signature = "),
        (leave_out_version, "scorecard.json claims scores.CIDEr.signature = "),
        (change_protocol, "scorecard.json claims scores.CIDEr.signature = "),
        (script_title, "model.title holds markup or control characters"),
        (add_field, "scorecard.json: damaged: approved: Extra inputs"),
        (leave_path, "dataset holds a path, an address or a secret"),
        (not_a_number, "scorecard.json: damaged: not JSON: NaN is no finite number"),
        (unknown_metric, "claims scores of unknown metrics of vqa: Beauty"),
        (unknown_protocol, "claims scores under the unknown protocol mine"),
    ],
)
def test_an_edited_scorecard_is_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit(packed / "scorecard.json", change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def test_intervals_that_claim_another_method_are_not_believed(packed: Path, data: Path) -> None:
    ours = load(packed).record.scorecard

    def invent(card: dict[str, Any]) -> None:
        card["interval"]["method"] = "percentile"
        card["interval"]["cluster_count"] = 500
        card["scores"]["CIDEr"]["interval"] = [0.0, 0.1]

    edit(packed / "scorecard.json", invent)
    found = check(packed, data)
    assert found.problems == []
    assert found.record is not None
    assert found.record.scorecard == ours


def test_scores_that_other_versions_give_just_so_are_told_and_let_in(packed: Path, data: Path) -> None:
    def age(card: dict[str, Any]) -> None:
        assert card["scores"]["CIDEr"]["signature"]["values"]["version"] == __version__
        card["scores"]["CIDEr"]["signature"]["values"]["version"] = "0.0.9"

    edit(packed / "scorecard.json", age)
    found = check(packed, data)
    assert found.problems == []
    assert found.notes == ["scored with other versions than here: version:0.0.9"]


def drop(records: list[dict[str, Any]]) -> None:
    del records[2]


def invent(records: list[dict[str, Any]]) -> None:
    records.append({**records[0], "id": "stranger#1"})


def repeat(records: list[dict[str, Any]]) -> None:
    records.append(records[0])


def improve(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = records[0]["text"] = "Answer 0 about clip number 0."


def reread(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = "something else"


def fewer_frames(records: list[dict[str, Any]]) -> None:
    records[1]["frames"] = [1]


def script(records: list[dict[str, Any]]) -> None:
    records[0]["answer"] = records[0]["text"] = "<img src=x onerror=alert(1)>"


def failure(records: list[dict[str, Any]]) -> None:
    records[0] = {"type": "failure", "id": records[0]["id"], "stage": "engine", "reason": "x"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (drop, "1 items have no answer: a_001#1"),
        (invent, "1 answers are of no item of the dataset: stranger#1"),
        (repeat, "journal.jsonl.gz: line 9: answers a_000#1 again"),
        (improve, "1 answers are not those that Baseline: nearest clip gives here: a_000#1"),
        (reread, "1 answers are not what adapter nearest-clip finds in the texts: a_000#1"),
        (fewer_frames, "were answered on different frames or files of one clip"),
        (script, "1 answers hold markup that a browser runs: a_000#1"),
        (failure, "journal.jsonl.gz: line 1: is no response"),
    ],
)
def test_edited_answers_are_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit_journal(packed, change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def other_settings(content: dict[str, Any]) -> None:
    content["settings"]["frames"]["count"] = 8


def other_schema(content: dict[str, Any]) -> None:
    content["schema"] = "microg-bench/run/99"


def control(content: dict[str, Any]) -> None:
    content["starts"][0]["versions"]["numpy"] = "\x1b[2J"


def very_long(content: dict[str, Any]) -> None:
    content["starts"][0]["versions"]["numpy"] = "9" * 1000


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_settings, "run.json and scorecard.json have different settings"),
        (other_schema, "run.json: schema 'microg-bench/run/99' is not known"),
        (control, "starts[0].versions.numpy holds markup or control characters"),
        (very_long, "starts.0.versions.numpy: String should have at most 300 characters"),
    ],
)
def test_an_edited_run_file_is_refused(
    packed: Path, data: Path, change: Callable[[Any], None], problem: str
) -> None:
    edit(packed / "run.json", change)
    found = check(packed, data)
    assert any(problem in line for line in found.problems), found.problems


def test_another_dataset_is_named(packed: Path, tmp_path: Path) -> None:
    other = write_annotations(tmp_path / "a.json", [record(name, 9) for name in IDS])
    (problem,) = check(packed, other).problems
    assert "was made on references with fingerprint" in problem


def test_a_baseline_of_another_version_is_refused(packed: Path, data: Path) -> None:
    for name in ("run.json", "scorecard.json"):
        edit(packed / name, lambda content: content["settings"].update(adapter_sha256="0" * 64))
    (problem,) = check(packed, data).problems
    assert problem.startswith("is of nearest-clip in another version than here")


def test_without_data_the_command_line_scores_nothing(packed: Path, tmp_path: Path) -> None:
    done = bench("submit", "check", packed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "claimed and not verified: CIDEr, ROUGE-L" in done.stdout


def test_the_command_line_packs_and_checks(run: Path, data: Path, tmp_path: Path) -> None:
    done = bench("submit", "pack", run, "--into", "subs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.strip()
    assert folder.is_dir()
    assert bench("submit", "check", folder, "--data", data, cwd=tmp_path).returncode == 0
    edit(folder / "scorecard.json", raise_score)
    done = bench("submit", "check", folder, "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert "REFUSED" in done.stdout
    assert "claims scores.CIDEr." in done.stdout


def test_what_is_shown_was_computed_again(packed: Path, data: Path) -> None:
    """Also where a claim lies within its tolerance, nothing comes from it."""

    def invent(card: dict[str, Any]) -> None:
        card["scores"]["CIDEr"]["value"] += 1e-7
        card["scores"]["CIDEr"]["signature"]["values"]["version"] = "9.9.9"
        card["slices"]["source"]["a"]["scores"]["CIDEr"] += 1e-7

    honest = load(packed).record.scorecard
    edit(packed / "scorecard.json", invent)
    found = check(packed, data)
    assert found.problems == []
    assert found.record is not None
    card = found.record.scorecard
    assert card.slices == honest.slices
    assert card.scores["CIDEr"] == honest.scores["CIDEr"]


@pytest.mark.parametrize("key", ["settings", "dataset", "signature", "scores", "expected"])
@pytest.mark.parametrize("field", ["baselines", "slices"])
def test_no_key_keeps_an_invention_from_being_compared(
    packed: Path, data: Path, field: str, key: str
) -> None:
    part = {"items": 1, "scores": {"CIDEr": 1.0}}
    invented = (
        {"title": "GPT-4o blindfolded", "scores": {"CIDEr": 0.0}} if field == "baselines" else {"x": part}
    )
    edit(packed / "scorecard.json", lambda card: card[field].update({key: invented}))
    found = check(packed, data)
    assert any(f"scorecard.json claims {field}.{key} = " in line for line in found.problems)


def test_known_references_have_one_name(tmp_path: Path) -> None:
    bench("caption", "--model", "blind", "--data", "sample", "--run", "r", *FAST, cwd=tmp_path)
    folder = pack(RunRecord.read(tmp_path / "r"), tmp_path)
    edit(folder / "scorecard.json", lambda card: card.update(dataset="MicroG-4M (verified)"))
    (problem,) = check(folder, None).problems
    assert problem.startswith("claims the dataset MicroG-4M (verified), but references with this fingerprint")
    assert set(read_facts().datasets) <= set(REFERENCES)


def test_the_dataset_is_named_as_it_is_here(packed: Path, data: Path) -> None:
    for name in ("run.json", "scorecard.json"):
        edit(packed / name, lambda content: content.get("settings", content).update(dataset="official"))
    edit(packed / "scorecard.json", lambda card: card.update(dataset="verified"))
    found = check(packed, data)
    assert found.record is not None
    assert found.record.scorecard.dataset == data.name
    found = check(packed, None)
    assert found.record is not None
    assert found.record.scorecard.dataset.startswith("references ")


def test_a_title_that_is_not_the_models_is_refused(packed: Path, data: Path) -> None:
    for name in ("run.json", "scorecard.json"):
        edit(packed / name, lambda content: content["settings"].update(title="Best"))
    edit(packed / "scorecard.json", lambda card: card["model"].update(title="Best"))
    for found in (check(packed, data), check(packed, None)):
        title = "Baseline: nearest clip"
        assert f"claims the title Best, but nearest-clip is called {title}" in found.problems


@pytest.mark.parametrize("title", ["GPT-4o", "gpt 4O", "G\u0420T-4\u043e", "\uff27PT\u20114o", "InternVideo"])
def test_a_title_that_looks_like_anothers_is_noted(packed: Path, data: Path, title: str) -> None:
    changed = {"model": "mine", "title": title}
    for name in ("run.json", "scorecard.json"):
        edit(packed / name, lambda content: content["settings"].update(changed))
    edit(packed / "scorecard.json", lambda card: card["model"].update(name="mine", title=title))
    edit(packed / "run.json", lambda content: content["options"].update(model="mine"))
    found = check(packed, data)
    assert found.problems == []
    assert "adapter mine is not here: the answers that it found were not checked" in found.notes
    assert any(f"its title, {title}, looks like that of another model, " in line for line in found.notes)


def claim(value: float, **more: Any) -> dict[str, Any]:
    values = {
        "protocol": "paper",
        "tokenizer": "none",
        "model": "x@0123456789ab",
        "layers": "17",
        "idf": "no",
        "rescaled": "no",
        "dtype": "float32",
        "transformers": "5.1",
        "torch": "2.13.0+cpu",
        "items": "8",
        "version": "0.2.0",
    }
    return {"value": value, "signature": {"metric": "BERTScore", "values": values}, **more}


def without_encoder(folder: Path, data: Path, tmp_path: Path) -> Any:
    options = ScoringOptions(bertscore_model=str(tmp_path / "nowhere"))
    return check_all([folder], load_dataset(data), options)[0]


def test_what_cannot_be_computed_here_is_marked(packed: Path, data: Path, tmp_path: Path) -> None:
    scores = {"BERTScore": claim(85.5, interval=[80.0, 90.0])}
    edit(packed / "scorecard.json", lambda card: card["scores"].update(scores))
    edit(packed / "scorecard.json", lambda card: card["baselines"]["blind"]["scores"].update(BERTScore=99.0))
    found = without_encoder(packed, data, tmp_path)
    assert found.problems == []
    entry = found.record.scorecard.scores["BERTScore"]
    assert (entry.value, entry.interval, entry.unverified) == (85.5, (80.0, 90.0), True)
    assert not found.record.scorecard.scores["CIDEr"].unverified
    assert "BERTScore" not in found.record.scorecard.baselines["blind"].scores
    assert "claimed and not verified: BERTScore" in found.notes
    assert any(line.startswith("BERTScore cannot be computed here") for line in found.notes)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["scores"].update(BERTScore=claim(100.1)),
        lambda card: card["scores"].update(BERTScore=claim(99.0, interval=[98.0, 101.0])),
        lambda card: card["baselines"]["blind"]["scores"].update({"S-VQA": -100.1}),
        lambda card: card["slices"]["source"]["a"]["scores"].update(METEOR=100.1),
        lambda card: card["scores"].update(METEOR={"value": -0.1}),
    ],
)
def test_what_no_answers_can_reach_is_refused(
    packed: Path, data: Path, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    edit(packed / "scorecard.json", change)
    for found in (without_encoder(packed, data, tmp_path), check(packed, None)):
        assert any("which lies outside of" in line for line in found.problems), found.problems


def test_a_score_that_was_not_computed_there_is_computed_here(packed: Path, data: Path) -> None:
    def lack(card: dict[str, Any]) -> None:
        card["scores"]["CIDEr"] = {"value": None, "unavailable": "no tokens left"}
        for part in (*card["baselines"].values(), *card["slices"]["source"].values()):
            del part["scores"]["CIDEr"]

    honest = load(packed).record.scorecard.scores["CIDEr"]
    edit(packed / "scorecard.json", lack)
    found = check(packed, data)
    assert found.problems == []
    assert found.record is not None
    assert found.record.scorecard.scores["CIDEr"] == honest


def test_without_the_dataset_scores_alone_are_shown_and_marked(packed: Path) -> None:
    honest = load(packed).record.scorecard
    found = check(packed, None)
    assert (found.problems, found.notes) == ([], ["claimed and not verified: CIDEr, ROUGE-L"])
    assert found.record is not None
    card = found.record.scorecard
    assert card.values() == honest.values()
    assert all(one.unverified and one.interval is None for one in card.scores.values())
    assert (card.baselines, card.slices, card.interval, card.warnings) == ({}, {}, None, ())
    assert (card.counts, card.model, card.settings) == (honest.counts, honest.model, honest.settings)
    assert not found.record.has_statistics


def test_intervals_over_clips_are_told_and_replaced(run: Path, data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    done = bench("score", copy, *FAST, "--clusters", "clip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = check(pack(RunRecord.read(copy), tmp_path), data)
    assert found.problems == []
    over = "its intervals are over clips, not over source videos: those of source videos take their place"
    assert over in found.notes
    assert found.record is not None
    shown, ours = found.record.scorecard, RunRecord.read(run).scorecard
    assert (shown.interval, shown.scores) == (ours.interval, ours.scores)


def test_answers_that_are_the_references_are_noted(data: Path, packed: Path) -> None:
    references = {item.request.id: item.reference for item in load(packed).record.items(load_dataset(data))}

    def copy(records: list[dict[str, Any]]) -> None:
        for one in records:
            one["answer"] = one["text"] = references[one["id"]]

    edit_journal(packed, copy)
    edit(packed / "run.json", lambda content: content["settings"].update(model="mine", title="Mine"))
    edit(packed / "run.json", lambda content: content["options"].update(model="mine"))
    record = load(packed).record
    ours = rescore.from_answers(
        [record], load_dataset(data), ScoringOptions(metrics=tuple(FAST[1].split(","))), True
    )
    assert isinstance(ours[0], rescore.Recomputed)
    (packed / "scorecard.json").write_text(json.dumps(ours[0].scorecard.to_json()))
    found = check(packed, data)
    assert found.problems == []
    assert "8 of 8 answers are the same as their references" in found.notes


def test_answers_that_are_those_of_another_submission_are_noted(packed: Path, data: Path) -> None:
    copy = Path(shutil.copytree(packed, packed.with_name("copy")))
    first, second = check_all([packed, copy], load_dataset(data))
    alike = "90% or more of its answers are those of"
    assert first.notes == [f"{alike} copy"]
    assert second.notes == [f"{alike} {packed.name}"]


def test_answers_are_bounded_one_by_one_and_together(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "MAX_TEXTS", 10)
    assert "answers have more than 10 characters together" in check(packed, data).problems
    edit_journal(packed, lambda records: records[0].update(text="a " * 60_000, answer="a"))
    assert "1 answers are longer than 100,000 characters: a_000#1" in check(packed, data).problems


def test_what_is_scored_together_is_bounded(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sizes = rescore.RECOMPUTED["vqa"], []

    def scores(records: Any, *rest: Any) -> Any:
        sizes.append(len(records))
        return real(records, *rest)

    monkeypatch.setitem(rescore.RECOMPUTED, "vqa", scores)  # type: ignore[arg-type]
    folders = [packed] * 3
    assert all(one.record for one in check_all(folders, load_dataset(data)))
    monkeypatch.setattr("microg_bench.submissions.check.TOGETHER", 1)
    assert all(one.record for one in check_all(folders, load_dataset(data)))
    assert sizes == [3, 1, 1, 1]


def test_no_verdict_is_long(packed: Path, data: Path) -> None:
    edit(packed / "scorecard.json", lambda card: card.update(status="s" * 100_000, dataset="d" * 100_000))
    assert all(len(line) <= 500 for line in check(packed, data).problems)


def test_a_submission_is_no_copy_of_itself(packed: Path, data: Path) -> None:
    assert [one.notes for one in check_all([packed, packed], load_dataset(data))] == [[], []]


def test_intervals_over_all_items_are_replaced(packed: Path, data: Path) -> None:
    edit(packed / "scorecard.json", lambda card: card["interval"].update(clusters="all"))
    found = check(packed, data)
    assert found.problems == []
    over = "its intervals are over all items, not over source videos: those of source videos take their place"
    assert found.notes == [over]


def test_each_submission_has_a_verdict_whatever_befalls_another(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception of any kind is the fault of one submission, in reading it and in scoring it again."""
    folders = [packed, *(Path(shutil.copytree(packed, packed.with_name(name))) for name in ("a", "b"))]
    real = rescore.RECOMPUTED["vqa"]

    def scores(records: Any, *rest: Any) -> Any:
        if any(one.path.name == "a" for one in records):
            raise MemoryError("no more")
        return real(records, *rest)

    monkeypatch.setitem(rescore.RECOMPUTED, "vqa", scores)  # type: ignore[arg-type]
    first, second, third = check_all(folders, load_dataset(data))
    assert first.record is not None and third.record is not None
    assert second.record is None
    assert second.problems == ["cannot be checked: MemoryError: no more"]

    def fails(folder: Path) -> Any:
        if folder.name == "b":
            raise RecursionError("too deep")
        return load(folder)

    monkeypatch.setattr("microg_bench.submissions.check.load", fails)
    assert [bool(one.record) for one in check_all(folders, None)] == [True, True, False]


def test_all_metrics_say_what_they_can_reach() -> None:
    assert all(low < high for low, high in (metric.extremes for metric in METRICS.values()))


def test_no_field_of_a_scorecard_is_forgotten() -> None:
    """Each is compared with what the answers give, or looked at on its own."""
    alone = {"schema_", "settings", "dataset", "action_labels"}
    assert rescore._TOLD | rescore._SCORED | alone == set(Scorecard.model_fields)


def test_control_characters_are_seen_in_a_verdict(packed: Path, data: Path, tmp_path: Path) -> None:
    odd = packed.with_name("red\x1b[31m\u202e")
    packed.rename(odd)
    edit(odd / "run.json", lambda content: content["options"].update({"\x1b[2J": 1}))
    for verb in (["submit", "check"], ["tables", "--submissions"]):
        done = bench(*verb, odd, "--data", data, cwd=tmp_path)
        assert done.returncode == 1
        told = done.stdout + done.stderr
        assert "red\\x1b[31m\\u202e" in told
        assert "\x1b[2J" not in told and "\x1b[31m" not in told
