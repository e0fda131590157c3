"""`odvae encode-dataset` under SIGKILL at random times: nothing lost, nothing encoded twice."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

import odvae_core as odvae
from tests.media import draw_noise, make_clip

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, to start at once")

# Imports once, then starts the command again and again by fork, and kills it. The log says when a
# clip's encoding begins and when the clip is kept.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path

from odvae_core import cli
from odvae_core.commands import encode_dataset
from odvae_core.dataset import folder

clips, latents, log, kills, seed, shape = sys.argv[1:]
random_state = random.Random(int(seed))
log, encode_clip, add_clip = Path(log), encode_dataset.encode_clip, folder.ShardWriter.add_clip


def note(word, clip):
    with log.open("a") as file:
        file.write(f"{word} {clip}\\n")


def encode_and_note(clip, *arguments):
    note("begun", clip.id)
    return encode_clip(clip, *arguments)


def add_and_note(self, clip, samples):
    add_clip(self, clip, samples)
    note("kept", clip)


encode_dataset.encode_clip = encode_and_note
folder.ShardWriter.add_clip = add_and_note
folder.MOST_CLIPS = 2  # many shards


def start():
    child = os.fork()
    if not child:
        options = ["--device", "cpu", "--schedule", "stream", "--format", shape]
        os._exit(cli.main(["encode-dataset", clips, latents, *options]))
    return child


def count():
    return log.read_text().count("\\n")


for _ in range(int(kills)):
    lines = count() + random_state.randint(1, 4)
    child = start()
    while count() < lines:
        time.sleep(0.0005)
    time.sleep(random_state.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("killed" if ended == -signal.SIGKILL else "ended", flush=True)

sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(), 0)[1]))
"""


def make_clips(folder, count):
    """Equal clips."""
    folder.mkdir()
    first = make_clip(folder / "0.mp4", draw_noise(5, 16, 16))
    for number in range(1, count):
        shutil.copy(first, folder / f"{number}.mp4")
    return folder


def run_with_kills(clips, place, kills, shape):
    """The log's lines after this number of kills and a complete run."""
    log = place / "log"
    log.touch()
    arguments = [clips, place / "latents", log, kills, 0, shape]
    result = subprocess.run(
        [sys.executable, "-c", KILLER, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("killed") == kills
    return [line.split() for line in log.read_text().splitlines()]


def check_dataset(lines, latents, clips):
    """No written clip is encoded again; every clip is there once and readable."""
    kept = set()
    for word, clip in lines:
        assert clip not in kept
        if word == "kept":
            kept.add(clip)
    found = {name: latent for name, latent, _ in odvae.read_latents(latents)}
    assert len(found) == clips
    assert all(torch.equal(latent, found[min(found)]) for latent in found.values())
    index = (latents / "index.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["id"] for line in index) == dict.fromkeys(found, 1)
    assert not list((latents / "unfinished").iterdir())


@pytest.mark.parametrize("shape", ["safetensors", "webdataset"])
@pytest.mark.parametrize(
    ("kills", "clips"), [(3, 16), pytest.param(20, 120, marks=pytest.mark.slow)]
)
def test_kills_lose_nothing(tmp_path, kills, clips, shape):
    place = make_clips(tmp_path / "clips", clips)
    check_dataset(run_with_kills(place, tmp_path, kills, shape), tmp_path / "latents", clips)


@pytest.mark.slow
def test_two_launched_processes_share_a_folder(tmp_path):
    clips = make_clips(tmp_path / "clips", 8)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command = ["-m", "odvae_core", "encode-dataset", clips, tmp_path / "latents"]
    result = subprocess.run(
        [*launcher, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("4 clips now, 0 before, of 4") == 2
    assert len(list(odvae.read_latents(tmp_path / "latents"))) == 8
    assert len((tmp_path / "latents/index.jsonl").read_text().splitlines()) == 8
