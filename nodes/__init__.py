"""The ComfyUI nodes: they convert inputs to arguments of `odvae_core` and contain no networks."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .compare import CompareVideos
from .decode import TemporalTiledDecode
from .decode_file import DecodeToVideoFile
from .diffusion_load import LoadDiffusionModel
from .encode import TemporalTiledEncode
from .encode_file import EncodeVideoFile
from .inflate import TailInflate
from .latent import EmptyLatent, FramesToLatentVideo, LatentVideoToFrames
from .load import LoadOdvae
from .mt5 import LoadMT5
from .sampling import LatteClass, LeadingSigmas, PndmSampler
from .text import TextEncode
from .vhs import register_load_format

WEB_DIRECTORY = "./web"

NODES = [
    LoadOdvae,
    TemporalTiledEncode,
    TemporalTiledDecode,
    EncodeVideoFile,
    DecodeToVideoFile,
    TailInflate,
    CompareVideos,
    EmptyLatent,
    FramesToLatentVideo,
    LatentVideoToFrames,
    LoadDiffusionModel,
    TextEncode,
    LoadMT5,
    LatteClass,
    PndmSampler,
    LeadingSigmas,
]


class OdvaeExtension(ComfyExtension):
    """The extension object from which ComfyUI reads the list of nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> OdvaeExtension:
    register_load_format()
    return OdvaeExtension()
