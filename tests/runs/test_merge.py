"""Shards that are joined: the files of an undivided run, and everything that must not be joined."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.errors import MicrogError, RunError
from microg_bench.storage import read_journal
from tests.helpers.datasets import make_dataset, record, write_annotations

IDS = [f"{source}_{k:03}" for source in "abc" for k in range(3)]
SCORED = ("scorecard.json", "predictions.json", "statistics.npz", "table.md")
TIMES = ("seconds",)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def evaluate(data: Path, run: Path, **options: Any) -> mb.Results:
    given = {"tasks": "caption,vqa", "metrics": "ROUGE-L", **options}
    return mb.evaluate(given.pop("model", "blind"), data=data, run=run, progress=None, **given)


def merge(*shards: Path, out: Path) -> list[mb.Scorecard]:
    return mb.merge_runs(*shards, out=out, progress=None)


@pytest.fixture
def shards(data: Path, tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        evaluate(data, tmp_path / "run", shard=f"{number}/3")
    return tmp_path / "run"


def answers(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal without times, in the order of their ids."""
    lines = (
        {name: value for name, value in line.items() if name not in TIMES} for _, line in read_journal(path)
    )
    return sorted(lines, key=lambda line: line["id"])


def test_merged_shards_equal_an_undivided_run(data: Path, shards: Path, tmp_path: Path) -> None:
    whole = evaluate(data, tmp_path / "whole")
    cards = merge(shards, out=tmp_path / "merged")
    assert cards == [whole["caption"], whole["vqa"]]
    for task in ("caption", "vqa"):
        one, other = tmp_path / "merged" / task, tmp_path / "whole" / task
        for name in SCORED:
            assert (one / name).read_bytes() == (other / name).read_bytes(), (task, name)
        assert answers(one / "journal.jsonl") == answers(other / "journal.jsonl")
        runs = [json.loads((path / "run.json").read_text()) for path in (one, other)]
        assert runs[0]["settings"] == runs[1]["settings"]
        assert runs[0]["options"] == runs[1]["options"]
        assert [start["shard"] for start in runs[0]["starts"]] == ["1/3", "2/3", "3/3"]
    again = evaluate(data, tmp_path / "merged")
    assert not again.outcomes.asked, "a merged run is resumed as any other"


def test_a_chosen_part_is_divided_and_merged(data: Path, tmp_path: Path) -> None:
    chosen = {"clips": "c_001,a_000,b_002", "tasks": "vqa"}
    whole = evaluate(data, tmp_path / "whole", **chosen)
    for number in (2, 1):
        evaluate(data, tmp_path / "run", shard=f"{number}/2", **chosen)
    folders = [tmp_path / "run" / f"shard-{number}-of-2" for number in (2, 1)]
    assert merge(*folders, out=tmp_path / "merged") == [whole["vqa"]]
    settings = [mb.load_run(tmp_path / name / "vqa").settings for name in ("merged", "whole")]
    assert settings[0] == settings[1]
    assert settings[0].clips == ("a_000", "b_002", "c_001")


def test_a_shard_is_not_scored_and_says_what_it_is(shards: Path) -> None:
    record = mb.load_run(shards / "shard-2-of-3" / "vqa")
    assert not record.is_scored
    assert record.settings.part == "shard 2/3 only"
    assert {name.partition("#")[0] for name in record.answers} == set(record.settings.clips or ())
    folders = [shards / f"shard-{number}-of-3" / "caption" for number in (1, 2, 3)]
    asked = [name for path in folders for name in mb.load_run(path).answers]
    assert sorted(asked) == IDS


def test_failures_of_shards_are_failures_of_the_run(data: Path, tmp_path: Path) -> None:
    own = tmp_path / "set"
    shutil.copytree(data, own)
    (next(own.rglob("b_001.mp4"))).write_bytes(b"no video")
    given = {"model": "nearest-clip", "tasks": "vqa"}
    whole = evaluate(own, tmp_path / "whole", **given)
    for number in (1, 2):
        evaluate(own, tmp_path / "run", shard=f"{number}/2", **given)
    assert merge(tmp_path / "run", out=tmp_path / "merged") == [whole["vqa"]]
    assert whole["vqa"].counts.failed > 0


