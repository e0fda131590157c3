"""Training of video VAEs: `python -m train --config train/configs/tiny.toml`.

A training step is in four files: `run.py`, `step.py`, `objective.py` and `losses.py`.
"""
