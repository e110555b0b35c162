import numpy as np

from microg_bench.adapters.references import References
from microg_bench.records import Clip, Question, Request
from microg_bench.video.decode import Frames
from model_adapters.blind import Blind
from model_adapters.constant import ANSWER, CAPTION, Constant
from model_adapters.nearest_clip import NearestClip

CLIPS = (
    Clip(video_id="a_1", source="a", caption="own", questions=(Question(text="Who floats?", answer="own"),)),
    Clip(
        video_id="b_1",
        source="b",
        caption="a red pen floats",
        questions=(Question(text="Who floats?", answer="Ann"),),
    ),
    Clip(
        video_id="c_1",
        source="c",
        caption="a red pen",
        questions=(Question(text="What is red?", answer="A pen."),),
    ),
    Clip(video_id="d_1", source="d", caption="a blue dog barks", questions=()),
)
CAPTIONING = Request(id="a_1", task="caption", video_id="a_1", source="a")


def asking(question: str) -> Request:
    return Request(id="a_1#1", task="vqa", video_id="a_1", source="a", question=question)


def frames(*levels: int) -> Frames:
    pixels = np.stack([np.full((48, 64, 3), level, dtype=np.uint8) for level in levels])
    count = len(levels)
    return Frames(pixels, tuple(range(count)), tuple(n / 30 for n in range(count)), 30.0, count, count / 30)


def test_constant_says_the_same_of_everything() -> None:
    view = References(CLIPS).without("a")
    assert Constant().answer(CAPTIONING, None, view) == CAPTION
    assert Constant().answer(asking("Who?"), None, view) == ANSWER == "Not mentioned."


def test_blind_answers_the_most_similar_question_and_captions_with_the_medoid() -> None:
    view = References(CLIPS).without("a")
    assert Blind().answer(asking("who FLOATS"), None, view) == "Ann"
    assert Blind().answer(asking("What is red?"), None, view) == "A pen."
    assert Blind().answer(CAPTIONING, None, view) == "a red pen"


def test_blind_has_nothing_to_say_where_there_is_no_other_source() -> None:
    view = References(CLIPS[:1]).without("a")
    assert Blind().answer(CAPTIONING, None, view) == ""
    assert Blind().answer(asking("Who floats?"), None, view) == ""


def test_nearest_clip_repeats_what_is_said_of_the_clip_that_looks_most_alike() -> None:
    baseline = NearestClip()
    vectors = {
        clip.video_id: baseline.describe(frames(level))
        for clip, level in zip(CLIPS, (100, 200, 40, 110), strict=True)
    }
    references = References(CLIPS, vectors)
    own, view = references.descriptor("a_1"), references.without("a")
    assert baseline.answer(CAPTIONING, own, view) == "a blue dog barks"
    assert baseline.answer(asking("Who floats?"), own, view) == "A pen.", "d_1 has no questions, c_1 is next"


def test_a_descriptor_sees_colour_place_and_motion() -> None:
    describe = NearestClip().describe
    still, moving = describe(frames(50, 50)), describe(frames(0, 100))
    assert still.shape == moving.shape == (2 * 8 * 8 * 3,)
    assert np.allclose(still[:192], 50 / 255)
    assert not still[192:].any()
    assert np.allclose(moving[192:], 100 / 255)


def test_a_descriptor_is_defined_for_a_frame_smaller_than_the_grid() -> None:
    pixels = np.full((1, 3, 5, 3), 51, dtype=np.uint8)
    vector = NearestClip().describe(Frames(pixels, (0,), (0.0,), 30.0, 1, 1 / 30))
    assert np.allclose(vector[:192], 0.2)
