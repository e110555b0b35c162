"""The page of what a check of captions and pairs has found."""

from collections.abc import Sequence
from pathlib import Path

from microg_bench.annotation.consistency import TextFinding
from microg_bench.dataset.load import Dataset
from microg_bench.pages.folder import new_folder
from microg_bench.pages.shell import render

COMPONENTS = ("filters", "list", "viewer", "keys")


def write_findings_page(
    dataset: Dataset, findings: Sequence[TextFinding], model: str | None, out: Path
) -> Path:
    """Write the page into the folder `out`: findings with the texts of their clips.

    Args:
        dataset: what was checked.
        findings: what is wrong with it.
        model: the title of the model that was asked; None for none.
        out: a folder that is new, empty, or holds a page that was written here.

    Returns:
        The file of the page.

    Raises:
        UsageError: `out` holds files from elsewhere.
        RunError: it cannot be written.
    """
    shown = [{"id": f"{n}:{one.item}", **one.model_dump(), **_place(one)} for n, one in enumerate(findings)]
    wanted = {one["clip"] for one in shown}
    clips = {
        clip.video_id: {
            "caption": clip.caption,
            "pairs": [[pair.text, pair.answer] for pair in clip.questions],
        }
        for clip in dataset.clips
        if clip.video_id in wanted
    }
    page = render(
        "findings",
        COMPONENTS,
        {"findings": shown, "clips": clips},
        title=f"Findings in {dataset.name}",
        dataset=dataset.name,
        clips=len(dataset.clips),
        pairs=sum(len(clip.questions) for clip in dataset.clips),
        model=f"asked: {model}" if model else "no model was asked",
    )
    with new_folder(out) as pages:
        pages.write("index.html", page)
    return out / "index.html"


def _place(finding: TextFinding) -> dict[str, object]:
    """The clip that a finding is about, and the number of its pair, 0 for none."""
    clip, _, pair = finding.item.partition("#")
    return {"clip": clip, "pair": int(pair) if pair else 0}
