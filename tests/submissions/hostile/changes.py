"""Ways to make a hostile submission: changes to the folder of an honest one.

Places are paths in its content: `run.starts.0` in run.json, `card.items` in scorecard.json, `both.model` in
the settings of either, with what the scorecard repeats of them, `line.id` in the first line of the journal,
and `lines.frames` in all of its lines.
"""

import copy
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import microg_bench as mb
from microg_bench.runs.record import RunRecord
from microg_bench.submissions.pack import packed_run

METRICS = "CIDEr,ROUGE-L"
RUN, CARD, JOURNAL = "run.json", "scorecard.json", "journal.jsonl.gz"
FILES = (RUN, CARD, JOURNAL)

Change = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A change to the folder of an honest submission, and what must become of it.

    `becomes` is `refused`; `noted`: let in, with a note; or `neutralised`: let in or not, but nowhere shown
    as it stands. The pattern `says` is found in its verdict. `folder` names the folder, where that matters.
    The honest submission is `of` a run or of action recognition.
    """

    name: str
    change: Change
    becomes: Literal["refused", "noted", "neutralised"] = "refused"
    says: str = ""
    folder: str = ""
    of: Literal["run", "har"] = "run"


FIRST = r"line 1\b|pedestrians-a_000"  # how a verdict names the first line of the journal
FILE_OF = {"run": RUN, "card": CARD, "both": RUN, "line": JOURNAL, "lines": JOURNAL}


def says_of(place: str) -> str:
    """How a verdict names a place: a line of the journal by its number or id, else by its last keys."""
    root, *path = place.split(".")
    if root.startswith("line"):
        return f"{FIRST}|no item|no answer" if path == ["id"] else FIRST
    names = [step for step in path if not step.isdigit()]
    return "|".join(names[1:][-2:] or names)


def places(**names: str) -> list[str]:
    """Places by what they begin with."""
    return [f"{root}.{name}" for root, found in names.items() for name in found.split()]


class Content:
    """What the files of a submission hold: `run`, `card`, and `lines` of the journal."""

    def __init__(self, folder: Path) -> None:
        self.run: Any = json.loads((folder / RUN).read_text())
        self.card: Any = json.loads((folder / CARD).read_text())
        self.lines: list[Any] = [json.loads(line) for line in unpacked(folder / JOURNAL).splitlines()]

    def put(self, place: str, value: object) -> None:
        """Set a place; a callable makes the value from what is there, which is None where nothing is."""
        root, *path = place.split(".")
        roots: dict[str, list[Any]] = {
            "run": [self.run],
            "card": [self.card],
            "both": [self.run["settings"], self.card["settings"]],
            "line": self.lines[:1],
            "lines": self.lines,
        }
        for content in roots[root]:
            *way, last = [int(step) if step.isdigit() else step for step in path]
            holder: Any = content
            for step in way:
                holder = holder[step]
            before = holder[last] if isinstance(holder, list) else holder.get(last)
            holder[last] = value(before) if callable(value) else copy.deepcopy(value)
        if root == "both":
            settings = self.card["settings"]
            told = {name: settings[name] for name in ("title", "frames")}
            self.card["model"].update(name=settings["model"], **told)

    def write(self, folder: Path) -> None:
        """Write the files."""
        (folder / RUN).write_text(json.dumps(self.run))
        (folder / CARD).write_text(json.dumps(self.card))
        write(folder / JOURNAL, self.journal())

    def journal(self) -> bytes:
        """The journal, unpacked."""
        return b"".join(json.dumps(line).encode() + b"\n" for line in self.lines)


def unpacked(file: Path) -> bytes:
    """The bytes of a file, those of a journal unpacked."""
    return gzip.decompress(file.read_bytes()) if file.name == JOURNAL else file.read_bytes()


def write(file: Path, content: bytes) -> None:
    """The opposite of `unpacked`."""
    file.write_bytes(gzip.compress(content, compresslevel=1) if file.name == JOURNAL else content)


def put(*pairs: tuple[str, object]) -> Change:
    """Set places of the content."""

    def change(folder: Path) -> None:
        content = Content(folder)
        for place, value in pairs:
            content.put(place, value)
        content.write(folder)

    return change


def each_value(
    values: Mapping[str, Sequence[object]], also: Mapping[str, str], verb: str
) -> Iterator[Hostile]:
    """One hostile submission for each of the `values` of a place; `also` are patterns of what may be said."""
    for place, given in values.items():
        says = f"{says_of(place)}|{also.get(place, 'digits')}"
        for value in given:
            told = getattr(value, "__name__", None) or str(value)
            yield Hostile(f"{place} {verb} {told[:60]!r}", put((place, value)), says=says)


def scored(*pairs: tuple[str, object], clusters: str = "source") -> Change:
    """Set places of run.json and the journal, then score and pack the run as its owner would."""

    def change(folder: Path) -> None:
        put(*pairs)(folder)
        with tempfile.TemporaryDirectory() as name:
            run = Path(name, "r")
            run.mkdir()
            shutil.copy(folder / RUN, run)
            (run / "journal.jsonl").write_bytes(unpacked(folder / JOURNAL))
            mb.score(run, data="sample", metrics=METRICS, clusters=clusters, progress=None)
            journal, content, card = packed_run(RunRecord.read(run))
        (folder / JOURNAL).write_bytes(gzip.compress(journal))
        (folder / RUN).write_text(json.dumps(content))
        (folder / CARD).write_text(json.dumps(card.to_json()))

    return change


def literal(place: str, value: str) -> Change:
    """Set a place to the text of a JSON value, which need not be valid."""
    mark = "the mark that is replaced"

    def change(folder: Path) -> None:
        put((place, mark))(folder)
        for file in FILES:
            text = unpacked(folder / file).replace(json.dumps(mark).encode(), value.encode())
            write(folder / file, text)

    return change


def doubled(file: str, pair: str) -> Change:
    """Write a key and its value, as they stand in the text of a file, twice."""

    def change(text: bytes) -> bytes:
        assert pair.encode() in text, f"{file} holds no {pair}"
        return text.replace(pair.encode(), f"{pair},{pair}".encode(), 1)

    return recoded(file, change)


def recoded(file: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of a file; of the journal, unpacked."""
    return lambda folder: write(folder / file, change(unpacked(folder / file)))


