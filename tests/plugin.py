"""Threads of a test process; and no import of the repository's root as a Python package.

The root holds an `__init__.py` because ComfyUI loads the checkout as a custom node, so pytest would
collect it as a package and import it, outside ComfyUI and in every import mode, before any test.
"""

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # set before torch is imported
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Dir | None:
    """Collect the root as a plain directory; leave every other directory to pytest."""
    if path == parent.config.rootpath:
        return pytest.Dir.from_parent(parent, path=path)
    return None
