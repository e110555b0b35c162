"""Drift: what is asked again, what is compared, and what is refused."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.dataset.load import load
from microg_bench.drifts import DRIFT_FILE, OPTIONS, Drift, _default_folder, draw
from microg_bench.errors import UsageError
from microg_bench.metrics import METRICS
from microg_bench.options import ScoringOptions
from microg_bench.scoring.evaluate import AnswerSet, evaluate_sets
from microg_bench.scoring.intervals import Clusters, paired
from microg_bench.submissions.pack import pack
from microg_bench.tables.gather import gather
from microg_bench.tasks import TASKS, items_of
from tests.helpers.datasets import QUESTIONS, make_dataset, record, write_annotations
from tests.helpers.fault_server import FaultServer, OpenAIWire
from tests.helpers.runs import content
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.heavy

IDS = [f"{source}_{k:03d}" for source in "abc" for k in range(3)]
MINE = """
from microg_bench.adapters.base import Baseline

class Mine(Baseline):
    name, title = "mine", "Mine"

    def answer(self, request, descriptor, others):
        return "A man."
"""
FAST: dict[str, Any] = {"metrics": "CIDEr,ROUGE-L", "progress": None}


class Vendor:
    """A vendor on loopback that may change the model behind its name `m`: what it says, and who it is."""

    def __init__(self, server: FaultServer) -> None:
        self.server, self.url, self.name = server, server.url, "m-2026-01-01"
        self.says: dict[str, str] = {}
        self.refused = ""
        self.asked: list[dict[str, Any]] = []
        server.routes["POST", "/"] = self.answer

    def answer(self, call: Any) -> tuple[int, Any]:
        body = json.loads(call[1])
        self.asked.append(body)
        question = OpenAIWire.question(body).partition("\n")[0]
        if question == self.refused:
            return 400, OpenAIWire.error(400, "no")
        said = self.says.get(question, "A man of clip number 1 floats.")
        return 200, OpenAIWire.answer(said) | {"model": self.name}

    def run(self, folder: Path, data: Path, tasks: str = "vqa", **options: Any) -> mb.Results:
        given = {"frames": 2, "max_tokens": 8, "url": self.url, **FAST, **options}
        return mb.evaluate("openai:m", str(data), tasks, run=folder, **given)

    def again(self, root: Path, sample: int = 6, source: str = "r", **options: Any) -> Drift:
        return again(root, sample, source, url=self.url, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    pytest.importorskip("openai", reason="the extra openai is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with FaultServer() as server:
        yield Vendor(server)


def again(root: Path, sample: int = 6, source: str = "r", **options: Any) -> Drift:
    return mb.drift(root / source, sample, run=root / "again", progress=None, **options)


def test_another_model_behind_the_same_name_is_found(vendor: Vendor, data: Path, tmp_path: Path) -> None:
    vendor.run(tmp_path / "r", data)
    then = mb.load_run(tmp_path / "r" / "vqa")
    first, vendor.asked = vendor.asked, []
    vendor.name = "n-2"
    vendor.says = {QUESTIONS[0]: "Nobody.", QUESTIONS[1]: "A man  of clip number 1 floats. "}
    before = content(tmp_path / "r")
    found = vendor.again(tmp_path, 12, "r/vqa")
    assert content(tmp_path / "r") == before

    now = mb.load_run(tmp_path / "again")
    assert len(vendor.asked) == len(now.answers) == 12
    assert now.answers.keys() <= then.answers.keys()
    assert all(body in first for body in vendor.asked)  # pixels, prompts and settings to the bit
    same = sum(name.endswith("#2") for name in now.answers)
    drifted = found["vqa"]
    assert (drifted.answers, drifted.asked, drifted.failed, drifted.missing) == (18, 12, 0, 0)
    assert (drifted.identical, drifted.identical_words) == (0.0, same / 12)
    assert [(one.name, one.answers) for one in (*drifted.then, *drifted.now)] == [
        ("m-2026-01-01", 12),
        ("n-2", 12),
    ]
    table = found.table()
    assert "- who answered then: m-2026-01-01 (12)\n" in table
    assert "- who answered now: n-2 (12, not m)\n" in table


def test_answers_that_are_none_are_told_of_both_times(vendor: Vendor, data: Path, tmp_path: Path) -> None:
    vendor.says = {QUESTIONS[0]: "Hmm, let me think."}
    vendor.run(tmp_path / "r", data)
    vendor.says = dict.fromkeys(QUESTIONS, "")
    found = vendor.again(tmp_path, 18, "r/vqa")
    drifted = found["vqa"]
    assert (drifted.counts_then.thoughts, drifted.counts_then.empty) == (9, 0)
    assert (drifted.counts_now.answered, drifted.counts_now.empty, drifted.counts_now.flagged) == (18, 18, 18)
    table = found.table()
    assert "- then: 9 of 18 answers look like thinking, not like an answer\n" in table
    assert "- now: 18 of 18 answers are empty\n" in table


def test_both_sets_of_answers_are_scored_on_the_sample_alone(
    vendor: Vendor, data: Path, tmp_path: Path
) -> None:
    vendor.run(tmp_path / "r", data)
    vendor.says = {QUESTIONS[0]: "Answer 0 about clip number 3."}
    found = vendor.again(tmp_path, 12, "r/vqa")["vqa"]
    now = mb.load_run(tmp_path / "again")
    assert found.sources == 3
    assert {name: one.now for name, one in found.metrics.items()} == now.scorecard.values()

    dataset = load(data)
    items = items_of(TASKS["vqa"], dataset.clips, now.answers.keys())
    old = {name: one.answer for name, one in mb.load_run(tmp_path / "r" / "vqa").answers.items()}
    scored = evaluate_sets([AnswerSet("vqa", items, old)], ScoringOptions.of({"metrics": "CIDEr,ROUGE-L"}))[0]
    clusters = Clusters.of([item.request.source for item in items])
    for name, one in found.metrics.items():
        expected = paired(
            METRICS[name], now.statistics.metrics[name], scored.scores[name].statistics, clusters
        )
        assert one.then == scored.scores[name].value
        assert one.difference == expected.value == pytest.approx(one.now - one.then)
        assert (one.interval, one.p) == (expected.interval, expected.p)
    assert found.metrics["CIDEr"].difference > 0


def test_the_model_of_a_server_is_asked_again_under_the_name_it_has_there(
    vendor: Vendor, data: Path, tmp_path: Path
) -> None:
    vendor.server.models, vendor.name = ["/weights/tiny"], "/weights/tiny"
    ask: dict[str, Any] = {"frames": 2, "url": vendor.url, **FAST}
    mb.evaluate("qwen2.5-vl", str(data), "vqa", run=tmp_path / "r", **ask)
    found = vendor.again(tmp_path, 3)
    assert {body["model"] for body in vendor.asked} == {"/weights/tiny"}
    assert "- who answered now: /weights/tiny (3)\n" in found.table()
    written = json.loads((tmp_path / "again" / DRIFT_FILE).read_text())
    assert written["settings"]["vqa"]["checkpoint"] == "tiny"
    vendor.server.models = ["other"]
    with pytest.raises(mb.MicrogError, match=r"cannot be asked again as it was \(checkpoint: .* → other\)"):
        vendor.again(tmp_path, 3)


def test_a_baseline_does_not_drift(tmp_path: Path) -> None:
    mb.evaluate("nearest-clip", "sample", run=tmp_path / "r", **FAST)
    found = again(tmp_path, 20)
    assert list(found) == ["caption", "vqa"]
    assert [(one.answers, one.asked) for one in found.values()] == [(14, 14), (84, 20)]
    for one in found.values():
        assert (one.identical, one.identical_words, one.then, one.now) == (1.0, 1.0, (), ())
        assert {(drifted.difference, drifted.p) for drifted in one.metrics.values()} == {(0.0, 1.0)}
    assert "- who answered now: no model was named\n" in found.table()


def test_a_clip_whose_file_was_replaced_is_counted(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "d", IDS[:4])
    mb.evaluate("nearest-clip", str(data), "vqa", run=tmp_path / "r", **FAST)
    assert again(tmp_path, 8)["vqa"].other_clips == 0
    (first, *_) = (data / "videos").rglob(f"{IDS[0]}.mp4")
    write_clip(first, frames=90, fps=30, size=(128, 96))
    found = mb.drift(tmp_path / "r", 8, run=tmp_path / "then", progress=None)
    assert found["vqa"].other_clips == 2
    assert "- the files of the clips have changed since then: 2 of 8 answers\n" in found.table()


def test_the_new_run_is_an_ordinary_one_of_the_sample(tmp_path: Path) -> None:
    mb.evaluate("constant", "sample", "vqa", run=tmp_path / "r", **FAST)
    found = again(tmp_path, 5, seed=1)
    record, card = found.results.records["vqa"], found.results["vqa"]
    assert (card.status, card.items, card.counts.missing) == ("complete", 5, 0)
    assert set(record.settings.requests or ()) == set(record.answers)
    assert {name.partition("#")[0] for name in record.answers} == set(record.settings.clips or ())
    with pytest.raises(mb.MicrogError, match="asks 5 requests only, not the whole dataset"):
        pack(record, tmp_path / "packed")


def test_the_same_seed_draws_the_same_requests_and_a_larger_sample_holds_a_smaller() -> None:
    ids = [f"clip_{k:03d}#{n}" for k in range(50) for n in range(1, 7)]
    assert draw(ids, 50, 0) == draw(reversed(ids), 50, 0)
    assert draw(ids, 50, 0) < draw(ids, 60, 0)
    assert draw(ids, 50, 0) != draw(ids, 50, 1)
    assert draw(ids, 1000, 0) == set(ids)
    # Every id is drawn about as often: of 200 samples of a sixth, none strays by five standard deviations.
    samples = [draw(ids, 50, seed) for seed in range(200)]
    counts = [sum(name in sample for sample in samples) for name in ids]
    assert all(abs(count - 200 / 6) < 5 * (200 * 1 / 6 * 5 / 6) ** 0.5 for count in counts)


def test_the_report_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    refs = write_annotations(tmp_path / "refs.json", [record(name, n) for n, name in enumerate(IDS)])
    adapter = tmp_path / "mine.py"
    adapter.write_text(MINE)
    mb.evaluate(str(adapter), str(refs), "caption", run=tmp_path / "r", **FAST)
    reports = []
    for name in ("one", "two"):
        mb.drift(tmp_path / "r", 4, run=tmp_path / name, progress=None, model=str(adapter))
        reports.append((tmp_path / name / DRIFT_FILE).read_bytes())
    assert reports[0] == reports[1]
    found = json.loads(reports[0])
    assert found["tasks"]["caption"]["asked"] == 4
    assert b"/" not in reports[0].replace(b"microg-bench/drift/1", b"")


def test_failures_are_told_and_asked_again_by_the_next_start(
    vendor: Vendor, data: Path, tmp_path: Path
) -> None:
    vendor.run(tmp_path / "r", data)
    vendor.refused = QUESTIONS[0]
    found = vendor.again(tmp_path)["vqa"]
    assert found.failed > 0
    assert (found.failed + found.answered, found.identical) == (6, 1.0)
    vendor.refused, vendor.asked = "", []
    found = vendor.again(tmp_path)["vqa"]
    assert (found.failed, found.answered) == (0, 6)
    assert len(vendor.asked) < 6
    vendor.asked = []
    assert vendor.again(tmp_path)["vqa"] == found
    assert vendor.asked == []


def test_a_response_cache_hides_no_drift(vendor: Vendor, data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    vendor.run(tmp_path / "r", data, cache=str(cache))
    assert len(list(cache.rglob("*"))) > 1
    vendor.says = dict.fromkeys(QUESTIONS, "Something else.")
    found = vendor.again(tmp_path)
    assert found["vqa"].identical == 0.0
    assert not any(one.from_cache for one in found.results.records["vqa"].answers.values())
    with pytest.raises(mb.MicrogError, match="unknown option 'cache'"):
        vendor.again(tmp_path, cache=str(cache))


def test_money_is_not_spent_without_consent(vendor: Vendor, data: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[openai.m]\ndate = 2026-01-01\ninput = 100000\noutput = 100000\n")
    vendor.run(tmp_path / "r", data, prices=str(prices), max_cost=1e6)
    vendor.asked = []
    with pytest.raises(mb.MicrogError, match="this may cost"):
        vendor.again(tmp_path)
    assert vendor.asked == []
    vendor.again(tmp_path, yes=True)
    assert len(vendor.asked) == 6
    found = mb.drift(tmp_path / "r", 6, run=tmp_path / "poor", max_cost=1e-6, progress=None, url=vendor.url)
    assert (found.results.outcomes.exhausted, found["vqa"].missing, found["vqa"].identical) == (True, 6, None)


def test_a_run_of_version_0_1_is_asked_again_as_far_as_it_tells(tmp_path: Path) -> None:
    mb.evaluate("constant", "sample", "vqa", run=tmp_path / "r", **FAST)
    file = tmp_path / "r" / "vqa" / "run.json"
    content = json.loads(file.read_text())
    settings = content["settings"]
    old = {name: settings[name] for name in settings if name not in ("attn_implementation", "requests")}
    old |= {"attention": None, "frames": "none", "prompt": "none", "adapter_sha256": "0" * 64}
    old = {name: value for name, value in old.items() if name not in ("thinking", "transforms")}
    first = {"schema": "microg-bench/run/1", "options": content["options"], "settings": old, "starts": []}
    file.write_text(json.dumps(first))
    journal = file.with_name("journal.jsonl")
    journal.write_text(journal.read_text().replace('"finish_reason":"stop"', '"stop":"end"'))
    found = again(tmp_path)
    assert found["vqa"].identical == 1.0
    assert "the run is of version 0.1" in found.table()
    del first["options"]["model"]
    file.write_text(json.dumps(first))
    with pytest.raises(mb.MicrogError, match="give a model"):
        again(tmp_path)


def test_what_cannot_be_asked_as_it_was_is_refused_by_name(tmp_path: Path) -> None:
    adapter = tmp_path / "mine.py"
    adapter.write_text(MINE)
    refs = write_annotations(tmp_path / "refs.json", [record("a_000"), record("b_000", 1)])
    mb.evaluate(str(adapter), str(refs), "vqa", run=tmp_path / "r", **FAST)
    assert again(tmp_path, model=str(adapter))["vqa"].identical == 1.0

    adapter.write_text(MINE.replace("A man.", "A woman."))
    with pytest.raises(mb.MicrogError, match=r"r/vqa: cannot be asked again as it was \(the file of"):
        again(tmp_path, model=str(adapter))
    adapter.write_text(MINE)
    write_annotations(refs, [record("a_000", 7), record("b_000", 1)])
    with pytest.raises(mb.MicrogError, match="r/vqa: was made on refs with fingerprint"):
        again(tmp_path, model=str(adapter))
    write_annotations(refs, [record("a_000"), record("b_000", 1)])
    with pytest.raises(mb.MicrogError, match=r"cannot be asked again as it was \(model: mine → constant\)"):
        again(tmp_path, model="constant", data=str(refs))


def test_an_adapter_file_is_run_only_where_the_caller_names_it(tmp_path: Path) -> None:
    adapter = tmp_path / "mine.py"
    adapter.write_text(MINE)
    refs = write_annotations(tmp_path / "refs.json", [record("a_000"), record("b_000", 1)])
    mb.evaluate(str(adapter), str(refs), "vqa", run=tmp_path / "r", **FAST)
    adapter.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n{MINE}")
    with pytest.raises(mb.MicrogError, match="its adapter is a file: give --model .*mine.py, if you trust"):
        again(tmp_path)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nowhere", {}, "nowhere: no such folder"),
        ("empty", {}, "empty/vqa: has no answer, so there is nothing to ask again"),
        ("r", {"sample": 0}, "--sample: must be at least 1, not 0"),
        ("r", {"max_tokens": 3}, "unknown option 'max_tokens'"),
        ("r", {"run": "r"}, "r/vqa: was started with other settings \\(clips: "),
        ("two", {}, "two/a: holds a run of the task vqa, and so does .*two/b: give one of them"),
    ],
)
def test_a_mistake_is_one_clear_line(
    source: str, options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("r/vqa", "empty/vqa", "two/a", "two/b"):
        mb.evaluate("constant", "sample", "vqa", run=Path(place).parent / "x", **FAST)
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (Path(place).parent / "x" / "vqa").rename(place)
    (tmp_path / "empty" / "vqa" / "journal.jsonl").write_text("")
    before = content(tmp_path / "r")
    with pytest.raises(mb.MicrogError, match=message):
        mb.drift(source, progress=None, **options)
    assert content(tmp_path / "r") == before
    assert not list(tmp_path.glob("*drift*"))


def test_drift_is_no_row_of_a_table_and_hides_no_run(tmp_path: Path) -> None:
    for model in ("constant", "blind"):
        mb.evaluate(model, "sample", "vqa", run=tmp_path / model, **FAST)
    mb.drift(tmp_path / "constant" / "vqa", 5, progress=None)
    assert len(list((tmp_path / "constant").glob(f"vqa-drift-{date.today()}"))) == 1
    records, _, errors = gather([tmp_path])
    assert ([record.settings.model for record in records], errors) == (["blind", "constant"], [])
    assert len(mb.compare(tmp_path / "constant", tmp_path / "blind")) == 2


def test_the_folder_is_beside_the_run() -> None:
    today = date(2026, 11, 26)
    assert _default_folder(Path("runs/x"), today) == Path("runs/x-drift-2026-11-26")
    assert _default_folder(Path("runs/x/vqa/"), today) == Path("runs/x/vqa-drift-2026-11-26")
    here = Path.cwd()
    assert _default_folder(Path(), today) == here.with_name(f"{here.name}-drift-2026-11-26")


def test_only_options_that_move_no_answer_can_be_given() -> None:
    assert {"url", "data", "max_cost", "batch", "metrics", "num_workers"} <= set(OPTIONS)
    assert not {"checkpoint", "frames", "seed", "thinking", "cache", "clips", "limit", "tasks"} & set(OPTIONS)


def test_a_run_cannot_allow_the_code_of_its_checkpoint(vendor: Vendor, data: Path, tmp_path: Path) -> None:
    vendor.run(tmp_path / "r", data)
    file = tmp_path / "r" / "vqa" / "run.json"
    content = json.loads(file.read_text())
    content["options"]["trust_remote_code"] = True
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="--trust-remote-code: the run allowed the code of its checkpoint"):
        mb.drift(tmp_path / "r", progress=None)


def test_a_run_does_not_say_where_the_key_of_a_vendor_goes(
    vendor: Vendor, data: Path, tmp_path: Path
) -> None:
    vendor.run(tmp_path / "r", data)
    vendor.asked = []
    with pytest.raises(UsageError, match="the key in OPENAI_API_KEY would be sent where a file says"):
        again(tmp_path)
    assert not vendor.asked
    assert not (tmp_path / "again").exists()
