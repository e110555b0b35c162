"""The documents show what happens: each block of a page is run, or says why not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from microg_bench.cli.options import read_config
from microg_bench.options import Options
from microg_bench.runs.budget import find_price
from microg_bench.runs.record import RunRecord
from tests.helpers.datasets import bench
from tests.helpers.documents import PAGES, REASONS, ROOT, Block, Reader, blocks, commands, is_shown
from tests.helpers.fault_server import FaultServer
from tests.helpers.predictions import lmms_eval_sample, vlmevalkit_table, write_lmms_eval, write_vlmevalkit
from tests.helpers.vendor_of_documents import Snapshots, flaky, refusing

pytestmark = pytest.mark.heavy

SCRIPTS = {
    "http://127.0.0.1:41607": flaky,
    "http://127.0.0.1:33747": refusing,
}
OURS = ("MICROG_BENCH_", "MLFLOW_", "OPENAI_", "XDG_")  # variables that would change what a page shows
CLOSED = "http://127.0.0.1:9"  # the proxy for everything outside of this machine
RUN = [page for page in PAGES if any(one.language in ("console", "python") for one in blocks(page))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pages take as given: three runs, predictions by other programs, a clip, a checkout. Copy it."""
    place = tmp_path_factory.mktemp("given")
    for run, model in (("RUN_A", "nearest-clip"), ("RUN_B", "blind")):
        asked = ("run", "--model", model, "--data", "sample", "--run", run, "--metrics", "CIDEr,ROUGE-L")
        done = bench(*asked, cwd=place)
        assert done.returncode == 0, done.stderr
    shutil.copytree(place / "RUN_A", place / "RUN")
    done = bench("export", "RUN", "--format", "parquet", "--out", "predictions.parquet", cwd=place)
    assert done.returncode == 0, done.stderr
    run = RunRecord.read(place / "RUN" / "vqa")
    texts = {key: one.answer for key, one in run.answers.items()}
    items = run.items(run.dataset())
    samples = [lmms_eval_sample(n, item, texts[item.request.id]) for n, item in enumerate(items)]
    write_lmms_eval(place / "20261126_samples_microg_vqa.jsonl", samples)
    write_vlmevalkit(place / "My-Model_MicroG_vqa.xlsx", vlmevalkit_table(items, texts))
    shutil.copy(next(clip.video for clip in run.dataset().clips if clip.video), place / "clip.mp4")
    (place / "tests" / "model_adapters").mkdir(parents=True)
    return place


@pytest.fixture(scope="session")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the detections and annotations of actions that were published with the paper."""
    place = tmp_path_factory.mktemp("published")
    for file in (shared / "data" / "har").iterdir():
        (place / file.name).symlink_to(file)
    back = ("--keyframes", "keyframe_boxes.csv.xz", "--size", "854x480", "--out", ".")
    done = bench("har", "convert", *back, cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `microg-bench` and `python` of this checkout."""
    place = tmp_path_factory.mktemp("programs")
    for program, arguments in (("microg-bench", "-P -m microg_bench"), ("python", "")):
        script = place / program
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    return place


@pytest.fixture
def reader(
    request: pytest.FixtureRequest,
    given: Path,
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    """A reader of the page, in a folder with what is given; vendors and servers are on this machine."""
    text = request.getfixturevalue("page").read_text(encoding="utf-8")
    folder = Path(shutil.copytree(given, tmp_path / "scratch"))
    if "groundtruth_test.csv.xz" in text:
        shutil.copytree(request.getfixturevalue("published"), folder, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "home").mkdir()
    with ExitStack() as servers:
        vendor = servers.enter_context(FaultServer(Snapshots()))
        vendor.models = ["gpt-4o"]
        addresses = {}
        for shown, script in SCRIPTS.items():
            if shown in text:
                server = servers.enter_context(FaultServer(script=script))
                server.models = ["tiny-vlm"]
                addresses[shown] = server.url.removesuffix("/v1")
        environment = {
            "COLUMNS": "200",
            "HF_HUB_OFFLINE": "1",
            "HOME": str(tmp_path / "home"),
            "HTTPS_PROXY": CLOSED,
            "HTTP_PROXY": CLOSED,
            "OPENAI_API_KEY": "no-key",
            "OPENAI_BASE_URL": f"{vendor.url}/v1",
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        for variable in [one for one in os.environ if one.startswith(OURS)]:
            monkeypatch.delenv(variable)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.chdir(folder)
        yield Reader(folder, dict(os.environ), addresses)


@pytest.mark.parametrize("page", RUN, ids=name)
def test_a_page_shows_what_its_blocks_do(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        if block.language in ("console", "python") and not block.not_run:
            try:
                reader.read(block)
            except Exception as error:
                error.add_note(f"in the block of {name(page)}, line {block.line}")
                raise


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_blocks_of_a_page_are_of_a_known_kind(page: Path) -> None:
    for block in blocks(page):
        known = block.language in ("", "console", "json", "python", "text", "toml")
        assert known or block.language.startswith("{"), block
        assert block.not_run <= REASONS, block
        if block.language == "console":
            assert commands(block.text), block
        if not block.language:
            assert not block.text.startswith(("$ ", "microg-bench ", "pip ", "make ")), block


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_json_and_toml_of_a_page_are_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
        if block.language == "toml":
            read_by_the_program(block, tmp_path / "block.toml")


def test_each_reason_is_given_somewhere() -> None:
    assert set().union(*(block.not_run for page in PAGES for block in blocks(page))) == REASONS


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("a  b\n", "a b", True),
        ("score … of 5\n", "score 3.1 of 5\n", True),
        ("score 3.1\n", "score 3.10\n", False),
        ("first\n…\nlast\n", "first\nlast\n", True),
        ("first\n…\nlast\n", "first\n2\n3\nlast\n", True),
        ("first\n", "first\nsecond\n", False),
        ("first\n…\n", "second\nfirst\n", False),
    ],
)
def test_output_is_compared_but_for_what_the_page_leaves_out(shown: str, real: str, same: bool) -> None:
    assert is_shown(shown, real) is same


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("console", "$ echo 1 \\\n    2\n1 3\n"),
        ("console", "$ false\n"),
        ("console", "$ echo done; false\ndone\n"),
        ("console", "output alone\n"),
        ("python", ">>> 1 + 1\n3\n"),
        ("python", "1 / 0\n"),
    ],
)
def test_a_block_that_does_something_else_is_found(language: str, text: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path, dict(os.environ))
    with pytest.raises((AssertionError, ValueError, ZeroDivisionError)):
        reader.read(Block(language, text, 1))


def test_blocks_of_a_page_share_names_and_folder(tmp_path: Path) -> None:
    reader = Reader(tmp_path, dict(os.environ), {"http://page": "http://real"})
    reader.read(Block("console", "# a comment\n$ echo http://page > file\n$ cat file\nhttp://page\n", 1))
    assert (tmp_path / "file").read_text() == "http://real\n"
    for text in ("n = 1\n", ">>> n += 1\n", ">>> n\n2\n"):
        reader.read(Block("python", text, 1))


def read_by_the_program(block: Block, file: Path) -> None:
    file.write_text(block.text, encoding="utf-8")
    content = tomllib.loads(block.text)
    if "model" in content:
        assert Options(**read_config(file)[0]).model, block
    for model in content.get("openai", {}):
        assert find_price("openai", model, file), block
