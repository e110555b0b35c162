"""Every heading of a column says what it is."""

from microg_bench.annotation.verdicts import SCHEMES
from microg_bench.metrics import METRICS
from microg_bench.pages.headings import explanations
from microg_bench.scoring.probes import PROBES
from microg_bench.tables.published import read_facts


def test_every_metric_and_every_column_of_the_paper_is_explained() -> None:
    tables = read_facts().tables
    names = [
        *METRICS,
        *(heading for table in tables for heading in table.headings),
        *(column.heading for table in tables for column in table.columns),
    ]
    assert [name for name in names if name not in explanations(names)] == []


def test_every_score_of_a_judge_and_every_condition_of_a_probe_is_explained() -> None:
    scores = [score for scheme in SCHEMES.values() for score in scheme.scores]
    conditions = [label for probe in PROBES.values() for label in probe.conditions]
    told = explanations([*scores, *conditions], judged=True)
    assert list(told) == list(dict.fromkeys([*scores, *conditions]))
    assert told["recall"] != explanations(["recall"])["recall"]


def test_what_is_not_known_is_not_explained() -> None:
    assert explanations(["<b>", "validation mAP", "last mAP"]).keys() == {"validation mAP"}
