"""What a run's log tells, drawn: `python -m train.report RUN`."""
