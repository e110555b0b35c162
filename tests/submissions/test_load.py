"""Submissions are read as hostile input: plain files within bounds, JSON of one meaning, typed narrowly."""

import contextlib
import gzip
import json
import math
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from microg_bench.errors import MicrogError, RunError
from microg_bench.scorecard import BaselineEntry, ScoreEntry
from microg_bench.slices import SliceEntry
from microg_bench.submissions import load as loading
from microg_bench.submissions.load import (
    PackedGeneration,
    PackedMedia,
    PackedPrompt,
    PackedRun,
    PackedStart,
    PackedUsage,
    check_finite,
    find_submissions,
    is_of_actions,
    is_submission,
    load,
    numbers,
)
from tests.submissions.conftest import check, edit, edit_journal
from tests.submissions.small import made, score


def missing_file(folder: Path) -> None:
    (folder / "run.json").unlink()


def extra_file(folder: Path) -> None:
    (folder / "run.sh").write_text("rm -rf ~")


def link(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("/etc/passwd")


def folder_instead(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()


def pipe(folder: Path) -> None:
    (folder / "scorecard.json").unlink()
    os.mkfifo(folder / "scorecard.json")


def device(folder: Path) -> None:
    (folder / "journal.jsonl.gz").unlink()
    (folder / "journal.jsonl.gz").symlink_to("/dev/zero")


def socket_instead(folder: Path) -> None:
    (folder / "run.json").unlink()
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(folder):
        server.bind("run.json")


def sparse(folder: Path) -> None:
    os.truncate(folder / "run.json", 10**12)


def not_json(folder: Path) -> None:
    (folder / "run.json").write_text("[" * 100_000)


def many_names(folder: Path) -> None:
    for number in range(1000):
        (folder / f"{number:03}{'x' * 200}").touch()


def not_gzip(folder: Path) -> None:
    (folder / "journal.jsonl.gz").write_bytes(b"PK\x03\x04")


def torn_gzip(folder: Path) -> None:
    file = folder / "journal.jsonl.gz"
    file.write_bytes(file.read_bytes()[:-20])


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (missing_file, "must hold exactly scorecard.json, run.json, journal.jsonl.gz; holds"),
        (extra_file, "must hold exactly"),
        (link, "run.json: is not a plain file"),
        (folder_instead, "run.json: is not a plain file"),
        (pipe, "scorecard.json: is not a plain file"),
        (device, "journal.jsonl.gz: is not a plain file"),
        (socket_instead, "run.json: is not a plain file"),
        (sparse, "run.json: is larger than 1,000,000 bytes"),
        (not_json, "run.json: damaged: not JSON: nested too deeply"),
        (many_names, "must hold exactly"),
        (not_gzip, "journal.jsonl.gz: is no gzip file"),
        (torn_gzip, "journal.jsonl.gz: is broken gzip data"),
        (no_folder, "is not a folder"),
    ],
)
def test_a_folder_that_is_no_submission_is_refused(
    packed: Path, data: Path, change: Callable[[Path], None], problem: str
) -> None:
    change(packed)
    for found in (check(packed, data), check(packed, None)):
        (line,) = found.problems
        assert problem in line
        assert len(line) < 500


def test_a_link_to_a_submission_is_none(packed: Path, data: Path) -> None:
    link = packed.with_name("link")
    link.symlink_to(packed)
    assert check(link, data).problems == ["is not a folder"]
    assert find_submissions(packed.parent) == [link, packed]


def test_submissions_are_the_folders_in_a_folder_or_itself(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        find_submissions(tmp_path / "none")
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".git").mkdir()
    with pytest.raises(RunError, match="holds no submission"):
        find_submissions(tmp_path)
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    assert find_submissions(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    for name in ("run.json", "scorecard.json", "journal.jsonl.gz", "detections.csv.gz"):
        (tmp_path / name).symlink_to("nowhere")
        assert find_submissions(tmp_path) == [tmp_path]
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("name", "one", "of_actions"),
    [("run.json", False, False), ("journal.jsonl.gz", True, False), ("detections.csv.gz", True, True)],
)
def test_a_submission_is_told_from_a_run_by_its_evidence(
    tmp_path: Path, name: str, one: bool, of_actions: bool
) -> None:
    (tmp_path / name).symlink_to("nowhere")
    assert (is_submission(tmp_path), is_of_actions(tmp_path)) == (one, of_actions)


def test_a_bomb_is_unpacked_no_further_than_the_limit(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_JOURNAL", 1024**2)
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(b" " * 10_000_000))
    assert check(packed, data).problems == ["journal.jsonl.gz: holds more than 1 MiB, unpacked"]


