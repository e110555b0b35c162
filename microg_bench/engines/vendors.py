"""What vendors have published of their models: the snapshots behind a name, and announced ends.

`vendors.toml` holds it, each entry with its date and source. Nothing is asked of a vendor here.
"""

import os
import re
import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from microg_bench.errors import UsageError
from microg_bench.options import flag
from microg_bench.privacy import may_get_keys
from microg_bench.records import Record
from microg_bench.text import many

_FILE = Path(__file__).with_name("vendors.toml")
SERVER_KEY = "MICROG_BENCH_SERVER_KEY"
# What an engine takes its key from, the first that is set, and the vendors' own hosts.
_KEYS = {
    "server": (SERVER_KEY, "OPENAI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY",),
}
_HOSTS = ("api.openai.com", "generativelanguage.googleapis.com", "api.anthropic.com")
_DATED = re.compile(r"-(20\d\d-\d\d-\d\d|20\d{6}|\d\d-20\d\d|\d{3})$")


class VendorModel(Record):
    """What is known of one model, by the name that it is asked by; see `vendors.toml`."""

    as_of: date
    source: str
    snapshots: tuple[str, ...] = ()
    ends: date | None = None
    how: Literal["shut down", "rerouted"] = "shut down"
    replacement: str | None = None


class End(Record):
    """The announced end of `model`: the first day `on` which it no longer answers, and what happens then.

    `replacement` answers in its place where requests are rerouted, and is recommended where it is shut down.
    `as_of` is the day on which this was known.
    """

    model: str
    on: date
    how: Literal["shut down", "rerouted"]
    replacement: str | None
    as_of: date

    def words(self, today: date) -> str:
        """The end in one line, seen from `today`."""
        days = (self.on - today).days
        number = many(abs(days), "day")
        when = f"in {number}" if days > 0 else f"{number} ago" if days else "today"
        line = f"{self.model}: {self.how} by its vendor on {self.on} ({when}); known as of {self.as_of}"
        return f"{line}; replacement: {self.replacement}" if self.replacement else line


def announced_end(engine: str, model: str | None) -> End | None:
    """The announced end of `model` at the vendor behind `engine`; None where none is known.

    A snapshot ends with the name that it belongs to, unless it has an end of its own.
    """
    models, name = _vendor_models().get(engine, {}), _bare(model or "")
    known = models.get(name) or next((one for one in models.values() if name in one.snapshots), None)
    if known is None or known.ends is None:
        return None
    return End(model=name, on=known.ends, how=known.how, replacement=known.replacement, as_of=known.as_of)


def is_snapshot(engine: str, asked: str, served: str) -> bool:
    """Whether the model that a server names as the one that answered is the one that was asked for.

    It is where the names are equal, where `vendors.toml` lists `served` as a snapshot of `asked`, and where
    `served` is `asked` with a date or version behind it (``-2026-03-05``, ``-20260305``, ``-002``): that is
    how vendors name snapshots, and a new one need not be listed to be known. Another date than the one asked
    for is another model, and so is a name without a date where a dated one was asked. A prefix ``models/``
    does not count. For engine `server` only the last part of a path counts, so that ``org/name``, a folder
    of weights and the bare name are the same, and the snapshots of all vendors are looked at.

    Args:
        engine: the name of the engine that asked.
        asked: the name that was asked for.
        served: the name in the response.
    """
    asked, served = _bare(asked), _bare(served)
    vendors = [_vendor_models().get(engine, {})]
    if engine == "server":
        asked, served = asked.rpartition("/")[2], served.rpartition("/")[2]
        vendors = list(_vendor_models().values())
    listed = any(asked in models and served in models[asked].snapshots for models in vendors)
    return served == asked or listed or undated(served) == asked


def check_address(urls: Sequence[str], engine: str = "server") -> None:
    """Accept the addresses `urls` that a file names, if `engine` sends no key of a vendor there.

    Raises:
        UsageError: it would, to others than the vendor.
    """
    names = _KEYS.get(engine, ())
    key = next((name for name in names if os.environ.get(name, "").strip()), SERVER_KEY)
    if key != SERVER_KEY and any(map(_takes_key, urls)):
        reason = f"the key in {key} would be sent where a file says: add {flag('url')} to the command"
        other = f", or give the key of that server in {SERVER_KEY}" if SERVER_KEY in names else ""
        raise UsageError(f"{reason} if you trust that address{other}", item=flag("url"))


def _takes_key(url: str) -> bool:
    """Whether a key would be sent to `url` that is no vendor's."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # no address, as the engine will say
        return False
    vendor = parts.scheme == "https" and parts.hostname in _HOSTS
    return not vendor and may_get_keys(url.strip())


def undated(model: str) -> str:
    """`model` without the date or version behind its name."""
    return _DATED.sub("", model)


def _bare(model: str) -> str:
    return model.rstrip("/").removeprefix("models/")


@cache
def _vendor_models() -> dict[str, dict[str, VendorModel]]:
    """What is known, by engine and name of the model."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        engine: {name: VendorModel.model_validate(one) for name, one in models.items()}
        for engine, models in content.items()
    }
