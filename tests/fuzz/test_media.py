"""No media file costs more than its size warrants: mutations of many kinds of files, counted."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from odvae_core.video import VideoError, VideoReader
from tests.fuzz.media_corpus import WRITERS, make_gif, write_corpus
from tests.fuzz.media_files import make_seeds, mutate

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 2**30  # of memory for a file of at most 20 kB, with the network's packages aside
MOST_SECONDS = 10  # of the processor
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each file is read in a fork")


def read_all(paths):
    """What each reading came to."""
    command = [sys.executable, "-m", "tests.fuzz.media_worker", *map(str, paths)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def find_wrong(found):
    """The readings that end in another error than the promised, or cost too much."""
    return [
        one
        for one in found
        if one["outcome"] not in ("read", "refused")
        or one["bytes"] > MOST_BYTES
        or one["cpu_seconds"] > MOST_SECONDS
    ]


@pytest.mark.parametrize(
    ("count", "seed"), [(60, 0), pytest.param(5000, 1, marks=pytest.mark.slow)]
)
def test_mutated_files_are_read_or_refused_at_a_bounded_cost(tmp_path, count, seed, capsys):
    seeds, random = make_seeds(tmp_path), Random(seed)
    paths = []
    for number in range(count):
        name = random.choice(sorted(seeds))
        steps, content = mutate(seeds[name], random)
        paths.append(tmp_path / f"{number:05d}-{steps}-{name}")
        paths[-1].write_bytes(content)
    found = [one for start in range(0, count, 500) for one in read_all(paths[start : start + 500])]
    with capsys.disabled():
        outcomes = dict(Counter(one["outcome"] for one in found))
        sys.stdout.write(f"\n{count} mutated media files: {outcomes}\n")
    assert len(found) == count
    assert find_wrong(found) == []
    assert {one["outcome"] for one in found} == {"read", "refused"}


def test_files_that_once_cost_too_much_or_broke_are_refused(tmp_path):
    found = read_all(write_corpus(tmp_path))
    assert find_wrong(found) == []
    assert [one["file"] for one in found if one["outcome"] != "refused"] == []
    assert len(found) == len(WRITERS)
    assert max(one["bytes"] for one in found) < MOST_BYTES // 8


def test_a_picture_is_bounded_by_the_bytes_of_its_file(tmp_path):
    path = tmp_path / "screen.gif"
    path.write_bytes(make_gif(2048, 2048))
    assert path.stat().st_size == 43
    assert VideoReader(path).size == (2048, 2048)
    path.write_bytes(make_gif(4096, 4096))
    with pytest.raises(VideoError, match=r"a file of its size may have up to 8\.6 million pixels"):
        VideoReader(path)
    path.write_bytes(make_gif(4096, 4096) + bytes(4096))
    assert VideoReader(path).size == (4096, 4096)
