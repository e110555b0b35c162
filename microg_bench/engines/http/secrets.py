"""Keys: where they come from, and how they are kept out of everything that is written.

Servers and libraries repeat keys in what they say of an error, so that every text which comes from them
goes through `Secrets.hide`.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from microg_bench.engines.http.clients import check_proxy, proxy_of
from microg_bench.errors import EngineError
from microg_bench.privacy import may_get_keys
from microg_bench.text import first_line, well_formed

_SHORTEST = 6  # characters; hiding every "EMPTY" that stands for a key would spoil more than it saves


class Secrets:
    """Keys that no text may hold, in any of the spellings that error messages give them."""

    def __init__(self, *keys: str | None) -> None:
        forms: set[str] = set()
        for key in (key for key in keys if key and len(key) >= _SHORTEST):
            forms |= {key, quote(key, safe=""), json.dumps(key)[1:-1], repr(key)[1:-1]}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def hide(self, text: str) -> str:
        """`text` with every key replaced by `[key]`."""
        return self._pattern.sub("[key]", text) if self._pattern else text

    def clean(self, text: str) -> str:
        """`text` without keys, and without lone surrogates and NUL, which UTF-8 and JSON readers refuse."""
        return well_formed(self.hide(text)).replace("\0", "\ufffd")

    def line(self, text: object) -> str:
        """The first line of what a server or library said, cleaned."""
        cleaned = self.clean(str(text))
        return first_line(cleaned) if cleaned.strip() else "no message"

    def __repr__(self) -> str:
        return "Secrets()"


@dataclass(frozen=True)
class Access:
    """A server, by its address or its vendor's name, the key to it, and the variable that holds the key.

    `url` is its address where `where` is a name.
    """

    where: str
    key: str = field(repr=False)
    key_name: str
    secrets: Secrets
    url: str = ""

    @property
    def address(self) -> str:
        """Its address."""
        return self.url or self.where

    @property
    def way(self) -> str:
        """The server, and the proxy through which it is asked."""
        proxy = proxy_of(self.address)
        return f"{self.where} through the proxy {proxy}" if proxy else self.where


def read_key(names: Sequence[str], url: str) -> tuple[str, str] | None:
    """The first of the environment variables `names` that is set, and the key in it, for the server at `url`.

    Raises:
        EngineError: it holds what no HTTP header can carry, or others could read it on its way.
    """
    for name in names:
        if key := os.environ.get(name, "").strip():
            if not re.fullmatch(r"[\x21-\x7e]+", key):
                raise EngineError("does not hold a key: it has blanks or special characters", item=name)
            if not may_get_keys(url):
                advice = "use https, or a tunnel to this machine (http://localhost:PORT/v1)"
                raise EngineError(f"the key in {name} would be sent unencrypted: {advice}", item=url)
            return name, key
    return None


def vendor_access(vendor: str, given: str, default: str, keys: Sequence[str]) -> Access:
    """The access to a `vendor` at the address `given`, or at `default` where that is empty.

    `keys` are the environment variables that may hold its key, the first that is set counts.

    Raises:
        EngineError: there is no key, or `read_key` or `base_url` refuses key or address.
    """
    where, url = base_url(given) if given else vendor, base_url(given or default)
    if (found := read_key(keys, url)) is None:
        raise EngineError(f"no key: set the environment variable {' or '.join(keys)} to yours")
    return Access(where, found[1], found[0], Secrets(*(os.environ.get(name) for name in keys)), url)


def base_url(url: str) -> str:
    """`url` where it may be written down as it is, without a slash at its end.

    Raises:
        EngineError: it is no HTTP address, or it holds a login or a query, which may be secret; or the
            environment names a proxy for it that has no address.
    """
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise EngineError(f"not an address of a server (http://HOST:PORT/v1): {url.rpartition('@')[2]}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise EngineError(
            f"the address of {parts.hostname} holds a login or a query: give the key in the environment"
        )
    check_proxy(url.strip())
    return url.strip().rstrip("/")
