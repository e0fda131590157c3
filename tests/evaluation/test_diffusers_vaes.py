"""diffusers' classes as candidates: a stand-in for the package that is called as it is."""

import json
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odvae_core.evaluation import make_diffusers_candidate
from odvae_core.files.tensorfile import hash_file
from odvae_core.padding import ClipSize

SIZE = ClipSize(5, 16, 16)


@dataclass
class Encoded:
    """The output of encoders: a distribution with a mode, which must not be sampled."""

    latent: torch.Tensor

    @property
    def latent_dist(self):
        return SimpleNamespace(mode=lambda: self.latent)


class Config(dict):
    """As diffusers' own: items are attributes too."""

    __getattr__ = dict.__getitem__


class Pictures(nn.Module):
    """A 2D VAE: means of 2x2 pixels."""

    config = Config(block_out_channels=(8, 8), latent_channels=3)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5))

    @classmethod
    def from_pretrained(cls, folder, *, torch_dtype, local_files_only):
        assert local_files_only
        cls.loaded = folder
        return cls().to(torch_dtype)

    def encode(self, pictures):
        assert pictures.ndim == 4
        return Encoded(F.avg_pool2d(pictures.to(self.weight), 2))

    def decode(self, latent):
        return SimpleNamespace(sample=F.interpolate(latent, scale_factor=2.0))


class Quantised(Pictures):
    """A VQGAN, whose encoder returns the latent itself."""

    def encode(self, pictures):
        return SimpleNamespace(latents=super().encode(pictures).latent)


class InTime(Pictures):
    """SVD's: the decoder is told how many pictures are a clip, and here makes them their mean."""

    def decode(self, latent, num_frames):
        clip = super().decode(latent).sample.unflatten(0, (-1, num_frames))
        return SimpleNamespace(sample=clip.mean(1, keepdim=True).expand_as(clip).flatten(0, 1))


class Clips(Pictures):
    """A 3D VAE that shortens time by 4 and sides by 8."""

    config = Config(z_dim=3)

    def encode(self, clip):
        assert clip.ndim == 5
        assert clip.shape[2] % 4 == 1
        return Encoded(F.avg_pool3d(clip, (1, 8, 8))[:, :, ::4])

    def decode(self, latent):
        size = (1 + 4 * (latent.shape[2] - 1), 8 * latent.shape[3], 8 * latent.shape[4])
        return SimpleNamespace(sample=F.interpolate(latent, size))


class InPieces(Clips):
    """CogVideoX's: after frame 0 it takes pieces of eight frames."""

    def encode(self, clip):
        assert clip.shape[2] % 8 == 1
        return super().encode(clip)


class Shortened(Clips):
    """One with another configuration than the published."""

    def decode(self, latent):
        return SimpleNamespace(sample=super().decode(latent).sample[:, :, 1:])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A saved VAE, and a package diffusers that can load it."""
    module = ModuleType("diffusers")
    module.AutoencoderKL, module.VQModel, module.AutoencoderKLTemporalDecoder = (
        Pictures,
        Quantised,
        InTime,
    )
    module.AutoencoderKLCogVideoX = InPieces
    module.AutoencoderKLWan, module.AutoencoderKLMagvit = Clips, Shortened
    monkeypatch.setitem(sys.modules, "diffusers", module)
    (tmp_path / "config.json").write_text(json.dumps({}))
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    return tmp_path


def make_candidate(class_name, folder, size=SIZE):
    return make_diffusers_candidate(
        class_name, class_name, folder, torch.float32, torch.device("cpu"), size
    )


def blocks(frames, height, width, step):
    """A clip [1, 3, T, H, W] of blocks of one colour, which the stand-ins keep."""
    small = torch.rand(1, 3, frames, -(-height // step), -(-width // step)) * 2 - 1
    large = small.repeat_interleave(step, dim=3).repeat_interleave(step, dim=4)
    return large[..., :height, :width]


@pytest.mark.parametrize("class_name", ["AutoencoderKL", "VQModel"])
def test_a_2d_vae_goes_frame_by_frame(folder, class_name):
    candidate = make_candidate(class_name, folder)
    video = blocks(5, 16, 16, 2)
    torch.testing.assert_close(candidate.reconstruct(video), video)


def test_svds_decoder_is_told_the_frames_of_the_clip(folder):
    video = blocks(5, 16, 16, 2)
    mean = video.mean(2, keepdim=True).expand_as(video)
    candidate = make_candidate("AutoencoderKLTemporalDecoder", folder)
    torch.testing.assert_close(candidate.reconstruct(video), mean)


def test_a_3d_vae_gets_whole_clips_padded_as_it_needs(folder):
    video = blocks(1, 12, 20, 8).expand(-1, -1, 7, -1, -1)
    candidate = make_candidate("AutoencoderKLWan", folder, ClipSize(7, 12, 20))
    assert candidate.reconstruct(video).shape == video.shape
    torch.testing.assert_close(candidate.reconstruct(video)[..., :8, :16], video[..., :8, :16])


def test_a_3d_vae_that_takes_whole_pieces_gets_them(folder):
    video = blocks(1, 16, 16, 8).expand(-1, -1, 5, -1, -1)
    candidate = make_candidate("AutoencoderKLCogVideoX", folder)
    torch.testing.assert_close(candidate.reconstruct(video), video)
    assert candidate.facts["vcpr"] == 3 * 9 * 256 / (3 * 3 * 4)


def test_facts_are_of_the_local_files(folder):
    candidate = make_candidate("AutoencoderKLWan", folder)
    assert Clips.loaded == str(folder)
    assert candidate.facts == {
        "parameters": 5,
        "vcpr_paper": 256,
        "vcpr": 3 * 5 * 256 / (3 * 2 * 4),
        "run": "AutoencoderKLWan of diffusers, float32 on cpu",
        "sha256": hash_file(folder / "diffusion_pytorch_model.safetensors"),
    }
    assert make_candidate("AutoencoderKL", folder).facts["vcpr"] == 4


def test_a_configuration_that_shortens_otherwise_is_refused(folder):
    candidate = make_candidate("AutoencoderKLMagvit", folder)
    with pytest.raises(ValueError, match=r"Magvit returned \[1, 3, 4.*for \[1, 3, 5.*leave this"):
        candidate.reconstruct(blocks(5, 16, 16, 8))


def test_a_missing_package_class_or_folder_is_refused(folder, monkeypatch):
    with pytest.raises(ValueError, match=r"diffusers Nothing; choose one of AutoencoderKL, VQ"):
        make_candidate("Nothing", folder)
    with pytest.raises(ValueError, match=r"none: has no config\.json"):
        make_candidate("VQModel", folder / "none")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match="run `pip install diffusers`, or leave this candidate"):
        make_candidate("VQModel", folder)


def test_weights_that_do_not_load_are_refused(folder, monkeypatch):
    def fail(*_arguments, **_options):
        raise OSError("no file named diffusion_pytorch_model.bin")

    monkeypatch.setattr(Pictures, "from_pretrained", fail)
    with pytest.raises(ValueError, match=r"can't load it as AutoencoderKL .*check that the folder"):
        make_candidate("AutoencoderKL", folder)
