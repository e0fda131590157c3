"""The authors' class names, configuration fields and key prefixes; only this package has them."""

from .cvvae import cvvae_from_published, infer_cvvae, is_cvvae, is_cvvae_config
from .hunyuan import hunyuan_from_published, infer_hunyuan, is_hunyuan, is_hunyuan_config
from .hunyuan15 import (
    hunyuan15_from_published,
    infer_hunyuan15,
    is_hunyuan15,
    is_hunyuan15_config,
)
from .ivvae import infer_ivvae, is_ivvae, is_ivvae_config, ivvae_from_published
from .odvae import is_odvae_config, odvae_from_published
from .odvae_keys import infer_odvae, is_odvae
from .sd_vae import SdScale, find_sd_scale, infer_sd_vae, is_sd_vae, to_ldm
from .sections import CONFIG_KEY, SECTIONS, order_weights, select_weights, strip_owner
from .spelling import to_native
from .unsupported import name_unsupported
from .wan import infer_wan, is_wan, is_wan_config, wan_from_published

__all__ = [
    "CONFIG_KEY",
    "SECTIONS",
    "SdScale",
    "cvvae_from_published",
    "find_sd_scale",
    "hunyuan15_from_published",
    "hunyuan_from_published",
    "infer_cvvae",
    "infer_hunyuan",
    "infer_hunyuan15",
    "infer_ivvae",
    "infer_odvae",
    "infer_sd_vae",
    "infer_wan",
    "is_cvvae",
    "is_cvvae_config",
    "is_hunyuan",
    "is_hunyuan15",
    "is_hunyuan15_config",
    "is_hunyuan_config",
    "is_ivvae",
    "is_ivvae_config",
    "is_odvae",
    "is_odvae_config",
    "is_sd_vae",
    "is_wan",
    "is_wan_config",
    "ivvae_from_published",
    "name_unsupported",
    "odvae_from_published",
    "order_weights",
    "select_weights",
    "strip_owner",
    "to_ldm",
    "to_native",
    "wan_from_published",
]
