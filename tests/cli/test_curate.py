"""`microg-bench curate`: what is typed wrong meets one line, before anything is written."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.helpers.datasets import bench
from tests.helpers.videos import write_clip

pytestmark = pytest.mark.heavy


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "orbit.mp4", 100)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("none.mp4", "--out", "out"), "no such video or folder"),
        ((".", "--out", "out", "--stages", "trim,cat"), "--stages: unknown stage 'cat'"),
        ((".", "--out", "out", "--stages", "key frames"), "--stages: tracks is needed, too"),
        ((".", "--out", "out", "--stages", " ,"), "--stages: names none of trim, person"),
        ((".", "--out", "out", "--stages", "cut"), "--stages: no clip of this footage is cut"),
        ((".", "--out", "out", "--recipe", "mine"), "--recipe: unknown recipe 'mine'"),
        ((".", "--out", "out", "--recipe", "none.toml"), "none.toml"),
        ((".", "--out", "out", "--detector", "yolo"), "--detector: unknown detector 'yolo'"),
        ((".", "--out", "out", "--manifest", "none.csv"), "none.csv"),
        (("orbit.mp4/..", "--out", "orbit.mp4"), "orbit.mp4"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    footage: Path, arguments: tuple[str, ...], reason: str
) -> None:
    done = bench("curate", *arguments, cwd=footage.parent)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert reason in line
    assert [one.name for one in footage.parent.iterdir()] == ["orbit.mp4"]


def test_the_verb_run_may_be_left_out(footage: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    for verb in ((), ("run",)):
        given = ("orbit.mp4", "--out", "out", "--detector", "hog", "--stages", "trim,person")
        done = bench("curate", *verb, *given, "--dry-run", cwd=footage.parent)
        assert (done.returncode, done.stdout.split()[:2]) == (0, ["1", "video"]), done.stderr
    assert "run" in bench("curate", "--help", cwd=footage.parent).stdout


def test_clips_can_be_cut_without_a_detector(footage: Path) -> None:
    done = bench("curate", "orbit.mp4", "--out", "out", "--stages", "trim", cwd=footage.parent)
    assert done.returncode == 0, done.stderr
    assert (footage.parent / "out" / "videos" / "real" / "orbit" / "orbit_000.mp4").is_file()


def test_a_dry_run_on_footage_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    done = bench("curate", "bad.mp4", "--out", "out", "--stages", "trim", "--dry-run", cwd=tmp_path)
    assert (done.returncode, "bad.mp4: is not a readable" in done.stderr) == (1, True)


@pytest.mark.slow
def test_a_dry_run_does_not_ask_the_hub(footage: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_error(503)

        do_GET = do_HEAD

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address, "HF_HOME": str(footage.parent / "cache")}
        done = bench("curate", "orbit.mp4", "--out", "out", "--dry-run", cwd=footage.parent, env=env)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("give about 1 clip: 0 are cut, 0 are judged\n")
    assert "a dry run fetches no weights: ustc-community/dfine-small-coco: cannot be loaded" in done.stderr
    assert asked == []
