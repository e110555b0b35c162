"""The files of clips that a page can play."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from microg_bench import privacy
from microg_bench.dataset.load import load
from microg_bench.pages.videos import copied, linked
from tests.helpers.datasets import make_dataset


def test_clips_are_linked_below_the_current_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "own" / "d t", ["a_001", "b_001"])
    dataset = load(str(data))
    clips = {clip.video_id for clip in dataset.clips}
    monkeypatch.chdir(tmp_path / "own")
    found = linked(dataset, clips, Path("runs", "r", "report"))
    assert set(found) == clips
    for clip in dataset.clips:
        assert clip.video
        assert found[clip.video_id].startswith("./../../../d%20t/")
        assert (
            tmp_path / "own/runs/r/report" / unquote(found[clip.video_id])
        ).resolve() == clip.video.resolve()
    assert linked(dataset, {"a_001"}, Path("report")).keys() == {"a_001"}
    assert linked(dataset, clips, tmp_path / "elsewhere") == {}
    monkeypatch.chdir(data)
    assert linked(dataset, clips, tmp_path / "own" / "report") == {}


def test_no_link_names_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load(str(make_dataset(tmp_path / "Annabel" / "data", ["a_001"])))
    monkeypatch.chdir(tmp_path)
    assert linked(dataset, {"a_001"}, Path("report"))
    monkeypatch.setenv("LOGNAME", "annabel")
    privacy._user_names.cache_clear()
    found = linked(dataset, {"a_001"}, Path("report"))
    privacy._user_names.cache_clear()
    assert found == {}


def test_copies_are_named_by_their_place(tmp_path: Path) -> None:
    hostile = "<img src=q onerror=alert(1)>'\"&amp;_001"
    dataset = load(str(make_dataset(tmp_path / "data", ["a_001", hostile])))
    written: dict[str, bytes] = {}
    found = copied(dataset, {hostile}, written.__setitem__)
    [place] = [k for k, clip in enumerate(dataset.clips) if clip.video_id == hostile]
    video = dataset.clips[place].video
    assert video and found == {hostile: f"videos/{place:05d}{video.suffix}"}
    assert written == {found[hostile]: video.read_bytes()}
