"""Schedules, samplers and training losses against the authors' runs."""

import pytest
import torch

from odvae_core.diffusion import sampling
from odvae_core.diffusion.sampling import LINEAR, Prediction, space_evenly
from tests.diffusion.vectors import FOLDER, build_case, read_case

needs_vectors = pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors beside the checkout")
DETERMINISTIC, ADAPTED = 2e-5, 1e-4
"""Bounds relative to the largest value: DDIM and PNDM; Euler, which starts at sigma 157."""


def check(found, expected, bound):
    assert (found - expected).abs().max() <= bound * expected.abs().max()


def predict_case(name):
    """The guided prediction of a case of Open-Sora-Plan, its tensors and its settings."""
    case, tensors = read_case(name)
    mask = tensors.get("positive_mask"), tensors.get("negative_mask")
    if "fed_positive" in tensors:
        captions = tensors["fed_positive"], tensors["fed_negative"]
    else:
        captions = tensors["positive"], tensors["negative"]
    positive, negative = zip(captions, mask, strict=True)
    scale = case["runtime"]["guidance_scale"]
    network = build_case(case)
    return sampling.predict_text(network, positive, negative, scale), tensors, case["runtime"]


@needs_vectors
def test_the_schedule_equals_the_authors():
    _, tensors = read_case("latte_mod_schedule")
    tables = {
        "betas": LINEAR.betas,
        "alphas_cumprod": LINEAR.kept,
        "posterior_variance": LINEAR.posterior_variance,
        "posterior_log_variance_clipped": LINEAR.posterior_log_variance,
    }
    for name, table in tables.items():
        check(table.float(), tensors[name], 1e-6)
    assert space_evenly(250).tolist() == tensors["map250"].tolist()
    assert space_evenly(4).tolist() == tensors["map4"].tolist()
    assert sampling.space_leading(50).tolist() == tensors["map_ddim50"].tolist()


@needs_vectors
@torch.inference_mode()
@pytest.mark.parametrize(
    "name", ["lt110_sample_ddim4", "lt110_sample_ddim4_prompt", "os120_sample_ddim4"]
)
def test_ddim_equals_the_authors(name):
    predict, tensors, _ = predict_case(name)
    check(sampling.sample_ddim(predict, tensors["noise"], 4), tensors["out"], DETERMINISTIC)


@needs_vectors
@torch.inference_mode()
def test_ddim_differs_where_the_authors_clip_latents():
    """Their v1.1 script clips x_0 to [-1, 1]: with the clipping in the prediction it is equal."""
    predict, tensors, _ = predict_case("lt110_sample_ddim4_clip")
    ours = sampling.sample_ddim(predict, tensors["noise"], 4)
    assert (ours - tensors["out"]).abs().max() > 0.1 * tensors["out"].abs().max()

    x, schedule = tensors["noise"], LINEAR.respace(sampling.space_leading(4))
    for index in reversed(range(4)):
        kept, before = float(schedule.kept[index]), float(schedule.kept_before[index])
        noise = predict(x, schedule.timesteps[index : index + 1].float()).noise
        start = ((x - (1 - kept) ** 0.5 * noise) / kept**0.5).clamp(-1, 1)
        x = before**0.5 * start + (1 - before) ** 0.5 * noise
    check(x, tensors["out"], 5e-4)  # before the clipping values are of order 100


@needs_vectors
@torch.inference_mode()
def test_pndm_equals_the_authors():
    predict, tensors, _ = predict_case("lt110_sample_pndm4")
    check(sampling.sample_pndm(predict, tensors["noise"], 4), tensors["out"], DETERMINISTIC)


@needs_vectors
@torch.inference_mode()
def test_euler_equals_the_authors():
    predict, tensors, runtime = predict_case("lt110_sample_euler4")
    assert sampling.space_sigmas(4) == pytest.approx(runtime["sigmas"], rel=1e-4)
    check(sampling.sample_euler(predict, tensors["noise"], 4), tensors["out"], ADAPTED)


@needs_vectors
@torch.inference_mode()
def test_euler_ancestral_equals_the_authors():
    predict, tensors, _ = predict_case("os120_sample_eulera4")
    draws = [tensors[f"step_noise_{number}"] for number in range(4)]
    out = sampling.sample_euler_ancestral(predict, tensors["noise"], 4, draws.__getitem__)
    check(out, tensors["out"], ADAPTED)


@needs_vectors
@torch.inference_mode()
def test_ddpm_of_latte_equals_the_authors():
    case, tensors = read_case("latte_sample_ddpm4_cfg")
    predict = sampling.predict_latte(build_case(case), tensors["y"].long(), guidance=7.0)
    draws = [tensors[f"step_noise_{number}"] for number in range(4)]
    out = sampling.sample_ddpm(predict, tensors["z"], 4, draws.__getitem__)
    check(out, tensors["out"], DETERMINISTIC)


