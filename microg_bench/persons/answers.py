"""What is said of a person: the JSON schema in which models name actions, and the scores of an answer.

A model answers `{"actions": ["stand", …]}`. A baseline may give every action a score of its own:
`{"scores": {"stand": 0.4, …}}`.
"""

import json
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from microg_bench.dataset.labels import LabelMap, shipped_labels
from microg_bench.structured import read_json

CHOSEN, OTHER = 1.0, 0.0  # the scores of an action that was named, and of one that was not
MOST = 1e9  # the greatest score that an answer may give


@cache
def answer_schema() -> str:
    """The JSON schema of an answer, as `Generation.answer_schema` has it: names of the label map."""
    names = {"type": "array", "items": {"type": "string", "enum": list(shipped_labels().names)}}
    schema = {
        "type": "object",
        "properties": {"actions": names},
        "required": ["actions"],
        "additionalProperties": False,
    }
    return json.dumps(schema)


def _probability(named: int, logprob: float | None) -> float:
    """The mean probability, of geometric means, of each of the actions that an answer names."""
    return 0.0 if logprob is None or not named else math.exp(logprob / named)


def scores_in(answer: str, labels: LabelMap, logprob: float | None = None) -> NDArray[np.float64]:
    """The score of each action in an answer, shape (actions,); 0 for what it does not name.

    With the `logprob` L of an answer that names k actions, each of these has the score 1 + exp(L / k), from 1
    to 2: the more probable the answer, action by action, the higher. This ranks as the log-odds of exp(L / k)
    do, and what is claimed is what is named.

    Raises:
        ValueError: the answer is in neither form, or names something else than an action.
    """
    said = read_json(answer)
    told = said if isinstance(said, dict) else {}
    if isinstance(named := told.get("actions"), list) and all(isinstance(one, str) for one in named):
        scores = dict.fromkeys(named, CHOSEN + _probability(len(set(named)), logprob))
    elif isinstance(given := told.get("scores"), dict):
        scores = given
    else:
        raise ValueError("it names no actions")
    found = np.full(len(labels), OTHER)
    for name, score in scores.items():
        if name not in labels.names or type(score) not in (int, float) or not abs(score) <= MOST:
            raise ValueError("it names something else than an action, or gives it no score")
        found[labels.names.index(name)] = score
    return found
