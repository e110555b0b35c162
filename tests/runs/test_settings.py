from pathlib import Path

import pytest

from microg_bench.errors import UsageError
from microg_bench.runs.settings import Options, difference, make_options, read_config


def write(tmp_path: Path, text: str, name: str = "c.toml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_later_layers_win_and_none_means_not_given() -> None:
    options = make_options({"model": "blind", "seed": 3}, {"model": None, "seed": 5})
    assert (options.model, options.seed, options.protocol) == ("blind", 5, "paper")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": "many"}, "--frames"),
        ({"batch_size": 0}, "--batch-size"),
        ({"decoders": 65}, "--decoders"),
        ({"tasks": ("dance",)}, "--tasks"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_option(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_options(given)


def test_a_toml_file_gives_any_option_with_hyphens_or_underscores(tmp_path: Path) -> None:
    path = write(tmp_path, 'model = "blind"\nbatch-size = 2\nbertscore_model = "enc"\nclips = ["a_001"]\n')
    given, settings = read_config(path)
    assert settings is None
    options = make_options(given)
    assert options == Options(model="blind", batch_size=2, bertscore_model="enc", clips=("a_001",))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("modle = 'x'", "c.toml", "unknown option 'modle': did you mean model"),
        ("= 1", "c.toml", "cannot be read"),
        ("{}", "run.json", "not a run.json of this version"),
        ("[", "run.json", "cannot be read"),
        ("[" * 100_000, "run.json", "cannot be read"),
    ],
)
def test_a_bad_config_is_named(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(write(tmp_path, text, name))


def test_a_config_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml"):
        read_config(tmp_path / "none.toml")


def test_the_first_difference_is_told_in_words() -> None:
    same = {"frames": "uniform:8", "clips": ["a"]}
    assert difference(same, dict(same)) is None
    assert difference(same, {**same, "frames": "uniform:9"}) == "frames: uniform:8 → uniform:9"
    assert difference(same, {"frames": "uniform:8"}) == 'clips: ["a"] → null'
