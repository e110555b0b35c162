"""Tables of scorecards and of sweeps in Markdown."""

import pytest

from microg_bench.scorecard import (
    Abstention,
    BaselineEntry,
    Counts,
    IntervalEntry,
    ModelEntry,
    Scorecard,
    ScoreEntry,
    Signature,
)
from microg_bench.slices import SliceDifference, SliceEntry
from microg_bench.tables.markdown import scorecard_table, sweep_table
from microg_bench.video.sampling import FrameSpec


def card(title: str = "Model", **changed: object) -> Scorecard:
    values = {
        "status": "complete",
        "task": "vqa",
        "protocol": "paper",
        "items": 1500,
        "dataset": "set",
        "fingerprint": "f",
        "model": ModelEntry(name="m", title=title, frames=FrameSpec(count=8), frame_count=8),
        "scores": {
            "CIDEr": ScoreEntry(
                value=12.345,
                interval=(10.0, 14.5),
                signature=Signature(metric="CIDEr", values={"protocol": "paper"}),
            ),
            "METEOR": ScoreEntry(unavailable="no Java found"),
        },
        "baselines": {"blind": BaselineEntry(title="Baseline: blind", scores={"CIDEr": 20.0})},
        "abstention": Abstention(
            unanswerable=4, answerable=0, rate_on_unanswerable=0.5, rate_on_answerable=None
        ),
        "interval": IntervalEntry(level=0.95, clusters="source", cluster_count=3, resamples=1000, seed=0),
    }
    return Scorecard.model_validate({**values, **changed})


def test_a_table_has_the_papers_columns_with_intervals_baselines_and_signatures() -> None:
    assert scorecard_table([card(), card("Other")]).splitlines() == [
        "Question answering on set, 1,500 items, protocol `paper`",
        "",
        "| Model | #f | CIDEr | METEOR |",
        "|---|---:|---:|---:|",
        "| Model<sup>a</sup> | 8 | 12.35 | n/a |",
        "| *95% interval* |  | 10.00–14.50 |  |",
        "| Other<sup>a</sup> | 8 | 12.35 | n/a |",
        "| *95% interval* |  | 10.00–14.50 |  |",
        "| Baseline: blind | 0 | 20.00 | n/a |",
        "| *Model: gain over blind* |  | -7.65 | n/a |",
        "| *Other: gain over blind* |  | -7.65 | n/a |",
        "",
        "- <sup>a</sup> METEOR: no Java found",
        '- "Not mentioned." was answered to 50.0% of the 4 unanswerable questions (correctly)',
        "- intervals: percentile, 1,000 resamples of 3 source videos (fewer than 20: often too narrow)",
        "- signatures: `CIDEr|p:paper`",
    ]


def test_slices_that_differ_have_a_table_of_their_own() -> None:
    differs = SliceDifference(value=-4.256, p=0.0004, corrected=0.0123)
    alike = SliceDifference(value=3.0, p=0.4, corrected=1.0)
    entries = {
        "sit|up": SliceEntry(
            items=1200, sources=12, scores={}, differences={"CIDEr": differs, "METEOR": alike}
        ),
        "walk": SliceEntry(items=30, sources=3, scores={}, differences={"CIDEr": alike}),
    }
    one = card(slices={"action_group": entries})
    lines = scorecard_table([one]).splitlines()
    place = lines.index("| Slice less other items | items | sources | CIDEr | METEOR |")
    assert lines[place - 1 : place + 4] == [
        "",
        "| Slice less other items | items | sources | CIDEr | METEOR |",
        "|---|---:|---:|---:|---:|",
        "| action group: sit\\|up | 1,200 | 12 | -4.26 (p 0.0123) |  |",
        "",
    ]
    assert sum(line.startswith("- 1 of 2 slices") for line in lines) == 1
    several = scorecard_table([card("Other"), one]).splitlines()
    assert "| Model | action group: sit\\|up | 1,200 | 12 | -4.26 (p 0.0123) |  |" in several
    alone = scorecard_table([card(slices={"action": {"walk": entries["walk"]}})])
    assert "Slice less" not in alone and "- 0 of 1 slices" in alone


def test_without_intervals_the_table_does_not_speak_of_them() -> None:
    text = scorecard_table([card(scores={"CIDEr": ScoreEntry(value=1.0)}, interval=None)])
    assert "interval" not in text


def test_a_score_without_an_interval_is_named_with_the_number_of_clusters() -> None:
    scores = {"CIDEr": ScoreEntry(value=1.0), "BLEU-4": ScoreEntry(value=2.0)}
    text = scorecard_table([card(scores=scores)])
    assert "- no interval for CIDEr, BLEU-4: too few source videos (3)\n" in text
    assert "95%" not in text
    scores["BLEU-4"] = ScoreEntry(value=2.0, interval=(1.0, 3.0))
    text = scorecard_table([card(scores=scores)])
    assert "- no interval for CIDEr: too few source videos (3)\n" in text
    assert "resamples of 3 source videos" in text


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1, "too few source videos (1)"),
        (7, "too few of the 7 source videos score differently"),
        (5000, "5000"),
    ],
)
def test_why_a_score_has_no_interval_is_told(count: int, reason: str) -> None:
    found = IntervalEntry(level=0.95, clusters="source", cluster_count=count, resamples=1000, seed=0)
    text = scorecard_table([card(scores={"BLEU-4": ScoreEntry(value=2.0)}, interval=found)])
    (line,) = (line for line in text.splitlines() if "no interval for BLEU-4: " in line)
    assert reason in line


