"""Chunks of a clip: recording their times and ending at a time."""

from fractions import Fraction

import torch

from odvae_core.video import Chunk, ChunkRecorder, take_until


def make_chunks(*lengths):
    """Chunks at one frame per second."""
    start = 0
    for frames in lengths:
        video = torch.zeros(1, 3, frames, 4, 6)
        yield Chunk(video, [Fraction(start + i) for i in range(frames)])
        start += frames


def test_a_recorder_passes_the_videos_on_and_records_times_and_size():
    recorder = ChunkRecorder()
    assert [video.shape[2] for video in recorder.record(make_chunks(3, 2))] == [3, 2]
    assert recorder.times == [0, 1, 2, 3, 4]
    assert recorder.picture_size == (4, 6)


def test_the_frames_before_the_end_are_taken_and_one_chunk_more_is_read():
    read = []
    chunks = (read.append(chunk) or chunk for chunk in make_chunks(3, 3, 3))
    taken = [len(chunk.times) for chunk in take_until(chunks, 4)]
    assert taken == [3, 1]
    assert len(read) == 2
    assert [len(chunk.times) for chunk in take_until(make_chunks(2, 2), None)] == [2, 2]
