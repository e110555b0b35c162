"""Prompt templates: found by name, rendered in a sandbox, known by the hash of what a model is told."""

from pathlib import Path

import pytest

from microg_bench.errors import DataError, UsageError
from microg_bench.prompts import find_template, read_template, shipped_templates
from microg_bench.records import Request

ASKED = Request(id="a#1", task="vqa", video_id="a", source="a", question="Who {{ 7*7 }}?")


def write(tmp_path: Path, user: str, task: str = "vqa", extra: str = "") -> Path:
    path = tmp_path / "p.toml"
    path.write_text(f"id = 'p'\nversion = 1\ntask = '{task}'\npurpose = 'x'\nuser = '''{user}'''\n{extra}")
    return path


def test_every_task_has_a_default_and_a_plain_prompt_without_the_hint() -> None:
    for task in ("caption", "vqa"):
        default, plain = find_template(task, "default"), find_template(task, "plain")
        assert default.sha256 != plain.sha256
        assert "Not mentioned." not in plain.user
    assert "Not mentioned." in find_template("vqa", "default").user


def test_ids_say_task_and_name_and_every_file_has_a_purpose() -> None:
    templates = shipped_templates()
    assert list(templates) == sorted(templates)
    for name, template in templates.items():
        assert name.startswith(f"{template.task}-")
        assert template.purpose
        assert template.version >= 1
        assert str(template.identity) == f"{name}@{template.version}:{template.sha256[:8]}"


def test_a_question_is_data_and_never_a_template() -> None:
    assert "Who {{ 7*7 }}?" in find_template("vqa", "default").render(ASKED).user


def test_the_hash_changes_with_the_words_and_not_with_the_purpose(tmp_path: Path) -> None:
    one = read_template(write(tmp_path, "{{ question }}"))
    assert read_template(write(tmp_path, "{{ question }}", extra="family = 'f'\n")).sha256 == one.sha256
    assert read_template(write(tmp_path, "{{ question }}!")).sha256 != one.sha256
    assert read_template(write(tmp_path, "{{ question }}", extra="system = 's'\n")).sha256 != one.sha256


@pytest.mark.parametrize(
    "user",
    [
        "{{ answer }}",
        "{{ question",
        "{% for x in range(9**9) %}{% endfor %}",
        "{{ question.__class__.mro() }}",
    ],
)
def test_a_template_that_reaches_for_more_is_refused(tmp_path: Path, user: str) -> None:
    with pytest.raises(DataError, match="prompt p: cannot be rendered"):
        read_template(write(tmp_path, user)).render(ASKED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = 3", "p.toml: prompt file: field id: "),
        ("= x", "cannot be read"),
        ("a = " + "[" * 100_000, "cannot be read"),
        ("a = " + "9" * 5_000, "cannot be read"),
        ("#" * 2**20 + "\n", "holds more than 1 MiB"),
        ("id = 'p'\nversion = 1\ntask = 'vqa'\npurpose = 'x'\n", "prompt file: field user: "),
        ("id = 'p'\nversion = 1\ntask = 'dance'\npurpose = 'x'\nuser = 'u'\n", "prompt file: field task: "),
    ],
)
def test_a_malformed_file_is_named_with_its_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_template(tmp_path / "p.toml")


def test_a_prompt_of_the_other_task_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prompt p is for vqa, not for caption"):
        find_template("caption", str(write(tmp_path, "{{ question }}")))
    with pytest.raises(UsageError, match="did you mean default"):
        find_template("caption", "defualt")
