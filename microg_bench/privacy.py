"""What must not leave a machine: paths, addresses, names of users and secrets, found in any text.

Here also stands where a key may be sent.
"""

import getpass
import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from microg_bench.errors import UsageError

_END = r"\s\"'`<>|,;()\[\]{}"  # what ends a path in running text
_HOST = r"[A-Za-z][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}"
_IP = r"\d{1,3}(?:\.\d{1,3}){3}"
_ADDRESS = re.compile(
    rf"""
      (?P<web>   \b (?:https?|wss?|ftp) :// [^{_END}]* )
    | (?P<store> \b [a-z][a-z0-9+.-]{{1,20}} :// [^{_END}]* )      # file, s3, gs, ssh …
    | (?P<login> \b [\w.+-]{{1,64}} @ (?:                          # of scp, and of e-mail
                   (?: {_HOST} | {_IP} ) : [^{_END}]* | {_HOST} \.[A-Za-z]{{2,}} \b ) )
    | (?P<path>  \\\\ [\w.$-]+ \\ [^{_END}]*                         # \\host\share
               | \b [A-Za-z] : [\\/] [^{_END}]*                      # C:\folder
               | (?<![\w./~\\<-]) (?: ~[\w.-]{{0,64}} | \.{{1,2}} )? [/\\] [\w.~$%+@-] [^{_END}]* )
    """,
    re.VERBOSE,
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{20,}|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)"
    r"|\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
)

_LOGIN = r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/?#@:]*:[^\s/?#@]+@|\bhttps?://[^\s/?#@]+@"
_QUERY = r"[?&](?:[\w-]*(?:key|token|secret|password|signature|credential)|auth|code|sig)=[^\s&]"
SECRET = re.compile(f"{_TOKEN.pattern}|(?i:{_LOGIN}|{_QUERY})")
_SECRET_NAME = re.compile(
    r"(?:api|access|secret|private|auth)[_-]?(?:key|token)$|(?:^|[._-])(?:secret|passw(?:or)?d|authorization"
    r"|credentials?|cookie|(?<!eos_)(?<!bos_)(?<!pad_)(?<!image_)(?<!video_)token)$",
    re.IGNORECASE,
)
_HOME = re.compile(r"[\\/](?:home|users)[\\/][^\\/]+[\\/]*$", re.IGNORECASE)
# Accounts that are no person's, and words of results that an account may be called.
_NOBODY = {
    *("root", "user", "users", "home", "admin", "administrator", "nobody", "daemon", "ubuntu", "debian"),
    *("docker", "app", "node", "runner", "jovyan", "vscode", "vllm", "transformers", "server", "openai"),
    *("gemini", "function", "caption", "vqa", "sample", "clip", "paper", "coco", "default", "uniform"),
    *("blind", "constant"),
}
_SHORTEST_NAME = 3  # characters; shorter ones are parts of ordinary text


def without_private(content: Any) -> Any:
    """JSON `content` in which no text, name or value, holds a path, an address or a secret.

    Of a path the last part is left, unless it names a user; of an address on the web ``[address]``, of a
    secret ``[secret]``, of a user's folder ``[user]``. It says the same on every machine.
    """
    return _with_texts(content, lambda text: _ADDRESS.sub(_left, without_secrets(text)))


def outgoing(content: Any) -> Any:
    """JSON, or a record, as it may leave this machine: `without_private`, without the names of its user."""
    if isinstance(content, BaseModel):
        return type(content).model_validate(outgoing(content.model_dump(mode="json", by_alias=True)))
    public, names = without_private(content), _user_names()
    return _with_texts(public, lambda text: names.sub("[user]", text)) if names else public


def _with_texts(content: Any, change: Callable[[str], str]) -> Any:
    """JSON `content` in which `change` was made to each text, name or value; tuples become lists."""
    if isinstance(content, dict):
        return {_with_texts(key, change): _with_texts(value, change) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_with_texts(value, change) for value in content]
    return change(content) if isinstance(content, str) else content


def without_secrets(text: str) -> str:
    """`text` with each key and token replaced by ``[secret]``."""
    return _TOKEN.sub("[secret]", text)


def secrets_in(content: Any, name: str = "") -> Iterator[str]:
    """The names of the entries of JSON `content` that hold a secret, by their own name or by their value."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from secrets_in(value, f"{name}.{key}".lstrip("."))
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from secrets_in(value, name)
    elif SECRET.search(name) or (
        isinstance(content, str) and content and (SECRET.search(content) or _SECRET_NAME.search(name))
    ):
        yield without_secrets(name)


def is_loopback(url: str) -> bool:
    """Whether the server at `url` runs on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def may_get_keys(url: str) -> bool:
    """Whether nobody on the way to `url` can read what is sent there: over https, or to this machine."""
    return urlsplit(url).scheme == "https" or is_loopback(url)


def check_hub() -> None:
    """Accept the address of the Hugging Face hub that the environment names, if a token may be sent there.

    Raises:
        UsageError: it may not, and there is a token.
    """
    from huggingface_hub import constants, get_token

    if not may_get_keys(constants.ENDPOINT) and get_token():
        raise UsageError("your token of the hub would be sent unencrypted: use https", item="HF_ENDPOINT")


def _left(found: re.Match[str]) -> str:
    """What is left of an address or a path."""
    if found.lastgroup in ("web", "login"):
        return "[address]"
    if _HOME.search(found[0]):
        return "[user]"
    text = found[0].partition("://")[2] if found.lastgroup == "store" else found[0]
    return PurePosixPath(text.replace("\\", "/").partition("?")[0]).name or "[path]"


@cache
def _user_names() -> re.Pattern[str] | None:
    """Finds the login name of the user of this machine, and the name of the home folder, as words."""
    names: set[str] = set()
    with suppress(KeyError, OSError, RuntimeError):  # an account without a name, as in a container
        names |= {Path.home().name, getpass.getuser()}
    known = sorted(name for name in names if len(name) >= _SHORTEST_NAME and name.lower() not in _NOBODY)
    if not known:
        return None
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, known))})(?![^\W_])", re.IGNORECASE)
