"""The papers' findings in small, on one's own clips: `python -m train.reproduce`."""