def test_a_torn_line_and_a_second_start_are_merged(data: Path, shards: Path, tmp_path: Path) -> None:
    journal = shards / "shard-1-of-3" / "vqa" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    with pytest.raises(RunError, match=r"shard 1/3 has not ended: \d+ of \d+ requests open"):
        merge(shards, out=tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    evaluate(data, shards, shard="1/3")
    whole = evaluate(data, tmp_path / "whole")
    assert merge(shards, out=tmp_path / "merged") == [whole["caption"], whole["vqa"]]


def test_what_does_not_belong_together_is_refused(data: Path, shards: Path, tmp_path: Path) -> None:
    first, second = (shards / f"shard-{number}-of-3" for number in (1, 2))
    other = tmp_path / "other"
    evaluate(data, other, shard="3/3", seed=1)
    undivided = tmp_path / "undivided"
    evaluate(data, undivided, tasks="vqa")
    four = tmp_path / "four"
    evaluate(data, four, shard="4/4")
    fewer = tmp_path / "fewer"
    evaluate(data, fewer, shard="3/3", limit=6)
    (tmp_path / "taken").mkdir()
    cases: list[tuple[list[Path], Path, str]] = [
        ([first, second], tmp_path / "out", "a shard is missing of its run: 3/3"),
        ([first], tmp_path / "out", "2 shards are missing of its run: 2/3, 3/3"),
        ([shards, first], tmp_path / "out", "is shard 1/3, as is"),
        ([first, second, other], tmp_path / "out", r"another run than .* \(generation: "),
        ([first, second, four], tmp_path / "out", "is shard 4/4, but .* is shard 1/3"),
        ([first, second, fewer], tmp_path / "out", r"another run than .* \(limit: None → 6\)"),
        ([undivided], tmp_path / "out", "is no shard"),
        ([tmp_path / "none"], tmp_path / "out", "no such folder"),
        ([shards], tmp_path / "taken", "exists: give another folder"),
        ([first, first, second], tmp_path / "out", "is shard 1/3, as is"),
        ([shards], shards, "exists: give another folder"),
        ([shards], shards / "merged", "is below .*/run, which holds the shards: give another folder"),
    ]
    for folders, out, said in cases:
        with pytest.raises(MicrogError, match=said):
            merge(*folders, out=out)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "taken").iterdir())


def shards_of_nearest_clip(data: Path, root: Path) -> Path:
    for number in (1, 2):
        evaluate(data, root, model="nearest-clip", shard=f"{number}/2")
    return root


def test_shards_that_were_shown_other_videos_are_refused(data: Path, tmp_path: Path) -> None:
    shards = shards_of_nearest_clip(data, tmp_path / "run")
    other = Path(shutil.copytree(data, tmp_path / "other"))
    video = next(other.rglob("b_001.mp4"))
    shutil.copy(next(other.rglob("c_002.mp4")), video)
    said = f"was shown another video of b_001 than {video}; run its command again"
    with pytest.raises(RunError, match=said):
        mb.merge_runs(shards, out=tmp_path / "merged", data=other, progress=None)
    journal = next(path for path in shards.glob("*/caption/journal.jsonl") if '"b_001"' in path.read_text())
    lines = [line for _, line in read_journal(journal)]
    for line in lines:
        line["clip_sha256"] = "0" * 16 if line["id"] == "b_001" else line["clip_sha256"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for one in other.rglob("*.mp4"):
        one.unlink()
    with pytest.raises(RunError, match="was shown another video of b_001 than another task"):
        mb.merge_runs(shards, out=tmp_path / "merged", data=other, progress=None)
    assert not (tmp_path / "merged").exists()


def test_shards_of_another_commit_or_version_are_refused(shards: Path, tmp_path: Path) -> None:
    told = {"device": "cuda", "servers": "http://one", "commit": "a" * 40, "vllm": "0.32.0"}

    def tell(number: int, **changed: str) -> None:
        for file in shards.glob(f"shard-{number}-of-3/*/run.json"):
            content = json.loads(file.read_text())
            content["starts"][-1]["engine"] = {**told, **changed}
            file.write_text(json.dumps(content))

    tell(1)
    tell(2, device="cuda:1", servers="http://two")
    for changed in ({"commit": "b" * 40}, {"vllm": "0.33.0"}):
        tell(3, **changed)
        name, value = next(iter(changed.items()))
        with pytest.raises(
            RunError, match=f"was answered with {name} {value}, but .* with {name} {told[name]}"
        ):
            merge(shards, out=tmp_path / "merged")
    tell(3)
    assert len(merge(shards, out=tmp_path / "merged")) == 2


def test_a_dataset_in_a_folder_of_another_name_is_the_same(data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    evaluate(data, tmp_path / "run", shard="1/2")
    evaluate(copy, tmp_path / "run", shard="2/2")
    whole = evaluate(copy, tmp_path / "whole")
    cards = mb.merge_runs(tmp_path / "run", out=tmp_path / "merged", data=copy, progress=None)
    assert cards == [whole["caption"], whole["vqa"]]
    for task in ("caption", "vqa"):
        merged, undivided = (mb.load_run(tmp_path / name / task) for name in ("merged", "whole"))
        assert merged.settings == undivided.settings
        assert merged.options == undivided.options


def test_answers_of_another_shard_are_refused(shards: Path, tmp_path: Path) -> None:
    one, two = (shards / f"shard-{number}-of-3" / "vqa" / "journal.jsonl" for number in (1, 2))
    one.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(RunError, match="holds requests of other shards"):
        merge(shards, out=tmp_path / "merged")


def test_a_shard_without_requests_of_a_task_is_not_missing(tmp_path: Path) -> None:
    records = [record(name, n) for n, name in enumerate(IDS[:4])]
    for one in records[1:]:
        one["qa_pairs"] = []
    file = write_annotations(tmp_path / "vqa_and_captioning.json", records)
    whole = evaluate(file, tmp_path / "whole")
    for number in (1, 2):
        evaluate(file, tmp_path / "run", shard=f"{number}/2")
    assert len(list((tmp_path / "run").glob("*/vqa"))) == 1
    assert merge(tmp_path / "run", out=tmp_path / "merged") == [whole["caption"], whole["vqa"]]
