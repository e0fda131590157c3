"""odvae_core/scaling.py: latents of a VAE and of its diffusion models."""

import pytest
import torch

from odvae_core.scaling import (
    check_factors,
    describe_factors,
    list_factors,
    parse_factors,
    scale_latent,
    unscale_latent,
)

LATENT = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0)).double()
SCALE, SHIFT = (2.0, 0.5, 4.0), (1.0, -0.25, 0.0)


def test_every_channel_has_its_own_scale_and_shift():
    scaled = scale_latent(LATENT, SCALE, SHIFT)
    for i, (scale, shift) in enumerate(zip(SCALE, SHIFT, strict=True)):
        torch.testing.assert_close(scaled[:, i], (LATENT[:, i] - shift) * scale)
    torch.testing.assert_close(unscale_latent(scaled, SCALE, SHIFT), LATENT)


def test_one_number_is_that_of_all_channels():
    torch.testing.assert_close(
        scale_latent(LATENT, 0.5, 0.1), scale_latent(LATENT, (0.5,) * 3, (0.1,) * 3)
    )


def test_latents_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match=r"got latents of 3 channels and factors for 2: use"):
        scale_latent(LATENT, (1.0, 1.0), 0.0)
    with pytest.raises(ValueError, match=r"got 2 numbers of latent_scale for 16 latent channels"):
        check_factors(16, latent_scale=(1.0, 2.0), latent_shift=0.0)


@pytest.mark.parametrize("factors", [0.18215, (0.5,), SCALE])
def test_factors_come_back_from_text_and_json(factors):
    assert parse_factors(str(factors)) == factors
    listed = list_factors(factors)
    assert (tuple(listed) if isinstance(listed, list) else listed) == factors


@pytest.mark.parametrize("text", ["nan", "(1.0, inf)", "(", "()", "(1.0;2.0)"])
def test_text_that_holds_no_factors_is_refused(text):
    with pytest.raises(ValueError, match=r"got 'nan'|got 'inf'|could not convert"):
        parse_factors(text)


def test_factors_are_described_in_a_few_words():
    assert describe_factors(0.18215) == "0.18215"
    assert describe_factors(SCALE) == "0.5 to 4 by channel"
