"""What a recorded sampling run starts from: conditionings, start noise, the noise of every step."""

from __future__ import annotations

from pathlib import Path

import comfy.samplers
import comfy.utils
import folder_paths
import latent_preview
import safetensors.torch
from comfy.k_diffusion.sampling import sample_euler_ancestral
from comfy_api.latest import io


def read_tensors(file):
    return safetensors.torch.load_file(Path(folder_paths.get_input_directory(), file))


class TestConditioning(io.ComfyNode):
    """A CONDITIONING of the features in a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestConditioning",
            category="test",
            inputs=[io.String.Input("file")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput([[read_tensors(file)["value"], {}]])


class FixedNoise:
    seed = 0

    def __init__(self, noise):
        self.noise = noise

    def generate_noise(self, latent):
        return self.noise


class TestNoise(io.ComfyNode):
    """A NOISE that is the tensor in a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestNoise",
            category="test",
            inputs=[io.String.Input("file")],
            outputs=[io.Noise.Output()],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput(FixedNoise(read_tensors(file)["value"]))


class TestAncestralSampler(io.ComfyNode):
    """ComfyUI's euler_ancestral with the noise of every step from a file [steps, ...]."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestAncestralSampler",
            category="test",
            inputs=[io.String.Input("file")],
            outputs=[io.Sampler.Output()],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        steps = read_tensors(file)["value"]

        def sample(model, x, sigmas, **options):
            noise = iter(steps)
            options["noise_sampler"] = lambda *_: next(noise)
            return sample_euler_ancestral(model, x, sigmas, **options)

        return io.NodeOutput(comfy.samplers.KSAMPLER(sample))


class TestPreview(io.ComfyNode):
    """The size and colours of the preview that ComfyUI would draw of a model's latent, as text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestPreview",
            category="test",
            inputs=[io.Model.Input("model"), io.Latent.Input("latent")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, model, latent) -> io.NodeOutput:
        known = model.model.latent_format
        previewer = latent_preview.Latent2RGBPreviewer(
            known.latent_rgb_factors, known.latent_rgb_factors_bias
        )
        kind, picture, _ = previewer.decode_latent_to_preview_image(
            "JPEG", known.process_in(latent["samples"])
        )
        return io.NodeOutput(f"{kind} {picture.size} {picture.getpixel((0, 0))}")


NODES = [TestConditioning, TestNoise, TestAncestralSampler, TestPreview]
