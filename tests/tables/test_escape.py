"""Whatever a model is called, it stays text: in Markdown, in LaTeX, in a spreadsheet."""

import csv
import json
import re

import pytest

from microg_bench.tables import latex
from microg_bench.tables.csv_json import to_csv, to_json
from microg_bench.tables.latex import to_latex
from microg_bench.tables.markdown import to_markdown
from microg_bench.text import markdown, markdown_code, one_line
from tests.helpers.tables import HOSTILE, line_of, ours, table


def test_a_hostile_name_is_one_cell_of_markdown() -> None:
    one = table(4, ours(HOSTILE))
    (row,) = [line for line in to_markdown(one).splitlines() if "script" in line]
    assert "<script>" not in row
    assert len(re.findall(r"(?<!\\)\|", row)) == len(one.facts.labels) + len(one.facts.columns) + 1


def test_a_hostile_name_commands_nothing_in_latex() -> None:
    text = to_latex(table(4, ours(HOSTILE)))
    assert r"\input" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}" in text


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
@pytest.mark.parametrize("before", ["", " ", "\t", "\r\n", "\0"])
def test_a_name_is_no_formula_in_a_spreadsheet(sign: str, before: str) -> None:
    one = table(4, ours(f"{before}{sign}1+2", status=f"{sign}3"))
    (line,) = [row for row in csv.DictReader(to_csv(one).splitlines()) if row["model"].endswith("1+2")]
    assert line["model"] == f"'{sign}1+2"
    assert line["notes"].startswith(f"'{sign}3; ")


def test_json_holds_a_name_as_it_is() -> None:
    content = json.loads(json.dumps(to_json(table(4, ours(HOSTILE)))))
    assert HOSTILE in [row["labels"]["model"] for row in content["rows"]]


def test_line_breaks_and_signs_that_steer_become_spaces() -> None:
    assert one_line("a\nb\r\x1b[31m\u202ec\u2028d\ud800 \t e") == "a b [31m c d e"
    assert line_of(table(4, ours("a\n| b")), "a\n| b").labels[0]  # the table itself holds it as it is


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
        ("[a](b)", r"\[a\](b)"),
        ("pip install 'a-b[c,d]'", "pip install 'a-b[c,d]'"),
        ("a[b](c)", r"a\[b\](c)"),
        ("a[b][c]", r"a\[b\]\[c\]"),
        ("a[b]: c", r"a\[b\]: c"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("2) item", r"2\) item"),
        ("---", r"\---"),
        ("my_set_1", "my_set_1"),
        ("a__b", "a__b"),
        ("_a_ b_", r"\_a\_ b\_"),
        ("__a__", r"\_\_a\_\_"),
        ("a_-_b", r"a\_-\_b"),
        ("#f", "#f"),
        ("# f", r"\# f"),
        ("## f", r"\#\# f"),
        ("#1", r"\#1"),
        ("23.61", "23.61"),
        ("4x16", "4x16"),
    ],
)
def test_markdown_stays_text(text: str, safe: str) -> None:
    assert markdown(text) == safe


def test_code_cannot_be_ended() -> None:
    assert markdown_code("a`b\nc") == "`a'b c`"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a--b", "a-{}-{}b"),
        ("[1]", "{[}1]"),
        ("*", "{*}"),
        ("50% & #1_2", r"50\% \& \#1\_2"),
        ("é宇", "é{[}U+5B87]"),
        ("a – b", "a -- b"),
    ],
)
def test_latex_stays_text(text: str, safe: str) -> None:
    assert latex.escape(text) == safe
