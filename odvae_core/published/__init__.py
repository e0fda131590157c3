"""The only place that knows the authors' class names, configuration fields and key prefixes."""

from .files import SECTIONS, name_stranger, order_weights, select_weights, strip_owner
from .odvae import is_odvae_config, odvae_from_published
from .odvae_keys import infer_odvae, is_odvae
from .sd_vae import is_sd_vae, to_ldm

__all__ = [
    "SECTIONS",
    "infer_odvae",
    "is_odvae",
    "is_odvae_config",
    "is_sd_vae",
    "name_stranger",
    "odvae_from_published",
    "order_weights",
    "select_weights",
    "strip_owner",
    "to_ldm",
]
