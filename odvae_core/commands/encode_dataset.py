"""`odvae encode-dataset`: the latents of a folder of clips, as shards to train on."""

import logging
import time
from argparse import Namespace
from typing import Any

import torch
from tqdm import tqdm

from ..checks import NonFiniteError
from ..dataset import DatasetError, Store
from ..layers.coder_pass import Coding
from ..padding import ClipSize
from ..vae import VideoVAE
from ..video import ListedClip, VideoError, list_clips
from .encode_clip import describe_encoding, encode_clip
from .model import make_request, open_vae, plan_model
from .result import Result
from .worker import Worker, find_worker

log = logging.getLogger(__name__)


def run(options: Namespace) -> Result:
    """Encode the clips of this worker that aren't yet; name, count and list those that can't be.

    Raises `DatasetError` where the output holds other latents, or where no clip can be encoded.
    """
    check(options)
    clips = list_clips(options.input)
    worker = find_worker(options.shard)
    options.device = worker.choose_device(options.device)
    vae = open_vae(options)
    try_out(vae, options)
    mine = clips[worker.index :: worker.count]
    dataset, names = describe_encoding(vae, options), [clip.id for clip in mine]
    store = Store(options.output, dataset, names, worker.name, options.shard_size * 2**20)
    left = [clip for clip in mine if clip.id not in store.done]
    facts = {
        "output": options.output,
        "worker": worker.name,
        "clips": len(mine),
        "encoded_before": len(mine) - len(left),
        **encode(left, vae, store, worker, options),
    }
    store.finish()
    if worker.count == 1:  # of several, a failed one would make the launcher stop the others
        check_success(facts)
    return Result(facts, describe(facts))


def check(options: Namespace) -> None:
    """Raise `ValueError` where the options contradict each other."""
    wanted, most = options.frames_per_clip, options.max_frames
    if wanted and most and most < wanted:
        raise ValueError(
            f"got --max-frames {most}, fewer than a piece of --frames-per-clip {wanted} has: "
            "raise the one or lower the other"
        )
    if options.logvar and options.posterior == "sample":
        raise ValueError(
            "got --logvar with --posterior sample; the variance belongs to the mean: "
            "leave out one of the two"
        )


def check_success(facts: dict[str, Any]) -> None:
    """Raise `DatasetError` where every single clip is broken."""
    if len(facts["broken"]) == facts["clips"]:
        raise DatasetError(
            f"not one of {facts['clips']} clips could be encoded; the reasons are above and in "
            f"{facts['output'] / 'broken.jsonl'}: correct the clips, or give other options and "
            "another folder"
        )


def try_out(vae: VideoVAE, options: Namespace) -> None:
    """Encode one frame, so that options that can't be are refused before a folder is claimed."""
    side = 8 * vae.spatial_compression
    model = plan_model(vae, make_request(options), ClipSize(1, side, side), (Coding.ENCODE,))
    list(model.encode([torch.zeros(1, 3, 1, side, side)]))


def encode(
    clips: list[ListedClip], vae: VideoVAE, store: Store, worker: Worker, options: Namespace
) -> dict[str, Any]:
    """Encode clips into the store: how many, their frames, the seconds, and what couldn't be."""
    start, frames, broken = time.perf_counter(), 0, []
    title = f"encode {worker.name}"
    with tqdm(clips, title, unit=" clips", disable=None, position=worker.row) as bar:
        for clip in bar:
            try:
                samples = encode_clip(clip, vae, options)
            except (VideoError, NonFiniteError, MemoryError, torch.OutOfMemoryError) as error:
                reason = explain(clip, error)
                log.warning("left out: %s", reason)
                store.note_broken(clip.id, clip.name, reason)
                broken.append({"clip": clip.id, "path": clip.name, "reason": reason})
            else:
                store.keep(clip.id, samples)
                frames += sum(sample.facts["frames"] for sample in samples)
            bar.set_postfix(frames=frames, broken=len(broken), refresh=False)
    return {
        "encoded": len(clips) - len(broken),
        "broken": broken,
        "frames": frames,
        "seconds": time.perf_counter() - start,
    }


def explain(clip: ListedClip, error: Exception) -> str:
    """Why a clip is left out, in one line that names it."""
    text = " ".join(str(error).split())
    if isinstance(error, VideoError):
        return text
    if isinstance(error, NonFiniteError):
        return f"{clip.name}: {text}"
    return f"{clip.name}: out of memory ({text}); set a --tile or --schedule stream in a new folder"


def describe(facts: dict[str, Any]) -> list[str]:
    """What was done, how fast, and what wasn't."""
    rate = facts["frames"] / facts["seconds"]
    lines = [
        f"wrote   {facts['output']} (worker {facts['worker']}: {facts['encoded']} clips now, "
        f"{facts['encoded_before']} before, of {facts['clips']})",
        f"speed   {rate:.1f} frames/s ({facts['frames']} frames in {facts['seconds']:.1f} s)",
    ]
    if facts["broken"]:
        lines.append(
            f"left out {len(facts['broken'])} clips, named above and in "
            f"{facts['output'] / 'broken.jsonl'}"
        )
    return lines
