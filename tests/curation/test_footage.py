"""Footage is found by its name, and the manifest says where it is from."""

from pathlib import Path

import pytest

from microg_bench.curation.folder import Footage
from microg_bench.curation.footage import FoundFootage, find_footage, read_manifest
from microg_bench.errors import DataError, MicrogError, UsageError
from tests.helpers.curations import make_curation


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


def by_name(found: FoundFootage) -> dict[str, Footage]:
    return {one.name: one for one in found.files.values()}


def test_videos_of_files_and_folders_are_found_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.mp4", "a/deep/two.MKV", "a/notes.txt", "three.avi")
    given = [tmp_path / "a", tmp_path / "three.avi", tmp_path / "a" / "one.mp4"]
    found = find_footage(given, tmp_path / "out").files
    assert [one.name for one in found.values()] == ["one", "three", "two"]
    assert {one.kind for one in found.values()} == {"real"}
    assert all(one.size == 1 and one.modified for one in found.values())


def test_the_manifest_goes_with_its_footage(tmp_path: Path) -> None:
    touch(tmp_path, "one.mp4", "two.mp4")
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "name,kind,origin,licence,mission,crew\n"
        'one,movie,"a studio, 1995",all rights reserved,,\n'
        "two.mp4,,NASA,public domain,ISS-40,Gerst\n"
    )
    found = by_name(find_footage([tmp_path], tmp_path / "out", manifest))
    assert (found["one"].kind, found["one"].origin) == ("movie", "a studio, 1995")
    assert (found["two"].kind, found["two"].licence, found["two"].mission) == (
        "real",
        "public domain",
        "ISS-40",
    )
    assert (found["one"].more, found["two"].more) == ({}, {"crew": "Gerst"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("file,origin\none,NASA\n", "lacks the column 'name'"),
        ("", "lacks the column 'name'"),
        ("name,kind\none,dream\n", "row 1: kind 'dream' is not real or movie"),
        ("name\none\none.mp4\n", "one and one.mp4 are rows of one video"),
        ("name\none\none\n", "row 2: 'one' is there twice"),
        ("name,origin\none,NASA,more\n", "row 1: has another number of fields"),
        ("name,origin\none\n", "row 1: has another number of fields"),
        ("name,origin\nfour,NASA\n", "unknown footage 'four'"),
        ('name\n"one\n', "is no CSV"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    touch(tmp_path, "one.mp4")
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        find_footage([tmp_path], tmp_path / "out", tmp_path / "m.csv")
    assert reason in str(caught.value)
    assert "m.csv" in str(caught.value)


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """A curation that knows the videos `orbit` and `film`, a movie; both are in the folder `videos`."""
    touch(tmp_path, "videos/orbit.mp4", "videos/film.mp4")
    return make_curation(tmp_path / "station").path


def test_what_is_known_of_footage_is_kept(station: Path, tmp_path: Path) -> None:
    known = by_name(find_footage([tmp_path / "videos"], station))
    assert (known["film"].kind, known["film"].origin, known["film"].licence) == (
        "movie",
        "NASA",
        "public domain",
    )
    assert known["film"].modified == (tmp_path / "videos" / "film.mp4").stat().st_mtime_ns
    manifest = tmp_path / "m.csv"
    manifest.write_text("name,origin,mission,crew\nfilm,,Apollo,Ann\n")
    told = by_name(find_footage([tmp_path / "videos"], station, manifest))
    assert told["orbit"] == known["orbit"], "the manifest has no row for it"
    assert (told["film"].kind, told["film"].licence) == ("movie", "public domain"), "no column says more"
    assert (told["film"].origin, told["film"].mission, told["film"].more) == ("", "Apollo", {"crew": "Ann"})


def test_a_manifest_may_name_other_footage_of_the_curation(station: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("name,kind,licence\norbit,,CC0\nfilm.mp4,movie,none\n")
    found = find_footage([tmp_path / "videos" / "orbit.mp4"], station, manifest)
    assert by_name(found)["orbit"].licence == "CC0"
    assert {name: one.licence for name, one in found.others.items()} == {"film": "none"}
    manifest.write_text("name,kind\nfilm,real\n")
    with pytest.raises(DataError, match="film: kind is movie in .*station: give its video"):
        find_footage([tmp_path / "videos" / "orbit.mp4"], station, manifest)
    manifest.write_text("name\nfilms\n")
    with pytest.raises(DataError, match="unknown footage 'films': did you mean film"):
        find_footage([tmp_path / "videos" / "orbit.mp4"], station, manifest)


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.mp4", "b/one.avi")
    with pytest.raises(DataError, match="has the name of .*one"):
        find_footage([tmp_path], tmp_path / "out")


def test_where_there_is_no_video_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such video or folder"):
        find_footage([tmp_path / "none"], tmp_path / "out")
    with pytest.raises(UsageError, match="holds no video"):
        find_footage([tmp_path], tmp_path / "out")


@pytest.mark.parametrize("name", [".hidden.mp4", "a#b.mp4", "x" * 198 + ".mp4", " a.mp4"])
def test_a_name_that_cannot_be_an_id_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    with pytest.raises(MicrogError, match="is not a safe video_id|too long, or has blanks"):
        find_footage([tmp_path / name], tmp_path / "out")


def test_what_is_hidden_and_what_is_a_curation_is_no_footage(tmp_path: Path) -> None:
    touch(tmp_path, "one.mp4", "._one.mp4", ".trash/two.mp4")
    touch(tmp_path, "out/curation.json", "out/videos/real/one/one_000.mp4", "out/more/three.mp4")
    found = find_footage([tmp_path], tmp_path / "another")
    assert [one.name for one in found.files.values()] == ["one"]
    with pytest.raises(UsageError, match="it is a curation, not footage"):
        find_footage([tmp_path / "out"], tmp_path / "another")


@pytest.mark.parametrize("folder", [".", "videos", "videos/real", "link"])
def test_a_folder_where_clips_go_is_no_footage(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, "station/videos/real/one.mp4")
    (tmp_path / "station" / "link").symlink_to(tmp_path / "station")
    with pytest.raises(UsageError, match="^--out: its clips would be footage in "):
        find_footage([tmp_path / "station" / folder], tmp_path / "station")


def test_an_empty_value_of_a_manifest_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("name,origin\none, \n")
    assert read_manifest(tmp_path / "m.csv") == {"one": {"name": "one", "origin": ""}}
