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

_END = r"\s\"'`<>|,;()\[\]{}"  # what ends a path in running text, as an apostrophe within a word does not
_REST = rf"(?:[^{_END}]|(?<=\w)'(?=\w))*"
_HOST = r"[A-Za-z][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}"
_IP = r"\d{1,3}(?:\.\d{1,3}){3}"
_IP6 = r"\[[\w:.%]*\]"
_VARIABLE = r"\$\{?[A-Za-z_]\w*\}?"
_MODELS = "vllm|transformers|server|openai|gemini|anthropic"  # before the colon of a model's name
_AFTER_MODELS = "|".join(f"(?<={name}:)" for name in _MODELS.split("|"))
_ENDINGS = (
    "py|pt|pth|bin|ckpt|gguf|onnx|safetensors|json|jsonl|toml|yaml|yml|csv|tsv|txt|log|parquet|npy|npz|pkl|"
    "mp4|avi|mkv|mov|webm|jpg|png|xlsx|zip|gz"
)
_ADDRESS = re.compile(
    rf"""
      (?P<web>   \b (?i:https?|wss?|ftp) :// (?: [^{_END}@]* @ )? (?: {_IP6} )? {_REST} )
    | (?P<store> \b [A-Za-z][A-Za-z0-9+.-]{{1,20}} :// {_REST} )       # file, s3, gs, ssh …
    | (?P<login> (?<![\w./-]) [\w.+-]{{1,64}} @                       # of scp, and of e-mail
                   (?! (?: [0-9a-f]{{7,40}} | main ) \b )                  # but not a commit
                   (?: {_HOST} | {_IP} | {_IP6} ) (?: : {_REST} )?
               | (?: (?<![\w./:\\-]) | {_AFTER_MODELS} ) (?! (?:{_MODELS}): )
                   {_HOST} : [\w.~+-]+ / {_REST}                              # nas:folder/file
               | (?<![\w.]) {_IP} [:/] [\w] {_REST} )
    | (?P<path>  (?<![\w.]) [A-Za-z] : (?: [\\/] | [^{_END}\\/:]{{1,99}} \\ ) {_REST}   # C:\folder, C:file
               | (?<![\w./~\\<-]) (?: ~[\w.-]{{0,64}} | \.{{1,2}} | {_VARIABLE} )?
                   [/\\]{{1,2}} [\w.~$%+@-] {_REST}
               | (?<=[<-]) / [\w.~$%+@-]+ / {_REST}                                     # no tag, as </think>
               | (?<![\w./~\\@%+-]) [\w.+%-]+ (?: / [\w.+%-]+ )* / [\w.+%-]* \. (?:{_ENDINGS}) \b )
    """,
    re.VERBOSE,
)
# A text that is a path as a whole: blanks are part of it.
_WHOLE = re.compile(
    rf"""
      \s* (?: (?: [/\\]{{1,2}} | (?: ~[\w.-]* | \.{{1,2}} | {_VARIABLE} ) [/\\] ) [^\s/\\]
          | [A-Za-z] : [^\s\\/]* [\\/]
          | (?! (?i:https?|wss?|ftp) : ) [A-Za-z][A-Za-z0-9+.-]{{1,20}} :// )
      [^\n]* """,
    re.VERBOSE,
)
# What names a file at an address; without a file, or with a login, an address tells of a machine or a user.
_STORED = re.compile(r"[^:/]*://[^/@]*/+[^/]")
_RELATIVE = re.compile(
    rf"((?:{_MODELS}):)?(?!microg-bench/[a-z-]+/\d+$|[\d/]+$)(?![-<])[^\s/\\:=]+(?:[/\\][^\s/\\]+){{2,}}[/\\]?"
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{20,}|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|A[KS]IA[0-9A-Z]{16}"
    r"|(?:nvapi|glpat|pypi)-[A-Za-z0-9_-]{16,}|(?:xai|pplx)-[A-Za-z0-9]{16,}|(?:gsk|r8|npm)_[A-Za-z0-9]{16,}"
    r"|ya29\.[A-Za-z0-9_-]{10,}|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|dapi[0-9a-f]{16,}"
    r"|(?<!-)eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)"
    # Of a header; a word has no digit, and no capital after a small letter.
    r"|\b(?:(?i:bearer|basic)\s+(?=[A-Za-z]{0,99}(?:[0-9=]|(?<=[a-z])[A-Z]))[A-Za-z0-9._~+/-]{8,}"
    r"|(?i:token)\s+(?=[A-Za-z]{0,99}[0-9])[A-Za-z0-9._~+/-]{16,})=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?i:password|passwd|api[_-]?key|accountkey|x-api-key|secret[_-]?key|access[_-]?token)\s{0,9}[=:]\s{0,9}"
    r"(?=[^\s,;&'\"]{0,99}[0-9])[^\s,;&'\"]{6,}",
)

