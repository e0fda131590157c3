"""Where a VAE's weights came from: a file, or the inflation of a 2D VAE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Provenance:
    """Where a VAE's weights came from, and what was assumed.

    `layout` is the file's layout; `preset` the name of the preset that equals the
    configuration, if one does; `dtype` what they were stored in; `assumptions` what the file could
    not tell, as sentences.
    """

    path: Path
    sha256: str
    layout: str
    family: str
    preset: str | None
    parameters: int
    dtype: torch.dtype
    assumptions: tuple[str, ...]
    metadata: Mapping[str, str]

    def describe(self) -> str:
        """The provenance as lines of text."""
        lines = [
            f"file: {self.path.name}",
            f"sha256: {self.sha256}",
            f"layout: {self.layout}",
            f"model: {self.preset or 'a configuration of its own'} (family {self.family})",
            f"parameters: {self.parameters:,} in {str(self.dtype).removeprefix('torch.')}",
            *(f"assumed: {sentence}" for sentence in self.assumptions),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Proof:
    """One picture through the 2D VAE and through the inflated one: pictures [3, H, W] in [-1, 1].

    `encode_difference` is the largest between the two latent means; `decode_difference` the largest
    between the two pictures decoded from the 2D VAE's latent.
    """

    picture: Tensor
    decoded_2d: Tensor
    decoded_3d: Tensor
    encode_difference: float
    decode_difference: float

    @property
    def decode_psnr(self) -> float:
        """Of the inflated VAE's picture against the 2D VAE's, in dB; infinite where equal."""
        error = (self.decoded_3d - self.decoded_2d).square().mean()
        return float(10 * torch.log10(4 / error))


@dataclass(frozen=True)
class Inflation:
    """What an inflated VAE has from its 2D parent.

    `copied`, `inflated` and `fresh` are keys of its state dict; `differences` say in sentences what
    can't be equal. `source` is the parent's file, with its sha256; None where it was a state dict.
    """

    mode: str
    copied: tuple[str, ...]
    inflated: tuple[str, ...]
    fresh: tuple[str, ...]
    differences: tuple[str, ...]
    proof: Proof
    source: Path | None = None
    source_sha256: str | None = None
