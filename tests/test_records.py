import hashlib

import pytest
from pydantic import ValidationError

from microg_bench.records import REJECTABLE, Generation, Response, validated
from tests.helpers.runs import make_settings

SCHEMA = '{"type": "object", "properties": {}, "required": [], "additionalProperties": false}'


def test_generation_without_a_schema_is_written_as_before_there_were_schemas() -> None:
    plain = {"max_tokens": 256, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    assert Generation().model_dump() == Generation().model_dump(mode="json") == plain
    assert Generation().model_dump_json() == '{"max_tokens":256,"temperature":0.0,"top_p":1.0,"seed":0}'
    # Of the settings of a run as version 0.1.0 writes them.
    known = "6825ae22a67d21e93952b38bf5bec51a344f01d639e75b715f1f500dd531aa9e"
    assert hashlib.sha256(make_settings().model_dump_json().encode()).hexdigest() == known


def test_a_schema_is_a_setting_of_its_run() -> None:
    with_schema = Generation(max_tokens=8, answer_schema=SCHEMA)
    assert with_schema.model_dump(exclude={"seed"})["answer_schema"] == SCHEMA
    assert validated(Generation, with_schema.model_dump(mode="json")) == with_schema
    assert make_settings(generation=with_schema).changed(make_settings()) == "generation"
    assert len({with_schema, Generation(max_tokens=8), Generation(max_tokens=8)}) == 2


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "top_p", "seed"])
def test_a_model_may_reject_how_it_should_write(name: str) -> None:
    assert name in REJECTABLE
    assert "answer_schema" not in REJECTABLE


def test_a_response_without_log_probability_is_written_as_before_there_were_any() -> None:
    known = {"id", "text", "finish_reason", "prompt_tokens", "cached_tokens", "output_tokens"}
    known |= {"reasoning_tokens", "seconds", "from_cache", "reasoning", "served_model", "served_version"}
    assert set(Response(id="a", text="").model_dump(mode="json")) == known
    assert Response(id="a", text="", logprob=-2.5).model_dump()["logprob"] == -2.5
    with pytest.raises(ValidationError):
        Response(id="a", text="", logprob=0.1)
