from microg_bench.leaderboard.table import markdown
from microg_bench.runs.scorecard import FloorEntry, IntervalEntry, ModelEntry, Scorecard, ScoreEntry, status
from microg_bench.runs.slices import Abstention


def card(title: str = "Model", **changed: object) -> Scorecard:
    values = {
        "status": "complete",
        "task": "vqa",
        "protocol": "paper",
        "items": 1500,
        "dataset": "set",
        "fingerprint": "f",
        "model": ModelEntry(name="m", title=title, frames="uniform:8", frame_count=8),
        "scores": {
            "CIDEr": ScoreEntry(value=12.345, interval=(10.0, 14.5), signature="CIDEr|p:paper"),
            "METEOR": ScoreEntry(unavailable="no Java found"),
        },
        "floors": {"blind": FloorEntry(title="Floor: blind", scores={"CIDEr": 20.0})},
        "abstention": Abstention(absent=4, present=0, rightly=0.5, wrongly=None),
        "interval": IntervalEntry(level=0.95, clusters="source", cluster_count=3, resamples=1000, seed=0),
    }
    return Scorecard.model_validate({**values, **changed})


def test_a_table_has_the_papers_columns_with_intervals_floors_and_signatures() -> None:
    assert markdown([card(), card("Other")]).splitlines() == [
        "Question answering on set, 1,500 items, protocol `paper`",
        "",
        "| Model | #f | CIDEr | METEOR |",
        "|---|---:|---:|---:|",
        "| Model | 8 | 12.35 | n/a |",
        "| *95% interval* | | 10.00–14.50 |  |",
        "| Other | 8 | 12.35 | n/a |",
        "| *95% interval* | | 10.00–14.50 |  |",
        "| Floor: blind | 0 | 20.00 | n/a |",
        "| *Model: gain over blind* | | -7.65 | n/a |",
        "| *Other: gain over blind* | | -7.65 | n/a |",
        "",
        "- METEOR: no Java found",
        '- "Not mentioned." was answered to 50.0% of the 4 absent questions (rightly)',
        "- intervals: 1,000 resamples of 3 source videos",
        "- signatures: `CIDEr|p:paper`",
    ]


def test_without_intervals_the_table_does_not_speak_of_them() -> None:
    text = markdown([card(scores={"CIDEr": ScoreEntry(value=1.0)})])
    assert "interval" not in text


def test_a_floor_is_not_shown_beside_itself() -> None:
    model = ModelEntry(name="blind", title="Floor: blind", frames="none", frame_count=0)
    assert markdown([card(model=model)]).count("Floor: blind") == 1


def test_an_incomplete_run_says_so_in_the_first_line() -> None:
    text = markdown([card(status=status(failures=3, missing=1))])
    first = "**Model: incomplete: 3 requests failed and 1 items have no prediction; "
    assert text.splitlines()[0] == first + "not admissible to a leaderboard**"


def test_a_hostile_title_stays_one_cell_of_text() -> None:
    row = markdown([card("a|b\n<script>")]).splitlines()[4]
    assert row == "| a\\|b &lt;script&gt; | 8 | 12.35 | n/a |"
