"""The held-out crops of a run."""

import pytest
import torch

import odvae_core
from tests.media import draw_noise, draw_numbers, make_clip, read_numbers
from train.config import ConfigError, DataConfig, EvaluationConfig
from train.evaluation import (
    cut_held_out,
    draw_corner,
    evaluate_part,
    open_file,
    read_crop,
    read_crops,
)

CROPS = EvaluationConfig(sides=(32,), per_clip=2, frames=5, size=16, stride=2)


def save_numbers(folder, *names, frames=10, **options):
    for name in names:
        make_clip(folder / name, draw_numbers(frames), codec="ffv1", **options)
    return [open_file(folder / name) for name in names]


def test_crops_are_the_same_every_time_and_differ_from_one_another(tmp_path):
    make_clip(tmp_path / "a.mkv", draw_noise(18), codec="ffv1", pix_fmt="bgr0")
    clips = [open_file(tmp_path / "a.mkv")]
    (crops,) = read_crops(clips, CROPS).values()
    assert crops.shape == (2, 3, 5, 16, 16)
    assert torch.equal(crops, read_crops(clips, CROPS)[32])
    assert not torch.equal(crops[0], crops[1])


def test_a_clip_smaller_than_a_crop_is_refused(tmp_path):
    clips = save_numbers(tmp_path, "a.mkv", frames=8)
    with pytest.raises(ConfigError, match=r"\[4, 32, 48\].*cuts \[5, 16, 16\]"):
        read_crops(clips, CROPS)


def test_a_crop_of_a_long_clip_is_read_from_its_first_frame(tmp_path):
    make_clip(tmp_path / "a.mp4", draw_numbers(200), options={"g": "10", "crf": "1"})
    for key in ((0, 0), (1, 0), (2, 0)):
        crop = read_crop(open_file(tmp_path / "a.mp4"), 32, CROPS, key)
        first = draw_corner((100, 32, 48), CROPS, key)[0]
        assert read_numbers(crop[None]) == [2 * (first + i) % 16 for i in range(5)]


def test_processes_share_the_clips(tmp_path):
    clips = save_numbers(tmp_path, "a.mkv", "b.mkv", "c.mkv")
    whole = read_crops(clips, CROPS)[32]
    parts = [read_crops(clips, CROPS, rank, 2)[32] for rank in range(2)]
    assert torch.equal(torch.cat([parts[0][:2], parts[1], parts[0][2:]]), whole)
    assert read_crops(clips, CROPS, 3, 4) == {}


def test_the_parts_of_processes_make_the_evaluation_of_one():
    vae = odvae_core.build("odvae-tiny").eval()
    crops = {32: torch.rand(3, 3, 5, 32, 32) * 2 - 1, 16: torch.rand(1, 3, 5, 16, 16) * 2 - 1}
    whole = evaluate_part(vae, crops, rows=12)
    first = evaluate_part(vae, {32: crops[32][:2]}, rows=12)
    first.extend(evaluate_part(vae, {32: crops[32][2:], 16: crops[16]}, rows=12))
    values, joined = whole.summary(), first.summary()
    assert values.keys() == joined.keys()
    assert {"psnr", "ssim", "16", "32", "positions", "latent_mean", "latent_std"} <= values.keys()
    for name, value in values.items():
        assert joined[name] == pytest.approx(value, rel=1e-6), name
    assert torch.equal(torch.stack(whole.pairs), torch.stack(first.pairs))


def test_the_latent_statistics_are_those_of_all_latents():
    vae = odvae_core.build("odvae-tiny").eval()
    video = torch.rand(2, 3, 5, 16, 16) * 2 - 1
    values = evaluate_part(vae, {16: video}, rows=1).summary()
    with torch.no_grad():
        latent = vae.encode(video).mode().transpose(0, 1).flatten(1)
    assert values["latent_mean"] == pytest.approx(latent.mean(1).tolist(), rel=1e-4, abs=1e-6)
    assert values["latent_std"] == pytest.approx(latent.std(1).tolist(), rel=1e-4)


def test_held_out_clips_are_cut_at_every_side_with_the_stride(tmp_path):
    for name in ("a.mkv", "b.mkv"):
        make_clip(tmp_path / name, draw_numbers(10), codec="ffv1")
    config = DataConfig(str(tmp_path), held_out=("a.mkv",))
    (crops,) = cut_held_out(config, CROPS).values()
    assert crops.shape == (2, 3, 5, 16, 16)
    for crop in crops.split(1):
        numbers = read_numbers(crop)
        assert numbers == list(range(numbers[0], numbers[0] + 10, 2))


def test_a_held_out_clip_is_not_enlarged(tmp_path):
    make_clip(tmp_path / "a.mkv", draw_numbers(10), codec="ffv1")
    with pytest.raises(ConfigError, match=r"short side of 32, evaluation\.sides has 64"):
        cut_held_out(DataConfig(str(tmp_path), held_out=("a.mkv",)), EvaluationConfig(sides=(64,)))


def test_a_run_that_holds_nothing_out_has_no_crops():
    assert cut_held_out(DataConfig("no such folder"), CROPS) == {}
