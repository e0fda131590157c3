"""Small versions of the papers' experiments, on your own clips: `python -m train.reproduce`."""
