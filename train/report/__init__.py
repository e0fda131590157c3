"""Plots of a run's log: `python -m train.report RUN`."""
