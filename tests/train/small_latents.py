"""Small folders of latents, and configurations of trainings on them."""

import torch

from odvae_core.dataset import Sample, ShardWriter
from odvae_core.dataset.folder import KIND, VERSION
from train.config_sections import EmaConfig, OptimiserConfig, RunConfig
from train.diffusion.config import DiffusionConfig, LatentsConfig, ModelConfig, StepsConfig

VAE = {
    "family": "odvae",
    "checkpoint_sha256": "a" * 64,
    "latent_scale": 0.5,
    "latent_shift": 0.25,
    "latent_channels": 4,
    "temporal_compression": 4,
    "spatial_compression": 8,
}
SMALL = {"layers": 2, "heads": 2, "head_dim": 12}
CLASSES = ("circle", "square", "star")


def write_latents(folder, count=6, shape=(4, 3, 4, 4), logvar=True, **facts):
    """Latents as `odvae encode-dataset` writes them; their mean depends on the class."""
    torch.manual_seed(0)
    dataset = {"kind": KIND, "format": VERSION, "shards": "safetensors", "logvar": logvar}
    dataset |= {**VAE, **facts}
    names = [f"clip-{number}" for number in range(count)]
    writer = ShardWriter(folder, dataset, names, "1of1", 2**20)
    for number, name in enumerate(names):
        label = CLASSES[number % len(CLASSES)]
        sample = {"id": name, "clip": name, "path": f"{label}/{name}.mp4", "shape": list(shape)}
        sample["columns"] = {"kind": label.upper()}
        mean = torch.randn(shape) + number % len(CLASSES)
        spread = torch.full(shape, -4.0) if logvar else None
        writer.add_clip(name, [Sample(sample, mean, spread)])
    writer.finish()
    return folder


def configure(latents, folder, labels="folder", **changes):
    """A configuration of eight steps."""
    settings = {
        "model": ModelConfig("latte-s-sky", SMALL),
        "data": LatentsConfig(str(latents), labels),
        "training": StepsConfig(steps=8, batch=4),
        "optimiser": OptimiserConfig("adamw", 1e-3),
        "ema": EmaConfig(0.9),
        "run": RunConfig(str(folder), precision="no", log_every=1, evaluate_every=4, save_every=3),
    }
    return DiffusionConfig(**{**settings, **changes})
