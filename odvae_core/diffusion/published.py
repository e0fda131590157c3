"""The published files: fields of config.json, prefixes and signatures of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..config import is_number
from ..formats.sections import read_size, unwrap
from .config import LatteConfig, LatteT2VConfig, OpenSoraT2VConfig

Fields = Mapping[str, Any]

REFUSED = {
    "OpenSoraInpaint": "Open-Sora-Plan's image-to-video model",
    "AllegroTransformer3DModel": "Allegro, whose weights have the same names but other latents",
    "LatteTransformer3DModel": "Latte-1, which makes latents of a 2D VAE",
}
"""`_class_name` of a config.json -> what it is."""

REFUSED_KEYS = {
    "pos_embed_masked_hidden_states.": "Open-Sora-Plan's image-to-video model (OpenSoraInpaint)",
    "text_embedding_projection.": "Latte with a text encoder",
}
"""The start of a weight's name -> what it is of."""

FIXED = {
    "patch_size_t": 1,
    "activation_fn": "gelu-approximate",
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "attention_bias": True,
    "attention_type": "default",
    "num_vector_embeds": None,
    "downsampler": None,
    "compress_kv_factor": 1,
    "only_cross_attention": False,
    "double_self_attention": False,
}
"""Fields of Open-Sora-Plan's config.json that have one value in all released models."""

V11_FIELDS = ("compress_kv_factor", "use_rope", "model_max_length", "rope_scaling_type")
"""Fields that v1.1 added to LatteT2V's config.json."""

SECTIONS = ("ema.", "ema_state_dict.", "model.diffusion_model.", "model.", "state_dict.", "")
"""Prefixes of weights in files of whole trainings and of ComfyUI; the first one found is used."""

HEADS = {1152: 16, 1024: 16, 768: 12, 384: 6}
"""Latte's published widths -> heads, which the shapes of weights don't tell."""


