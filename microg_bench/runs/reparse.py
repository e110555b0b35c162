"""Parses the kept texts of a run again with its adapter, which was edited. Nothing is asked.

What changes is added to the journal: the answer before is withdrawn, and the response follows with the answer
that the adapter finds now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microg_bench.adapters.base import Adapter, generation_of, made_prompt, read_answer, without_media
from microg_bench.adapters.registry import find_adapter, is_file, name_it, source_sha256
from microg_bench.errors import RunError, UsageError
from microg_bench.options import Options
from microg_bench.progress import Progress
from microg_bench.prompts import find_template
from microg_bench.records import Answer, Failure, Request, Response, Withdrawal
from microg_bench.runs.record import RunRecord
from microg_bench.runs.start import model_title, prompted, provenance
from microg_bench.text import first_line
from microg_bench.video.decode import decode

if TYPE_CHECKING:
    from microg_bench.dataset.load import Dataset

REASON = "parsed again with the edited adapter"


def reparsed(
    path: Path, model: str | None, data: str | Path | Dataset | None, progress: Progress
) -> RunRecord:
    """Parse the text of each answer, and of each failure to find one, again; the run with what was found.

    Its settings name the adapter as it is now, and its last start tells what was done. Texts that the adapter
    reads as before are left as they are.

    Args:
        path: the run folder.
        model: name or file of the adapter, as the user gives it; None takes the run's, which must be no file.
        data: where the dataset is; None takes the place that the run was started with.
        progress: is told how many answers have changed.

    Raises:
        RunError: it was made by version 0.1, its adapter is a file that is not given, cannot be found or does
            not ask as it did, another process writes to it, or it is damaged or cannot be written.
        DataError: its dataset cannot be read.
    """
    record = RunRecord.read(path)
    if record.migrated:
        raise RunError("was made by version 0.1 and is only read: its texts are not parsed again", path=path)
    adapter, dataset = _adapter(record, model), record.dataset(data)
    requests = {item.request.id: item.request for item in record.items(dataset)}
    if source_sha256(adapter) != record.settings.adapter_sha256:
        _check_prompt(record, adapter, requests, dataset, progress)
    with RunRecord.reopen(path) as record:
        old: dict[str, Answer | Failure] = {**record.answers, **record.failures}
        said = {name: text for name, one in old.items() if name in requests and (text := _said(one))}
        new = {
            name: read_answer(
                *(adapter, requests[name], text),
                *(old[name].frames, old[name].clip_sha256, old[name].shown_clip),
            )
            for name, text in said.items()
        }
        changed = [name for name in new if new[name] != old[name]]
        withdrawn = {name: Withdrawal(id=name, reason=REASON, parsed_again=True) for name in changed}
        record.add(*(one for name in changed for one in (withdrawn[name], new[name])))
        progress.note(f"{path}: {len(said)} texts were parsed again, {len(changed)} answers changed")
        before, now = record.settings, source_sha256(adapter)
        if changed or now != before.adapter_sha256:
            title = model_title(adapter, before.checkpoint, before.revision, before.checkpoint_sha256)
            told = {"from": before.adapter_sha256, "to": now, "texts": len(said), "changed": len(changed)}
            settings = before.model_copy(update={"adapter_sha256": now, "title": title})
            record.begin({**provenance(), "reparsed": told}, settings)
    return record


def _check_prompt(
    record: RunRecord,
    adapter: Adapter,
    requests: Mapping[str, Request],
    dataset: Dataset,
    progress: Progress,
) -> None:
    """Refuse an adapter whose prompt or schema is another than that of the answers; one request tells.

    Raises:
        RunError: it is.
    """
    settings = record.settings
    if generation_of(adapter, settings.task).answer_schema != settings.generation.answer_schema:
        reason = "its adapter was edited, and now wants answers in another schema: --run DIR asks anew"
        raise RunError(reason, path=record.path)
    told: dict[str, Any] = {}
    for start in record.starts:
        told = start.get("prompted", told)
    request = requests.get(told.get("id", ""))
    template = find_template(settings.task, Options.of(record.options).prompt)
    if request is None or (settings.prompt and template.identity != settings.prompt):
        progress.note(f"{record.path}: whether the adapter still asks as it did cannot be told")
        return
    clip = next(clip for clip in dataset.clips if clip.video_id == request.video_id)
    try:
        frames = decode(clip.video, settings.frames) if settings.frames and clip.video else None
        prompt = made_prompt(adapter, request, template.render(request), frames)
        prompt = without_media(prompt) if "no-frames" in settings.transforms else prompt
    except Exception as error:  # an adapter is somebody else's code
        reason = f"its adapter was edited and no longer makes the prompt of {request.id}: {first_line(error)}"
        raise RunError(reason, path=record.path) from error
    if prompted(request, prompt)["sha256"] != told.get("sha256"):
        reason = f"its adapter was edited, and now asks {request.id} with another prompt"
        raise RunError(f"{reason}: --run DIR asks anew", path=record.path)


def _said(one: Answer | Failure) -> Response | None:
    """The response in which the adapter found an answer, or failed to."""
    if isinstance(one, Failure):
        return one.response if one.stage == "parse" else None
    return Response(**{name: getattr(one, name) for name in Response.model_fields})


def _adapter(record: RunRecord, named: str | None) -> Adapter:
    model = named or str(record.options.get("model", record.settings.model))
    if named is None and is_file(model):
        raise RunError(f"its adapter is a file: {name_it(model)}", path=record.path)
    try:
        adapter = find_adapter(model)
    except UsageError as error:
        raise RunError(f"its adapter cannot be found: {error}", path=record.path) from error
    if adapter.name != record.settings.model:
        reason = f"its adapter cannot be found: {model} is {adapter.name}, it was {record.settings.model}"
        raise RunError(reason, path=record.path)
    return adapter