def test_a_line_has_a_bound(packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of brackets takes many times its size in memory."""
    monkeypatch.setattr(loading, "MAX_LINE_BYTES", 1024**2)
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(b"[" + b"{}," * 1_000_000, 1))
    assert check(packed, data).problems == ["journal.jsonl.gz: line 1: is longer than 1 MiB"]


def test_a_journal_of_the_benchmark_is_within_bounds_that_fit_into_memory() -> None:
    assert loading.MAX_ANSWERS > 20_000
    assert loading.MAX_PACKED <= loading.MAX_JOURNAL <= 100 * 1024**2


def test_a_packed_journal_has_bounds(packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (packed / "journal.jsonl.gz").stat().st_size
    unpacked = gzip.decompress((packed / "journal.jsonl.gz").read_bytes())
    for name, least in (
        ("MAX_ANSWERS", 8),
        ("MAX_PACKED", size),
        ("MAX_JOURNAL", len(unpacked)),
        ("MAX_LINE_BYTES", max(map(len, unpacked.splitlines()))),
        ("MAX_FRAMES", 4),
        ("MAX_RUN", (packed / "run.json").stat().st_size),
        ("MAX_JSON", (packed / "scorecard.json").stat().st_size),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(loading, name, least)
            assert len(load(packed).record.answers) == 8
            patch.setattr(loading, name, least - 1)
            with pytest.raises(MicrogError):
                load(packed)
    monkeypatch.setattr(loading, "MAX_ANSWERS", 7)
    assert check(packed, data).problems == ["journal.jsonl.gz: holds more than 7 answers"]
    monkeypatch.setattr(loading, "MAX_PACKED", 100)
    assert check(packed, data).problems == ["journal.jsonl.gz: is larger than 100 bytes"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n" * 100_000_000, "line 1: not JSON: Expecting value"),
        (b'{"type": "response", "id": "a", "id": "b"}', "line 1: not JSON: the key 'id' occurs twice"),
        (b'\xef\xbb\xbf{"type": "response", "id": "a"}', "line 1: not JSON: Unexpected UTF-8 BOM"),
        (b'{"type": "response", "id": "\xff"}', "line 1: not JSON: 'utf-8' codec"),
        (b'{"type": "response", "id": 5}', "line 1: is no response to a request"),
        (b'{"type": "response", "id": "a", "text": ""}', "line 1: damaged: answer: Field required"),
        (b"[]", "line 1: is no response to a request"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "line 1: not JSON: nested too deeply"),
        (gzip.compress(b"{}", mtime=0), "line 1: not JSON"),
    ],
)
def test_a_line_that_is_no_answer_is_named(packed: Path, data: Path, content: bytes, problem: str) -> None:
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(content, 1))
    (line,) = check(packed, data).problems
    assert problem in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("finish_reason", "__proto__"),
        ("finish_reason", 1),
        ("prompt_tokens", "5"),
        ("prompt_tokens", 5.0),
        ("prompt_tokens", True),
        ("seconds", "1"),
        ("from_cache", 1),
        ("from_cache", "yes"),
        ("frames", "123"),
        ("frames", [1.0]),
        ("frames", ["1"]),
        ("frames", {"0": 1}),
        ("answer", None),
        ("text", ["x"]),
        ("reasoning", 5),
        ("served_model", {}),
        ("stop", "end"),
        ("unknown", 1),
    ],
)
def test_a_field_of_an_answer_of_another_type_is_refused(
    packed: Path, data: Path, field: str, value: object
) -> None:
    edit_journal(packed, lambda records: records[2].update({field: value}))
    (line,) = check(packed, data).problems
    assert "line 3: " in line and (field in line or "half migrated" in line)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("options", []),
        ("options.data", "sample"),
        ("options.model", 5),
        ("options.dtype", "float1"),
        ("options.frames", "4"),
        ("settings.model", "m" * 301),
        ("settings.adapter_sha256", "0" * 63),
        ("settings.adapter_sha256", "Z" * 64),
        ("settings.engine", "mine"),
        ("settings.engine", "constructor"),
        ("settings.dtype", "float1"),
        ("settings.frames", "uniform:4"),
        ("settings.frames", {"how": "uniform", "count": 0}),
        ("settings.frames", {"how": "uniform", "count": 4.0}),
        ("settings.prompt", {"id": "p", "version": -1, "hash": "0a1b2c3d"}),
        ("settings.prompt", {"id": "p", "version": 1, "hash": "x"}),
        ("settings.generation.max_tokens", 0),
        ("settings.generation.answer_schema", "{}"),
        ("settings.paraphrases", {"rocket-roll_000#1@0123456789ab": "What?"}),
        ("settings.generation.temperature", -1),
        ("settings.generation.top_p", 2),
        ("settings.generation.seed", "0"),
        ("settings.thinking", "a lot"),
        ("settings.transforms", ["blur"]),
        ("settings.fingerprint", "f"),
        ("starts", {}),
        ("starts.0.started", "yesterday"),
        ("starts.0.git", "main; rm -rf"),
        ("starts.0.versions.numpy", 2),
        ("starts.0.versions.numpy", "9" * 1000),
        ("starts.0.engine", []),
        ("starts.0.hardware", {"cpu": "c" * 81, "cores": 1}),
        ("starts.0.hardware", {"cpu": "c", "cores": 0}),
        ("starts.0.hardware", {"cpu": "c", "cores": 1, "host": "h"}),
        ("starts.0.engine", {"device": {"x": 1}}),
        ("starts.0.usage.clips", -1),
        ("starts.0.usage.seconds.sleeping", 1.0),
        ("starts.0.rejected", "temperature"),
        ("starts.0.more", 1),
        ("more", 1),
    ],
)
def test_a_field_of_run_json_is_typed_as_it_is_packed(
    packed: Path, data: Path, place: str, value: object
) -> None:
    def change(content: Any) -> None:
        *path, last = place.split(".")
        for part in path:
            content = content[int(part) if part.isdecimal() else part]
        content[last] = value

    for name in ("run.json", "scorecard.json") if place.startswith("settings") else ("run.json",):
        edit(packed / name, change)
    for found in (check(packed, data), check(packed, None)):
        assert any(
            line.startswith(("run.json: damaged: ", "scorecard.json: damaged: ")) for line in found.problems
        )


SETTINGS: list[tuple[type[BaseModel], dict[str, Any], str, list[Any], list[Any]]] = [
    (PackedGeneration, {}, "max_tokens", [1, 10_000_000], [0, 10_000_001]),
    (PackedGeneration, {}, "temperature", [0.0, 2.0], [-0.1, 2.1]),
    (PackedGeneration, {}, "top_p", [0.001, 1.0], [0.0, 1.1]),
    (PackedMedia, {"kind": "images"}, "jpeg_quality", [1, 95, None], [0, 96]),
    (PackedPrompt, {"id": "p", "hash": "0a1b2c3d"}, "version", [1], [0]),
    (PackedPrompt, {"version": 1, "hash": "0a1b2c3d"}, "id", ["p", "p" * 300], ["", "p" * 301]),
]


@pytest.mark.parametrize(("part", "others", "field", "sound", "not_sound"), SETTINGS)
def test_a_setting_has_the_bounds_of_its_option(
    part: type[BaseModel], others: dict[str, Any], field: str, sound: list[Any], not_sound: list[Any]
) -> None:
    for value in sound:
        assert getattr(part.model_validate({**others, field: value}), field) == value
    for value in not_sound:
        with pytest.raises(ValidationError, match=field):
            part.model_validate({**others, field: value})


def test_what_a_start_took_and_used_is_bounded(packed: Path) -> None:
    content = json.loads((packed / "run.json").read_text())
    start, used = content["starts"][0], content["starts"][0]["usage"]

    def sound(part: type[BaseModel], given: dict[str, Any], **changed: Any) -> bool:
        try:
            part.model_validate_json(json.dumps(given | changed))
        except ValidationError:
            return False
        return True

    for name in PackedUsage.model_fields.keys() - {"seconds", "clips_per_second"}:
        assert [sound(PackedUsage, used, **{name: count}) for count in (0, -1)] == [True, False]
    for seconds, fine in ((0.0, True), (1e9, True), (-0.1, False), (1.1e9, False)):
        assert sound(PackedUsage, used, seconds={"waiting": seconds}) == fine
        assert sound(PackedUsage, used, clips_per_second=seconds) == fine
    for count, fine in ((100, True), (101, False)):
        words = {f"name {number}": "1" for number in range(count)}
        assert sound(PackedStart, start, versions=words) == sound(PackedStart, start, engine=words) == fine
    packed_run = {name: content[name] for name in PackedRun.model_fields}
    for count, fine in ((0, False), (1, True), (1000, True), (1001, False)):
        assert sound(PackedRun, packed_run, starts=[start] * count) == fine


def test_a_score_is_a_number_of_a_size_that_scores_have(tmp_path: Path) -> None:
    card = made(tmp_path).scorecard
    for value, sound in ((1e6, True), (-1e6, True), (1.1e6, False), (-1.1e6, False), (math.nan, False)):
        one = card.model_copy(update={"scores": {"CIDEr": score("CIDEr", value)}})
        if sound:
            check_finite(one, tmp_path / "scorecard.json")
        else:
            with pytest.raises(RunError, match=r"scores\.CIDEr\.value"):
                check_finite(one, tmp_path / "scorecard.json")


def test_every_number_of_a_scorecard_is_looked_at(tmp_path: Path) -> None:
    parts: dict[str, Any] = {
        "scores": {"CIDEr": score("CIDEr", 1.0, (2.0, 3.0)), "METEOR": ScoreEntry(unavailable="no Java")},
        "baselines": {"blind": BaselineEntry(title="B", scores={"CIDEr": 4.0})},
        "slices": {"source": {"a": SliceEntry(items=1, scores={"CIDEr": 5.0, "METEOR": 6.0})}},
    }
    found = list(numbers(made(tmp_path).scorecard.model_copy(update=parts)))
    assert [(name, value) for _, name, value in found] == [
        *(("CIDEr", number) for number in (1.0, 2.0, 3.0, 4.0, 5.0)),
        ("METEOR", 6.0),
    ]
    assert found[-1][0] == "slices.source.a.scores.METEOR"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"task":', b'"task": "caption", "task":', "the key 'task' occurs twice"),
        (b'"seed": 0', b'"seed": 0, "seed": 1', "the key 'seed' occurs twice"),
        (b'"seed": 0', b'"seed": 1e999', "1e999 is no finite number"),
        (b'"seed": 0', b'"seed": ' + b"1" * 5000, "a whole number has 5,000 digits"),
        (b'"seed": 0', b'"seed": Infinity', "Infinity is no finite number"),
        (b'"seed": 0', b'"seed": \xff', "'utf-8' codec can't decode"),
        (b"{", b"\xef\xbb\xbf{", "Unexpected UTF-8 BOM"),
    ],
)
def test_json_has_one_meaning(packed: Path, data: Path, old: bytes, new: bytes, problem: str) -> None:
    for name in ("run.json", "scorecard.json"):
        honest = (packed / name).read_bytes()
        assert old in honest
        (packed / name).write_bytes(honest.replace(old, new, 1))
        (line,) = check(packed, data).problems
        assert line.startswith(f"{name}: damaged: not JSON: ") and problem in line
        (packed / name).write_bytes(honest)


def test_utf_16_is_no_json(packed: Path, data: Path) -> None:
    text = (packed / "run.json").read_text()
    (packed / "run.json").write_bytes(text.encode("utf-16"))
    (line,) = check(packed, data).problems
    assert line.startswith("run.json: damaged: not JSON: ")


def test_no_code_runs_because_a_submission_names_it(
    packed: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(packed.parent)
    Path("notes.py").write_text("open('ran', 'w')")
    for model in ("notes.py", str(packed.with_name("notes.py")), "a" * 296 + ".py", "notes"):
        for name in ("run.json", "scorecard.json"):
            edit(packed / name, lambda content, model=model: content["settings"].update(model=model))
        edit(packed / "scorecard.json", lambda card, model=model: card["model"].update(name=model))
        check(packed, data)
        assert not Path("ran").exists()


def test_the_contents_are_those_of_the_files(packed: Path) -> None:
    found = loading.load(packed)
    assert {name: json.loads((packed / name).read_text()) for name in found.contents} == found.contents


def test_the_last_line_may_lack_its_end_and_a_journal_without_lines_is_refused(packed: Path) -> None:
    whole = load(packed)
    assert whole.evidence is whole.record and whole.claimed == whole.record.scorecard
    lines = gzip.decompress((packed / "journal.jsonl.gz").read_bytes())
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(lines.removesuffix(b"\n")))
    assert load(packed).record.answers == whole.record.answers
    (packed / "journal.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(RunError, match="holds no answer"):
        load(packed)


def test_a_score_of_no_size_that_scores_have_is_refused_when_it_is_read(packed: Path) -> None:
    assert load(packed).schema == "microg-bench/scorecard/2"
    edit(packed / "scorecard.json", lambda card: card["scores"]["CIDEr"].update(value=1.1e6))
    with pytest.raises(RunError, match=r"scores\.CIDEr\.value"):
        load(packed)


@pytest.mark.parametrize("part", ["run.json", "scorecard.json", "options", "abstention"])
def test_files_of_schema_1_hold_the_keys_of_schema_1_alone(shared: Path, tmp_path: Path, part: str) -> None:
    folders = find_submissions(shared / "data" / "v0.1" / "submissions")
    copy = Path(shutil.copytree(folders[0], tmp_path / "copy"))
    assert load(copy).record.answers
    file = copy / {"options": "run.json", "abstention": "scorecard.json"}.get(part, part)

    def add(content: dict[str, Any]) -> None:
        if part == file.name:
            content["stranger"] = 1
        else:
            content[part] = {**(content[part] or {}), "stranger": 1}

    edit(file, add)
    with pytest.raises(RunError, match="stranger: is not of schema 1") as told:
        load(copy)
    assert told.value.path == file


def test_a_request_is_answered_once(packed: Path) -> None:
    edit_journal(packed, lambda records: records.insert(3, records[1]))
    with pytest.raises(RunError, match="again") as told:
        load(packed)
    assert told.value.item == "line 4"
