"""Every layer's declared reach, compared with the rows that it reads."""

import pytest
import torch

from odvae_core.layers.norm import FrameGroupNorm
from odvae_core.layers.stream import Moments, StreamState
from tests.schedules.test_bands import STREAMED, SWEPT, make

WIDTH = 2


def size_of(name):
    """Frames and rows: groups of four frames, and dilated convolutions, for IV-VAE."""
    return (5, 26) if name.startswith("ivvae") else (2, 10)


def given_moments(norm, items):
    return Moments(1, torch.zeros(items, norm.num_groups), torch.ones(items, norm.num_groups))


def state_of(step, frames):
    """A state that knows the statistics of the norm that the step opens with."""
    norms = {} if step.norm is None else {step.norm: given_moments(step.norm, 1)}
    state = StreamState(norms)
    state.last = True
    if isinstance(step.norm, FrameGroupNorm) and not step.reach.whole:
        state.frame_moments = {step.norm: given_moments(step.norm, frames)}
    return state


def read_rows(step, x, shortcut, row):
    """The output rows that depend on an input row: those that become NaN with it."""
    marked = [None if part is None else part.clone() for part in (x, shortcut)]
    for part in marked:
        if part is not None:
            part[..., row, :] = float("nan")
    outputs = [part for part in step.run(*marked, state_of(step, x.shape[2])) if part is not None]
    return torch.stack([part.isnan().any(4).any(2).any(1)[0] for part in outputs]).any(0)


def list_dependences(coder, channels, frames, height):
    """Each step of a coder, and [input row, output row]: whether one depends on the other."""
    x, shortcut = torch.zeros(1, channels, frames, height, WIDTH), None
    for step in coder.steps:
        yield step, torch.stack([read_rows(step, x, shortcut, row) for row in range(height)])
        outputs = step.run(x, shortcut, state_of(step, frames))
        x, shortcut = (
            None if part is None else part.new_zeros(1, part.shape[1], frames, height, WIDTH)
            for part in outputs
        )


@pytest.mark.parametrize("encodes", [True, False])
@pytest.mark.parametrize("name", [*SWEPT, *STREAMED])
def test_a_step_reads_the_rows_that_it_declares(name, encodes):
    vae = make(name).float()
    coder = vae.encoder_pass() if encodes else vae.decoder_pass()
    frames, height = size_of(name)
    channels = 3 if encodes else vae.latent_channels
    for step, depends in list_dependences(coder, channels, frames, height):
        if step.across_time:
            continue
        for output_row in range(depends.shape[1]):
            rows = depends[:, output_row].nonzero().flatten()
            top, bottom = step.reach.input_rows(output_row, output_row + 1, height)
            assert top <= rows.min()
            assert rows.max() < bottom


@pytest.mark.parametrize("name", ["odvae-v1.2", "ivvae-z4"])
def test_no_step_declares_more_rows_than_it_reads(name):
    vae = make(name).float()
    frames, height = size_of(name)
    for step, depends in list_dependences(vae.decoder_pass(), vae.latent_channels, frames, height):
        if step.reach.whole or step.reach.up > 1:
            continue
        middle = depends.shape[1] // 2
        rows = depends[:, middle].nonzero().flatten()
        assert (rows.min(), rows.max() + 1) == step.reach.input_rows(middle, middle + 1, height)
