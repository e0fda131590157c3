"""Peak memory of a ComfyUI server that encodes and decodes video files, by their length.

    python -m benchmarks.comfyui_files [--frames 100 1000] [--checkpoint default|FILE]

Each clip, 320x240, goes through Encode Video File and Decode to Video File with schedule auto; the
peak is the resident set of the server's process during the run, on Linux.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.peak import read_status, reset_peak
from odvae_core.video import VideoWriter
from tests.comfyui.graph import Graph
from tests.comfyui.server import Server, find_comfyui
from train.environment import describe_environment

HEIGHT, WIDTH, RATE, PIECE = 240, 320, 24, 20
RUN_SECONDS = 3600


def write_clip(path: Path, frames: int) -> None:
    """Write a clip of moving waves."""
    with VideoWriter(path, (HEIGHT, WIDTH), RATE) as writer:
        for piece in render_waves(frames):
            writer.write(piece)


def render_waves(frames: int) -> Iterator[Tensor]:
    """The frames in pieces, [1, 3, T, H, W] in [-1, 1]."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    for first in range(0, frames, PIECE):
        time = torch.arange(first, min(first + PIECE, frames)).view(-1, 1, 1)
        waves = [torch.sin((x + k * time) / (9 + k) + y / (14 - k)) for k in (1, 2, 3)]
        yield torch.stack(waves)[None] * 0.9


def run_clip(server: Server, name: str, checkpoint: str) -> None:
    """Encode and decode one file. Raises `RuntimeError` where the graph fails."""
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=checkpoint, dtype="auto")
    video = graph.add("LoadVideo", file=name)
    latent = graph.add("ODVAEEncodeVideoFile", video=video, vae=vae)
    graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae)
    run = server.run(graph, seconds=RUN_SECONDS)
    if run.status != "success":
        raise RuntimeError(run.message)


def measure_lengths(server: Server, lengths: list[int], checkpoint: str) -> None:
    """Print a row for every length; a first run that loads the model is printed too."""
    print("frames  seconds  peak MB")
    for frames in [lengths[0], *lengths]:
        name = f"clip-{frames}-{time.monotonic_ns()}.mp4"
        write_clip(server.base / "input" / name, frames)
        reset_peak(server.process.pid)
        start = time.monotonic()
        run_clip(server, name, checkpoint)
        seconds = time.monotonic() - start
        peak = read_status("VmHWM", server.process.pid) / 2**20
        print(f"{frames:6}  {seconds:7.1f}  {peak:7.0f}", flush=True)


def install_checkpoint(server: Server, checkpoint: str) -> str:
    """Link a file into the server's model folder; its name in Load OD-VAE is returned."""
    if checkpoint == "default":
        return checkpoint
    file = Path(checkpoint).resolve()
    (server.base / "models/vae" / file.name).symlink_to(file)
    return file.name


@contextmanager
def start_comfyui() -> Generator[Server]:
    """A server on a folder of its own; at the end its version and the environment are printed."""
    comfyui, reason = find_comfyui()
    if comfyui is None:
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder))
        try:
            server.start()
            yield server
            print(f"ComfyUI {server.version}; {describe_environment()}")
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--checkpoint", default="default", help="default, or a file")
    options = parser.parse_args()
    with start_comfyui() as server:
        measure_lengths(server, options.frames, install_checkpoint(server, options.checkpoint))


if __name__ == "__main__":
    main()
