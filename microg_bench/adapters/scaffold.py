"""Writes the start of a new adapter, commented line by line, and its test."""

import keyword
import re
from pathlib import Path

import jinja2

from microg_bench.adapters.registry import MARK
from microg_bench.errors import UsageError
from microg_bench.storage import write_text

_SKELETON = Path(__file__).with_name("skeleton")
_NAME = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*")


def write_adapter(name: str, folder: Path) -> tuple[Path, Path]:
    """Write `folder/my_model.py` and `folder/test_my_model.py` for the name `my-model`; returns both.

    Raises:
        UsageError: `name` is no model name, or one of the files exists already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no model name: use lower-case letters, digits, dots and hyphens")
    module = re.sub(r"[.-]", "_", name)
    if keyword.iskeyword(module):
        raise UsageError(f"{name!r} is a word of Python: take another name")
    files = {"adapter": folder / f"{module}.py", "test": folder / f"test_{module}.py"}
    for file in files.values():
        if file.exists():
            raise UsageError("exists already; nothing was written", path=file)
    words = {
        "mark": MARK,
        "name": name,
        "title": name.replace("-", " ").title(),
        "class_name": "".join(part.capitalize() for part in re.split(r"[._-]", name)),
        "file": files["adapter"].name,
        "test_file": files["test"].name,
    }
    for kind, file in files.items():
        template = jinja2.Template((_SKELETON / f"{kind}.py.jinja").read_text(), keep_trailing_newline=True)
        write_text(file, template.render(words))
    return files["adapter"], files["test"]