_LOGIN = r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/?#@:]*:[^\s/?#@]+@|\bhttps?://[^\s/?#@]+@"
_QUERY = (
    r"[?&](?:[\w-]*(?:key|token|secret|password|passphrase|pwd|signature|credential|session)|auth|code|sig)="
    r"[^\s&]"
)
SECRET = re.compile(f"{_TOKEN.pattern}|(?i:{_LOGIN}|{_QUERY})")
# The end of a name whose words are small and joined by underscores; counts and special tokens are no secrets.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:secrets?|passw(?:or)?d|passphrase|pwd|auth|authorization(?:_header)?|bearer|(?<!allow_)credentials?|cookies?"
    r"|session(?:_id)?|(?<!eos_)(?<!bos_)(?<!pad_)(?<!unk_)(?<!image_)(?<!video_)(?<!per_)token)$"
    r"|^(?:(?:hf|hub|api|auth|access|secret|private|refresh|bearer|session|user)_)*tokens$"
    r"|[a-z0-9](?<!cache)(?<!sort)(?<!hash)(?<!group)(?<!primary)(?<!public)(?<!num)(?<!max)_keys?$"
    r"|^[a-z]*(?:api|access|secret|private|auth|openai)keys?$"
    r"|^(?:hf|hub|api|auth|access|refresh)tokens?$|(?:^|_)(?:jwt|sas|dsn|pass|pat)$"
)
_HOME = re.compile(r"[\\/](?:home|users)[\\/][^\\/]+[\\/]*$", re.IGNORECASE)
# Accounts that are no person's, and words of results that an account may be called.
_NOBODY = {
    *("root", "user", "users", "home", "admin", "administrator", "nobody", "daemon", "ubuntu", "debian"),
    *("docker", "app", "node", "runner", "jovyan", "vscode", "vllm", "transformers", "server", "openai"),
    *(
        "gemini",
        "anthropic",
        "function",
        "caption",
        "vqa",
        "har",
        "sample",
        "clip",
        "paper",
        "coco",
        "default",
        "uniform",
    ),
    *("blind", "constant"),
}
_SHORTEST_NAME = 3  # characters; shorter ones are parts of ordinary text


def without_private(content: Any) -> Any:
    """JSON `content` in which no text, name or value, holds a path, an address or a secret.

    Of a path the last part is left, unless it names a user; of an address on the web ``[address]``, of a
    secret ``[secret]``, of a user's folder ``[user]``. It says the same on every machine.
    """
    return _with_texts(content, _public)


def outgoing(content: Any) -> Any:
    """JSON, or a record, as it may leave this machine: `without_private`, without the names of its user."""
    if isinstance(content, BaseModel):
        return type(content).model_validate(outgoing(content.model_dump(mode="json", by_alias=True)))
    public, names = without_private(content), _user_names()
    return _with_texts(public, lambda text: names.sub("[user]", text)) if names else public


def names_user(text: str) -> bool:
    """Whether `text` names the user of this machine."""
    names = _user_names()
    return bool(names and names.search(text))


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
        isinstance(content, str) and content and (SECRET.search(content) or _names_secret(name))
    ):
        yield without_secrets(name)


def _names_secret(name: str) -> bool:
    """Whether a part of the dotted `name` is called as a secret is: ``hf_token``, ``X-Api-Key``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[ -]", "_", name).lower()
    return any(_SECRET_NAME.search(part) for part in words.split("."))


def is_loopback(url: str) -> bool:
    """Whether the server at `url` runs on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
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


def _public(text: str) -> str:
    text = without_secrets(text)
    if _WHOLE.fullmatch(text):
        text = _last(text)
    elif found := _RELATIVE.fullmatch(text):
        text = f"{found[1] or ''}{_last(text)}"
    left = _ADDRESS.sub(_left, text)
    return left if left == text else _ADDRESS.sub(_left, left)  # a last part may be an address, too


def _last(path: str) -> str:
    """The last part of a path, which is all that may be told of it."""
    if _HOME.search(path):
        return "[user]"
    if "://" in path and not _STORED.match(path):
        return "[address]"
    return PurePosixPath(path.replace("\\", "/").partition("?")[0]).name.strip() or "[path]"


def _left(found: re.Match[str]) -> str:
    """What is left of an address or a path."""
    if found.lastgroup in ("web", "login"):
        return "[address]"
    return _last(found[0])


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
