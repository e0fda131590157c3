"""Unsupported VAEs, by the names and shapes of their weights: the one table of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

SIGNATURES = {
    "TATS VQGAN": (r"^codebook\.embeddings:|^encoder\.conv_first\.conv\.weight:5",),
    "WF-VAE 2": (r"^(en|de)coder\.(down|up)_blocks\.\d+\.(in|out)_flow_conv\.",),
    "VidTok": (r"^(en|de)coder\.(down|up)_temporal\.",),
    "Cosmos": (r"\.conv_s\.weight:5|unpatcher3d\.wavelets:|^encoder\.conv_in\.0\.conv3d\.",),
    "EasyAnimate (Magvit)": (r"^encoder\.down_blocks\.\d+\.convs\.\d+\.conv1\.weight:5",),
    "Allegro": (r"\.temp_conv_in\.|\.temp_convs\.",),
    "Kandinsky KVAE": (r"\.downsample\.spatial_conv\.",),
    "Mochi": (
        r"^encoder\.block_in\.|^(decoder\.)?blocks\.\d+\.blocks\.\d+\.stack\."
        r"|^(encoder\.)?layers\.\d+\.layers\.\d+\.attn_block\.",
    ),
    "CogVideoX": (r"\.norm_layer\.weight:",),
    "SeedVR2": (r"\.upsamplers\.\d+\.upscale_conv\.",),
    "MiniMax H3": (r"^decoder\.transformer_blocks\.\d+\.scale1:",),
    "MiniMax H3 audio": (r"^pre_block\.",),
    "MiniMax Music": (r"^dec_in_proj\.",),
    "LTX-Video diffusion decoder": (r"^decoder\.(det_stages|diff_blocks|conv_in_x_t)\.",),
    "LTX audio": (r"^encoder\.conv_in\.conv\.weight:4|^vocoder\.(vocoder\.)?resblocks\.",),
    "LTX-Video": (
        r"^per_channel_statistics\.|^latents_mean:1|^(en|de)coder\.[\w.]*\.res_blocks\.\d+\.conv1\.conv\."
        r"|\.timestep_scale_multiplier:",
    ),
    "Qwen-Image 2.1": (r"\.norm1\.gamma:", r"^encoder\.conv_in\.weight:4"),
    "HunyuanImage 2.1": (
        r"^encoder\.down_blocks\.\d+\.conv1\.weight:4|^decoder\.conv_in\.weight:4:\d+x64x",
    ),
    "Stable Video Diffusion": (
        r"\.temporal_res_block\.|\.time_stack\.|^decoder\.time_conv_out\."
        r"|\.block[._]\d+\.mix_factor:",
    ),
    "TAEHV": (r"^decoder\.22\.bias:",),
    "TAESD": (
        r"^taesd_(en|de)coder\.|^(en|de)coder\.layers\.\d+\.conv\.\d\.weight:4"
        r"|^\d+\.conv\.\d\.weight:4",
    ),
    "Flux.2": (r"^bn\.running_mean:",),
    "DC-AE": (r"^(en|de)coder\.(down|up)_blocks\.\d+\.\d+\.|^encoder\.stages\.\d+\.op_list\.",),
    "VQGAN (VQModel)": (r"^quantize\.",),
    "Stable Cascade": (
        r"^vquantizer\.|(^|\.)backbone\.\d+\.\d+\.block\.|^blocks\.11\.num_batches_tracked:",
    ),
    "asymmetric 2D (AsymmetricAutoencoderKL)": (r"^decoder\.condition_encoder\.",),
    "consistency decoder": (r"^decoder_unet\.",),
    "Mage": (r"^student\.dconv_encoder\.",),
    "RAE": (r"^decoder\.decoder_(pred|layers)\.",),
    "Stable Audio 3 (SAME)": (r"\.transformers\.\d+\.(norm_attn|pre_norm)\.alpha:",),
    "Kandinsky audio (KVAE)": (r"^encoder\.conv1\.parametrizations\.weight\.",),
    "Cosmos audio": (r"^encoder\.layers\.\d+\.pwconv1\.",),
    "MMAudio": (
        r"^vae\.data_mean:|(^|\.)(en|de)coder\.learnable_gain:"
        r"|^(vocoder\.)?activation_post\.downsample\.lowpass\.",
    ),
    "ACE-Step audio": (r"^vocoder\.backbone\.channel_layers\.",),
    "LongCat audio": (r"^encoder\.layers\.\d+\.layers\.\d+\.layers\.\d+\.alpha:1",),
    "Stable Audio (Oobleck)": (
        r"\.res_unit1\.snake1\.(alpha|beta):|^decoder\.layers\.1\.layers\.0\.beta:",
    ),
    "Hunyuan3D": (r"^geo_decoder\.",),
    "TRELLIS 2": (r"^(shape|txt)_dec\.",),
    "TripoSplat": (r"^gs\.base_offset_scale:",),
}
"""Name -> patterns that must all match `key:dimensions:shape` lines; the first such name is taken.

A more specific row stands before a more general one.
"""


def name_unsupported(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the unsupported VAE that has such weights, if it is a known one."""
    lines = "\n".join(
        f"{key}:{tensor.ndim}:{'x'.join(map(str, tensor.shape))}" for key, tensor in tensors.items()
    )
    for name, patterns in SIGNATURES.items():
        if all(re.search(pattern, lines, re.MULTILINE) for pattern in patterns):
            return name
    return None
