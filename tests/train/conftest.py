"""What every test of training starts from."""

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def forgotten():
    """Accelerate keeps one precision for a whole process: let it forget that of other tests."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
