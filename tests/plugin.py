"""Keep pytest from importing the repository's root as a Python package.

The root holds an `__init__.py` because ComfyUI loads the checkout as a custom node, so pytest would
collect it as a package and import it, outside ComfyUI and in every import mode, before any test.
"""

from pathlib import Path

import pytest


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Dir | None:
    """Collect the root as a plain directory; leave every other directory to pytest."""
    if path == parent.config.rootpath:
        return pytest.Dir.from_parent(parent, path=path)
    return None
