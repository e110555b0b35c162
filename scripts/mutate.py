"""Breaks one module in one place at a time, and lists the changes that no test near it notices.

python scripts/mutate.py microg_bench/scoring/intervals.py [--lines 200-245]

The tests of a module are those of `NEAR`. Each change is tried in a copy of the checkout, in a process that
is forked from one that has loaded the libraries. Processes that the tests start run the changed module too.
Changed code may delete the wrong file: do not run this as root outside a container.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The tests near each module: together they take seconds.
NEAR = {
    "microg_bench/annotation/agreement.py": ["tests/annotation/test_agreement.py"],
    "microg_bench/annotation/verdicts.py": ["tests/annotation/test_judge.py"],
    "microg_bench/curation/agreement.py": ["tests/curation/test_agreement.py"],
    "microg_bench/runs/merge.py": ["tests/runs/test_merge.py"],
    "microg_bench/annotation/questions.py": ["tests/annotation/test_questions.py"],
    "microg_bench/annotation/reviews.py": ["tests/annotation/test_reviews.py"],
    "microg_bench/dataset/text_faults.py": [
        *("tests/dataset/test_check.py", "tests/annotation/test_consistency.py"),
    ],
    "microg_bench/scoring/intervals.py": ["tests/scoring/test_intervals.py"],
    "microg_bench/scoring/compare.py": ["tests/scoring/test_compare.py"],
    "microg_bench/scoring/probes.py": ["tests/scoring/test_probes.py"],
    "microg_bench/scoring/repeats.py": ["tests/scoring/test_repeats.py", "tests/test_repeats.py"],
    "microg_bench/scoring/rates.py": ["tests/scoring/test_rates.py"],
    "microg_bench/scoring/rank_correlation.py": ["tests/scoring/test_rank_correlation.py"],
    "microg_bench/runs/budget.py": ["tests/runs/test_budget.py"],
    "microg_bench/runs/statistics.py": ["tests/runs/test_statistics.py"],
    "microg_bench/scorecard.py": ["tests/test_scorecard.py"],
    "microg_bench/storage.py": ["tests/test_storage.py", "tests/test_storage_reading.py"],
    "microg_bench/submissions/actions.py": ["tests/submissions/test_actions.py"],
    "microg_bench/submissions/baselines.py": ["tests/submissions/test_baselines.py"],
    "microg_bench/submissions/claims.py": ["tests/submissions/test_claims.py"],
    "microg_bench/submissions/faults.py": ["tests/submissions/test_faults.py"],
    "microg_bench/submissions/frames.py": ["tests/submissions/test_frames.py"],
    "microg_bench/submissions/load.py": ["tests/submissions/test_load.py"],
    "microg_bench/submissions/rescore.py": ["tests/submissions/test_rescore.py"],
    "microg_bench/submissions/titles.py": ["tests/submissions/test_titles.py"],
    "microg_bench/adapters/base.py": ["tests/adapters/test_base.py"],
    "microg_bench/har/scoring.py": ["tests/har/test_scoring.py"],
    "microg_bench/scoring/abstention.py": ["tests/scoring/test_abstention.py"],
    "microg_bench/scoring/baselines.py": ["tests/scoring/test_baselines.py"],
    "microg_bench/scoring/comparison_notes.py": ["tests/scoring/test_comparison_notes.py"],
    "microg_bench/scoring/coverage.py": ["tests/scoring/test_coverage.py"],
    "microg_bench/scoring/evaluate.py": ["tests/scoring/test_evaluate.py", "tests/scoring/test_slices.py"],
    "microg_bench/scoring/paraphrase_rows.py": ["tests/scoring/test_paraphrase_rows.py"],
    "microg_bench/scoring/paraphrases.py": ["tests/scoring/test_paraphrases.py"],
    "microg_bench/scoring/predictions.py": ["tests/scoring/test_predictions.py"],
    "microg_bench/scoring/score.py": ["tests/scoring/test_score.py", "tests/scoring/test_abstention.py"],
    "microg_bench/scoring/slices.py": ["tests/scoring/test_slices.py"],
    "microg_bench/slices.py": ["tests/test_slices.py"],
    "microg_bench/har/answers.py": ["tests/har/test_answers_by_hand.py"],
    "microg_bench/persons/boxes.py": ["tests/persons/test_boxes.py", "tests/har/test_scoring.py"],
    "microg_bench/persons/keyframes.py": ["tests/persons/test_keyframes.py"],
    "microg_bench/tables/rows.py": ["tests/tables/test_rows.py"],
    "microg_bench/tables/har_rows.py": ["tests/tables/test_asked_rows.py", "tests/tables/test_har_rows.py"],
    "microg_bench/tables/repeats.py": ["tests/tables/test_repeats.py"],
    "microg_bench/tables/on_board.py": ["tests/tables/test_on_board.py"],
    "microg_bench/runs/cost.py": ["tests/runs/test_cost.py"],
    "microg_bench/runs/agreement.py": ["tests/runs/test_agreement.py"],
    "microg_bench/engines/vendors.py": ["tests/engines/test_vendors.py"],
}
# Loaded before anything is forked; none of them starts a thread when it is imported.
LIBRARIES = ("hypothesis", "numpy", "polars", "pydantic", "rich", "scipy.stats", "typer", "yaml")
SURVIVED, KILLED, LATE = "survived", "killed", "killed (time)"

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.MatMult: ast.Mult,
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "break": "continue", "continue": "break"}
_SAID = (ast.JoinedStr, ast.Raise)  # what these hold is words, not behaviour
_TYPES = ("annotation", "returns", "type_params")


def changes(node: ast.AST, field: str) -> Iterator[ast.AST]:
    """What may stand in the place of a node, in the field `field` of its parent."""
    if field in ("test", "ifs") and not _negated_below(node):
        yield ast.UnaryOp(ast.Not(), node)
    match node:
        case ast.Compare(left, [*operators], comparators):
            for k, one in enumerate(operators):
                yield ast.Compare(
                    left, [*operators[:k], _OPERATORS[type(one)](), *operators[k + 1 :]], comparators
                )
        case ast.BinOp(left, operator, right) | ast.AugAssign(left, operator, right):
            yield type(node)(left, _OPERATORS[type(operator)](), right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(_OPERATORS[type(operator)](), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1 if value < 100 else value * 2)
        case ast.Name(name) if name in _NAMES:
            yield ast.Name(_NAMES[name])
    yield from _without(node)


def _without(node: ast.AST) -> Iterator[ast.AST]:
    """A statement that does nothing in the place of one that does."""
    match node:
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Constant()):
            pass
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _negated_below(node: ast.AST) -> bool:
    """Whether another change of the same condition is its negation."""
    match node:
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]):
            return True
        case ast.UnaryOp(ast.Not()) | ast.Constant():
            return True
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"


def mutants(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line of each change and what it is, with `tree` changed until the next one is asked for."""
    for parent in _behaviour(tree):
        for field, value in ast.iter_fields(parent):
            if field in (*_TYPES, "decorator_list") or isinstance(parent, _SAID):
                continue
            siblings = value if isinstance(value, list) else [value]
            for place, node in enumerate(siblings):
                if not isinstance(node, ast.AST) or (field == "keywords" and node.arg == "strict"):
                    continue
                for other in changes(node, field):
                    siblings[place] = ast.copy_location(other, node)
                    setattr(parent, field, value if isinstance(value, list) else other)
                    yield node.lineno, f"{_line(node)}  ->  {_line(other)}"
                    siblings[place] = node
                    setattr(parent, field, value)