def select_section(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The network's weights in a file, by plain names, and the section that they were in."""
    section = next(name for name in SECTIONS if any(key.startswith(name) for key in tensors))
    inside = {
        key.removeprefix(section): value
        for key, value in tensors.items()
        if key.startswith(section)
    }
    return unwrap(inside), section.rstrip(".")


def refuse_class(fields: Fields) -> None:
    """Raise `ValueError` on the config.json of a model that isn't supported."""
    name = fields.get("_class_name")
    if isinstance(name, str) and name in REFUSED:
        raise ValueError(
            f"it is {REFUSED[name]} ({name}), which this package doesn't support: "
            "give a text-to-video model of Open-Sora-Plan, or a Latte"
        )


def refuse_keys(tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` on the weights of a model that isn't supported."""
    for start, name in REFUSED_KEYS.items():
        if any(key.startswith(start) for key in tensors):
            raise ValueError(
                f"it is {name}, which this package doesn't support: give a text-to-video model "
                "of Open-Sora-Plan, or a Latte"
            )


def is_latte_t2v(tensors: Mapping[str, Tensor]) -> bool:
    """Whether weights have LatteT2V's names."""
    return "temporal_transformer_blocks.0.attn1.to_q.weight" in tensors


def is_opensora_t2v(tensors: Mapping[str, Tensor]) -> bool:
    """Whether weights have OpenSoraT2V's names."""
    wanted = ("transformer_blocks.0.attn2.to_q.weight", "pos_embed.proj.weight")
    return all(key in tensors for key in wanted) and not is_latte_t2v(tensors)


def is_latte(tensors: Mapping[str, Tensor]) -> bool:
    """Whether weights have Latte's names."""
    return "blocks.0.attn.qkv.weight" in tensors and "temp_embed" in tensors


def latte_t2v_from_published(fields: Fields) -> LatteT2VConfig:
    """The configuration in a config.json of LatteT2V. Raises `ValueError`."""
    check_fixed(fields, {**FIXED, "use_rope": False})
    frames = read_count(fields, "video_length")
    scale = fields.get("interpolation_scale_1d")
    if scale is None:
        scale = scale_of_v11(frames) if any(name in fields for name in V11_FIELDS) else frames // 5
    return LatteT2VConfig(
        **read_sizes(fields),
        latent_frames=frames,
        sample_side=read_sides(fields)[0],
        temporal_scale=float(max(1, scale)),
    )


def name_assumption(fields: Fields) -> tuple[str, ...]:
    """What a config.json doesn't say: that of LatteT2V names no release."""
    if "video_length" not in fields or any(name in fields for name in V11_FIELDS):
        return ()
    return ("positions are those of v1.0: the config.json has none of the fields of v1.1",)


def scale_of_v11(frames: int) -> int:
    """By what v1.1 divides the positions of so many latent frames; v1.0 has another rule."""
    return (frames - 1) // 16 if frames % 2 else frames // 16


def opensora_t2v_from_published(fields: Fields) -> OpenSoraT2VConfig:
    """The configuration in a config.json of OpenSoraT2V. Raises `ValueError`."""
    check_fixed(fields, FIXED)
    frames, (height, width) = read_count(fields, "sample_size_t"), read_sides(fields)
    defaults = {
        "interpolation_scale_t": (frames - 1) // 16 + 1 if frames % 2 else frames / 16,
        "interpolation_scale_h": height / 30,
        "interpolation_scale_w": width / 40,
    }
    scales = tuple(
        default if fields.get(name) is None else fields[name] for name, default in defaults.items()
    )
    if not all(is_number(scale) for scale in scales):
        raise ValueError(f"got scales {scales}; {', '.join(defaults)} are numbers")
    return OpenSoraT2VConfig(
        **read_sizes(fields),
        latent_frames=frames,
        sample_size=(height, width),
        rope=fields.get("use_rope", False),
        scales=tuple(map(float, scales)),
    )


def latte_from_published(fields: Fields) -> LatteConfig:
    """The configuration in the arguments of Latte's constructor. Raises `ValueError`."""
    check_fixed(fields, {"attention_mode": "math"})
    heads, width = read_count(fields, "num_heads"), read_count(fields, "hidden_size")
    if width % heads:
        raise ValueError(f"got hidden_size = {width}; num_heads = {heads} must divide it")
    conditional = fields.get("extras", 1) == 2
    return LatteConfig(
        layers=read_count(fields, "depth"),
        heads=heads,
        head_dim=width // heads,
        in_channels=fields.get("in_channels", 4),
        patch_size=fields.get("patch_size", 2),
        latent_frames=read_count(fields, "num_frames"),
        side=read_count(fields, "input_size"),
        classes=fields.get("num_classes") if conditional else None,
        learn_sigma=fields.get("learn_sigma", True),
    )


def infer_latte(tensors: Mapping[str, Tensor]) -> LatteConfig:
    """Latte's configuration from the shapes of its weights.

    Raises `ValueError` where the width isn't a published one, since shapes don't tell the heads.
    """
    width = read_size(tensors, "x_embedder.proj.weight", 0)
    if width not in HEADS:
        raise ValueError(
            f"its width is {width}, of which the number of heads isn't known: "
            "give a file that odvae_core.diffusion.save wrote, or a preset"
        )
    patch = read_size(tensors, "x_embedder.proj.weight", 2)
    channels = read_size(tensors, "x_embedder.proj.weight", 1)
    table = "y_embedder.embedding_table.weight"
    outputs = read_size(tensors, "final_layer.linear.weight", 0)
    blocks = (re.match(r"blocks\.(\d+)\.attn\.qkv\.weight$", key) for key in tensors)
    return LatteConfig(
        layers=sum(block is not None for block in blocks),
        heads=HEADS[width],
        head_dim=width // HEADS[width],
        in_channels=channels,
        patch_size=patch,
        latent_frames=read_size(tensors, "temp_embed", 1),
        side=patch * round(read_size(tensors, "pos_embed", 1) ** 0.5),
        classes=read_size(tensors, table, 0) - 1 if table in tensors else None,
        learn_sigma=outputs == 2 * channels * patch**2,
    )


def check_fixed(fields: Fields, fixed: Fields) -> None:
    """Raise `ValueError` where a field has another value than in all released models."""
    for name, value in fixed.items():
        if name in fields and fields[name] != value:
            raise ValueError(f"got {name} = {fields[name]!r}; only {value!r} is supported")


def read_count(fields: Fields, name: str) -> int:
    """A whole number above 0. Raises `ValueError`."""
    value = fields.get(name)
    if type(value) is not int or value < 1:
        raise ValueError(f"got {name} = {value!r}; it is a whole number above 0")
    return value


def read_sizes(fields: Fields) -> dict[str, int]:
    """The fields that LatteT2V and OpenSoraT2V share, by our names. Raises `ValueError`."""
    names = {
        "layers": "num_layers",
        "heads": "num_attention_heads",
        "head_dim": "attention_head_dim",
        "in_channels": "in_channels",
        "out_channels": "out_channels",
        "patch_size": "patch_size",
        "caption_channels": "caption_channels",
    }
    sizes = {ours: read_count(fields, theirs) for ours, theirs in names.items()}
    cross, width = fields.get("cross_attention_dim"), sizes["heads"] * sizes["head_dim"]
    if cross not in (None, width):
        raise ValueError(f"got cross_attention_dim = {cross}; it is heads * head_dim = {width}")
    return sizes


def read_sides(fields: Fields) -> tuple[int, int]:
    """The height and width in `sample_size`, a number or two. Raises `ValueError`."""
    size = fields.get("sample_size")
    sides = [size, size] if type(size) is int else size
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        raise ValueError(f"got sample_size = {size!r}; it is a whole number, or two")
    if not all(type(side) is int and side > 0 for side in sides):
        raise ValueError(f"got sample_size = {size!r}; its numbers are whole and above 0")
    return sides[0], sides[1]
