"""A run's weights as the file that is published: `python -m train.export RUN FILE`."""
