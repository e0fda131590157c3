"""ComfyUI's loaders of models, for the tests alone: the same nodes, tiny ones.

The networks are ComfyUI's own classes, narrow and with random weights, so that the workflows run as
they are on any machine. The VAEs are read from the files that the workflows name, which the tests
write.
"""

from __future__ import annotations

import comfy.utils
import folder_paths
from comfy_api.latest import ComfyExtension
from comfy_extras import nodes_video_model

import nodes

from .networks import (
    SmallImageVae,
    make_image_unet,
    make_t5,
    make_text_encoder,
    make_video_unet,
    make_vision_encoder,
)

VAE_IN_CHECKPOINT = "first_stage_model."


def read_vae(folder: str, name: str) -> SmallImageVae:
    """The narrow 2D VAE of a file in models/vae, or inside one in models/checkpoints."""
    tensors = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise(folder, name))
    inside = comfy.utils.state_dict_prefix_replace(
        dict(tensors), {VAE_IN_CHECKPOINT: ""}, filter_keys=True
    )
    return SmallImageVae(inside or tensors)


class SmallCheckpointLoader(nodes.CheckpointLoaderSimple):
    def load_checkpoint(self, ckpt_name):
        return make_image_unet(), make_text_encoder(), read_vae("checkpoints", ckpt_name)


class SmallImageOnlyCheckpointLoader(nodes_video_model.ImageOnlyCheckpointLoader):
    def load_checkpoint(self, ckpt_name):
        return make_video_unet(), make_vision_encoder(), read_vae("checkpoints", ckpt_name)


class SmallVaeLoader(nodes.VAELoader):
    def load_vae(self, vae_name):
        """ComfyUI's own loader for video VAEs, which it takes in any width."""
        tensors = comfy.utils.load_torch_file(folder_paths.get_full_path_or_raise("vae", vae_name))
        if "encoder.conv_in.weight" not in tensors:
            return super().load_vae(vae_name)
        return (read_vae("vae", vae_name),)


class SmallClipLoader(nodes.CLIPLoader):
    def load_clip(self, clip_name, type="stable_diffusion", device="default"):
        assert type == "mochi", type
        return (make_t5(),)


class SmallModels(ComfyExtension):
    async def get_node_list(self):
        return []


async def comfy_entrypoint() -> SmallModels:
    # A pack can't bring nodes of ComfyUI's own names, so they are exchanged where it keeps them.
    nodes.NODE_CLASS_MAPPINGS |= {
        "CLIPLoader": SmallClipLoader,
        "CheckpointLoaderSimple": SmallCheckpointLoader,
        "ImageOnlyCheckpointLoader": SmallImageOnlyCheckpointLoader,
        "VAELoader": SmallVaeLoader,
    }
    return SmallModels()
