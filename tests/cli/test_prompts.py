"""`microg-bench prompts` lists the templates and renders one."""

from pathlib import Path

from microg_bench.prompts import shipped_templates
from tests.helpers.datasets import bench


def test_all_prompts_are_listed_with_their_hash(tmp_path: Path) -> None:
    done = bench("prompts", cwd=tmp_path)
    assert done.returncode == 0
    for template in shipped_templates().values():
        assert template.id in done.stdout
        assert template.sha256[:8] in done.stdout


def test_one_is_shown_as_a_model_gets_it(tmp_path: Path) -> None:
    done = bench("prompts", "show", "vqa-default", "--question", "What floats?", cwd=tmp_path)
    assert done.returncode == 0
    assert "[user] What floats?" in done.stdout
    assert "Not mentioned." in done.stdout


def test_an_unknown_one_suggests_the_nearest(tmp_path: Path) -> None:
    done = bench("prompts", "show", "vqa-defualt", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean vqa-default" in done.stderr
