"""`odvae fit-preview`: fits the colours of previews to a VAE's latents."""

import logging
from argparse import Namespace

import torch
from tqdm import tqdm

from ..layers.coder_pass import Coding
from ..padding import ClipSize, pad
from ..preview import PreviewFit, write_preview
from ..vae import VideoVAE
from ..video import ListedClip, VideoError, list_clips
from .clip_io import READ_FRAMES, check_output
from .encode_dataset_clip import open_listed_clip
from .model import load_vae, make_request, plan_model
from .output import Result

log = logging.getLogger(__name__)


def run_fit_preview(options: Namespace) -> Result:
    """Encode the clips and fit; a clip that can't be read is reported and skipped."""
    check_output(options.output, options.overwrite)
    clips = list_clips(options.input)
    vae = load_vae(options)
    fit, skipped = PreviewFit(vae), 0
    for clip in tqdm(clips, desc="clips", disable=None):
        try:
            add_clip(fit, clip, vae, options)
        except VideoError as error:
            skipped += 1
            log.warning("skipped: %s", error)
    preview = fit.solve()
    write_preview(preview, options.output)
    facts = {
        "output": options.output,
        "clips": len(clips) - skipped,
        "skipped": skipped,
        "factors": preview.factors,
        "bias": preview.bias,
        "psnr": preview.psnr,
    }
    lines = [
        f"wrote   {options.output} ({facts['clips']} clips, {skipped} skipped)",
        f"quality PSNR {preview.psnr:.2f} dB over these clips, at the resolution of the latents",
    ]
    return Result(facts, lines)


def add_clip(fit: PreviewFit, clip: ListedClip, vae: VideoVAE, options: Namespace) -> None:
    """Encode the first frames of a clip and add them."""
    with open_listed_clip(clip, options) as reader:
        chunks = [chunk.video for chunk in reader.chunks(READ_FRAMES)]
        size = ClipSize(reader.expected_frames, *reader.size)
    video = pad(torch.cat(chunks, dim=2), vae)
    model = plan_model(vae, make_request(options), size, (Coding.ENCODE,))
    latent = torch.cat([posterior.mode() for posterior in model.encode([video])], dim=2)
    fit.add(latent, video)
