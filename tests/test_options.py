from pathlib import Path

import pytest

from microg_bench.cli.options import read_toml
from microg_bench.errors import UsageError
from microg_bench.options import Options


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "c.toml").write_text(text)
    return tmp_path / "c.toml"


def test_later_layers_win_and_none_means_not_given() -> None:
    options = Options.of({"model": "blind", "seed": 3}, {"model": None, "seed": 5})
    assert (options.model, options.seed, options.protocol) == ("blind", 5, "paper")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": "many"}, "--frames: "),
        ({"batch_size": 0}, "--batch-size: "),
        ({"num_workers": 65}, "--num-workers: "),
        ({"tasks": ("dance",)}, "--tasks: "),
        ({"protocol": "papr"}, "--protocol: .*'paper', 'coco' or 'coco-isolated'"),
        ({"metrics": "Cider"}, "--metrics: unknown metric 'Cider': did you mean CIDEr"),
        ({"engine_args": ["max_num_seqs"]}, "--engine-arg: 'max_num_seqs': give NAME=VALUE"),
        ({"processor_args": ["size=3"]}, "--processor-arg: 'size': give images.NAME or videos.NAME"),
        ({"processor_args": {"videos.": 3}}, "--processor-arg: 'videos.': give images.NAME"),
        ({"processor_args": {"videos": 3}}, "--processor-arg: 'videos': give images.NAME"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_option(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options.of(given)


@pytest.mark.parametrize("protocol", ["paper", "coco", "coco-isolated"])
def test_every_protocol_is_accepted(protocol: str) -> None:
    assert Options.of({"protocol": protocol}).protocol == protocol


def test_a_toml_file_gives_any_option_with_hyphens_or_underscores(tmp_path: Path) -> None:
    lines = ('model = "blind"', "batch-size = 2", f'bertscore_model = "{tmp_path}"', 'clips = ["a_001"]')
    path = write(tmp_path, "\n".join(lines))
    options = Options.of(read_toml(path))
    assert options == Options(model="blind", batch_size=2, bertscore_model=str(tmp_path), clips=("a_001",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "unknown option 'modle': did you mean model"),
        ("= 1", "c.toml: --config: cannot be read"),
        (f"x = {'[' * 100_000}", "c.toml: --config: cannot be read"),
    ],
)
def test_a_bad_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Options.of(read_toml(write(tmp_path, text)))


def test_a_config_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none.toml"):
        read_toml(tmp_path / "none.toml")


def test_arguments_of_the_processor_are_given_flat_or_nested() -> None:
    flat = Options.of({"processor_args": ['videos.size={"longest_edge": 9}', "videos.do-resize=false"]})
    nested = Options.of({"processor_args": {"videos": {"size": {"longest_edge": 9}, "do_resize": False}}})
    assert flat == nested
    assert flat.processor_args == {"videos.size": {"longest_edge": 9}, "videos.do_resize": False}
    assert flat.processor_kwargs() == {"videos_kwargs": {"size": {"longest_edge": 9}, "do_resize": False}}
    assert Options().processor_kwargs() == {}
