"""CV-VAE's regularisation towards a 2D VAE's latent space."""

from dataclasses import replace

import pytest
import torch

import odvae_core
from odvae_core.families.cvvae_config import CVVAE_SD3
from tests.checkpoints import build_image_vae, write_diffusers_folder
from train.config import ConfigError, ImageSpaceConfig
from train.image_space import ImageSpace, map_frames
from train.keyed_random import KeyedRandom

CPU = torch.device("cpu")


def count_frames(frames=9):
    """A clip whose frames have their number as value."""
    return torch.arange(float(frames)).view(1, 1, frames, 1, 1).expand(2, 3, frames, 2, 2)


def read_numbers(video):
    return video[0, 0, :, 0, 0].tolist()


def test_a_slice_is_every_fourth_frame():
    assert read_numbers(map_frames(count_frames(), "slice", 4, KeyedRandom(0))) == [0, 4, 8]


def test_a_mean_is_over_each_group_after_the_first_frame():
    assert read_numbers(map_frames(count_frames(), "mean", 4, KeyedRandom(0))) == [0, 2.5, 6.5]


def test_a_random_frame_comes_from_its_own_group():
    seen = [
        read_numbers(map_frames(count_frames(), "random", 4, KeyedRandom(i))) for i in range(60)
    ]
    assert {first for first, _, _ in seen} == {0}
    assert {second for _, second, _ in seen} == {1, 2, 3, 4}
    assert {third for _, _, third in seen} == {5, 6, 7, 8}


def test_the_same_key_selects_the_same_frames():
    pick = [
        read_numbers(map_frames(count_frames(33), "random", 4, KeyedRandom(7))) for _ in range(2)
    ]
    assert pick[0] == pick[1]


@pytest.mark.parametrize("mapping", ["slice", "mean", "random"])
def test_a_picture_is_mapped_to_itself(mapping):
    assert read_numbers(map_frames(count_frames(1), mapping, 4, KeyedRandom(0))) == [0]


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return odvae_core.build("odvae-tiny")


@pytest.fixture(scope="module")
def image_file(tmp_path_factory):
    """The folder of a 2D VAE as diffusers saves it."""
    torch.manual_seed(1)
    return write_diffusers_folder(build_image_vae(), tmp_path_factory.mktemp("image"))


def write_ldm(image, folder):
    weights = {f"first_stage_model.{key}": value for key, value in image.state_dict().items()}
    torch.save({"state_dict": weights}, folder / "sd.ckpt")
    return folder / "sd.ckpt"


def write_bare(image, folder):
    torch.save(image.half().state_dict(), folder / "vae.pt")
    return folder / "vae.pt"


@pytest.mark.parametrize("write", [write_ldm, write_bare, write_diffusers_folder])
def test_the_2d_vae_is_loaded_from_any_published_layout(vae, tmp_path, write):
    path = write(build_image_vae(), tmp_path)
    space = ImageSpace(ImageSpaceConfig(vae=str(path)), vae, CPU)
    assert (space.vae.temporal_compression, space.vae.latent_channels) == (1, 4)


def test_the_2d_vae_of_sd3_is_that_of_a_video_vae_of_16_channels(tmp_path):
    image = build_image_vae(z_channels=16, embed_dim=16, quant="")
    path = write_diffusers_folder(image, tmp_path, scaling_factor=1.5305, shift_factor=0.0609)
    levels = tuple(replace(level, channels=32) for level in CVVAE_SD3.levels)
    video = odvae_core.build(replace(CVVAE_SD3, levels=levels, blocks=1))
    space = ImageSpace(ImageSpaceConfig(vae=str(path)), video, CPU)
    assert space.vae.latent_channels == 16


def test_the_decoder_s_error_has_a_gradient_for_the_latent_and_none_for_the_2d_vae(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file)), vae, CPU)
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    latent = torch.randn(1, 4, 2, 2, 2, requires_grad=True)
    space.error(latent, video, KeyedRandom(0)).backward()
    assert latent.grad.abs().min() > 0
    assert all(weight.grad is None for weight in space.vae.parameters())


def test_the_encoder_s_latents_are_those_of_every_fourth_frame(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file), encode=True), vae, CPU)
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    expected = space.vae.encode(video[:, :, ::4]).mean
    latent = space.encode(video, torch.zeros_like(expected))
    torch.testing.assert_close(latent, expected)
    assert not latent.requires_grad


def test_without_encode_there_are_no_image_latents(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file)), vae, CPU)
    assert space.encode(torch.zeros(1, 3, 5, 16, 16), torch.zeros(1, 4, 2, 2, 2)) is None


def test_a_vae_of_another_latent_space_is_refused(vae, tmp_path):
    odvae_core.save(vae, tmp_path / "video.safetensors")
    with pytest.raises(ConfigError, match="compresses time 4x"):
        ImageSpace(ImageSpaceConfig(vae=str(tmp_path / "video.safetensors")), vae, CPU)
