"""The noise schedule, samplers and training losses of the diffusion transformers."""

from .ddpm import ddpm_steps, sample_ddpm
from .losses import add_noise, noise_error, variance_bound
from .prediction import Predict, Prediction, guide, predict_latte, predict_text, split_output
from .schedule import LINEAR, NoiseSchedule, space_evenly, space_leading
from .sigma_space import (
    euler_ancestral_steps,
    euler_steps,
    in_sigma_space,
    pndm_steps,
    sample_ddim,
    sample_euler,
    sample_euler_ancestral,
    sample_pndm,
    space_sigmas,
)

__all__ = [
    "LINEAR",
    "NoiseSchedule",
    "Predict",
    "Prediction",
    "add_noise",
    "ddpm_steps",
    "euler_ancestral_steps",
    "euler_steps",
    "guide",
    "in_sigma_space",
    "noise_error",
    "pndm_steps",
    "predict_latte",
    "predict_text",
    "sample_ddim",
    "sample_ddpm",
    "sample_euler",
    "sample_euler_ancestral",
    "sample_pndm",
    "space_evenly",
    "space_leading",
    "space_sigmas",
    "split_output",
    "variance_bound",
]
