"""Models as action recognisers, from the command to the scorecard, with a server that answers by a script."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import microg_bench as mb
from microg_bench.dataset.labels import read_label_map
from microg_bench.errors import RunError, UsageError
from microg_bench.har.answers import read_asked
from microg_bench.har.scoring import evaluate
from microg_bench.pages.actions_page import write_actions_page
from microg_bench.persons.boxes import read_detections
from microg_bench.persons.dataset import load_actions
from microg_bench.progress import Progress
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.actions import pack_actions
from microg_bench.submissions.check import check
from microg_bench.submissions.pack import pack
from microg_bench.tables.paper import paper_tables
from tests.helpers.fault_server import FaultServer

pytestmark = pytest.mark.slow

pytest.importorskip("openai", reason="the extra openai is not installed")

STAND, WALK, CARRY = "stand", "walk", "carry/hold (an object)"
TALK = "talk to (e.g., self, a person, a group)"
# What is said of the six persons of the test split of the sample, in turn; the fifth answer cannot be read.
SAID = [[STAND, CARRY], [WALK], [STAND], [WALK], None, [STAND, TALK]]


SERVED = {"engine": "server", "model": "server:m", "url": ("http://127.0.0.1:9/v1",)}


def answer(names: list[str] | None) -> str:
    return "She stands." if names is None else json.dumps({"actions": names})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-this-test")
    with FaultServer() as running:
        turns = iter([answer(names) for names in SAID])
        running.says = lambda question: next(turns)
        yield running


def asked(server: FaultServer, run: Path, **more: Any) -> Any:
    given = {"model": "openai:m", "data": "sample", "tasks": "har", "url": (server.url,)}
    return mb.evaluate(**{**given, "frames": 2, "max_concurrency": 1, "progress": None, **more}, run=run)


def picture(body: dict[str, Any]) -> Any:
    from PIL import Image

    parts = body["messages"][-1]["content"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).astype(int)


def test_the_scores_are_those_computed_by_hand(server: FaultServer, tmp_path: Path) -> None:
    results = asked(server, tmp_path)
    card = results["har"]
    by_name = {one.name: one.AP for one in card.har.actions if one.examples}
    # Equal scores are ranked the last of the file first. Of "stand", the ranks are true, false, true and, of
    # those who were not chosen, true; precision 1, 3/4 and 3/4 at the three persons.
    assert by_name == pytest.approx({STAND: 250 / 3, WALK: 260 / 3, CARRY: 100.0, TALK: 100.0})
    assert card.scores["mAP"].value == pytest.approx(92.5)
    assert card.har.map_over_ties[0] < 92.5 <= card.har.map_over_ties[1]
    assert (card.counts.answered, card.counts.failed, card.items) == (5, 1, 6)
    assert card.status == "incomplete: 1 request failed; not admissible to a leaderboard"
    assert card.scores["mAP"].signature.values["boxes"] == "drawn"
    assert card.settings.boxes == "drawn"


def test_the_written_detections_give_the_same_scores(server: FaultServer, tmp_path: Path) -> None:
    card = asked(server, tmp_path)["har"]
    labels = read_label_map()
    detections = read_detections(tmp_path / "har" / "openai-m.test.csv", labels)
    assert detections.sha256 == card.har.detections_sha256
    again = evaluate(detections, load_actions("sample").truth, labels)
    assert again.values() == card.values()
    assert set(np.unique(detections.scores)) == {0.0, 1.0}
    assert not detections.scores[4].any(), "a failure names no action"


def test_each_person_is_shown_on_every_frame(server: FaultServer, tmp_path: Path) -> None:
    asked(server, tmp_path)
    persons = [person for clip in load_actions("sample").clips for person in clip.persons]
    assert len(server.bodies) == len(persons)
    for body, person in zip(server.bodies, persons, strict=True):
        pixels = picture(body)
        red = (pixels[:, :, 0] > 200) & (pixels[:, :, 1:].max(axis=2) < 90)
        height, width = red.shape
        x1, y1, x2, y2 = person.shown.corners
        middle = round((y1 + y2) / 2 * height)
        assert red[middle, round(x1 * width) + 1]
        assert red[middle, round(x2 * width) - 2]
        assert json.dumps(body).count("image_url") == 2 * 2
        assert "red box" in json.dumps(body)
        assert body["response_format"]["json_schema"]["schema"]["properties"]["actions"]


def test_a_crop_shows_the_person_alone(server: FaultServer, tmp_path: Path) -> None:
    results = asked(server, tmp_path, boxes="crop")
    sizes = {picture(body).shape for body in server.bodies}
    assert len(sizes) == len(server.bodies)
    assert all("red box" not in json.dumps(body) for body in server.bodies)
    assert results["har"].scores["mAP"].signature.values["boxes"] == "crop"


def test_a_run_is_resumed_and_asks_what_has_failed(server: FaultServer, tmp_path: Path) -> None:
    asked(server, tmp_path)
    server.says = lambda question: answer([STAND, TALK])
    card = asked(server, tmp_path)["har"]
    assert len(server.bodies) == len(SAID) + 1
    assert card.complete
    assert card.scores["mAP"].value > 92.5
    assert list(RunRecord.read(tmp_path / "har").answers) == [
        "astronaut-roll_001#p1",
        *(f"pedestrians-c_000#p{k}" for k in (1, 2, 3, 5, 4)),
    ]


def test_answers_are_shared_through_the_cache_for_the_same_person_alone(
    server: FaultServer, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    asked(server, tmp_path / "a", cache=cache)
    server.says = lambda question: answer([STAND, TALK])
    asked(server, tmp_path / "b", cache=cache)
    assert len(server.bodies) == len(SAID) + 1, "the one that failed is asked again"
    asked(server, tmp_path / "c", cache=cache, boxes="crop")
    assert len(server.bodies) == 2 * len(SAID) + 1


def test_the_baseline_gives_each_action_its_frequency_and_stands_in_each_scorecard(
    server: FaultServer, tmp_path: Path
) -> None:
    card = asked(server, tmp_path / "model")["har"]
    blind = mb.evaluate("blind", "sample", "har", run=tmp_path / "blind", progress=None)["har"]
    entry = card.baselines["blind"]
    assert entry.scores == blind.values()
    assert entry.map_over_ties == blind.har.map_over_ties
    assert entry.map_over_ties[0] < entry.scores["mAP"] < entry.map_over_ties[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "constant"}, "constant does not answer"),
        ({"transforms": "swap"}, "swap shows another clip"),
        ({"actions": __file__, "split": "val"}, "--split: does not apply: --actions is taken whole"),
        ({**SERVED, "media": "clip"}, "a box is shown on frames"),
    ],
)
def test_what_cannot_be_asked_is_one_line(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        mb.dry_run(**{"model": "openai:m", "data": "sample", "tasks": "har", **options})


def test_all_three_tasks_run_together(tmp_path: Path) -> None:
    results = mb.evaluate(
        "blind", "sample", ["caption", "vqa", "har"], metrics="ROUGE-L", run=tmp_path, progress=None
    )
    alone = mb.evaluate("blind", "sample", "har", run=tmp_path / "alone", progress=None)
    assert list(results) == ["caption", "vqa", "har"]
    assert results["har"].values() == alone["har"].values()
    assert results["har"].har == alone["har"].har
    assert [one.task for one in mb.score(tmp_path / "har")] == ["har"]


def logged(run: Path, logprobs: list[float | None]) -> RunRecord:
    """The run with these log-probabilities of its answers, in their order."""
    file = run / "har" / "journal.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    told = iter(logprobs)
    for line in lines:
        if line["type"] == "response" and (found := next(told)) is not None:
            line["logprob"] = found
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return RunRecord.read(run / "har")


def test_scores_may_follow_from_log_probabilities(server: FaultServer, tmp_path: Path) -> None:
    asked(server, tmp_path)
    # The wrong "stand", of the third answer, is the least probable one: it ranks below the two right ones.
    logged(tmp_path, [-0.5, -0.5, -3.0, -0.5, -0.5])
    (card,) = mb.score(tmp_path / "har", action_scores="logprob")
    assert card.har is not None
    by_name = {one.name: one.AP for one in card.har.actions if one.examples}
    assert by_name[STAND] == pytest.approx(100 * (1 + 1 + 3 / 4) / 3)
    assert card.scores["mAP"].signature is not None
    assert card.scores["mAP"].signature.values["action_scores"] == "logprob"
    (plain,) = mb.score(tmp_path / "har")
    assert {name: plain.scores[name].value for name in ("F1", "recall")} == {
        name: card.scores[name].value for name in ("F1", "recall")
    }
    assert plain.scores["mAP"].value == pytest.approx(92.5)


def test_answers_without_log_probabilities_are_one_line(server: FaultServer, tmp_path: Path) -> None:
    asked(server, tmp_path)
    logged(tmp_path, [-0.5, None, -0.5, -0.5, -0.5])
    with pytest.raises(
        RunError, match="1 answers have no log-probability.* ask with --logprobs into another folder"
    ):
        mb.score(tmp_path / "har", action_scores="logprob")


def test_what_is_asked_and_what_it_costs_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-key-of-this-test")
    found = mb.dry_run("gpt-5.4", "sample", "har", frames=2)
    assert found.estimate is not None
    assert found.estimate.requests == found.requests == 6
    assert found.estimate.dollars > 0
    (example,) = found.examples
    assert example.request.id == "astronaut-roll_001#p1"
    assert "- carry/hold (an object)" in "\n".join(example.lines())


def test_a_file_of_ones_own_is_asked_about_whole(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("pedestrians-a_000,46,0.2,0.2,0.4,0.9,14,1\npedestrians-a_000,46,0.5,0.2,0.7,0.9,12,2\n")
    card = mb.evaluate("blind", "sample", "har", actions=str(file), run=tmp_path / "r", progress=None)["har"]
    assert (card.items, card.har.detections, card.har.groundtruth) == (2, "blind.mine.csv", "mine.csv")
    (again,) = mb.score(tmp_path / "r")
    assert again == card
    assert card.is_benchmark, "the file is not that of the sample set"


def test_part_of_the_clips_is_scored_against_what_is_true_of_them(tmp_path: Path) -> None:
    card = mb.evaluate("blind", "sample", "har", limit=1, run=tmp_path, progress=None)["har"]
    assert (card.items, card.har.counts["true_rows"], card.settings.part) == (1, 2, "1 clip only")
    assert not card.is_benchmark


def test_runs_are_joined_from_shards_and_not_compared_item_by_item(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "model": "blind",
        "data": "sample",
        "tasks": "har",
        "split": "all",
        "progress": None,
    }
    for shard in ("1/2", "2/2"):
        mb.evaluate(**given, shard=shard, run=tmp_path / "parts")
    (merged,) = mb.merge_runs(tmp_path / "parts", out=tmp_path / "whole", progress=None)
    whole = mb.evaluate(**given, run=tmp_path / "undivided")["har"]
    assert merged == whole
    with pytest.raises(UsageError, match="no scores of single items"):
        mb.compare(tmp_path / "whole" / "har", tmp_path / "undivided" / "har")
    with pytest.raises(UsageError, match="no texts whose drift"):
        mb.drift(tmp_path / "whole" / "har", progress=None)
    with pytest.raises(UsageError, match="only captions and answers"):
        mb.probe("blind", "sample", "har", run=tmp_path / "probes", progress=None)
    with pytest.raises(RunError, match="is about persons"):
        pack(RunRecord.read(tmp_path / "whole" / "har"), tmp_path / "submissions")


def test_detections_of_a_run_are_a_submission(tmp_path: Path) -> None:
    mb.evaluate("blind", "sample", "har", run=tmp_path, progress=None)
    files = tmp_path / "har" / "scorecard.json", [tmp_path / "har" / "blind.test.csv"]
    (packed,) = pack_actions(*files, tmp_path / "submissions")
    (checked,) = check([packed], None, truths=[load_actions("sample").truth])
    assert checked.problems == []
    assert checked.actions is not None
    assert checked.actions.values() == RunRecord.read(tmp_path / "har").scorecard.values()


def test_the_published_test_split_stands_in_the_table_without_a_mark(shared: Path, tmp_path: Path) -> None:
    truth = shared / "data" / "har" / "groundtruth_test.csv.xz"
    card = mb.evaluate("blind", "sample", "har", actions=str(truth), run=tmp_path, progress=None)["har"]
    (row,) = [line.row for line in paper_tables([card], [], published=False)[0].lines]
    assert row is not None
    assert (row.marks, row.values["test_AUROC"]) == ((), pytest.approx(50))
    assert card.har.map_over_ties[0] < row.values["test_mAP"] < card.har.map_over_ties[1]
    assert (card.har.counts["videos"], card.fingerprint) == (953, card.settings.fingerprint)


def test_a_page_tells_of_failures_and_ranks_nothing_where_all_scores_are_equal(
    server: FaultServer, tmp_path: Path
) -> None:
    turns = iter([[STAND], [], None, None, None, None])
    server.says = lambda question: answer(next(turns))
    card = asked(server, tmp_path / "run")["har"]
    assert not [line for line in card.warnings if "not looked at" in line or "every action" in line]
    write_actions_page([tmp_path / "run" / "har"], "sample", out=tmp_path / "page", progress=Progress())
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Do not rely on these scores" in page
    assert "4 of 6 requests failed" in page
    data = json.loads(page.partition('id="data"')[2].partition(">")[2].partition("</script>")[0])
    boxes = [box for frame in data["frames"] for box in frame["boxes"]]
    assert [box["failed"][0] is None for box in boxes] == [True, True, False, False, False, False]
    named = [[score for action, score in box["said"][0] if action not in box["true"]] for box in boxes]
    assert not any(0.0 in scores for scores in named)
    assert all(not one["ranked"] for one in data["runs"][0]["missed"])


def test_a_run_on_changed_frames_says_so(server: FaultServer, tmp_path: Path) -> None:
    card = asked(server, tmp_path / "run", transforms=("mirror",))["har"]
    assert card.scores["mAP"].signature.values["transforms"] == "mirror"
    assert "persons were shown on changed frames: mirror" in card.warnings
    run = read_asked(RunRecord.read(tmp_path / "run" / "har"), "sample")
    assert run.settings.recipe == "asked, drawn, mirror"


def test_actions_and_persons_that_a_file_loses_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    box = "pedestrians-c_000,1,0.1,0.1,0.5,0.9"
    file.write_text(f"video_id,frame,x1,y1,x2,y2,action,person_id\n{box},12,1\n{box},14,2\n{box},999,1\n")
    card = mb.evaluate("blind", "sample", "har", actions=file, run=tmp_path / "run", progress=None)["har"]
    assert "1 action not in the label map, left out; the boxes are kept" in card.warnings
    assert "1 box given of several persons, who are looked at as one" in card.warnings
