"""docs/reference/options.md tells of every option as it is declared."""

import runpy
from pathlib import Path

from microg_bench.options import Options, flag

ROOT = Path(__file__).parent.parent


def test_the_page_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts/make_options_reference.py"))
    told = (ROOT / "docs/reference/options.md").read_text(encoding="utf-8")
    assert told == script["page"](), "run: python scripts/make_options_reference.py"


def test_every_option_has_one_row() -> None:
    rows = [
        line
        for line in (ROOT / "docs/reference/options.md").read_text(encoding="utf-8").splitlines()
        if "| `--" in line
    ]
    assert [sum(line.startswith(f"| `{flag(name)}`") for line in rows) for name in Options.model_fields] == [
        1
    ] * len(rows)
