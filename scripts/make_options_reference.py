"""Writes docs/reference/options.md, the reference of all options, as `microg_bench.options` declares them.

python scripts/make_options_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from microg_bench.cli.options import choices, default_words, kind
from microg_bench.options import Group, Options, about, flag
from microg_bench.storage import write_text

PAGE = Path(__file__).parent.parent / "docs/reference/options.md"

INTRO = """\
# Options

<!-- Written by scripts/make_options_reference.py: edit microg_bench/options.py instead. -->

`run` takes all of these options. `caption` and `vqa` take all but `--tasks`, `--boxes` and `--split`. `sweep`
takes all but `--batch`, and lists as `--frames` and `--prompt`. `score` takes those under *Scoring*. Options
that belong to one verb, such as `--run` and `--dry-run`, are in [Command line](command-line.md).

- **In Python**, an option is a keyword argument of `evaluate`, named as its field: `--max-tokens 64` is
  `max_tokens=64`. See [Python API](../how-to/api.md).
- **In a file**, `--config FILE.toml` reads options by the name of the field or of the flag. An option on the
  command line overrides the file.

  ```toml
  model = "qwen2.5-vl"
  data = "microg-4m"
  max_tokens = 128
  engine_args = { max_num_batched_tokens = 8192 }
  ```
- **In a run**, `run.json` records under `options` those that differ from their defaults, by the name of
  the field. `--config RUN/run.json` repeats the run, and refuses where a setting would differ.

The name of the field is the flag with underscores, except where the table names it.

**Answers** marks the options that can change an answer. Another value leads to another default run folder.
A run is resumed only under the same settings, which follow from these options and are in `run.json` too.

**Engines** names the engines that take an option; the others refuse it before anything is loaded. No name
means that the engine makes no difference.
"""

_KINDS = {bool: "flag", int: "integer", float: "number", str: "text", tuple: "list", dict: "NAME=VALUE"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([INTRO, *(line for group in get_args(Group) for line in _table(group))])


def _table(group: str) -> Iterator[str]:
    yield from (f"## {group}", "")
    yield from ("| option | value | default | answers | engines | meaning |", "|---|---|---|---|---|---|")
    for name in Options.model_fields:
        if about(name).group == group:
            yield _row(name)
    yield ""


def _row(name: str) -> str:
    told = about(name)
    field = "" if flag(name) == f"--{name.replace('_', '-')}" else f" (field `{name}`)"
    changes = "yes" if told.moves_answer else ""
    cells = [f"`{flag(name)}`{field}", _value(name), default_words(name), changes, ", ".join(told.engines)]
    return f"| {' | '.join([*cells, told.help])} |"


def _value(name: str) -> str:
    """The choices, or the type with its bounds."""
    field = Options.model_fields[name]
    if choices(name):
        return ", ".join(f"`{choice}`" for choice in choices(name))
    bounds = [
        f"{sign} {getattr(one, bound):g}"
        for one in field.metadata
        for bound, sign in _BOUNDS.items()
        if hasattr(one, bound)
    ]
    return ", ".join([_KINDS[kind(name)], *bounds])


if __name__ == "__main__":
    write_text(PAGE, page())
