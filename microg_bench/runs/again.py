"""How a run is asked again as it was: its options, with others that move no answer."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from microg_bench.adapters.registry import is_file, name_it
from microg_bench.dataset.load import Dataset
from microg_bench.errors import RunError, UsageError
from microg_bench.options import OF_PERSONS, Options, flag
from microg_bench.runs.configure import Configuration, configure
from microg_bench.runs.record import RunRecord
from microg_bench.settings import Settings
from microg_bench.text import unknown

TRUST = "trust_remote_code"  # a run cannot have code run
# Options of the run that are not taken over.
_LEFT_OUT = (
    *("cache", "batch", "max_cost", "limit", "clips", "tasks", "shard", "replicas", "ray_address"),
    *OF_PERSONS,
)
# Settings that may differ: which part of the dataset is asked about, and names.
_MAY_DIFFER = ("clips", "requests", "dataset", "title")
# Adapters of version 0.1 were other files, and declared neither thinking nor arguments of processors; weights
# were not identified.
_NOT_OF_0_1 = ("adapter_sha256", "checkpoint_sha256", "thinking", "processor_args")


def check_names(options: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Accept options that may be given.

    Raises:
        UsageError: naming the first that may not.
    """
    for name in options:
        if name not in allowed:
            raise UsageError(unknown("option", name, allowed))


def configured_again(
    record: RunRecord, dataset: Dataset, options: Mapping[str, Any], changed: Mapping[str, Any]
) -> Configuration:
    """How requests of a run are asked again.

    Args:
        record: the run.
        dataset: its references.
        options: what the user gives over the options of the run.
        changed: what is asked about, over both.

    Raises:
        UsageError: the code of a checkpoint would run, or the adapter is a file, and the user named neither.
        DataError, EngineError, MissingExtraError: see `configure`.
    """
    kept = {name: value for name, value in record.options.items() if name not in _LEFT_OUT}
    if kept.get(TRUST) and not options.get(TRUST):
        reason = "the run allowed the code of its checkpoint to run: give this option too, if you trust it"
        raise UsageError(reason, path=record.path, item=flag(TRUST))
    model = str(kept.get("model", ""))
    if is_file(model) and "model" not in options:
        raise UsageError(f"its adapter is a file: {name_it(model)}", path=record.path)
    chosen = Options.of(kept, options, changed)
    one = configure(chosen, dataset, named_by_file=() if "url" in options else chosen.url)
    return replace(one, paraphrases=record.settings.paraphrases)


def check_same(record: RunRecord, now: Settings) -> None:
    """Accept settings under which answers are those of the run.

    Raises:
        RunError: the first setting that differs is named.
    """
    names = (*_MAY_DIFFER, *(_NOT_OF_0_1 if record.migrated else ()))
    before = record.settings
    alike = now.model_copy(update={name: getattr(before, name) for name in names})
    if changed := before.difference(alike):
        raise RunError(f"cannot be asked again as it was ({changed})", path=record.path)
