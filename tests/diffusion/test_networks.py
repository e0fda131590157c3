"""The diffusion transformers against the authors' outputs, and what they take and refuse."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from odvae_core import diffusion
from odvae_core.diffusion import positions
from tests.diffusion.vectors import FOLDER, build_case, find_cases, read_case, run_case

needs_vectors = pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors beside the checkout")

SMALL = {
    "layers": 2,
    "heads": 2,
    "head_dim": 12,
    "caption_channels": 16,
    "latent_frames": 5,
}
LATTE = {"layers": 4, "heads": 2, "head_dim": 12, "latent_frames": 3, "side": 4, "classes": 3}


def build_small(family: str, **changes):
    """A network of width 24."""
    fields = LATTE if family == "latte" else SMALL
    return diffusion.build({**fields, **changes}, family).eval()


def draw_input(frames=3, rows=4, columns=6, clips=2, tokens=7) -> dict[str, Tensor]:
    return {
        "x": torch.randn(clips, 4, frames, rows, columns),
        "timestep": torch.tensor([3.0, 870.5])[:clips],
        "context": torch.randn(clips, tokens, 16),
    }


@needs_vectors
@pytest.mark.parametrize("name", find_cases("lt1", "os120", "latte_"))
def test_networks_equal_the_authors(name):
    case, tensors = read_case(name)
    out = run_case(build_case(case), case, tensors)
    assert (out - tensors["out"]).abs().max() <= 5e-5


@needs_vectors
@pytest.mark.parametrize("name", find_cases("lt1", "os120", "latte_"))
def test_a_state_dict_has_the_published_names_in_their_order(name):
    case, _ = read_case(name)
    found = [[key, list(value.shape)] for key, value in build_case(case).state_dict().items()]
    assert found == case["keys"]


FULL_SIZE = {
    "keys_latte_t2v_XL122": ("osp-v1.1-65x512x512", 1_057_246_880),
    "keys_opensora_t2v_ROPE_L122": ("osp-v1.2-93x720p", 2_771_907_856),
    "keys_latte_XL2_ucf101_F21": ("latte-xl-ucf101", 674_118_176),
    "keys_latte_XL2_sky_F21": ("latte-xl-sky", 674_000_672),
    "keys_latte_S2_ucf101_F21": ("latte-s-ucf101", 32_626_208),
}


@needs_vectors
@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_preset_has_the_published_weights(name):
    preset, parameters = FULL_SIZE[name]
    case, _ = read_case(name)
    with torch.device("meta"):
        network = diffusion.build(preset)
    assert [[key, list(value.shape)] for key, value in network.state_dict().items()] == case["keys"]
    assert sum(weight.numel() for weight in network.parameters()) == parameters


@needs_vectors
def test_rope_differs_from_the_defective_cache_of_the_authors(monkeypatch):
    """There two axes of one length share the scale of the first: with it the outputs are equal."""
    case, tensors = read_case("os120_rope_cachebug_T5_16x16")
    network = build_case(case)
    assert (run_case(network, case, tensors) - tensors["out"]).abs().max() > 1e-2

    def share_scales(size, head_dim, scales, device):
        first = [scales[size.index(count)] for count in size]
        return positions.rotary_table(size, head_dim, tuple(first), device)

    monkeypatch.setattr("odvae_core.diffusion.opensora_t2v.rotary_table", share_scales)
    assert (run_case(network, case, tensors) - tensors["out"]).abs().max() <= 5e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_rotation_in_any_precision_has_the_angle_of_its_position(dtype):
    """At position 159 an angle in bfloat16 would be off by up to half a radian."""
    scales = (1.0, 1.5, 2.0)
    cos, sin = positions.rotary_table((1, 1, 160), 96, scales, torch.device("cpu"))
    pair = torch.zeros(160, 96, dtype=dtype)
    pair[:, 64] = 1  # the first pair of the columns
    turned = positions.rotate(pair, cos, sin).float()
    angle = torch.arange(160) / 2.0
    assert turned.shape == (160, 96)
    assert (turned[:, 64] - angle.cos()).abs().max() < 4e-3
    assert (turned[:, 80] - angle.sin()).abs().max() < 4e-3


@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v"])
@pytest.mark.parametrize(("frames", "rows", "columns"), [(1, 2, 2), (2, 10, 4), (5, 6, 14)])
def test_clips_of_many_sizes_are_taken(family, frames, rows, columns):
    given = draw_input(frames, rows, columns)
    out = build_small(family)(**given)
    network_channels = 8 if family == "latte_t2v" else 4
    assert out.shape == (2, network_channels, frames, rows, columns)
    assert out.isfinite().all()


@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v"])
def test_a_masked_caption_equals_one_cut_to_its_length(family):
    network, given = build_small(family).double(), draw_input()
    given = {name: value.double() for name, value in given.items()}
    mask = torch.ones(2, 7)
    mask[:, 4:] = 0
    masked = network(**given, context_mask=mask)
    cut = network(**{**given, "context": given["context"][:, :4]})
    torch.testing.assert_close(masked, cut)
    published = {**given, "context": given["context"][:, None]}
    torch.testing.assert_close(network(**published, context_mask=mask[:, None]), masked)


@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v"])
def test_clips_of_a_batch_are_independent(family):
    network, given = build_small(family).double(), draw_input()
    given = {name: value.double() for name, value in given.items()}
    first = {name: value[:1] for name, value in given.items()}
    torch.testing.assert_close(network(**given)[:1], network(**first))


def test_an_image_uses_no_temporal_block_of_latte_t2v():
    network, given = build_small("latte_t2v"), draw_input(frames=1)
    expected = network(**given)
    for weight in network.temporal_transformer_blocks.parameters():
        weight.data.fill_(torch.nan)
    torch.testing.assert_close(network(**given), expected)


class LargestTensor(TorchDispatchMode):
    """Records the most numbers that one result of an operation has."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, Tensor):
                self.most = max(self.most, value.numel())
        return out


