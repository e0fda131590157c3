"""The authors' class names, configuration fields and key prefixes; only this package has them."""

from .cvvae import (
    cvvae_from_published,
    cvvae_to_published,
    infer_cvvae,
    is_cvvae,
    is_cvvae_config,
)
from .diffusers_vae import diffusers_from_sd, to_diffusers
from .hunyuan import hunyuan_from_published, infer_hunyuan, is_hunyuan, is_hunyuan_config
from .hunyuan15 import (
    hunyuan15_from_published,
    infer_hunyuan15,
    is_hunyuan15,
    is_hunyuan15_config,
)
from .ivvae import (
    infer_ivvae,
    is_ivvae,
    is_ivvae_config,
    ivvae_from_published,
    ivvae_to_published,
)
from .odvae import is_odvae_config, odvae_from_published, odvae_to_published
from .odvae_keys import infer_odvae, is_odvae
from .opsvae import (
    infer_opsvae,
    is_opsvae,
    is_opsvae_config,
    opsvae_from_published,
    opsvae_to_published,
)
from .sd_vae import SdScale, find_sd_scale, infer_sd_vae, is_sd_vae, to_ldm
from .sections import CONFIG_KEY, SECTIONS, order_weights, select_weights, strip_owner
from .spelling import to_native
from .unsupported import name_unsupported
from .wan import infer_wan, is_wan, is_wan_config, wan_from_published
from .wfvae import (
    infer_wfvae,
    is_wfvae,
    is_wfvae_config,
    wfvae_constants,
    wfvae_from_published,
    wfvae_to_published,
)

__all__ = [
    "CONFIG_KEY",
    "SECTIONS",
    "SdScale",
    "cvvae_from_published",
    "cvvae_to_published",
    "diffusers_from_sd",
    "find_sd_scale",
    "hunyuan15_from_published",
    "hunyuan_from_published",
    "infer_cvvae",
    "infer_hunyuan",
    "infer_hunyuan15",
    "infer_ivvae",
    "infer_odvae",
    "infer_opsvae",
    "infer_sd_vae",
    "infer_wan",
    "infer_wfvae",
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
    "is_opsvae",
    "is_opsvae_config",
    "is_sd_vae",
    "is_wan",
    "is_wan_config",
    "is_wfvae",
    "is_wfvae_config",
    "ivvae_from_published",
    "ivvae_to_published",
    "name_unsupported",
    "odvae_from_published",
    "odvae_to_published",
    "opsvae_from_published",
    "opsvae_to_published",
    "order_weights",
    "select_weights",
    "strip_owner",
    "to_diffusers",
    "to_ldm",
    "to_native",
    "wan_from_published",
    "wfvae_constants",
    "wfvae_from_published",
    "wfvae_to_published",
]
