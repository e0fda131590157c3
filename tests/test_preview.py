"""Colours of previews: fitted by least squares, written and read."""

import pytest
import torch

import odvae_core
from odvae_core.preview import PreviewFit, average_pixels, read_preview, write_preview

FACTORS = torch.tensor([[0.5, 0.1, -0.2], [0.2, 0.3, 0.4], [-0.1, 0.6, 0.0], [0.3, -0.4, 0.2]])
BIAS = torch.tensor([0.1, -0.05, 0.2])


@pytest.fixture(scope="module")
def vae():
    return odvae_core.build("odvae-tiny")


def make_clip(vae, seed, noise=0.0):
    """An unscaled latent and a video whose mean colours are linear in it, but for noise."""
    generator = torch.Generator().manual_seed(seed)
    scaled = torch.randn(1, 4, 3, 4, 6, generator=generator) * 0.4
    colours = torch.einsum("bcthw,cr->brthw", scaled, FACTORS) + BIAS[:, None, None, None]
    colours = colours + noise * torch.randn(colours.shape, generator=generator)
    frames = torch.cat([colours[:, :, :1], colours[:, :, 1:].repeat_interleave(4, dim=2)], dim=2)
    video = frames.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
    return scaled / vae.latent_scale + vae.latent_shift, video


def test_the_factors_of_linear_colours_are_found(vae):
    fit = PreviewFit(vae)
    for seed in range(12):
        fit.add(*make_clip(vae, seed))
    preview = fit.solve()
    torch.testing.assert_close(torch.tensor(preview.factors), FACTORS, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(preview.bias), BIAS, atol=1e-5, rtol=0)
    latent, video = make_clip(vae, 99)
    drawn = preview.draw((latent - vae.latent_shift) * vae.latent_scale)
    torch.testing.assert_close(drawn, average_pixels(video, vae), atol=1e-5, rtol=0)


def test_the_psnr_is_that_of_the_fitted_clips(vae):
    fit, clips = PreviewFit(vae), [make_clip(vae, seed, noise=0.1) for seed in range(12)]
    for clip in clips:
        fit.add(*clip)
    preview = fit.solve()
    errors = [
        preview.draw((latent - vae.latent_shift) * vae.latent_scale) - average_pixels(video, vae)
        for latent, video in clips
    ]
    expected = 10 * torch.log10(4 / torch.cat(errors).square().mean())
    assert preview.psnr == pytest.approx(expected.item(), abs=0.01)
    assert 20 < preview.psnr < 30


def test_too_few_pixels_are_refused(vae):
    fit = PreviewFit(vae)
    fit.add(*make_clip(vae, 0))
    with pytest.raises(ValueError, match=r"got 72 latent pixels.*add clips"):
        fit.solve()


def test_a_preview_comes_back_from_its_file(vae, tmp_path):
    fit = PreviewFit(vae)
    for seed in range(12):
        fit.add(*make_clip(vae, seed))
    preview = fit.solve()
    write_preview(preview, tmp_path / "model.preview.json")
    read = read_preview(tmp_path / "model.preview.json")
    assert (read.factors, read.bias) == (preview.factors, preview.bias)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"psnr": 1, "factors": [[1, 2]], "bias": [0, 0, 0]}',
        '{"psnr": 1, "factors": [], "bias": [0, 0, 0]}',
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "model.preview.json").write_text(text)
    with pytest.raises(ValueError, match="write it again with `odvae fit-preview`"):
        read_preview(tmp_path / "model.preview.json")