def repacked(change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of the packed journal."""
    return lambda folder: (folder / JOURNAL).write_bytes(change((folder / JOURNAL).read_bytes()))


def bomb(part: bytes, times: int) -> Change:
    """A journal of `part`, many times; each is packed alone."""
    return lambda folder: (folder / JOURNAL).write_bytes(gzip.compress(part, mtime=0) * times)


def instead(file: str, make: Change) -> Change:
    """Make something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / file).unlink()
        make(folder / file)

    return change


def instead_of_folder(make: Callable[[Path, Path], object]) -> Change:
    """Make something else in the place of the folder; where that is now is the second argument."""

    def change(folder: Path) -> None:
        away = folder.parent.with_name(f"away {folder.name}")
        folder.rename(away)
        make(folder, away)

    return change


def extra(name: str | bytes) -> Change:
    """Write one more file."""
    return lambda folder: (folder / os.fsdecode(name)).touch()


def link(file: Path) -> None:
    """A link to a whole file elsewhere."""
    away = file.parent.parent.with_name(f"away {file.parent.name} {file.name}")
    away.write_bytes(b"{}")
    file.symlink_to(away)


def device(file: Path) -> None:
    """A device that never ends, or a link to it where none can be made."""
    try:
        os.mknod(file, 0o20666, os.makedev(1, 5))
    except PermissionError:
        file.symlink_to("/dev/zero")


def sparse(file: Path) -> None:
    """A file of a terabyte that takes no space."""
    with file.open("wb") as out, suppress(OSError):  # some file systems have a limit below
        out.truncate(1 << 40)


def nested(depth: int) -> Any:
    """Objects in objects."""
    found: Any = 1
    for _ in range(depth):
        found = {"a": found}
    return found
