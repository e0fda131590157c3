"""Seconds from a cancel in ComfyUI to the end of the run.

    python -m benchmarks.cancel [--size 480 854] [--frames 49] [--checkpoint default|FILE]

The cancel is sent at several moments of Temporal-Tiled Encode and Decode, schedule auto, on a CPU.
"""

from __future__ import annotations

import argparse
import threading
import time

from benchmarks.comfyui_files import install_checkpoint, start_comfyui
from tests.comfyui.graph import Graph
from tests.comfyui.server import Server

MOMENTS = (1.0, 2.0, 3.5, 5.0)
"""Seconds after the first step of the node's progress bar."""


def make_graph(checkpoint: str, size: list[int], frames: int, node: str) -> Graph:
    """Encode a grey clip, or decode an empty latent."""
    graph, (height, width) = Graph(), size
    vae = graph.add("ODVAELoad", checkpoint=checkpoint, dtype="auto")
    if node == "encode":
        image = graph.add(
            "EmptyImage", width=width, height=height, batch_size=frames, color=8421504
        )
        latent = graph.add("ODVAETemporalTiledEncode", image=image, vae=vae)
        graph.add("SaveLatent", samples=latent, filename_prefix="latent")
    else:
        sizes = {"width": width // 8 * 8, "height": height // 8 * 8, "frames": frames}
        latent = graph.add("ODVAEEmptyLatent", vae=vae, **sizes)
        image = graph.add("ODVAETemporalTiledDecode", latent=latent, vae=vae)
        graph.add("PreviewImage", images=image)
    return graph


def measure_cancel(server: Server, graph: Graph, moment: float) -> float | None:
    """Seconds from the cancel to the end; None where the run ended before the cancel."""
    sent: list[float] = []

    def cancel() -> None:
        sent.append(time.monotonic())
        server.interrupt()

    timer = threading.Timer(moment, cancel)

    def start_timer(*_: object) -> None:
        if not timer.is_alive() and not sent:
            timer.start()

    run = server.run(graph, on_progress=start_timer, seconds=3600)
    end = time.monotonic() - 0.1  # `run` waits that long after the end
    timer.cancel()
    return end - sent[0] if sent and run.status == "error" else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=[480, 854], metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--checkpoint", default="default", help="default, or a file")
    options = parser.parse_args()
    with start_comfyui() as server:
        checkpoint = install_checkpoint(server, options.checkpoint)
        for node in ("encode", "decode"):
            graph = make_graph(checkpoint, options.size, options.frames, node)
            seconds = [measure_cancel(server, graph, moment) for moment in MOMENTS]
            text = ", ".join("run ended" if s is None else f"{s:.2f} s" for s in seconds)
            print(f"{node}: {text}", flush=True)


if __name__ == "__main__":
    main()
