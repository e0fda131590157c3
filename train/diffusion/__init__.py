"""Training of latent video diffusion models: `python -m train.diffusion --config FILE`.

The latents are those of `odvae encode-dataset`. A training step is in `run.py` and `objective.py`.
"""
