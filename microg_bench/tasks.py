"""The tasks: what `caption`, `vqa` and `har` ask of a clip, what the right answer is, which scores apply."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from microg_bench.errors import UsageError
from microg_bench.records import BenchmarkTask, Clip, Request, TaskName
from microg_bench.text import unknown

HAR: Final = "har"
UNANSWERABLE = "not mentioned"
_PARAPHRASE = "@"  # between the id of a question and the hash of its paraphrase
QUESTION_WORDS = ("what", "who", "how", "where", "why", "which", "when")


def is_unanswerable(text: str) -> bool:
    """Whether an answer is "Not mentioned.", with or without its full stop: the clip does not tell."""
    return text.strip().rstrip(".").strip().lower() == UNANSWERABLE


def question_word(question: str) -> str:
    """The first word of a question, if it is one of `QUESTION_WORDS`, else "other"."""
    first = question.split(maxsplit=1)[0].lower() if question.strip() else ""
    return first if first in QUESTION_WORDS else "other"


@dataclass(frozen=True)
class Item:
    """A request with its reference: what is asked and what the metrics compare with.

    That of a person are the names of the actions, joined by "; ".
    """

    request: Request
    reference: str


@dataclass(frozen=True)
class Task:
    """A task of the benchmark; `metrics` are its columns in the paper's table, in order."""

    name: BenchmarkTask
    title: str
    metrics: tuple[str, ...]

    def items(self, clip: Clip) -> tuple[Item, ...]:
        """Everything this task asks of `clip`, in published order; empty where it has no reference."""
        if self.name == "caption":
            if clip.caption is None:
                return ()
            return (Item(self._request(clip, clip.video_id), clip.caption),)
        if self.name == "har":
            return tuple(
                Item(
                    self._request(clip, f"{clip.video_id}#p{k}", person=person.shown),
                    "; ".join(person.actions),
                )
                for k, person in enumerate(clip.persons, start=1)
            )
        return tuple(
            Item(self._request(clip, f"{clip.video_id}#{k}", question=question.text), question.answer)
            for k, question in enumerate(clip.questions, start=1)
        )

    def _request(self, clip: Clip, request_id: str, **about: Any) -> Request:
        return Request(id=request_id, task=self.name, video_id=clip.video_id, source=clip.source, **about)


TASKS: dict[TaskName, Task] = {
    "caption": Task("caption", "Captioning", ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-BERT", "BERTScore")),
    "vqa": Task("vqa", "Question answering", ("CIDEr", "BLEU-4", "ROUGE-L", "METEOR", "S-VQA", "BERTScore")),
    "har": Task("har", "Action recognition", ("mAP", "F1", "recall", "AUROC")),
}


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    for task in TASKS.values():
        if task.name == name:
            return task
    raise UsageError(unknown("task", name, TASKS))


def items_of(
    task: Task,
    clips: Iterable[Clip],
    only: Collection[str] | None = None,
    paraphrases: Mapping[str, str] | None = None,
) -> tuple[Item, ...]:
    """The items of `task` over `clips`, in dataset order: all, or those of the request ids in `only`.

    Where there are `paraphrases`, by the ids of their requests, they are asked in place of their questions,
    and nothing else is.
    """
    items: Iterable[Item] = (item for clip in clips for item in task.items(clip))
    if paraphrases:
        items = _paraphrased(items, paraphrases)
    return tuple(item for item in items if only is None or item.request.id in only)


def paraphrase_id(question: str, text: str) -> str:
    """The id of a request that asks `text` in place of the question with the id `question`.

    It has the hash of the text: no answer to other words counts.
    """
    return f"{question}{_PARAPHRASE}{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def question_id(request: str) -> str:
    """The id of the question that a request asks, as published or in other words."""
    clip, mark, number = request.partition("#")  # which ids of clips do not have
    return f"{clip}{mark}{number.partition(_PARAPHRASE)[0]}"


def _paraphrased(items: Iterable[Item], paraphrases: Mapping[str, str]) -> Iterator[Item]:
    asked = {question_id(name): (name, text) for name, text in paraphrases.items()}
    for item in items:
        if found := asked.get(item.request.id):
            name, text = found
            yield Item(item.request.model_copy(update={"id": name, "question": text}), item.reference)


def shuffled(ids: Iterable[str], seed: int) -> list[str]:
    """The `ids` in an order that follows from the seed and each id alone: the first ones are a sample."""
    return sorted(ids, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
