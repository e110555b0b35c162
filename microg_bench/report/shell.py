"""The shell of every page: one file with style, scripts and data inside, and a policy that forbids the rest.

Texts from elsewhere reach a page in two ways only: through autoescaped templates, and as JSON in a script
block that no browser runs. The scripts put them on the page as text nodes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ASSETS = Path(__file__).with_name("assets")
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
# Control and direction characters, those without width, and halves of a pair; as in assets/dom.js.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def render(
    template: str,
    data: Any,
    styles: Sequence[str],
    scripts: Sequence[str],
    folders: Sequence[Path] = (),
    **values: Any,
) -> bytes:
    """A page, as UTF-8.

    Args:
        template: name of the template.
        data: what the scripts read, as JSON.
        styles: names of the style sheets, in order; the one that all pages share is `base.css`.
        scripts: names of the scripts, in order.
        folders: where templates, styles and scripts lie beside those of this room.
        values: what the template reads.
    """
    places = [*folders, ASSETS]
    css, code = ([_text(name, places) for name in names] for names in (styles, scripts))
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(place) for place in places]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(
        policy=policy(css, code), styles=_markup(css), scripts=_markup(code), data=json_block(data), **values
    )
    return page.encode()


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The content security policy: these very styles and scripts, pictures beside the page, nothing else."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(scripts)}",
            f"style-src {_hashes(styles)}",
            "img-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def json_block(data: Any) -> Markup:
    """JSON that cannot end the script block it stands in: ASCII, without a `<`."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704


def _markup(texts: Sequence[str]) -> list[Markup]:
    """Our own files, which need no escaping."""
    return [Markup(text) for text in texts]  # noqa: S704


def _hashes(texts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _text(name: str, places: Sequence[Path]) -> str:
    found = next(place / name for place in places if (place / name).is_file())
    return found.read_text(encoding="utf-8")


def _printable(value: Any) -> Any:
    """Text with a replacement character for each that would hide, or turn the text around it."""
    return _UNSEEN.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value
