"""torch.compile, torch.export and ONNX of every family, on the CPU in float32; docs/export.md."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch

import odvae_core as odvae
from odvae_core.families.cvvae_config import CVVAE, CVVAE_SD3, Level
from odvae_core.families.ivvae_config import IvvaeConfig
from tests.checkpoints import shrink

pytestmark = pytest.mark.filterwarnings(  # torch's own
    "ignore:.isinstance.treespec:FutureWarning", "ignore:.torch.jit.script:DeprecationWarning"
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"


def shorten(preset):
    """An OD-VAE of three levels that halves time twice."""
    config = shrink(preset)
    finest, finer, coarser, coarsest = config.levels
    levels = (replace(finer, up=""), coarser, coarsest)
    if preset == "odvae-v1.0":
        levels = (finest, replace(coarser, down_time="average"), coarsest)
    return replace(config, levels=levels, width=16, norm_groups=8)


CVVAE_LEVELS = (Level(16, "joint", ""), Level(16, "joint", "joint"), Level(16, "", "joint"))
CONFIGS = {
    "odvae-stream": shorten("odvae-stream"),
    "cvvae": replace(CVVAE, levels=CVVAE_LEVELS, blocks=1, norm_groups=8),
    "ivvae": IvvaeConfig(4, width=8, blocks=1, multipliers=(1, 1, 1)),
    "odvae-v1.0": shorten("odvae-v1.0"),
    "odvae-v1.1": shorten("odvae-v1.1"),
    "odvae-v1.2": shorten("odvae-v1.2"),
    "cvvae-sd3": replace(CVVAE_SD3, levels=CVVAE_LEVELS, blocks=1, norm_groups=8),
}
QUICK = ("odvae-stream",)
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


@pytest.fixture(scope="module", params=NAMES)
def vae(request):
    torch.manual_seed(0)
    return odvae.build(CONFIGS[request.param]).eval().requires_grad_(False)


def make_input(module, groups, seed=0):
    """A video of 1 + 4 groups frames, or its latent."""
    shape = (3, 1 + 4 * groups, 16, 16)
    if isinstance(module, odvae.DecoderModule):
        shape = (module.vae.latent_channels, 1 + groups, 4, 4)
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))


def assert_same(results, expected):
    """Both a tensor, or tuples of tensors."""
    pairs = (
        zip(results, expected, strict=True)
        if isinstance(expected, tuple)
        else [(results, expected)]
    )
    for result, wanted in pairs:
        tolerance = 1e-4 * max(1.0, wanted.abs().max().item())
        torch.testing.assert_close(result, wanted, rtol=0, atol=tolerance)


@pytest.fixture(scope="module", params=[odvae.EncoderModule, odvae.DecoderModule])
def module(request, vae):
    return request.param(vae)


@pytest.fixture(scope="module")
def program(module):
    """Exported from one clip, for any number of frames from two groups on."""
    groups = torch.export.Dim("groups", min=2, max=64)
    encodes = isinstance(module, odvae.EncoderModule)
    frames = {2: 4 * groups + 1 if encodes else groups + 1}
    return torch.export.export(module, (make_input(module, 3),), dynamic_shapes=(frames,))


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_module_gives_the_same_in_one_graph(module, backend):
    torch._dynamo.reset()
    clip = make_input(module, 2)
    assert_same(torch.compile(module, backend=backend, fullgraph=True)(clip), module(clip))


def test_the_methods_themselves_compile_in_one_graph(vae):
    torch._dynamo.reset()
    video = make_input(odvae.EncoderModule(vae), 1)
    posterior, latent = vae.encode(video), vae.encode(video).mode()
    compiled = torch.compile(vae.encode, backend="eager", fullgraph=True)(video)
    assert_same((compiled.mean, compiled.logvar), (posterior.mean, posterior.logvar))
    decode = torch.compile(vae.decode, backend="eager", fullgraph=True)
    assert_same(decode(latent), vae.decode(latent))


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_an_exported_program_takes_clips_of_any_length(module, program, groups):
    clip = make_input(module, groups, seed=groups)
    assert_same(program.module()(clip), module(clip))


def test_an_onnx_file_takes_clips_of_any_length(module, program, tmp_path):
    torch.onnx.export(program, f=tmp_path / "module.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "module.onnx")
    (given,) = session.get_inputs()
    for groups in (2, 3, 5):
        clip = make_input(module, groups, seed=groups)
        results = tuple(map(torch.from_numpy, session.run(None, {given.name: clip.numpy()})))
        expected = module(clip)
        assert_same(results, expected if isinstance(expected, tuple) else (expected,))


def test_the_modules_keep_the_mode_and_the_errors_of_the_vae(vae):
    assert not odvae.EncoderModule(vae).training
    assert odvae.DecoderModule(odvae.build(vae.config)).training
    with pytest.raises(ValueError, match="got 3 frames"):
        odvae.EncoderModule(vae)(torch.zeros(1, 3, 3, 16, 16))


@pytest.mark.slow
def test_the_pages_code_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    script = tmp_path / "page.py"
    script.write_text("\n".join([*blocks, "print(list(frames.shape))"]))
    settings = os.environ | {"PYTHONPATH": str(PAGE.parents[1])}
    run = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=settings, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert run.stdout.splitlines()[-1] == "[1, 3, 13, 64, 64]"
