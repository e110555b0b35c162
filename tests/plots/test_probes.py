"""The chart of probes: all conditions and metrics, and the same bytes for the same report."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from microg_bench.plots.probes import draw_probes
from microg_bench.scoring.probes import PROBES, MetricEffect, ProbeEffect, ProbeReport
from tests.helpers.figures import svg_words

pytestmark = pytest.mark.heavy


def report(title: str = "A model") -> ProbeReport:
    effects = tuple(
        ProbeEffect(
            probe=name,
            task="vqa",
            base=probe.base,
            transforms=label,
            sampled=False,
            asked=100,
            items=100,
            other=0.4 if name != "crop" else None,
            metrics={}
            if name == "crop"
            else {
                "CIDEr": MetricEffect(
                    base=40.0, changed=38.0, difference=-2.0, interval=(-3.0, -1.0), p=0.01, corrected=0.02
                ),
                "ROUGE-L": MetricEffect(base=30.0, changed=30.5, difference=0.5, interval=None, p=None),
            },
        )
        for name, probe in PROBES.items()
        for label in probe.conditions
    )
    return ProbeReport(title=title, dataset="refs", fingerprint="0" * 64, warnings=(), effects=effects)


def test_a_chart_has_every_condition_and_metric(tmp_path: Path) -> None:
    files = draw_probes(report(), tmp_path)
    assert [file.name for file in files] == ["vqa-probes.png", "vqa-probes.svg"]
    words = set(svg_words(tmp_path / "vqa-probes.svg"))
    assert {label for probe in PROBES.values() for label in probe.conditions} <= words
    assert {"CIDEr", "ROUGE-L", "other answers, %", "Question answering on refs: A model"} <= words


def test_the_same_report_gives_the_same_bytes_and_any_title_is_drawn(tmp_path: Path) -> None:
    first, second = (draw_probes(report("A{$x_1$}\n\x1b[31m <b>"), tmp_path / name) for name in "ab")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
