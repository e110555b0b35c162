"""Hostile submissions: each gets a verdict of its own, and no verb shows what is refused."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from microg_bench.runs.record import RunRecord
from microg_bench.submissions.faults import MAX_REASONING
from microg_bench.submissions.pack import pack
from tests.helpers.datasets import bench
from tests.submissions.hostile import HOSTILE
from tests.submissions.hostile.actions import honest_actions
from tests.submissions.hostile.changes import METRICS, Content, Hostile, put
from tests.submissions.hostile.forms import TYPED

pytestmark = pytest.mark.heavy

REFERENCES = ("--data", "sample", "--groundtruth", "har/g.csv")
MEMORY, CPU_SECONDS = 2 << 30, 300
MOST_LINES = 20  # of a verdict
# Never found in a file with this ending.
DANGEROUS = {
    ".html": r"<b onmouseover|<img src=x|<script>alert|<svg/onload",
    ".md": r"<b onmouseover|(?<!\\)\]\(javascript|(?<!\\)\*\*Stranger",
    ".tex": r"\\input\{secret|\\write18|\$x\$",
    ".csv": r'(?m)(^|,)"?[=+@-](?![\d.]+(,|$))',  # but for a negative number
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
VERDICT = re.compile(r"^(REFUSED|ok     )  ", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    refused: bool
    lines: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program runs; modules that a submission names lie there."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("notes.py", "stranger.py"):
        (folder / name).write_text("import pathlib\npathlib.Path('RAN').touch()\n")
    return folder


@pytest.fixture(scope="module")
def honest(place: Path) -> Path:
    """An honest submission."""
    done = bench(
        "vqa", "--model", "nearest-clip", "--data", "sample", "--run", "r", "--metrics", METRICS, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return pack(RunRecord.read(place / "r"), place / "honest")


@pytest.fixture(scope="module")
def honest_har(place: Path) -> Path:
    """An honest submission of action recognition."""
    return honest_actions(place / "har")


@pytest.fixture(scope="module")
def submissions(place: Path, honest: Path, honest_har: Path) -> dict[str, Path]:
    """The folder of each hostile submission."""
    assert len({one.name for one in HOSTILE}) == len(HOSTILE)
    found = {}
    for number, one in enumerate(HOSTILE):
        folder = place / "all" / (one.folder or f"{number:04}")
        one.change(Path(shutil.copytree({"run": honest, "har": honest_har}[one.of], folder)))
        found[one.name] = folder
    return found


def limited(*arguments: str | Path, cwd: Path, memory: int = MEMORY) -> subprocess.CompletedProcess[str]:
    """The program, with bounds to its memory and the time that it computes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

    return subprocess.run(
        [sys.executable, "-m", "microg_bench", *arguments],
        cwd=cwd,
        preexec_fn=limit,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def checked(
    place: Path, honest: Path, honest_har: Path, submissions: dict[str, Path]
) -> subprocess.CompletedProcess[str]:
    """The check of all of them, between two honest ones."""
    folders = [honest, *submissions.values(), honest_har]
    return limited("submit", "check", *REFERENCES, "--", *folders, cwd=place)


@pytest.fixture(scope="module")
def verdicts(checked: subprocess.CompletedProcess[str]) -> list[Verdict]:
    """The verdicts in the order of the folders."""
    _, *parts = VERDICT.split(checked.stdout)
    return [Verdict(word == "REFUSED", lines) for word, lines in zip(parts[::2], parts[1::2], strict=True)]


def test_each_gets_a_verdict_and_the_honest_ones_theirs(
    checked: subprocess.CompletedProcess[str], verdicts: list[Verdict]
) -> None:
    assert "Traceback" not in checked.stderr
    assert checked.returncode == 1, checked.stderr[-2000:]
    assert len(verdicts) == len(HOSTILE) + 2
    assert not verdicts[0].refused and not verdicts[-1].refused
    assert not CONTROL.search(checked.stdout + checked.stderr)


@pytest.mark.parametrize(
    ("number", "one"), list(enumerate(HOSTILE)), ids=[ascii(one.name) for one in HOSTILE]
)
def test_what_becomes_of_it(number: int, one: Hostile, verdicts: list[Verdict]) -> None:
    verdict = verdicts[number + 1]
    if one.becomes != "neutralised":
        assert verdict.refused == (one.becomes == "refused"), verdict.lines
    assert re.search(one.says, verdict.lines, re.IGNORECASE), verdict.lines
    assert len(verdict.lines.splitlines()) < MOST_LINES


def test_many_of_the_largest_size_fit_into_memory(place: Path, honest: Path) -> None:
    # Each takes 170 MB where it is read, for its thoughts are kept in four bytes a character.
    large = place / "large" / "00"
    shutil.copytree(honest, large)
    thoughts = "\N{ROCKET}" + "x" * (MAX_REASONING - 1)
    put(("both.generation.max_tokens", 10_000), ("lines.reasoning", thoughts))(large)
    folders = [large, *(Path(shutil.copytree(large, large.with_name(f"{k:02}"))) for k in range(1, 20))]
    done = limited("submit", "check", *folders, cwd=place, memory=1 << 30)
    assert done.stdout.count("ok     ") == len(folders), done.stdout[-2000:]


def test_nothing_runs_because_a_file_names_it(place: Path, checked: subprocess.CompletedProcess[str]) -> None:
    assert not (place / "RAN").exists()


@pytest.fixture(scope="module")
def parted(place: Path, submissions: dict[str, Path], verdicts: list[Verdict]) -> tuple[Path, Path]:
    """A folder of those that are refused (every fourth is enough), and one of those that are let in."""
    found = list(zip(submissions.values(), verdicts[1:-1], strict=True))
    refused, admitted = place / "refused", place / "admitted"
    for target, folders in {
        refused: [folder for folder, verdict in found if verdict.refused][::4],
        admitted: [folder for folder, verdict in found if not verdict.refused],
    }.items():
        target.mkdir()
        for folder in folders:
            if folder.exists() or folder.is_symlink():
                folder.rename(target / folder.name)
    return refused, admitted


def rows(place: Path, folder: Path) -> tuple[list[Any], str]:
    """The rows of ours in the tables of a folder of submissions, and what was said."""
    done = limited("tables", "--submissions", folder, *REFERENCES, "--out", f"{folder}.tables", cwd=place)
    assert "Traceback" not in done.stderr
    files = Path(f"{folder}.tables").glob("table*.json")
    found = chain.from_iterable(json.loads(file.read_text())["rows"] for file in files)
    return [row for row in found if row["origin"] == "ours"], done.stderr


def test_no_table_shows_what_is_refused(place: Path, parted: tuple[Path, Path]) -> None:
    refused, admitted = parted
    shown, said = rows(place, refused)
    assert shown == []
    # Of a folder, what is no folder is no submission.
    assert said.count("left out") == sum(path.is_dir() for path in refused.iterdir())
    shown, _ = rows(place, admitted)
    assert shown
    assert_harmless(Path(f"{admitted}.tables"))


def test_no_page_shows_what_is_refused(place: Path, parted: tuple[Path, Path]) -> None:
    for folder, expected in zip(parted, (0, 1), strict=True):
        done = limited(
            *("leaderboard", "build", "--submissions", folder, *REFERENCES, "--no-pictures"),
            *("--out", f"{folder}.site"),
            cwd=place,
        )
        assert "Traceback" not in done.stderr
        found = re.search(r"(\d+) rows", done.stdout)
        assert (int(found[1]) if found else 0) >= expected, done.stderr
        assert expected or not found or found[1] == "0"
        assert not CONTROL.search(done.stdout + done.stderr)
        assert_harmless(Path(f"{folder}.site"))


def assert_harmless(folder: Path) -> None:
    """Assert that no text of a submission stands in a file where it means something."""
    for file in folder.rglob("*"):
        if file.suffix in DANGEROUS:
            text = file.read_text()
            assert not re.search(DANGEROUS[file.suffix], text), file
            assert not CONTROL.search(text), file


def places(content: Any, place: str) -> Iterator[str]:
    """All places of JSON content."""
    yield place
    pairs = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in pairs:
        yield from places(value, f"{place}.{key}")


def test_every_field_is_tried_with_another_type(honest: Path) -> None:
    content = Content(honest)
    there = {
        *places({**content.run, "settings": 0}, "run"),
        *places(content.run["settings"], "both"),
        *places({**content.card, "settings": 0}, "card"),
        *places(content.lines[0], "line"),
    }
    assert set(TYPED) <= there
    # Of what is alike, one is enough.
    alike = re.compile(r"\.(versions|scores|values|baselines|slices|counts|usage|seconds)\.|\.\d+$")
    untried = there - set(TYPED) - {"run", "both", "card", "line"}
    assert [place for place in untried if not alike.search(place)] == []
