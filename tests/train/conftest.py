"""Fixtures for all tests of training."""

import pytest
from accelerate.state import AcceleratorState

from tests.train.launching import Launcher


@pytest.fixture(autouse=True)
def accelerate_reset():
    """Reset accelerate's state, which would keep the precision of other tests."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    """Trainings in new processes."""
    launcher = Launcher(tmp_path_factory.mktemp("launches"))
    yield launcher
    launcher.close()
