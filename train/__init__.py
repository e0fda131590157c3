"""Training of the family's video VAEs: `python -m train --config train/configs/tiny.toml`."""
