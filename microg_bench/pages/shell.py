"""Renders a page: one file with styles, scripts and data inside, and a policy that forbids everything else.

A page consists of components (`assets/components/NAME.js`, `.css`; a comment at the top of each script
tells its interface) and of its own files (`assets/pages/NAME.html`, `.css`, `.js`). Texts from elsewhere
reach it in two ways only: through autoescaped templates, and as JSON in a script block that no browser
runs. The scripts put them on the page as text nodes.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

ASSETS = Path(__file__).with_name("assets")
GENERATOR = Markup('<meta name="generator" content="microg-bench">')  # by which our pages are known
COMMON = ("base", "dom")  # components of every page
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
# Control and direction characters, those without width, and halves of a pair; as in assets/components/dom.js.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def render(
    name: str, components: Sequence[str], data: Any, folder: Path = ASSETS / "pages", **values: Any
) -> bytes:
    """A page, as UTF-8.

    Args:
        name: of the page.
        components: names of the components that it uses beside the common ones, each after those it needs.
        data: what the scripts read, as JSON.
        folder: where the page's template, style sheet and script are.
        values: what the template reads.
    """
    parts = [*(ASSETS / "components" / one for one in (*COMMON, *components)), folder / name]
    css, code = _texts(parts, ".css"), _texts(parts, ".js")
    own = {"styles": list(map(Markup, css)), "scripts": list(map(Markup, code))}  # need no escaping
    page = (
        _environment(folder)
        .get_template(f"{name}.html")
        .render(policy=policy(css, code), data=json_block(data), generator=GENERATOR, **own, **values)
    )
    return page.encode()


@lru_cache(maxsize=8)
def _environment(folder: Path) -> Environment:
    """What renders the templates in `folder`; it keeps them compiled."""
    return Environment(
        loader=FileSystemLoader([folder, ASSETS]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The content security policy: these very styles and scripts, media beside the page, nothing else."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'"
    )


def json_block(data: Any) -> Markup:
    """JSON that cannot end the script block it stands in: ASCII, without a `<`."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704


def _hashes(texts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _texts(parts: Sequence[Path], suffix: str) -> list[str]:
    """The files of these parts that end with `suffix`; a part may be without one."""
    files = (part.with_name(part.name + suffix) for part in parts)
    return [file.read_text(encoding="utf-8") for file in files if file.is_file()]


def visible(text: str) -> Markup:
    """Text from elsewhere, with the number of each character that would hide; as `textNodes` of dom.js."""
    shown = _UNSEEN.sub(lambda one: f'<span class="control">U+{ord(one[0]):04X}</span>', str(escape(text)))
    return Markup(shown)  # noqa: S704 - it was escaped


def _printable(value: Any) -> Any:
    """Text with a replacement character for each that would hide, or turn the text around it."""
    return _UNSEEN.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value
