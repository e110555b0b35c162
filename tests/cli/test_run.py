"""`microg-bench caption`, `vqa` and `run`: what is asked, written, printed, resumed and refused."""

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import microg_bench as mb
from microg_bench.records import TaskName
from tests.helpers.datasets import bench, make_dataset, record, write_annotations
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.slow

FAST = ("--metrics", "CIDEr,BLEU-4,ROUGE-L")
IDS = ["a_000", "a_001", "b_000", "b_001"]
TASKS: tuple[TaskName, ...] = ("caption", "vqa")
SLOW_BASELINE = Path(__file__).parents[1] / "helpers" / "slow_baseline.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", IDS)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_caption_writes_a_whole_run_folder_and_prints_its_table(data: Path, tmp_path: Path) -> None:
    done = bench("caption", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| Model | #f | CIDEr | BLEU-4 | ROUGE-L |" in done.stdout
    assert "| Baseline: nearest clip | 4 |" in done.stdout
    assert "caption: r" in done.stdout
    run = tmp_path / "r"
    assert (run / "table.md").read_text().strip() in done.stdout
    written = {path.name for path in run.iterdir()}
    assert {"run.json", "journal.jsonl", "scorecard.json", "predictions.json", "table.md"} <= written
    card = json.loads((run / "scorecard.json").read_text())
    assert (card["status"], card["task"], card["items"], card["counts"]["failed"]) == (
        "complete",
        "caption",
        4,
        0,
    )
    signature = card["scores"]["CIDEr"]["signature"]
    assert (signature["metric"], signature["values"]["protocol"], signature["values"]["items"]) == (
        "CIDEr",
        "paper",
        "4",
    )
    assert all(record["frames"] == [11, 33, 56, 78] for record in lines(run / "journal.jsonl"))
    assert list(json.loads((run / "predictions.json").read_text())) == IDS


def test_run_asks_both_tasks_and_decodes_each_clip_once(data: Path, tmp_path: Path) -> None:
    done = bench("run", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(lines(tmp_path / "r" / "caption" / "journal.jsonl")) == 4
    assert len(lines(tmp_path / "r" / "vqa" / "journal.jsonl")) == 8
    assert [entry["id"] for entry in lines(tmp_path / "r" / "descriptors.jsonl")] == IDS


def test_the_same_options_lead_to_the_same_folder_and_other_options_to_another(
    data: Path, tmp_path: Path
) -> None:
    base = ("--model", "blind", "--data", data, *FAST)
    assert bench("caption", *base, cwd=tmp_path).returncode == 0
    assert bench("run", *base, cwd=tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("blind-set-")
    assert sorted(path.name for path in folder.iterdir()) == ["caption", "vqa"]
    assert len(lines(folder / "caption" / "journal.jsonl")) == 4, "the captions were not asked again"
    assert bench("caption", *base, "--limit", "2", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_run_has_a_page_where_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    for option, page in (("--page", True), ("--no-page", False)):
        run = tmp_path / option
        done = bench(
            "vqa", "--model", "blind", "--data", str(data), "--run", str(run), option, *FAST, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert (run / "page.html").is_file() is page
    assert "How it was made" in (tmp_path / "--page" / "page.html").read_text()


def test_a_folder_made_with_other_settings_is_refused_with_the_setting(data: Path, tmp_path: Path) -> None:
    base = ("caption", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST)
    assert bench(*base, cwd=tmp_path).returncode == 0
    before = (tmp_path / "r" / "journal.jsonl").read_bytes()
    done = bench(*base, "--frames", "6", cwd=tmp_path)
    assert done.returncode == 1
    assert "frames: uniform:4 → uniform:6" in done.stderr
    assert (tmp_path / "r" / "journal.jsonl").read_bytes() == before


def test_limit_and_clips_choose_what_is_asked(data: Path, tmp_path: Path) -> None:
    done = bench(
        "caption",
        "--model",
        "blind",
        "--data",
        data,
        "--clips",
        "b_001,a_001",
        "--run",
        "r",
        *FAST,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert list(json.loads((tmp_path / "r" / "predictions.json").read_text())) == ["a_001", "b_001"]


def test_a_broken_clip_fails_alone_and_is_retried_by_the_next_start(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    broken = data / "videos" / "real" / "a" / "a_001.mp4"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:500])
    command = ("caption", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST)
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: a_001: a_001.mp4" in done.stderr
    assert "1 request failed; run the same command again" in done.stderr
    assert done.stdout.startswith("**Baseline: nearest clip: incomplete: 1 request failed")
    card = json.loads((tmp_path / "r" / "scorecard.json").read_text())
    assert (card["items"], card["counts"]["failed"]) == (3, 1)
    assert card["status"].startswith("incomplete: 1 request failed")
    broken.write_bytes(whole)
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "r" / "scorecard.json").read_text())["items"] == 4


MUTE = """
from microg_bench.adapters.base import Baseline

class Mute(Baseline):
    name, title = "mute", "Mute"
    def answer(self, request, descriptor, others):
        return "A man." if request.id.endswith("b_001") else ""
"""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_without_answers_ends_with_a_warning_that_cannot_be_missed(
    data: Path, tmp_path: Path, terminal: bool
) -> None:
    (tmp_path / "mute.py").write_text(MUTE)
    command = ("caption", "--model", "mute.py", "--data", data, "--run", "r", *FAST)
    done = bench(*command, cwd=tmp_path, env={"FORCE_COLOR": "1"} if terminal else {})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**Mute: 3 of 4 answers are empty**\n")
    last = done.stderr.splitlines()[-5:] if terminal else done.stderr.splitlines()[-2:]
    assert "do not rely on these scores" in last[0]
    assert ("╭" in last[0], "╯" in last[-1]) == (terminal, terminal)
    assert "r: 3 of 4 answers are empty" in " ".join(last)


def test_a_run_of_answers_ends_without_a_warning(data: Path, tmp_path: Path) -> None:
    done = bench("caption", "--model", "blind", "--data", data, "--run", "r", *FAST, cwd=tmp_path)
    assert "rely" not in done.stderr


def test_names_are_printed_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MUTE.replace('"Mute"', '"My_Model #f"'))
    write_annotations(tmp_path / "my_set_1" / "refs.json", [record(name, n) for n, name in enumerate(IDS)])
    command = ("caption", "--model", "mine.py", "--data", "my_set_1", "--run", "r", *FAST)
    done = bench(*command, cwd=tmp_path)
    assert done.stdout.startswith("**My_Model #f: 3 of 4 answers are empty**\n")
    assert "Captioning on my_set_1, " in done.stdout
    assert "\\" not in done.stdout + bench("tables", "--runs", "r", cwd=tmp_path).stdout


@pytest.mark.usefixtures("_transformers")
def test_dry_run_shows_what_would_be_asked_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    done = bench("run", "--model", "qwen2.5-vl", "--data", data, "--frames", "4", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for expected in (
        "checkpoint  Qwen/Qwen2.5-VL-7B-Instruct",
        "caption     4 requests",
        "vqa         8 requests",
        "first caption request, a_000; frames 11, 33, 56, 78",
        "[user] <video>",
        "[user] Who is in the video?",
        "Not mentioned.",
    ):
        assert expected in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_config_file_gives_options_and_the_command_line_wins(data: Path, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        f'model = "nearest-clip"\ndata = "{data}"\nframes = 3\nmetrics = ["ROUGE-L"]\n'
    )
    done = bench("caption", "--config", "c.toml", "--run", "r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| Baseline: nearest clip | 3 |" in done.stdout
    done = bench("caption", "--config", "c.toml", "--frames", "5", "--run", "r5", cwd=tmp_path)
    assert "| Baseline: nearest clip | 5 |" in done.stdout


def test_a_run_json_repeats_its_run_and_refuses_to_repeat_another(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    bench(
        "vqa", "--model", "nearest-clip", "--data", data, "--frames", "3", "--run", "r", *FAST, cwd=tmp_path
    )
    done = bench("vqa", "--config", "r/run.json", "--run", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("scorecard.json", "predictions.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "r" / name).read_bytes()
    write_annotations(data / "vqa_and_captioning.json", [record(name, 9) for name in IDS])
    done = bench("vqa", "--config", "r/run.json", "--run", "changed", cwd=tmp_path)
    assert done.returncode == 1
    assert "would not repeat that run (fingerprint:" in done.stderr
    assert not (tmp_path / "changed").exists()


def test_an_annotation_file_alone_serves_models_that_see_no_video(data: Path, tmp_path: Path) -> None:
    annotations = data / "vqa_and_captioning.json"
    assert bench("vqa", "--model", "blind", "--data", annotations, *FAST, cwd=tmp_path).returncode == 0
    done = bench("vqa", "--model", "nearest-clip", "--data", annotations, cwd=tmp_path)
    assert done.returncode == 1
    assert "none of the chosen clips has a video" in done.stderr


def test_repeated_ids_are_reported_and_the_published_rule_applied(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.json", [record("a_001", 1), record("b_001", 2), record("a_001", 3)])
    done = bench("caption", "--model", "constant", "--data", "a.json", "--run", "r", *FAST, cwd=tmp_path)
    assert "repeated ids, of which the last caption counts: a_001" in done.stderr
    assert json.loads((tmp_path / "r" / "scorecard.json").read_text())["items"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "qwen2.5-v"), "unknown model 'qwen2.5-v': did you mean qwen2.5-vl"),
        ((), "give a model: --model NAME"),
        (("--model", "blind", "--engine", "transfromers"), "did you mean transformers"),
        (
            ("--model", "blind", "--engine", "transformers"),
            "model blind runs on function, not on transformers",
        ),
        (("--model", "nearest-clip", "--frames", "0"), "frames"),
        (("--model", "nearest-clip", "--frames", "-3"), "frames"),
        (("--model", "nearest-clip", "--frames", "1000000"), "frames"),
        (("--model", "nearest-clip", "--sampling", "random"), "sampling"),
        (
            ("--model", "nearest-clip", "--sampling", "fps:2", "--frames", "4"),
            "sets the number of frames itself",
        ),
        (("--model", "blind", "--frames", "3"), "sees no video"),
        (("--model", "blind", "--checkpoint", "x"), "has no weights"),
        (("--model", "blind", "--prompt", "defualt"), "did you mean default"),
        (("--model", "blind", "--prompt", "none.toml"), "none.toml"),
        (
            ("--model", "blind", "--limit", "0"),
            "--limit: Input should be greater than or equal to 1",
        ),
        (("--model", "blind", "--clips", "a_00"), "did you mean a_00"),
        (("--model", "blind", "--metrics", "CIDER"), "unknown metric 'CIDER'"),
        (("--model", "blind", "--protocol", "cocoa"), "--protocol: Input should be 'paper', 'coco' or"),
        (("--model", "blind", "--data", "nowhere"), "nowhere: no such dataset folder"),
        (("--model", "blind", "--bertscore-model", "nowhere"), "--bertscore-model: no such folder"),
        (("--model", "blind", "--config", "nowhere.toml"), "nowhere.toml: --config: cannot be read"),
    ],
)
def test_a_mistake_is_one_clear_line_and_nothing_is_written(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    where = () if "--data" in arguments else ("--data", str(data))
    done = bench("caption", *where, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["caption", "vqa"])
def test_a_verb_of_one_task_takes_no_tasks(data: Path, tmp_path: Path, verb: str) -> None:
    done = bench(verb, "--model", "blind", "--data", data, "--tasks", "vqa", cwd=tmp_path)
    assert done.returncode == 2
    assert "--tasks" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('[{"video_id": "a_001"}]', "record 1 (a_001): lacks 'caption' and 'qa_pairs'"),
        (
            '[{"video_id": "../../etc/passwd", "caption": "x"}]',
            "record 1: '../../etc/passwd' is not a safe video_id",
        ),
        ('[{"video_id": "a_001", "qa_pairs": []}]', "none of the chosen clips has a reference for caption"),
    ],
)
def test_bad_annotations_are_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.json").write_text(content)
    done = bench("caption", "--model", "constant", "--data", "a.json", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_told_and_what_was_answered_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "r"
    asked: dict[str, Any] = {"run": run, "metrics": "ROUGE-L", "progress": None}
    mb.evaluate(str(SLOW_BASELINE), str(data), "caption", limit=2, **asked)
    journal = run / "caption" / "journal.jsonl"
    kept = journal.read_bytes().splitlines(keepends=True)[0]
    journal.write_bytes(kept)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    told = (
        "the disk is full: free space, then run the same command again to resume; every answer before it is"
        " safe; 1 answer not recorded and to be asked again: a_001"
    )
    with pytest.raises(mb.MicrogError, match=re.escape(told)):
        mb.evaluate(str(SLOW_BASELINE), str(data), "caption", limit=2, **asked)
    assert journal.read_bytes() == kept


@pytest.mark.parametrize("verb", ["run", "caption", "vqa"])
def test_what_is_printed_and_written_is_what_the_api_gives(verb: str, data: Path, tmp_path: Path) -> None:
    command = (verb, "--model", "nearest-clip", "--data", data, "--frames", "2", "--run", "cli", *FAST)
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tasks = TASKS if verb == "run" else tuple(task for task in TASKS if task == verb)
    options: dict[str, Any] = {"frames": 2, "metrics": FAST[1], "progress": None}
    results = mb.evaluate("nearest-clip", data, tasks, run=tmp_path / "api", **options)
    places = {task: f"cli/{task}" if verb == "run" else "cli" for task in tasks}
    assert done.stdout == f"{results.table()}\n" + "".join(
        f"{task}: {path}\n" for task, path in places.items()
    )
    for task, path in places.items():
        for name in ("scorecard.json", "predictions.json", "statistics.npz", "table.md"):
            assert (tmp_path / path / name).read_bytes() == (tmp_path / "api" / task / name).read_bytes(), (
                name
            )
        one, other = mb.load_run(tmp_path / path), results.records[task]
        assert (one.settings, one.options) == (other.settings, other.options)
        assert one.answers.keys() == other.answers.keys()


def test_a_clip_that_was_replaced_is_described_and_asked_about_again(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", IDS)
    command = ("caption", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST)
    assert bench(*command, cwd=tmp_path).returncode == 0
    descriptors = tmp_path / "r" / "descriptors.jsonl"
    before = lines(descriptors)
    write_clip(data / "videos" / "real" / "a" / "a_001.mp4", frames=60, fps=30, size=(128, 64))
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a_001: the video file has changed since it was shown: asked again" in done.stderr
    assert "4 answered, 0 failed" in done.stderr, "a baseline answers from all clips"
    now = lines(descriptors)
    assert now[: len(before)] == before
    (again,) = now[len(before) :]
    assert again["id"] == "a_001"
    assert again["descriptor"] != before[1]["descriptor"]
    record = mb.load_run(tmp_path / "r")
    assert record.answers["a_001"].clip_sha256 == again["clip_sha256"]
    assert len(record.responses) == 8
    done = bench(*command, cwd=tmp_path)
    assert (done.returncode, "changed" in done.stderr) == (0, False)


def test_descriptors_of_other_frames_are_not_used(data: Path, tmp_path: Path) -> None:
    command = ("caption", "--model", "nearest-clip", "--data", data, "--run", "r", *FAST)
    assert bench(*command, cwd=tmp_path).returncode == 0
    for name in ("journal.jsonl", "run.json", "scorecard.json"):
        (tmp_path / "r" / name).unlink()
    done = bench(*command, "--frames", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = lines(tmp_path / "r" / "descriptors.jsonl")
    assert [line["id"] for line in found] == [*IDS, *IDS]
    assert [len(line["frames"]) for line in found] == [4] * 4 + [2] * 4  # type: ignore[arg-type]
    assert {len(one.frames) for one in mb.load_run(tmp_path / "r").answers.values()} == {2}


def test_a_file_cannot_allow_the_code_of_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('model = "vllm:org/m"\ntrust-remote-code = true\nengine = "server"\n')
    done = bench("caption", "--config", "c.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: c.toml: --trust-remote-code: a file cannot allow the code of a checkpoint to run: add this "
        "option to the command if you trust its authors\n"
    )
    done = bench("caption", "--config", "c.toml", "--trust-remote-code", cwd=tmp_path)
    assert "runs on vllm, not on server" in done.stderr


def test_a_file_cannot_name_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('model = "qwen2.5-vl"\nray-address = "127.0.0.1:9"\n')
    done = bench("caption", "--config", "c.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: c.toml: --ray-address: a file cannot name a cluster, which runs code: add this option to the "
        "command if it is yours\n"
    )


IMPORTED = """
from pathlib import Path
from microg_bench.adapters.base import Baseline

Path("imported").touch()

class Mine(Baseline):
    name, title = "mine", "Mine"

    def answer(self, request, descriptor, others):
        return "A man."
"""


def test_an_adapter_file_is_run_only_where_the_command_line_names_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(IMPORTED)
    (tmp_path / "c.toml").write_text('model = "mine.py"\ndata = "sample"\nlimit = 1\nmetrics = ["ROUGE-L"]\n')
    done = bench("vqa", "--config", "c.toml", "--run", "r", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "c.toml: a file cannot have an adapter's file run: give --model mine.py" in done.stderr
    named = ("vqa", "--model", "mine.py", "--run", "r")
    assert not (tmp_path / "imported").exists()
    done = bench(*named, "--config", "c.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "imported").unlink()
    refused = [("vqa", "--config", "r/run.json"), ("drift", "r"), ("score", "r", "--reparse", *FAST)]
    for command in refused:
        done = bench(*command, cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), command
        assert "give --model mine.py, if you trust its author" in done.stderr
    for plain in (("score", "r", "--metrics", "ROUGE-L"), ("report", "r"), ("compare", "r", "r")):
        bench(*plain, cwd=tmp_path)
    assert not (tmp_path / "imported").exists()
    for command in refused:
        done = bench(*command, "--model", "mine.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
