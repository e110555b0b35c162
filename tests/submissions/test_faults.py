"""What no honest submission holds: each fault alone, beside a sound run made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from microg_bench.adapters.base import Baseline
from microg_bench.adapters.references import baseline_answers
from microg_bench.adapters.registry import find_adapter, source_sha256
from microg_bench.dataset.load import Dataset, fingerprint
from microg_bench.prompts import shipped_templates
from microg_bench.records import Answer
from microg_bench.runs.record import RunRecord
from microg_bench.scorecard import REFERENCES, Counts, ScoreEntry
from microg_bench.settings import Media
from microg_bench.submissions import faults as module
from microg_bench.submissions.faults import answers_of, copies, doubts, faults, said, videos_of
from microg_bench.submissions.load import MAX_CONTEXT, MAX_WORD, RunSubmission
from microg_bench.tasks import TASKS, items_of
from microg_bench.video.sampling import FrameSpec
from tests.submissions.small import CLIPS, DATA, LIMIT, WORDS, alone, answer, made, score


def found(record: RunRecord, dataset: Dataset | None = None, **contents: Any) -> list[str]:
    return list(faults(RunSubmission(record.scorecard, contents, record), dataset))


def test_a_sound_run_has_no_fault(tmp_path: Path) -> None:
    record = made(tmp_path)
    assert found(record) == found(record, DATA) == []
    assert said(record) == 2 * sum(map(len, WORDS))
    record.answers["a_0#1"] = answer(0, reasoning="Hm.")
    assert said(record) == 2 * sum(map(len, WORDS)) + 3


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("x" * MAX_WORD, True),
        ("x" * (MAX_WORD + 1), False),
        ("/home/ann/data", False),
        ("<script>x</script>", False),
        ("javascript:alert(1)", False),
        ("a < b and b > a", True),
        ("two\nlines", False),
        ("\x1b[2J", False),
        ("Größe 3", True),
    ],
)
@pytest.mark.parametrize("place", ["value", "key", "item"])
def test_texts_are_plain_and_short(tmp_path: Path, text: str, sound: bool, place: str) -> None:
    content = {"value": {"a": {"b": text}}, "key": {"a": {text: 1}}, "item": {"a": [1, [text]]}}[place]
    where = {"value": "a.b", "key": "the key of a", "item": "a[1][0]"}[place]
    if sound:
        assert found(made(tmp_path), file=content) == []
    else:
        alone(found(made(tmp_path), file=content), "file: ", where)


def test_the_bounds_are_those_that_are_documented() -> None:
    assert (MAX_WORD, module.MAX_TEXT, module.MAX_REASONING, module.MAX_SAID) == (
        300,
        10**5,
        5 * 10**5,
        5 * 10**7,
    )
    assert (MAX_CONTEXT, module.MAX_SECONDS) == (2_000_000, 86_400)
    assert (module.KNOWN, module.COPIED) == (0.3, 0.9)


def test_scores_and_frames_that_cannot_be_are_refused(tmp_path: Path) -> None:
    record = made(tmp_path / "claims")
    record.scorecard = record.scorecard.model_copy(update=scores(record, CIDEr=score("CIDEr", 5000.0)))
    alone(found(record), "scores.CIDEr.value")
    for data in (None, DATA):
        record = made(tmp_path / f"frames-{data is None}", answer(2, frames=(67, 22)))
        alone(found(record, data), "a_2#1", "uniform:2")


def test_frames_are_of_clips_of_three_seconds_only_on_the_references_of_the_benchmark(tmp_path: Path) -> None:
    known, name = next(iter(REFERENCES.items()))
    long = (300, 900)  # of 1,200 frames
    assert found(made(tmp_path / "own", answer(2, frames=long))) == []
    assert found(made(tmp_path / "with", answer(2, frames=long)), DATA) == []
    record = made(tmp_path / "known", answer(2, frames=long), fingerprint=known, dataset=name)
    alone(found(record), "a_2#1", "uniform:2")
    alone(found(record, Dataset(name, CLIPS, known)), "a_2#1", "uniform:2")


@pytest.mark.parametrize("name", ["failed", "missing", "unknown", "repeated"])
def test_a_run_that_is_not_complete_is_refused(tmp_path: Path, name: str) -> None:
    record = made(tmp_path, card={"counts": Counts(**{"answered": 4, name: 1})})
    alone(found(record), f"counts.{name} is 1")
    record.scorecard = record.scorecard.model_copy(update={"counts": Counts(answered=4), "status": "half"})
    alone(found(record), "half")


def test_a_run_on_a_part_is_refused(tmp_path: Path) -> None:
    record = made(tmp_path, clips=("a_0",))
    assert record.settings.part
    alone(found(record), record.settings.part)


def scores(record: RunRecord, **changed: ScoreEntry) -> dict[str, Any]:
    return {"scores": {**record.scorecard.scores, **changed}}


def test_claims_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    record = made(tmp_path)
    sound, given = record.scorecard, record.settings

    def claims(**changed: Any) -> list[str]:
        record.scorecard = sound.model_copy(update=changed)
        return found(record)

    alone(claims(settings=given.model_copy(update={"title": "Other"})), "settings")
    alone(claims(task="caption"), "different tasks")
    alone(claims(fingerprint="e" * 64), "fingerprint")
    unscored = {"CIDEr": ScoreEntry(unavailable="no Java")}
    alone(claims(protocol="mine", scores=unscored), "mine")
    assert claims(protocol="coco", scores=unscored) == []
    alone(claims(scores={}), "no scores")
    alone(claims(scores={"S-BERT": ScoreEntry(unavailable="x")}), "S-BERT")
    assert any("Beauty" in one for one in claims(scores={"Beauty": ScoreEntry(unavailable="x")}))
    alone(claims(scores={"CIDEr": ScoreEntry()}), "CIDEr")
    assert claims(scores={"CIDEr": ScoreEntry(unavailable="no Java")}) == []
    assert claims(scores={"CIDEr": score("CIDEr", 0.0)}) == []


def test_known_references_go_by_their_own_name(tmp_path: Path) -> None:
    known, name = next(iter(REFERENCES.items()))
    record = made(tmp_path, fingerprint=known, dataset=name)
    assert found(record) == []
    record.scorecard = record.scorecard.model_copy(update={"dataset": "mine"})
    alone(found(record), "mine", name)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"checkpoint": "org/m"}, "settings.checkpoint"),
        ({"dtype": "float16"}, "settings.dtype"),
        ({"quantization": "awq"}, "settings.quantization"),
        ({"attn_implementation": "eager"}, "settings.attn_implementation"),
        ({"engine_args": {"x": 1}}, "settings.engine_args"),
        ({"processor_args": {"videos.x": 1}}, "settings.processor_args"),
        ({"media": Media(kind="images", jpeg_quality=90)}, "settings.media"),
    ],
)
def test_settings_that_the_engine_does_not_take_are_refused(
    tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    alone(found(made(tmp_path, **settings)), named)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("tensor_parallel_size", 2, "--tensor-parallel-size"),
        ("dtype", "float16", "--dtype"),
        ("engine", "vllm", "options.engine"),
        ("max_tokens", LIMIT + 1, "options.max_tokens"),
        ("temperature", 0.5, "options.temperature"),
        ("frames", 3, "options.frames"),
        ("model", "other", "options.model"),
        ("unknown", 1, "unknown"),
    ],
)
def test_options_that_the_engine_does_not_take_or_the_settings_do_not_have_are_refused(
    tmp_path: Path, option: str, value: object, named: str
) -> None:
    alone(found(made(tmp_path, options={"model": "m", option: value})), named)


def test_options_that_the_settings_have_are_sound(tmp_path: Path) -> None:
    fitting = {"engine": "function", "max_tokens": LIMIT, "temperature": 0.0, "frames": 2}
    assert found(made(tmp_path / "1", options={"model": "m", **fitting})) == []
    assert found(made(tmp_path / "2", options={"model": "own/adapter.py"})) == []
    # The rule sets the number of frames itself, and ignores that of the option.
    every = {f"a_{n}#1": answer(n, frames=tuple(range(90))) for n in range(4)}
    record = made(
        tmp_path / "3", *every.values(), options={"model": "m", "frames": 3}, frames=FrameSpec(how="all")
    )
    assert found(record) == []


def test_an_option_of_what_is_sent_is_that_of_the_settings(tmp_path: Path) -> None:
    for given, sound in (("images", True), ("clip", False)):
        record = made(
            tmp_path / given,
            engine="openai",
            checkpoint="gpt-4o",
            media=Media(kind="images", jpeg_quality=90),
            options={"model": "m", "media": given},
        )
        assert not found(record) if sound else "options.media" in " ".join(found(record))


def test_no_run_was_started_in_the_future_but_for_clocks_that_differ(tmp_path: Path) -> None:
    record = made(tmp_path)
    for hours, sound in ((-1, True), (23, True), (25, False)):
        started = datetime.now(UTC) + timedelta(hours=hours)
        record.starts[-1]["started"] = started.isoformat(timespec="seconds")
        assert not found(record) if sound else "starts[0]" in " ".join(found(record))
    record.starts[-1]["started"] = "2026-13-01T00:00:00+00:00"
    alone(found(record), "starts[0]")


@pytest.mark.parametrize(
    ("media", "sound"),
    [
        ({"kind": "images", "jpeg_quality": 90}, True),
        ({"kind": "images", "jpeg_quality": None}, False),
        ({"kind": "clip", "jpeg_quality": None}, True),
        ({"kind": "clip", "jpeg_quality": 90}, False),
    ],
)
def test_only_images_have_a_quality(tmp_path: Path, media: dict[str, Any], sound: bool) -> None:
    record = made(tmp_path, engine="openai", checkpoint="gpt-4o", media=Media(**media))
    assert not found(record) if sound else len(found(record)) == 1


@pytest.mark.parametrize("name", ["engine_args", "processor_args"])
def test_arguments_are_bounded(tmp_path: Path, name: str) -> None:
    room = module.MAX_ARGUMENTS - len('{"a": ""}')
    for more, sound in ((0, True), (1, False)):
        given = {name: {"a": "x" * (room + more)}}
        record = made(tmp_path / str(more), engine="vllm", checkpoint="org/m", **given)
        assert not found(record) if sound else len(found(record)) == 1


POSSIBLE: list[tuple[dict[str, Any], bool]] = [
    ({"prompt_tokens": MAX_CONTEXT}, True),
    ({"prompt_tokens": MAX_CONTEXT + 1}, False),
    ({"prompt_tokens": -1}, False),
    ({"prompt_tokens": None, "output_tokens": None}, True),
    ({"cached_tokens": 10}, True),
    ({"cached_tokens": 11}, False),
    ({"cached_tokens": -1}, False),
    ({"prompt_tokens": None, "cached_tokens": 1}, False),
    ({"output_tokens": LIMIT + module.SLACK}, True),
    ({"output_tokens": LIMIT + module.SLACK + 1}, False),
    ({"output_tokens": -1}, False),
    ({"reasoning_tokens": 5}, True),
    ({"reasoning_tokens": 6}, False),
    ({"reasoning_tokens": -1}, False),
    ({"output_tokens": None, "reasoning_tokens": LIMIT + module.SLACK}, True),
    ({"output_tokens": None, "reasoning_tokens": LIMIT + module.SLACK + 1}, False),
    ({"prompt_tokens": 0}, False),
    ({"output_tokens": 0}, False),
    ({"output_tokens": 0, "text": ""}, True),
    ({"output_tokens": 0, "text": "", "reasoning": "Hm."}, False),
    ({"seconds": 0.0}, True),
    ({"seconds": module.MAX_SECONDS}, True),
    ({"seconds": module.MAX_SECONDS * 1.01}, False),
    ({"seconds": -0.1}, False),
]


@pytest.mark.parametrize(("changed", "sound"), POSSIBLE)
def test_tokens_and_seconds_are_possible(changed: dict[str, Any], sound: bool) -> None:
    assert module._possible(answer(**changed), LIMIT) == sound


def test_without_a_limit_an_answer_may_have_as_many_tokens_as_any() -> None:
    assert module._possible(answer(output_tokens=MAX_CONTEXT), None)
    assert not module._possible(answer(output_tokens=MAX_CONTEXT + 1), None)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"output_tokens": 1000}, "tokens or seconds"),
    ({"text": "x" * (LIMIT * module.CHARACTERS + 1)}, f"{LIMIT} tokens"),
    ({"answer": "x" * (module.MAX_TEXT + 1)}, "100,000 characters"),
    ({"answer": "<script>"}, "markup"),
    ({"text": "<img src=x>"}, "markup"),
    ({"reasoning": "javascript:x"}, "markup"),
    ({"clip_sha256": "0" * 15}, "hash"),
    ({"served_model": "/home/ann/m"}, "what served them"),
    ({"served_version": "two\nlines"}, "what served them"),
]


@pytest.mark.parametrize(("changed", "named"), BROKEN)
def test_an_answer_that_cannot_be_is_named(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    alone(found(made(tmp_path, answer(2, **changed))), "1 answers", named, "a_2#1")


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "x" * (LIMIT * module.CHARACTERS)},
        {"answer": "x" * module.MAX_TEXT},
        {"reasoning": None, "served_model": "m", "served_version": "1"},
    ],
)
def test_an_answer_at_its_bounds_is_sound(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert found(made(tmp_path, answer(2, **changed))) == []


def test_a_limit_that_the_model_rejected_binds_no_answer(tmp_path: Path) -> None:
    long = answer(2, text="x" * (LIMIT * module.CHARACTERS + 1), output_tokens=1000)
    record = made(tmp_path, long)
    alone(found(record), f"{LIMIT} tokens")
    record.starts[-1]["rejected"] = ["max_tokens"]
    assert found(record) == []


def test_thoughts_are_bounded_where_no_limit_of_tokens_binds_them(tmp_path: Path) -> None:
    record = made(tmp_path)
    record.starts[-1]["rejected"] = ["max_tokens"]
    for more, sound in ((0, True), (1, False)):
        record.answers["a_2#1"] = answer(2, reasoning="x" * (module.MAX_REASONING + more))
        assert not found(record) if sound else "a_2#1" in " ".join(found(record))


@pytest.mark.parametrize("name", [".hidden", "a/b", "a\\b", "a\x00", "a#0", "a#x", "a#1234567"])
def test_an_id_is_a_plain_name(tmp_path: Path, name: str) -> None:
    assert any("plain name" in one for one in found(made(tmp_path, answer(id=name))))


def test_answers_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = made(tmp_path)
    for bound, length in (("MAX_TEXTS", said(record) // 2), ("MAX_SAID", said(record))):
        with monkeypatch.context() as patch:
            patch.setattr(module, bound, length)
            assert found(record) == []
            patch.setattr(module, bound, length - 1)
            alone(found(record), "together")


def test_answers_are_those_of_the_items_of_the_dataset(tmp_path: Path) -> None:
    record = made(tmp_path, answer(id="b_0#1"))
    del record.answers["a_3#1"]
    missing, strange = found(record, DATA)
    assert missing.startswith("1 items") and "a_3#1" in missing
    assert strange.startswith("1 answers") and "b_0#1" in strange
    other = Dataset("other", CLIPS[:2], fingerprint(CLIPS[:2]))
    alone(found(record, other), other.fingerprint[:12], DATA.fingerprint[:12])


def test_answers_that_are_their_references_are_doubted(tmp_path: Path) -> None:
    def same(record: RunRecord) -> list[str]:
        return [line for line in doubts(record, DATA) if "the same as their references" in line]

    assert same(made(tmp_path / "1", answer(0, answer="ref  0."))) == []  # 1 of 4, less than 30%
    alone(same(made(tmp_path / "2", answer(0, answer="ref 0."), answer(1, answer="Ref  1."))), "2 of 4")
    assert not any("references" in line for line in doubts(made(tmp_path / "3"), None))


def test_runs_of_the_same_answers_name_each_other(tmp_path: Path) -> None:
    one, other = made(tmp_path / "1"), made(tmp_path / "2")
    different = made(tmp_path / "3", answer(0, answer="no"))
    another = made(tmp_path / "4", fingerprint="e" * 64)
    lines = copies([answers_of(record) for record in (one, other, different, another)])
    assert [path for path, _ in lines] == [one.path, other.path]
    assert [*copies([answers_of(one)] * 2)] == []


def test_a_title_like_that_of_a_model_of_other_weights_is_doubted(tmp_path: Path) -> None:
    def like(**settings: Any) -> list[str]:
        record = made(tmp_path / str(len(list(tmp_path.iterdir()))), engine="openai", **settings)
        return [line for line in doubts(record, None) if "looks like" in line]

    alone(like(checkpoint="org/mine", title="GPT-4o"), "GPT-4o")
    assert like(checkpoint="org/mine", title="Mine") == []


def test_the_title_of_a_known_model_is_its_own(tmp_path: Path) -> None:
    given = {"engine": "transformers", "model": "qwen2.5-vl", "checkpoint": "Qwen/Qwen2.5-VL-7B-Instruct"}
    record = made(tmp_path, title="Another", options={"model": "qwen2.5-vl"}, **given)
    alone(found(record), "Another", "qwen2.5-vl")


def test_videos_are_those_that_there_are(tmp_path: Path) -> None:
    with_video = CLIPS[0].model_copy(update={"video": tmp_path / "a.mp4"})
    assert videos_of(Dataset("d", (with_video, CLIPS[1]), "f")) == {"a_0": tmp_path / "a.mp4"}


def of_baseline(folder: Path, name: str = "constant", *changed: Answer, **settings: Any) -> RunRecord:
    """A run of a baseline as it is here, with the answers that it gives where it sees no video."""
    adapter = find_adapter(name)
    assert isinstance(adapter, Baseline)
    requests = [item.request for item in items_of(TASKS["vqa"], CLIPS)]
    texts = baseline_answers(adapter, CLIPS, requests)
    own = {"model": name, "title": adapter.title, "adapter_sha256": source_sha256(adapter)}
    answers = [answer(n, text=text, answer=text) for n, text in enumerate(texts.values())]
    return made(folder, *answers, *changed, options={"model": name}, **{**own, **settings})


def test_the_answers_of_a_baseline_are_those_that_it_gives_here(tmp_path: Path) -> None:
    assert found(of_baseline(tmp_path / "honest"), DATA) == []
    improved = answer(1, text="Ref 1.", answer="Ref 1.")
    alone(
        found(of_baseline(tmp_path / "edited", "constant", improved), DATA),
        "1 answers",
        "gives here",
        "a_1#1",
    )
    record = of_baseline(tmp_path / "reread")
    record.answers["a_1#1"] = record.answers["a_1#1"].model_copy(update={"answer": "Ref 1."})
    parsed, given = found(record, DATA)
    assert "finds in the texts: a_1#1" in parsed and "gives here: a_1#1" in given
    alone(found(of_baseline(tmp_path / "old", adapter_sha256="0" * 64), DATA), "another version")


def test_answers_of_no_item_are_not_parsed_again(tmp_path: Path) -> None:
    record = of_baseline(tmp_path, "constant", answer(id="b_0#1"))
    alone(found(record, DATA), "of no item of the dataset: b_0#1")


def test_a_model_runs_on_the_engines_that_it_declares_and_shows_a_title(tmp_path: Path) -> None:
    assert any("runs on function" in one for one in found(of_baseline(tmp_path / "1", engine="vllm")))
    alone(found(made(tmp_path / "2", title="\u3164 -")), "title")


def test_what_cannot_be_checked_here_is_noted(tmp_path: Path) -> None:
    def noted(record: RunRecord, word: str, data: Dataset | None = DATA) -> bool:
        return any(word in line for line in doubts(record, data))

    assert noted(made(tmp_path / "1"), "m is not here")
    assert noted(of_baseline(tmp_path / "2", adapter_sha256="0" * 64), "in another version")
    sound = of_baseline(tmp_path / "3")
    assert list(doubts(sound, DATA)) == list(doubts(sound, None)) == []
    seeing = of_baseline(tmp_path / "4", "nearest-clip")
    assert noted(seeing, "not computed again") and not noted(seeing, "not computed again", None)
    own = shipped_templates()["vqa-default"].identity
    for prompt, other in (
        (own, False),
        (own.model_copy(update={"version": own.version + 1}), True),
        (own.model_copy(update={"id": "mine"}), False),
        (None, False),
    ):
        record = of_baseline(tmp_path / f"prompt {prompt}", prompt=prompt)
        assert noted(record, "of another version") == other
    video = tmp_path / "a.mp4"
    video.touch()
    data = Dataset("d", (CLIPS[0].model_copy(update={"video": video}), *CLIPS[1:]), DATA.fingerprint)
    other = of_baseline(tmp_path / "5", "constant", answer(0, clip_sha256="0" * 16))
    assert noted(other, "1 clips were other files than here: a_0", data)
    assert not noted(other, "other files")
    assert not noted(sound, "other files", data)


def test_shares_count_from_their_bound_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = made(tmp_path / "1", answer(0, answer="Ref 0."), answer(1, answer="Ref 1."))
    one, other = made(tmp_path / "2"), made(tmp_path / "3", answer(0, answer="no"))
    for known, copied, told in ((0.5, 0.75, True), (0.51, 0.76, False)):
        monkeypatch.setattr(module, "KNOWN", known)
        monkeypatch.setattr(module, "COPIED", copied)
        assert any("2 of 4" in line for line in doubts(half, DATA)) == told
        assert bool(list(copies([answers_of(one), answers_of(other)]))) == told


def test_runs_of_different_tasks_are_not_compared(tmp_path: Path) -> None:
    one, other = answers_of(made(tmp_path / "1")), answers_of(made(tmp_path / "2"))
    assert len(list(copies([one, other]))) == 2
    assert list(copies([one, replace(other, about=("caption", other.about[1]))])) == []
