"""IV-VAE's two findings: group causality evens the error out, and a half parent leaves room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import odvae_core
from odvae_core.vae import VideoVAE

from ..config import ModelConfig, OptimiserConfig
from ..networks import make_vae
from .causality import delay_kernels, make_causal
from .course import Course, configure, follow
from .drawing import draw_traces
from .figure_4 import split_frames, tabulate_frames, tabulate_steps
from .finding import Check, Finding, Table
from .recipe import INFLATED, PAPER, PARENT, PARENT_EVERY, PARENT_OPTIMISER
from .recipe import SMALL as SMALL_PAPER
from .scene import Scene

PRESET = "ivvae-z4"
SMALL = {"width": 8, "blocks": 1}
"""With both branches together as wide as the OD-VAE of the other experiments."""

IMAGES = replace(PARENT, until_step=600)
CLIPS = replace(INFLATED, until_step=100)
CLIPS_EVERY = 50
CLIPS_OPTIMISER = OptimiserConfig("adam", 5e-4, schedule="cosine", warm_up=5, final=0.02)
"""Faster than for the OD-VAEs: at their rate the motion's branch hardly leaves its start."""

PLACES = ("first", "second", "third", "fourth")

CAUSALITY = """\
IV-VAE's authors find that causal convolutions treat the frames of a group of four unequally, as
only the last one sees all others, so that the error goes up and down with the place in the group.
Their group causal convolutions let the frames of a group see each other both ways. Here both are
one network, the paper's at an eighth of its width and with one block a level, started from one 2D
VAE so that both compute the same before the first step, on the same samples with the same noise. A
causal kernel sees its frame and the two before it; a group causal one sees the frame before and,
within the group, the one after. In both, the first frame of a group comes from the keyframes'
branch and the others from the motion's, which alone makes a difference between places."""

PARENTS = """\
IV-VAE's authors find that a video VAE that starts from an image VAE of as many latent channels is
held back in learning to compress time, and start theirs from one of half as many. Here an IV-VAE of
4 latent channels starts from its own 2D VAE of 2 ({half:.2f} dB on the held-out frames), or from
random weights. A 2D VAE with all 4 can't be inflated into an IV-VAE, as its features fill both
branches; the nearest is an OD-VAE of 4 latent channels and the same width, tail-inflated from such
a 2D VAE ({full:.2f} dB). That is another network: its row shows where such a start leads, not what
the channels alone do. How well time is compressed shows in how far the later frames are behind the
first, which is coded as a picture. Samples, steps and rates are the same."""


def compare_causality(scene: Scene) -> Finding:
    """Train one IV-VAE with causal and with group causal convolutions."""
    courses = {"group causal": train_from_half(scene), "causal": train_causal(scene)}
    places = {
        name: (range(1, len(PLACES) + 1), course.last["positions"][1:])
        for name, course in courses.items()
    }
    labels = "place in the group of four", "held-out PSNR, dB"
    figure = draw_traces(places, labels, scene.folder / "families-positions.png")
    title = "IV-VAE: the error by place in the group of four"
    tables = [tabulate_places(courses)]
    return Finding(title, CAUSALITY, tables, [figure], [check_causality(courses)])


def check_causality(courses: dict[str, Course]) -> Check:
    """Whether the groups even the error out."""
    group, causal = (find_spread(courses[name]) for name in ("group causal", "causal"))
    return Check(
        "PSNR differs less between the places of a group with group causal convolutions: by "
        f"{group:.2f} dB, with causal ones by {causal:.2f} dB",
        group < causal,
    )


def tabulate_places(courses: dict[str, Course]) -> Table:
    """PSNR of frame 0 and of each place, at the end."""
    rows = [
        (name, *course.last["positions"], find_spread(course), course.last["psnr"])
        for name, course in courses.items()
    ]
    header = ("convolutions", "frame 0", *PLACES, "largest difference", "all frames")
    return Table("Held-out PSNR, dB, by the frame's place in its group", header, rows)


def find_spread(course: Course) -> float:
    """The largest difference of PSNR between two places of a group."""
    places = course.last["positions"][1:]
    return max(places) - min(places)


def compare_parents(scene: Scene) -> Finding:
    """Train an IV-VAE from its half-channel parent, from none, and an OD-VAE from a full one."""
    half, full = train_half_parent(scene), train_full_parent(scene)
    courses = {
        "IV-VAE, parent of half": train_from_half(scene),
        "IV-VAE, no parent": train_clips(scene, "ivvae-random", ModelConfig(PRESET, SMALL)),
        "OD-VAE, parent of all": train_from_full(scene),
    }
    traces = {name: course.trace() for name, course in courses.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_traces(traces, labels, scene.folder / "families-parents.png")
    text = PARENTS.format(half=half.last["psnr"], full=full.last["psnr"])
    tables = [tabulate_steps(courses), tabulate_frames(courses)]
    title = "IV-VAE: a parent of half the latent channels"
    return Finding(title, text, tables, [figure], check_parents(*courses.values()))


def check_parents(half: Course, none: Course, full: Course) -> list[Check]:
    """What the authors say of parents."""
    lead = half.last["psnr"] - none.last["psnr"]
    behind = [first - later for first, later in (split_frames(c.last) for c in (half, full))]
    return [
        Check(f"the half parent ends ahead of no parent: {lead:+.2f} dB", lead > 0),
        Check(
            "later frames are less behind the first with the parent of half the channels: "
            f"{behind[0]:.2f} dB, of all {behind[1]:.2f} dB",
            behind[0] < behind[1],
        ),
    ]


def train_half_parent(scene: Scene) -> Course:
    """The 2D VAE of IV-VAE's own layers, of half the latent channels."""
    model = ModelConfig(PRESET, SMALL, images=True)
    config = configure(scene, "parent-half", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY)
    return follow(config)


def train_full_parent(scene: Scene) -> Course:
    """The 2D VAE of all the latent channels, trained as long."""
    model = ModelConfig(PAPER, SMALL_PAPER, images=True)
    config = configure(scene, "parent-full", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY)
    return follow(config)


def train_from_half(scene: Scene) -> Course:
    """The IV-VAE both branches of which start from the half-channel parent."""
    return train_clips(scene, "ivvae-half", inflate_half(scene))


def train_from_full(scene: Scene) -> Course:
    """The OD-VAE that is tail-inflated from a 2D VAE of all the latent channels."""
    parent = str(train_full_parent(scene).weights)
    return train_clips(scene, "odvae-full", ModelConfig(PAPER, SMALL_PAPER, parent=parent))


def train_causal(scene: Scene) -> Course:
    """The same, computing the same at its start, with causal convolutions."""
    vae = make_vae(inflate_half(scene))
    delay_kernels(vae)
    start = scene.folder / "ivvae-causal-start.safetensors"
    odvae_core.save(vae, start)
    return train_clips(scene, "ivvae-causal", ModelConfig(start=str(start)), make_causal)


def inflate_half(scene: Scene) -> ModelConfig:
    """How an IV-VAE starts from its parent."""
    parent = str(train_half_parent(scene).weights)
    return ModelConfig(PRESET, SMALL, parent=parent, inflation="branches")


def train_clips(
    scene: Scene, name: str, model: ModelConfig, adapt: Callable[[VideoVAE], None] | None = None
) -> Course:
    """A video VAE; all here see the same samples, noise and rates."""
    config = configure(scene, name, model, CLIPS, CLIPS_OPTIMISER, CLIPS_EVERY)
    return follow(config, adapt)
