"""What must not leave a machine: paths, addresses and secrets, found in any text."""

import re
from pathlib import PurePosixPath
from typing import Any

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
_SECRET = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AIza[0-9A-Za-z_-]{20,}|gh[opsur]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)"
    r"|\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
)


def without_private(content: Any) -> Any:
    """JSON `content` in which no text, name or value, holds a path, an address or a secret.

    Of a path the last part is left, of an address on the web ``[address]``, of a secret ``[secret]``.
    """
    if isinstance(content, dict):
        return {without_private(key): without_private(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_private(value) for value in content]
    if isinstance(content, str):
        return _ADDRESS.sub(_left, _SECRET.sub("[secret]", content))
    return content


def _left(found: re.Match[str]) -> str:
    """What is left of an address or a path."""
    if found.lastgroup in ("web", "login"):
        return "[address]"
    text = found[0].partition("://")[2] if found.lastgroup == "store" else found[0]
    return PurePosixPath(text.replace("\\", "/").partition("?")[0]).name or "[path]"
