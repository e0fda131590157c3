"""A fixture for all tests of training."""

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def accelerate_reset():
    """Reset accelerate's state, which would keep the precision of other tests."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
