"""Read media files, each in a process of its own, and print what each cost: one line of JSON.

    python -m tests.fuzz.media_worker FILE...       (Linux and macOS: it needs fork)

`outcome`: "read"; "refused", by the error that the project promises; "wrong", by another error;
"killed", by a signal or for its time. `bytes`: the memory that it took at most.
"""

import json
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

import torch

from odvae_core.video import VideoError, VideoReader, VideoWriter

SECONDS = 20
ADDRESSES = 12 * 2**30  # bytes: more than any reading may take, less than harms the machine
CHUNK = 8
WRITTEN = 512 * 512  # pixels: larger pictures are read only


def read_and_write(path: Path) -> int:
    """Read a clip as the commands do, and write small ones with their sound; the frames."""
    frames = 0
    with VideoReader(path) as reader:
        if reader.size[0] * reader.size[1] > WRITTEN:
            return sum(len(chunk.times) for chunk in reader.chunks(CHUNK))
        output = path.with_name(f"{path.name}.mkv")
        with VideoWriter(output, reader.size, reader.fps, audio_from=path) as writer:
            for chunk in reader.chunks(CHUNK):
                writer.write(chunk.video, chunk.times)
                frames += len(chunk.times)
        output.unlink()
    return frames


def answer(path: Path, pipe: int) -> None:
    """The child's part: read, and say how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    signal.alarm(3 * SECONDS)
    try:
        found = {"outcome": "read", "detail": f"{read_and_write(path)} frames"}
    except VideoError as error:
        found = {"outcome": "refused", "detail": str(error)}
    except BaseException as error:
        found = {"outcome": "wrong", "detail": f"{type(error).__name__}: {error}"}
    os.write(pipe, json.dumps(found).encode()[:60_000])


def measure(path: Path) -> dict[str, object]:
    """Fork, wait, and tell what the child did and took."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        answer(path, writing)
        os._exit(0)
    os.close(writing)
    _, status, usage = os.wait4(child, 0)
    said = os.read(reading, 65_536)
    os.close(reading)
    found = json.loads(said) if said else {"outcome": "killed", "detail": f"status {status}"}
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = usage.ru_utime + usage.ru_stime
    found |= {"file": path.name, "cpu_seconds": round(seconds, 3), "bytes": usage.ru_maxrss * unit}
    return found | {"seconds": round(time.monotonic() - start, 3)}


def main(paths: list[str]) -> None:
    """A first line for an own process that reads nothing, then one a file."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.rand(8).add(1)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    base *= 1 if sys.platform == "darwin" else 1024
    for path in paths:
        found = measure(Path(path))
        found["bytes"] = max(0, found["bytes"] - base)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