@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v", "latte"])
def test_no_matrix_of_scores_is_stored(family):
    """With 4,096 tokens in one attention, its scores alone would have 16 million numbers."""
    if family == "latte":
        network = build_small(family, side=128, latent_frames=1, layers=2)
        given = {"x": torch.randn(1, 1, 4, 128, 128), "y": torch.zeros(1, dtype=torch.long)}
        given["timestep"] = torch.zeros(1)
    else:
        network, given = build_small(family), draw_input(1, 128, 128, clips=1)
        given["pad_mask"] = torch.ones(1, 1, 128, 128)
    with torch.no_grad(), LargestTensor() as largest:
        network(**given)
    assert largest.most < 1_000_000


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v", "latte"])
def test_half_precision_is_near_float32(family, dtype):
    torch.manual_seed(0)
    network = build_small(family)
    if family == "latte":
        torch.nn.init.normal_(network.final_layer.linear.weight)
        given = {"x": torch.randn(2, 3, 4, 4, 4), "timestep": torch.tensor([1.0, 500.0])}
        given["y"] = torch.tensor([0, 3])
    else:
        given = draw_input()
    expected = network(**given)
    half = network.to(dtype)
    kept = ("timestep", "y")
    out = half(**{key: value if key in kept else value.to(dtype) for key, value in given.items()})
    assert out.dtype == dtype
    assert (out.float() - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("family", ["latte_t2v", "opensora_t2v", "latte"])
def test_every_trained_weight_gets_a_gradient(family):
    network = build_small(family).train()
    if family == "latte":
        given = {"x": torch.randn(2, 3, 4, 4, 4), "timestep": torch.zeros(2)}
        given["y"] = torch.tensor([0, 3])
        for name, weight in network.named_parameters():
            if "adaLN" in name or "final_layer" in name:
                torch.nn.init.normal_(weight, std=0.1)
    else:
        given = draw_input()
    network(**given).square().mean().backward()
    missing = [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
    assert missing == []


def test_the_positions_of_latte_are_not_trained():
    frozen = [name for name, weight in build_small("latte").named_parameters()]
    trained = [n for n, weight in build_small("latte").named_parameters() if weight.requires_grad]
    assert sorted(set(frozen) - set(trained)) == ["pos_embed", "temp_embed"]


REFUSED = [
    ("latte_t2v", {"x": torch.zeros(2, 4, 6, 4, 4)}, "6 latent frames.*trained with 5 .17 frames"),
    ("latte_t2v", {"x": torch.zeros(2, 4, 3, 5, 4)}, "5x4; patches of 2 .* multiples of 16 pixels"),
    ("opensora_t2v", {"x": torch.zeros(2, 3, 3, 4, 4)}, r"\[2, 3, 3, 4, 4\].* 4 channels"),
    ("opensora_t2v", {"x": torch.zeros(2, 4, 4, 4)}, "they are .B, C, T, H, W."),
    ("opensora_t2v", {"timestep": torch.zeros(1)}, "one for each of 2 clips"),
    ("opensora_t2v", {"context": torch.zeros(2, 7, 15)}, "tokens, 16"),
    ("latte_t2v", {"context_mask": torch.ones(2, 6)}, "one value for each token"),
    ("latte_t2v", {"pad_mask": torch.ones(2, 4, 6)}, "pad_mask of shape"),
]


@pytest.mark.parametrize(("family", "changes", "words"), REFUSED)
def test_what_a_network_does_not_take_is_an_error(family, changes, words):
    with pytest.raises(ValueError, match=words):
        build_small(family)(**{**draw_input(rows=4, columns=4), **changes})


@pytest.mark.parametrize(
    ("classes", "x", "y", "words"),
    [
        (3, torch.zeros(1, 3, 4, 6, 6), torch.tensor([0]), "3 latent frames of 6x6; .* 3 of 4x4"),
        (3, torch.zeros(1, 2, 4, 4, 4), torch.tensor([0]), "2 latent frames"),
        (3, torch.zeros(1, 3, 4, 4, 4), None, "3 classes: give y"),
        (None, torch.zeros(1, 3, 4, 4, 4), torch.tensor([0]), "no classes: leave y out"),
        (3, torch.zeros(1, 3, 4, 4, 4), torch.tensor([0.0]), "one integer for each of 1 clips"),
    ],
)
def test_what_latte_does_not_take_is_an_error(classes, x, y, words):
    with pytest.raises(ValueError, match=words):
        build_small("latte", classes=classes)(x, torch.zeros(1), y)


def test_the_null_label_follows_the_classes():
    assert build_small("latte").null_label == 3
    with pytest.raises(ValueError, match="unconditional"):
        _ = build_small("latte", classes=None).null_label
