"""microg-bench: score video-language models on three-second clips of life in microgravity.

>>> import microg_bench as mb
>>> results = mb.evaluate("nearest-clip", data="sample")  # doctest: +SKIP
>>> results["caption"].scores["CIDEr"].value  # doctest: +SKIP

Importing this package loads nothing heavy: no torch, no vllm, no Java, no network client.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

__all__ = [
    "Dataset",
    "MicrogError",
    "Results",
    "RunRecord",
    "Scorecard",
    "__version__",
    "annotate_check",
    "annotate_questions",
    "check_model",
    "compare",
    "drift",
    "dry_run",
    "evaluate",
    "evaluate_async",
    "judge",
    "load_dataset",
    "load_run",
    "measure",
    "merge_runs",
    "paraphrase",
    "probe",
    "repeat",
    "score",
    "sweep",
]

_PLACES = {
    "Dataset": "microg_bench.dataset.load",
    "MicrogError": "microg_bench.errors",
    "RunRecord": "microg_bench.runs.record",
    "Scorecard": "microg_bench.scorecard",
    "annotate_check": "microg_bench.annotators",
    "annotate_questions": "microg_bench.annotators",
    "check_model": "microg_bench.model_checks",
    "drift": "microg_bench.drifts",
    "judge": "microg_bench.judges",
    "measure": "microg_bench.costs",
    "merge_runs": "microg_bench.merges",
    "paraphrase": "microg_bench.paraphrases",
    "probe": "microg_bench.probes",
    "repeat": "microg_bench.repeats",
    "sweep": "microg_bench.sweeps",
}

if TYPE_CHECKING:
    from microg_bench.annotators import annotate_check, annotate_questions
    from microg_bench.api import (
        Results,
        compare,
        dry_run,
        evaluate,
        evaluate_async,
        load_dataset,
        load_run,
        score,
    )
    from microg_bench.costs import measure
    from microg_bench.dataset.load import Dataset
    from microg_bench.drifts import drift
    from microg_bench.errors import MicrogError
    from microg_bench.judges import judge
    from microg_bench.model_checks import check_model
    from microg_bench.paraphrases import paraphrase
    from microg_bench.probes import probe
    from microg_bench.repeats import repeat
    from microg_bench.runs.record import RunRecord
    from microg_bench.scorecard import Scorecard
    from microg_bench.sweeps import sweep


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_PLACES.get(name, "microg_bench.api")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names."""
    return __all__
