"""`odvae encode-dataset`: encodes a folder of clips to shards of latents for training."""

import logging
import os
import time
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from ..checks import NonFiniteError
from ..dataset import DatasetError, ShardWriter
from ..layers.coder_pass import Coding
from ..padding import ClipSize
from ..vae import VideoVAE
from ..video import ListedClip, VideoError, list_clips
from .encode_dataset_clip import encode_clip, make_dataset_facts
from .model import load_vae, make_request, plan_model
from .output import Result

log = logging.getLogger(__name__)


def run_encode_dataset(options: Namespace) -> Result:
    """Encode the clips of this worker that aren't encoded yet; report and list the broken ones.

    Raises `DatasetError` if the output contains other latents, or if no clip can be encoded.
    """
    check_encode_dataset_options(options)
    clips = list_clips(options.input)
    worker = find_worker(options.shard)
    options.device = worker.choose_device(options.device)
    vae = load_vae(options, options.images)
    check_model_options(vae, options)
    own = clips[worker.index :: worker.count]
    dataset, ids = make_dataset_facts(vae, options), [clip.id for clip in own]
    writer = ShardWriter(options.output, dataset, ids, worker.name, options.shard_size * 2**20)
    remaining = [clip for clip in own if clip.id not in writer.done]
    facts = {
        "output": options.output,
        "worker": worker.name,
        "clips": len(own),
        "encoded_before": len(own) - len(remaining),
        **encode_clips(remaining, vae, writer, worker, options),
    }
    writer.finish()
    if worker.count == 1:  # if one of several workers failed, the launcher would stop the others
        check_any_encoded(facts)
    return Result(facts, describe_encoded_dataset(facts))


def check_encode_dataset_options(options: Namespace) -> None:
    """Raise `ValueError` if the options contradict each other."""
    wanted, most = options.frames_per_clip, options.max_frames
    if wanted and most and most < wanted:
        raise ValueError(
            f"got --max-frames {most}, fewer than the {wanted} frames of --frames-per-clip: "
            "raise the one or lower the other"
        )
    if options.logvar and options.posterior == "sample":
        raise ValueError(
            "got --logvar with --posterior sample; the variance belongs to the mean: "
            "leave out one of the two"
        )


def check_any_encoded(facts: dict[str, Any]) -> None:
    """Raise `DatasetError` if every clip is broken."""
    if len(facts["broken"]) == facts["clips"]:
        raise DatasetError(
            f"not one of {facts['clips']} clips could be encoded; the reasons are above and in "
            f"{facts['output'] / 'broken.jsonl'}: correct the clips, or give other options and "
            "another folder"
        )


def check_model_options(vae: VideoVAE, options: Namespace) -> None:
    """Encode one frame, so that invalid options are rejected before the folder is created."""
    side = 8 * vae.spatial_compression
    model = plan_model(vae, make_request(options), ClipSize(1, side, side), (Coding.ENCODE,))
    list(model.encode([torch.zeros(1, 3, 1, side, side)]))


@dataclass(frozen=True)
class Worker:
    """One of `count` processes that share a job.

    `local_rank` numbers the processes of one machine. `launched`: a launcher such as torchrun
    started this process.
    """

    index: int
    count: int
    local_rank: int = 0
    launched: bool = False

    @property
    def name(self) -> str:
        """`2of4` is the second of four."""
        return f"{self.index + 1}of{self.count}"

    def choose_device(self, name: str) -> str:
        """For `auto`, one GPU for each launched process of a machine that has GPUs."""
        if name == "auto" and self.launched and torch.cuda.is_available():
            return f"cuda:{self.local_rank}"
        return name


def find_worker(shard: tuple[int, int]) -> Worker:
    """This process, from RANK, WORLD_SIZE and LOCAL_RANK, within the `shard` (i, n) of the job.

    torchrun and `accelerate launch` set these variables. Raises `ValueError` if they contradict
    each other.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local_rank = os.environ.get("LOCAL_RANK")
    if not 0 <= rank < world:
        raise ValueError(
            f"got RANK {rank} and WORLD_SIZE {world} in the environment; ranks are 0 to "
            "WORLD_SIZE - 1: set both or neither"
        )
    index, count = shard
    position = (index - 1) * world + rank
    return Worker(position, count * world, int(local_rank or 0), local_rank is not None)


def encode_clips(
    clips: list[ListedClip],
    vae: VideoVAE,
    writer: ShardWriter,
    worker: Worker,
    options: Namespace,
) -> dict[str, Any]:
    """Encode clips into the shards: their number, the broken ones, the frames and the seconds."""
    start, frames, broken = time.perf_counter(), 0, []
    title = f"encode {worker.name}"
    with tqdm(clips, title, unit=" clips", disable=None, position=worker.local_rank) as bar:
        for clip in bar:
            try:
                samples = encode_clip(clip, vae, options)
            except (VideoError, NonFiniteError, MemoryError, torch.OutOfMemoryError) as error:
                reason = format_reason(clip, error)
                log.warning("left out: %s", reason)
                writer.record_broken_clip(clip.id, clip.name, reason)
                broken.append({"clip": clip.id, "path": clip.name, "reason": reason})
            else:
                writer.add_clip(clip.id, samples)
                frames += sum(sample.facts["frames"] for sample in samples)
            bar.set_postfix(frames=frames, broken=len(broken), refresh=False)
    return {
        "encoded": len(clips) - len(broken),
        "broken": broken,
        "frames": frames,
        "seconds": time.perf_counter() - start,
    }


def format_reason(clip: ListedClip, error: Exception) -> str:
    """Why a clip is left out, in one line that names it."""
    text = " ".join(str(error).split())
    if isinstance(error, VideoError):
        return text
    if isinstance(error, NonFiniteError):
        return f"{clip.name}: {text}"
    return f"{clip.name}: out of memory ({text}); set a --tile or --schedule stream in a new folder"


def describe_encoded_dataset(facts: dict[str, Any]) -> list[str]:
    """The numbers of clips, the speed and the clips left out, as lines of text."""
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