def _behaviour(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those below it; of types only the bounds that they give as arguments of calls."""
    yield node
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(node, _SAID) or field == "decorator_list":
                continue
            if field in _TYPES:
                calls = (one for one in ast.walk(child) if isinstance(one, ast.Call))
                yield from (word for call in calls for word in call.keywords)
            elif not (
                isinstance(node, ast.Call) and isinstance(child, ast.keyword) and child.arg == "strict"
            ):
                yield from _behaviour(child)


def _line(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())[:100]


def copy_checkout(to: Path) -> Path:
    """A copy of the files that git knows or does not ignore, with the real data beside it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split(
        "\0"
    ):
        if name and (ROOT / name).is_file():
            (to / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / "checkout" / name)
    if (ROOT.parent / "shared").is_dir():
        (to / "shared").symlink_to(ROOT.parent / "shared")
    return to / "checkout"


def tried(checkout: Path, tests: list[str], seconds: float) -> tuple[str, str]:
    """What becomes of the tests, run in a process of their own, and the last lines that they print."""
    output = checkout.parent / "output"
    pid = os.fork()
    if not pid:
        _run(checkout, tests, output)
    late = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > late:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return LATE, ""
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return KILLED if status else SURVIVED, "\n".join(output.read_text(errors="replace").splitlines()[-15:])


def _run(checkout: Path, tests: list[str], output: Path) -> None:
    """Run the tests in this process, and end it."""
    os.setsid()
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    os.environ["PYTHONPATH"] = str(checkout)
    code = 3
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        with suppress(BaseException):
            code = int(pytest.main(["-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]))
        sys.stdout.flush()
    os._exit(code)


def main() -> int:
    """Try the changes of one module; 1 where one of them survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("module", choices=sorted(NEAR))
    parser.add_argument("--lines", default="1-9999", help="only the changes between these lines")
    given = parser.parse_args()
    first, last = map(int, given.lines.split("-"))
    for name in LIBRARIES:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        checkout = copy_checkout(Path(folder))
        begun = time.monotonic()
        result, output = tried(checkout, NEAR[given.module], 600)
        if result != SURVIVED:
            sys.exit(f"the tests fail without a change:\n{output}")
        seconds = 10 + 3 * (time.monotonic() - begun)
        # What is compiled now stays; a changed module is compiled each time.
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        tree = ast.parse((ROOT / given.module).read_text(encoding="utf-8"))
        found: Counter[str] = Counter()
        for line, change in mutants(tree):
            if first <= line <= last:
                (checkout / given.module).write_text(ast.unparse(ast.fix_missing_locations(tree)))
                result, _ = tried(checkout, NEAR[given.module], seconds)
                found[result] += 1
                if result == SURVIVED:
                    print(f"{given.module}:{line}: {change}", flush=True)
    print(
        f"{found.total()} changes: " + ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
    )
    return int(SURVIVED in found)


if __name__ == "__main__":
    sys.exit(main())
