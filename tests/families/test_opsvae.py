"""odvae_core/families/opsvae.py and schedules/pieces.py: pieces of 17 frames, any clip."""

import json

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.checkpoint.export import describe_as_published, to_published
from odvae_core.families.opsvae_config import PRESETS, OpsvaeConfig
from odvae_core.padding import ClipSize, crop, latent_frames, pad, pad_stream, video_frames
from odvae_core.planning import Clip, Request, find_plans
from odvae_core.planning.available import FreeMemory

TINY = OpsvaeConfig(4, (4, 4, 4, 4), 1, 4, (1, 2, 2, 4), 1, norm_groups=4)
ROOMY = FreeMemory(2**62, 2**62, shared=True)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return odvae.build(TINY).double().eval().requires_grad_(False)


def make_clip(frames, height=16, width=24):
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(1, 3, frames, height, width, generator=generator, dtype=torch.float64)
    return clip * 2 - 1


def compare(given, expected):
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-10)


def test_the_preset_is_the_published_network():
    with torch.device("meta"):
        vae = odvae.build("opsvae-v1.2")
    assert sum(weight.numel() for weight in vae.parameters()) == 393_341_007
    assert vae.latent_shift == (-0.10, 0.34, 0.27, 0.98)
    ones = vae.scale_latent(torch.ones(1, 4, 1, 1, 1)).flatten()
    expected = (1 - torch.tensor(vae.latent_shift)) / torch.tensor([3.85, 2.32, 2.33, 3.06])
    torch.testing.assert_close(ones, expected)


def test_pieces_are_clips_of_their_own(vae):
    clip = make_clip(39)
    latent = vae.encode(clip).mean
    pieces = [vae.encode(piece, odvae.Whole()).mean for piece in clip.split(17, dim=2)]
    compare(latent, torch.cat(pieces, dim=2))
    assert latent.shape[2] == 5 + 5 + 2
    frames = [vae.decode(piece, odvae.Whole()) for piece in pieces]
    compare(vae.decode(latent), torch.cat(frames, dim=2))


