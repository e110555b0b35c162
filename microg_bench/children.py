"""What a Python process that is started here needs to find this package."""

import os
from pathlib import Path

PACKAGE = Path(__file__).parent


def python_path(*before: Path) -> str:
    """PYTHONPATH for a child process: folders that come first, this package's, and those of this process."""
    own = map(str, (*before, PACKAGE.parent))
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
