import numpy as np
import pytest

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import References
from microg_bench.adapters.registry import find_adapter
from microg_bench.dataset.load import load
from microg_bench.records import Clip, Question
from microg_bench.tasks import TASKS

BASELINES = ("constant", "blind", "nearest-clip")


def clip(video_id: str, word: str) -> Clip:
    return Clip(
        video_id=video_id,
        source=video_id.partition("_")[0],
        caption=f"caption {word}",
        questions=(Question(text=f"question {word}?", answer=f"answer {word}"),),
    )


def test_a_view_holds_nothing_of_its_source() -> None:
    clips = (clip("a_1", "one"), clip("a_2", "two"), clip("b_1", "three"))
    references = References(clips, {one.video_id: np.ones(2) for one in clips})
    view = references.without("a")
    assert view.clips == (clips[2],)
    assert view.captions == ("caption three",)
    assert view.questions == clips[2].questions
    assert list(view.descriptors) == ["b_1"]


def test_the_nearest_clip_comes_first() -> None:
    clips = (clip("a_1", "one"), clip("b_1", "two"), clip("c_1", "three"), clip("d_1", "four"))
    vectors = {"a_1": np.array([0.0]), "b_1": np.array([5.0]), "c_1": np.array([1.0])}
    view = References(clips, vectors).without("a")
    assert [one.video_id for one in view.by_similarity(np.array([0.0]))] == ["c_1", "b_1"]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("task", ["caption", "vqa"])
def test_a_baseline_never_depends_on_the_references_of_its_own_source(name: str, task: str) -> None:
    """Replacing every reference text of one source must not change the answers about that source."""
    baseline = find_adapter(name)
    assert isinstance(baseline, Baseline)
    clips = load("sample").clips
    source = clips[0].source
    changed = tuple(_scrambled(one) if one.source == source else one for one in clips)
    generator = np.random.default_rng(0)
    vectors = {one.video_id: generator.random(4) for one in clips}

    def answers(references: References) -> list[str]:
        requests = [item.request for one in clips if one.source == source for item in TASKS[task].items(one)]
        return [
            baseline.answer(
                request, references.descriptor(request.video_id), references.without(request.source)
            )
            for request in requests
        ]

    before = answers(References(clips, vectors))
    assert before
    assert all(before)
    assert answers(References(changed, vectors)) == before


def _scrambled(one: Clip) -> Clip:
    questions = tuple(Question(text=question.text, answer="LEAK") for question in one.questions)
    return one.model_copy(update={"caption": "LEAK " + (one.caption or ""), "questions": questions})
