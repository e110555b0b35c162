"""The zoo: published weights by name."""

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from microg_bench.errors import DataError
from microg_bench.records import Record, first_fault

ZOO = Path(__file__).with_name("zoo.toml")


class ZooEntry(Record):
    """Published weights: `url` is their address, or `page` where they are fetched by hand."""

    url: str | None = None
    page: str | None = None
    sha256: str | None = None
    trained_on: str
    classes: int
    network: dict[str, bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> "ZooEntry":
        if (self.url is None) == (self.page is None):
            raise ValueError("either url or page")
        return self


def read_zoo() -> dict[str, ZooEntry]:
    """The published weights by name."""
    try:
        return {
            name: ZooEntry.model_validate(entry) for name, entry in tomllib.loads(ZOO.read_text()).items()
        }
    except ValidationError as error:
        raise DataError(first_fault(error), path=ZOO) from None