@pytest.mark.parametrize(("count", "few"), [(19, True), (20, False)])
def test_fewer_than_20_clusters_are_warned_about(count: int, few: bool) -> None:
    how = IntervalEntry(
        method="symmetric bootstrap-t",
        level=0.95,
        clusters="clip",
        cluster_count=count,
        resamples=1000,
        seed=0,
    )
    told = f"- intervals: symmetric bootstrap-t, 1,000 resamples of {count} clips"
    expected = told + (" (fewer than 20: often too narrow)" if few else "")
    assert expected in scorecard_table([card(interval=how)]).splitlines()


def test_a_baseline_is_not_shown_beside_itself() -> None:
    model = ModelEntry(name="blind", title="Baseline: blind", frame_count=0)
    assert scorecard_table([card(model=model)]).count("Baseline: blind") == 1


def test_an_incomplete_run_says_so_in_the_first_line() -> None:
    text = scorecard_table([card(status="incomplete: 3 requests failed; not admissible to a leaderboard")])
    assert text.splitlines()[0] == (
        "**Model: incomplete: 3 requests failed; not admissible to a leaderboard**"
    )


def test_a_hostile_title_stays_one_cell_of_text() -> None:
    row = scorecard_table([card("a|b\n<script>")]).splitlines()[4]
    assert row == "| a\\|b &lt;script&gt;<sup>a</sup> | 8 | 12.35 | n/a |"


def test_a_score_that_rounds_to_zero_has_no_sign() -> None:
    scores = {"S-BERT": ScoreEntry(value=-0.001, interval=(-0.002, 0.001))}
    text = scorecard_table([card(scores=scores, baselines={})])
    assert "0.00–0.00" in text and "-0.00" not in text


def test_counts_that_are_not_zero_are_said_below_the_table() -> None:
    counts = Counts(answered=1500, missing=2, unknown=3, empty=4, truncated=700, filtered=5, declined=1)
    lines = scorecard_table([card(counts=counts)]).splitlines()
    assert lines[0] == "Question answering on set, 1,500 of 1,502 items, protocol `paper`"
    assert lines[4].startswith("| Model<sup>a,b,c,d,e,f,g</sup> | 8 |")
    assert [line for line in lines if "answer" in line or "predictions" in line][1:-1] == [
        "- <sup>a</sup> without an answer: 2 of 1,502 items",
        "- <sup>b</sup> 4 of 1,500 answers are empty",
        "- <sup>c</sup> 700 of 1,500 answers hit the token limit; raise --max-tokens",
        "- <sup>d</sup> 5 of 1,500 answers were stopped by the vendor's content filter",
        "- <sup>e</sup> 1 of 1,500 answers was declined by the model",
        "- <sup>f</sup> predictions of no item: 3",
    ]


def test_a_row_is_marked_with_its_own_letters_only() -> None:
    scores = {"CIDEr": ScoreEntry(value=1.0)}
    empty = card("Other", scores=scores, counts=Counts(answered=1500, empty=4))
    lines = scorecard_table([card(scores=scores), empty]).splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:6]] == ["Model", "Other<sup>a</sup>"]


def test_scores_that_say_little_are_told_before_them() -> None:
    counts = Counts(answered=1500, truncated=700, declined=50, flagged=750)
    assert scorecard_table([card(counts=counts)]).splitlines()[:6] == [
        "**Model: 700 of 1,500 answers hit the token limit; raise --max-tokens**",
        "",
        "**Model: 50 of 1,500 answers were declined by the model**",
        "",
        "**Model: in all, 750 of 1,500 answers are one of these**",
        "",
    ]


def test_a_sweep_has_a_table_a_task_and_a_row_a_configuration() -> None:
    caption = card(task="caption", scores={"CIDEr": ScoreEntry(value=1.0)})
    changed = {"status": "incomplete: 2 requests failed", "counts": Counts(answered=1500, truncated=7)}
    cut = caption.model_copy(update=changed)
    text = sweep_table({"frames8|plain": [caption, card()], "frames1": [cut, card()]})
    assert text.splitlines() == [
        "Captioning, 1,500 items, protocol `paper`",
        "",
        "| Configuration | #f | CIDEr |",
        "|---|---:|---:|",
        "| frames8\\|plain | 8 | 1.00 |",
        "| frames1<sup>a,b</sup> | 8 | 1.00 |",
        "",
        "- <sup>a</sup> incomplete: 2 requests failed",
        "- <sup>b</sup> 7 of 1,500 answers hit the token limit; raise --max-tokens",
        "- no interval for CIDEr: too few source videos (3)",
        "",
        "Question answering, 1,500 items, protocol `paper`",
        "",
        "| Configuration | #f | CIDEr | METEOR |",
        "|---|---:|---:|---:|",
        "| frames8\\|plain<sup>a</sup> | 8 | 12.35 (10.00–14.50) | n/a |",
        "| frames1<sup>a</sup> | 8 | 12.35 (10.00–14.50) | n/a |",
        "",
        "- <sup>a</sup> METEOR: no Java found",
        "- intervals: percentile, 1,000 resamples of 3 source videos (fewer than 20: often too narrow)",
    ]
