import hashlib
import inspect
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from microg_bench.adapters import registry
from microg_bench.adapters.registry import find_adapter, registered
from microg_bench.errors import UsageError

GOOD = """
from microg_bench.adapters.base import Adapter

class Mine(Adapter):
    name = "mine"
    title = "Mine"
    checkpoint = "org/mine"
"""


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "mine.py").write_text(text)
    return str(tmp_path / "mine.py")


def test_the_shipped_models_are_registered_and_sound() -> None:
    found = {one.name: one for one in registered()}
    assert {"constant", "blind", "nearest-clip", "qwen2.5-vl"} <= found.keys()
    assert {name: one.problem for name, one in found.items() if one.problem} == {}
    assert find_adapter("qwen2.5-vl").frames == 9


def test_the_nearest_names_are_suggested_for_an_unknown_model() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'qwen2.5vl': did you mean qwen2.5-vl"):
        find_adapter("qwen2.5vl")


def test_an_adapter_file_works_at_once(tmp_path: Path) -> None:
    adapter = find_adapter(write(tmp_path, GOOD))
    assert adapter.checkpoint == "org/mine"
    assert len(registry.source_sha256(adapter)) == 64


PACKAGE = {
    "__init__.py": "",
    "mine.py": GOOD + "from mypackage.words import WORD\n",
    "words.py": "from . import letters\nWORD = letters.A\n",
    "letters/__init__.py": "from .vowels import A\n",
    "letters/vowels.py": "import mypackage.words\nA = 'a'\n",
    "unused.py": "",
}


@pytest.mark.parametrize("changed", [name for name in PACKAGE if name not in ("__init__.py", "unused.py")])
def test_another_module_that_it_imports_makes_another_adapter(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in PACKAGE.items():
        (tmp_path / "mypackage" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "mypackage" / name).write_text(text)
    adapter = find_adapter(str(tmp_path / "mypackage" / "mine.py"))
    before = registry.source_sha256(adapter)
    (tmp_path / "mypackage" / "unused.py").write_text("x = 1")
    assert registry.source_sha256(adapter) == before
    with (tmp_path / "mypackage" / changed).open("a") as file:
        file.write("# changed")
    assert registry.source_sha256(adapter) != before


def test_a_module_beside_an_adapter_that_is_in_no_package_is_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_mine.py").write_text("import helper_of_helper\n")
    (tmp_path / "helper_of_helper.py").write_text("")
    (tmp_path / "microg_bench.py").write_text("")
    file = tmp_path / "mine.py"
    file.write_text(
        "import helper_of_mine\n"
        "from microg_bench.adapters.base import Adapter\n"
        "class Mine(Adapter):\n    name = 'mine'\n    title = 'Mine'\n"
    )
    adapter = find_adapter(str(file))
    hashes = [registry.source_sha256(adapter)]
    for name in ("helper_of_mine.py", "helper_of_helper.py", "microg_bench.py"):
        with (tmp_path / name).open("a") as changed:
            changed.write("# changed\n")
        hashes.append(registry.source_sha256(adapter))
    assert len(set(hashes)) == 3, "the harness is known by its version"
    assert hashes[2] == hashes[3]


def test_the_hash_of_a_shipped_model_covers_what_its_loader_imports() -> None:
    adapter = find_adapter("video-chatgpt")
    folder = Path(inspect.getfile(type(adapter))).parent
    parts = [folder / name for name in ("video_chatgpt.py", "_video_chatgpt.py", "_own_model.py")]
    told = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    assert registry.source_sha256(adapter) == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "expected one subclass of Adapter, found 0"),
        (GOOD + GOOD.replace("Mine", "Other"), "found 2"),
        (GOOD.replace('title = "Mine"', ""), "does not declare title"),
        (GOOD.replace('title = "Mine"', r'title = "Mine \ud800"'), "calls itself .* which cannot be printed"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
        (GOOD.replace('"mine"', '"blind"'), "'blind' is taken twice: by .*model_adapters.blind"),
    ],
)
def test_a_bad_adapter_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        find_adapter(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.py: no such file"):
        find_adapter(str(tmp_path / "none.py"))


def points(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in pairs]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def test_a_name_that_two_packages_claim_is_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    points(monkeypatch, ("blind", "model_adapters.blind:Blind"), ("blind", "other.module:Blind"))
    with pytest.raises(
        UsageError, match=r"taken twice: by .*model_adapters.blind:Blind and by .*other.module:Blind"
    ):
        registered()


def test_a_broken_plugin_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    points(
        monkeypatch,
        ("blind", "model_adapters.blind:Blind"),
        ("broken", "no_such_package:Model"),
        ("wrong", "model_adapters.blind:Request"),
        ("renamed", "model_adapters.constant:Constant"),
    )
    problems = {one.name: one.problem for one in registered()}
    assert problems["blind"] == ""
    assert "cannot be imported" in problems["broken"]
    assert "not a subclass" in problems["wrong"]
    assert "calls itself 'constant'" in problems["renamed"]
