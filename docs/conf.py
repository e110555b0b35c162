"""Builds the documents as a site: make docs."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

import microg_bench

ROOT = Path(__file__).parent.parent
# Pages of the site whose text is that of a file outside this folder.
STAND_INS = {
    "getting-started/overview": "README.md",
    "how-to/contribute": "CONTRIBUTING.md",
    "reference/changelog": "CHANGELOG.md",
    "reference/published-detections": "results/actions/README.md",
    "reference/published-numbers": "results/published/README.md",
    "reference/sample-set": "microg_bench/dataset/sample/README.md",
}

project = "microg-bench"
author = copyright = "The microg-bench developers"
version = release = microg_bench.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["plugin-example/tests"]

html_theme = "furo"
html_title = f"microg-bench {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # a page that is opened as a file cannot read the others

myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_inherit_docstrings = False
autodoc_mock_imports = ["accelerate", "safetensors", "torch"]  # the documents need no extra
autodoc_default_options = {"exclude-members": "model_config, model_post_init"}
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "params_style")]
default_role = "code"
nitpicky = True
# Names of other packages, and types of ours that are no part of the documented interface.
# Arrays of text have a type whose name reads as a link: boxes are described in the guide.
nitpick_ignore_regex = [("py:.*", r"(?!microg_bench\.).*"), ("py:class", r"microg_bench\.persons\.boxes\..*")]


def rebased(text: str, origin: Path, page: Path) -> str:
    """The Markdown of `origin` with links as `page` has them; a stand-in takes those to its file."""
    pages = {ROOT / file: ROOT / "docs" / f"{name}.md" for name, file in STAND_INS.items()}

    def link(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(origin.parent / found[1]))
        return f"]({os.path.relpath(pages.get(target, target), page.parent)}{found[2] or ''})"

    return re.sub(r"\]\((?![a-z]+:)([^)\s#]+)(#[^)\s]*)?\)", link, text)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Give a page its text; see `rebased`."""
    page = Path(app.env.doc2path(name))
    origin = ROOT / STAND_INS[name] if name in STAND_INS else page
    source[0] = rebased(origin.read_text(encoding="utf-8"), origin, page)
    app.env.note_dependency(str(origin))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", read)
