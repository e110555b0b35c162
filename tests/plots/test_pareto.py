"""Charts of scores against cost on board."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from microg_bench.plots.pareto import draw_fronts
from tests.helpers.figures import crowded, svg_words
from tests.helpers.measured import CPU, GIB, GPU, make_measurement, on_board

pytestmark = pytest.mark.heavy


def test_each_hardware_has_its_chart(tmp_path: Path) -> None:
    tables = [
        on_board(
            tmp_path / one.cpu / str(len(one.gpus)),
            A=(20.0, make_measurement(one)),
            B=(30.0, make_measurement(one)),
        )
        for one in (CPU, GPU)
    ]
    files = draw_fronts(tables, tmp_path / "out")
    stems = ["vqa-on-board-board-cpu-8-cores", "vqa-on-board-board-gpu"]
    assert [file.name for file in files] == [
        f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")
    ]
    words = svg_words(tmp_path / "out" / f"{stems[1]}.svg")
    assert {
        "A (20 clips)",
        "B (20 clips)",
        "CIDEr, ×100",
        "peak memory, GiB (lower is better)",
        "tokens/s (higher is better)",
    } <= set(words)
    assert "Question answering on refs, on board: Board GPU" in words
    assert "Board CPU" not in " ".join(words)


def test_a_chart_of_one_model_or_an_unknown_score_is_not_drawn(tmp_path: Path) -> None:
    one = on_board(tmp_path / "one", A=(20.0, make_measurement()))
    two = on_board(tmp_path / "two", A=(20.0, make_measurement()), B=(20.0, make_measurement()))
    assert draw_fronts([one], tmp_path / "out") == []
    assert draw_fronts([two], tmp_path / "out", "no metric") == []
    assert [file.name for file in draw_fronts([two], tmp_path / "out", "BLEU-4")]


def test_the_front_is_filled_and_a_step_for_each_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B is worse than A in all but weights, of which A tells none; C is slow, large and good."""
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: object, **options: object) -> None:
        drawn.append(figure)
        save(figure, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    table = on_board(
        tmp_path,
        A=(20.0, make_measurement(weights=None)),
        B=(19.0, make_measurement(tokens_per_second=30.0, weights=GIB)),
        C=(40.0, make_measurement(tokens_per_second=1.0, seconds_per_clip=900.0, weights=70 * GIB)),
    )
    draw_fronts([table], tmp_path)
    panels = {axes.get_xlabel().split(" (")[0]: axes for axes in drawn[0].axes if axes.get_visible()}
    tokens = {line.get_label(): line for line in panels["tokens/s"].lines[1:]}
    filled = {name for name, line in tokens.items() if line.get_markerfacecolor() == line.get_color()}
    assert filled == {"A (20 clips)", "C (20 clips)"}
    assert list(panels["tokens/s"].lines[0].get_xdata()) == [1.0, 40.0]
    assert panels["s/clip"].get_xscale() == "log"
    assert {line.get_label() for line in panels["weights, GiB"].lines} >= {
        "B (20 clips)",
        "C (20 clips)",
    }
    assert "A (20 clips)" not in {line.get_label() for line in panels["weights, GiB"].lines}
    assert crowded(drawn[0]) == []


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    table = on_board(tmp_path, A=(20.0, make_measurement()), B=(30.0, make_measurement()))
    contents = [
        [file.read_bytes() for file in draw_fronts([table], tmp_path / name)] for name in ("one", "two")
    ]
    assert contents[0] == contents[1]
