"""The released models, and Latte in the sizes and for the data sets of OD-VAE's paper."""

from __future__ import annotations

from dataclasses import replace

from .config import LatteConfig, LatteT2VConfig, OpenSoraT2VConfig

LATTE_T2V = {
    # v1.0 divides temporal positions by frames // 5, v1.1 by (frames - 1) // 16
    "osp-v1.0-17x256x256": LatteT2VConfig(latent_frames=5, sample_side=32),
    "osp-v1.0-65x256x256": LatteT2VConfig(sample_side=32, temporal_scale=3.0),
    "osp-v1.0-65x512x512": LatteT2VConfig(temporal_scale=3.0),
    "osp-v1.1-65x512x512": LatteT2VConfig(),
    "osp-v1.1-221x512x512": LatteT2VConfig(latent_frames=56, temporal_scale=3.0),
}
"""Open-Sora-Plan v1.0 and v1.1: frames x height x width of the video."""

HD = OpenSoraT2VConfig(sample_size=(90, 160), scales=(1.0, 1.5, 2.0))
SD = OpenSoraT2VConfig(sample_size=(60, 80))
OPENSORA_T2V = {
    "osp-v1.2-93x720p": HD,
    "osp-v1.2-29x720p": replace(HD, latent_frames=8),
    "osp-v1.2-93x480p": SD,
    "osp-v1.2-29x480p": replace(SD, latent_frames=8),
    "osp-v1.2-1x480p": replace(SD, latent_frames=1),
}
"""Open-Sora-Plan v1.2. The published config.json of the video models at 480p wasn't seen; theirs
follow from the authors' training script.
"""

SIZES = {
    "xl": LatteConfig(layers=28, heads=16, head_dim=72),
    "l": LatteConfig(layers=24, heads=16, head_dim=64),
    "b": LatteConfig(layers=12, heads=12, head_dim=64),
    "s": LatteConfig(layers=12, heads=6, head_dim=64),
}
"""Latte's sizes, all with patches of 2."""

UCF101_CLASSES = 101

DEMO = LatteConfig(layers=8, heads=4, head_dim=32, latent_frames=5, side=8, classes=4)
"""A model of under 10 MB for 17 frames of 64x64 (train/configs/diffusion/demo.toml)."""

LATTE = {
    **{f"latte-{size}-sky": config for size, config in SIZES.items()},
    **{
        f"latte-{size}-ucf101": replace(config, classes=UCF101_CLASSES)
        for size, config in SIZES.items()
    },
    "latte-demo": DEMO,
}
"""Latte for 81 frames of 256x256: SkyTimelapse without classes, UCF101 with its 101."""