@needs_vectors
@torch.inference_mode()
def test_ddim_of_latte_equals_the_authors():
    case, tensors = read_case("latte_sample_ddim4_uncond")
    predict = sampling.predict_latte(build_case(case))
    schedule = LINEAR.respace(space_evenly(4))
    check(sampling.sample_ddim(predict, tensors["z"], 4, schedule), tensors["out"], DETERMINISTIC)


@needs_vectors
@torch.inference_mode()
def test_guidance_of_latte_equals_the_authors():
    case, tensors = read_case("latte_class_F5_8x8")
    predict = sampling.predict_latte(build_case(case), tensors["y"].long(), guidance=7.0)
    guided = predict(tensors["x"], tensors["timestep"])
    assert (guided.noise - tensors["out_cfg"][:, :, :4]).abs().max() <= 5e-5
    assert (guided.share - tensors["out_cfg"][:, :, 4:]).abs().max() <= 5e-5


@needs_vectors
def test_the_losses_of_latte_equal_the_authors():
    case, tensors = read_case("latte_train_losses")
    noisy = sampling.add_noise(tensors["x0"], tensors["noise"], tensors["timestep"])
    assert (noisy - tensors["x_t"]).abs().max() <= 2e-5
    with torch.no_grad():
        output = build_case(case)(noisy, tensors["timestep"], tensors["y"].long())
    assert (output - tensors["model_out"]).abs().max() <= 5e-5
    prediction = sampling.split_output(output, 4, axis=2)
    error = sampling.noise_error(prediction, tensors["noise"])
    bound = sampling.variance_bound(prediction, tensors["x0"], noisy, tensors["timestep"])
    assert (error - tensors["mse"]).abs().max() <= 5e-5
    assert (bound - tensors["vb"]).abs().max() <= 5e-5
    assert (error + bound - tensors["loss"]).abs().max() <= 5e-5


def test_the_bound_gives_the_noise_no_gradient():
    noise = torch.randn(2, 3, 4, 2, 2, requires_grad=True)
    share = torch.zeros(2, 3, 4, 2, 2, requires_grad=True)
    start, timestep = torch.randn(2, 3, 4, 2, 2), torch.tensor([0, 500])
    noisy = sampling.add_noise(start, torch.randn_like(start), timestep)
    sampling.variance_bound(Prediction(noise, share), start, noisy, timestep).sum().backward()
    assert noise.grad is None
    assert share.grad.abs().amin(dim=(1, 2, 3, 4)).min() > 0


def normal_latents(x, timestep):
    """The best prediction for latents that are normal with mean 2 and deviation 0.5."""
    kept = LINEAR.kept[timestep.long()].view(-1, 1).to(x)
    variance = kept * 0.25 + 1 - kept
    return Prediction((1 - kept).sqrt() * (x - 2 * kept.sqrt()) / variance)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "euler", "euler_ancestral", "pndm"])
def test_samplers_reach_the_distribution_of_the_latents(name):
    """Euler's fractional timesteps are rounded by the prediction here, hence its wider bounds."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, 1, generator=generator, dtype=torch.float64)
    draw = lambda _: torch.randn(noise.shape, generator=generator, dtype=torch.float64)  # noqa: E731
    given = (draw,) if name in ("ddpm", "euler_ancestral") else ()
    out = getattr(sampling, f"sample_{name}")(normal_latents, noise, 200, *given)
    assert float(out.mean()) == pytest.approx(2, abs=0.05)
    assert float(out.std()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("timestep", [0, 0.25, 17, 832.5, 998.75, 999])
def test_sigmas_and_timesteps_are_inverse(timestep):
    assert LINEAR.timestep_at(LINEAR.sigma_at(timestep)) == pytest.approx(timestep, abs=1e-6)


@pytest.mark.parametrize(("steps", "words"), [(0, "1 to 1000"), (1001, "1 to 1000")])
def test_a_wrong_number_of_steps_is_an_error(steps, words):
    with pytest.raises(ValueError, match=words):
        sampling.sample_euler(normal_latents, torch.zeros(1, 1), steps)


def test_pndm_needs_four_steps():
    with pytest.raises(ValueError, match="got 3 steps; give 4 to 1000"):
        sampling.sample_pndm(normal_latents, torch.zeros(1, 1), 3)


def test_labels_beyond_the_classes_are_an_error():
    from odvae_core import diffusion

    network = diffusion.build({"layers": 2, "heads": 2, "head_dim": 12, "classes": 3}, "latte")
    with pytest.raises(ValueError, match="0 to 2, and 3 for none"):
        sampling.predict_latte(network, torch.tensor([0, 4]))
    with pytest.raises(ValueError, match="without labels"):
        sampling.predict_latte(network, None, guidance=2.0)