@pytest.mark.parametrize("frames", [1, 2, 7, 16, 18, 33, 49])
def test_any_clip_comes_back_where_its_frames_are_told(vae, frames):
    schedule = odvae.Pieces(17, clip_frames=frames)
    latent = vae.encode(make_clip(frames), schedule).mean
    assert latent.shape[2] == 5 * (frames // 17) + -(-(frames % 17) // 4)
    assert vae.decode(latent, schedule).shape[2] == frames
    chunks = vae.decode_stream(latent.split(2, dim=2), schedule)
    compare(torch.cat(list(chunks), dim=2), vae.decode(latent, schedule))


@pytest.mark.parametrize("frames", [2, 16, 33])
def test_other_clips_are_refused_with_a_remedy_and_fit_when_padded(vae, frames):
    clip = make_clip(frames)
    with pytest.raises(ValueError, match=r"takes 1 \+ 4k: extend it, .*clip_frames"):
        vae.encode(clip)
    with pytest.raises(ValueError, match=r"takes 1 \+ 4k: extend it"):
        list(vae.encode_stream(clip.split(5, dim=2)))
    padded = pad(clip, vae)
    latent = vae.encode(padded).mean
    streamed = list(vae.encode_stream(pad_stream(clip.split(5, dim=2), vae)))
    compare(torch.cat([one.mean for one in streamed], dim=2), latent)
    assert latent.shape[2] == latent_frames(frames, vae)
    assert crop(vae.decode(latent), ClipSize.of(clip)).shape == clip.shape


def test_padding_adds_no_more_than_needed_and_latents_tell_the_padded_clip(vae):
    for frames in range(1, 90):
        padded = ClipSize(frames, 8, 8).padded(vae).frames
        assert 0 <= padded - frames < 4
        assert padded % 17 in (0, 1, 5, 9, 13)
        assert video_frames(latent_frames(frames, vae), vae) == padded


def test_a_wrong_frame_count_is_refused(vae):
    latent = vae.encode(make_clip(17)).mean
    with pytest.raises(ValueError, match=r"a piece of 5 frames where one of 4 follows"):
        vae.decode(latent, odvae.Pieces(17, clip_frames=16))
    with pytest.raises(ValueError, match=r"a clip of 17 frames and clip_frames=34"):
        list(vae.decode_stream([latent], odvae.Pieces(17, clip_frames=34)))


def test_in_one_piece_a_sweep_equals_the_whole_clip(vae):
    clip = make_clip(21)
    latent = vae.encode(clip, odvae.Whole()).mean
    assert latent.shape[2] == 6
    compare(vae.encode(clip, odvae.Sweep(9)).mean, latent)
    compare(vae.decode(latent, odvae.Sweep(9)), vae.decode(latent, odvae.Whole()))
    with pytest.raises(ValueError, match=r"takes 1 \+ 4k"):
        vae.encode(make_clip(20), odvae.Whole())


def test_other_vaes_can_be_cut_into_pieces_of_their_own_frame_counts():
    torch.manual_seed(0)
    vae, clip = odvae.build("odvae-tiny").requires_grad_(False), make_clip(10).float()
    latent = vae.encode(clip[:, :, :5], odvae.Pieces(5)).mean
    torch.testing.assert_close(latent, vae.encode(clip[:, :, :5], odvae.Whole()).mean)
    with pytest.raises(ValueError, match="in this VAE it is one"):
        vae.decode(latent, odvae.Pieces(17, clip_frames=6))


def test_the_planner_keeps_to_the_pieces(vae):
    coder = vae.decoder_pass()
    clip = Clip((1, 4, 12, 2, 3), torch.device("cpu"))
    for strategy in ("auto", "paper", "published", "stream"):
        plan = next(find_plans(vae, coder, clip, Request(strategy), lambda _: ROOMY))
        assert plan.schedule == odvae.Pieces(17)
        assert "17 frames at a time" in plan.describe()
    for request in (Request("whole"), Request("exact"), Request("auto", 9)):
        with pytest.raises(ValueError, match="independent pieces of 17 frames: choose auto"):
            next(find_plans(vae, coder, clip, request, lambda _: ROOMY))


def test_gradients_pass_through_pieces():
    vae = odvae.build(TINY)
    clip = make_clip(22, 8, 8).float()
    vae(clip).square().mean().backward()
    assert all(weight.grad is not None for name, weight in vae.named_parameters())


def test_the_published_file_loads_with_the_prefix_inside_its_names(tmp_path):
    config = OpsvaeConfig(4, (32, 32, 32, 32), 1, 32, blocks=1)
    vae = odvae.build(config).requires_grad_(False)
    tensors = to_published(vae)
    assert "spatial_vae.module.encoder.conv_in.weight" in tensors
    assert tensors["scale"].shape == (1, 4, 1, 1, 1)
    save_file(tensors, tmp_path / "model.safetensors")
    for fields in (None, describe_as_published(vae)):
        if fields is not None:
            (tmp_path / "config.json").write_text(json.dumps(fields))
        loaded = odvae.load(tmp_path / "model.safetensors")
        assert loaded.config.widths == config.widths
        for key, value in vae.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value)


def test_the_config_of_the_release_gives_the_preset():
    published = {
        "model_type": "VideoAutoencoderPipeline",
        "vae_2d": {"type": "VideoAutoencoderKL", "micro_batch_size": 4, "subfolder": "vae"},
        "vae_temporal": {"type": "VAE_Temporal_SD"},
        "micro_frame_size": 17,
        "scale": [3.85, 2.32, 2.33, 3.06],
        "shift": [-0.1, 0.34, 0.27, 0.98],
        "cal_loss": False,
    }
    with torch.device("meta"):
        assert odvae.build(published).config == PRESETS["opsvae-v1.2"]
        unscaled = odvae.build({**published, "cal_loss": True})
    assert (unscaled.latent_scale, unscaled.latent_shift) == (1.0, 0.0)
    with pytest.raises(ValueError, match="the class OpenSoraVAE_V1_3, another network"):
        odvae.build({"model_type": "OpenSoraVAE_V1_3"})
