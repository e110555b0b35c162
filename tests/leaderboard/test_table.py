from microg_bench.leaderboard.table import markdown
from microg_bench.runs.scorecard import ModelEntry, Scorecard, ScoreEntry, status


def card(title: str = "Model", **changed: object) -> Scorecard:
    values = {
        "status": "complete",
        "task": "vqa",
        "protocol": "paper",
        "items": 1500,
        "dataset": "set",
        "fingerprint": "f",
        "model": ModelEntry(name="m", title=title, frames="uniform:8", frame_count=8),
        "scores": {"CIDEr": ScoreEntry(value=12.345), "METEOR": ScoreEntry(unavailable="no Java found")},
    }
    return Scorecard.model_validate({**values, **changed})


def test_a_table_has_the_papers_columns_and_says_what_is_unavailable() -> None:
    assert markdown([card(), card("Other")]).splitlines() == [
        "Question answering on set, 1,500 items, protocol `paper`",
        "",
        "| Model | #f | CIDEr | METEOR |",
        "|---|---:|---:|---:|",
        "| Model | 8 | 12.35 | n/a |",
        "| Other | 8 | 12.35 | n/a |",
        "",
        "- METEOR: no Java found",
    ]


def test_an_incomplete_run_says_so_in_the_first_line() -> None:
    text = markdown([card(status=status(failures=3, missing=1))])
    first = "**Model: incomplete: 3 requests failed and 1 items have no prediction; "
    assert text.splitlines()[0] == first + "not admissible to a leaderboard**"


def test_a_hostile_title_stays_one_cell_of_text() -> None:
    row = markdown([card("a|b\n<script>")]).splitlines()[4]
    assert row == "| a\\|b &lt;script> | 8 | 12.35 | n/a |"
