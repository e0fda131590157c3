"""Draw assets/icon.png and assets/banner.png: four frames of a clip become one latent frame.

    python -m assets.draw_logo [FOLDER]        (in the repository's root)

The pictures on the frames are the sample clip's own, rendered anew.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from assets.render_sample import HEIGHT, render_frame

ICON = 400
BANNER = (1260, 540)
NIGHT, LIGHT, ACCENT = (18, 22, 32), (236, 240, 248), (255, 176, 66)
FRAMES = (3, 11, 19, 27)
SCALE = 2  # drawn larger and shrunk, for smooth edges


def draw_icon() -> Image.Image:
    """The motif on a rounded field; the corners are transparent."""
    side = ICON * SCALE
    icon = Image.new("RGBA", (side, side))
    ImageDraw.Draw(icon).rounded_rectangle((0, 0, side - 1, side - 1), side // 6, NIGHT)
    motif = draw_motif(side * 7 // 8)
    icon.alpha_composite(motif, ((side - motif.width) // 2, (side - motif.height) // 2))
    return icon.resize((ICON, ICON), Image.Resampling.LANCZOS)


def draw_banner() -> Image.Image:
    """The motif and the name, 21:9."""
    width, height = (side * SCALE for side in BANNER)
    banner = Image.new("RGBA", (width, height), NIGHT)
    motif = draw_motif(height * 3 // 4)
    banner.alpha_composite(motif, (height // 8, height // 8))
    pen, left = ImageDraw.Draw(banner), height
    for text, size, colour, top in (
        ("OD-VAE", 0.26, LIGHT, 0.25),
        ("for ComfyUI", 0.13, ACCENT, 0.50),
        ("4x in time, 8x8 in space, frame for frame", 0.054, LIGHT, 0.68),
    ):
        font = ImageFont.load_default(size=height * size)
        pen.text((left, height * top), text, colour, font)
    return banner.convert("RGB").resize(BANNER, Image.Resampling.LANCZOS)


def draw_motif(side: int) -> Image.Image:
    """Four staggered frames and, in front of them, the small latent that they become."""
    motif = Image.new("RGBA", (side, side))
    card, step = side * 58 // 100, side * 7 // 100
    for i, number in enumerate(FRAMES):
        place = (side * 6 // 100 + i * step, side * 6 // 100 + i * step)
        motif.alpha_composite(draw_card(draw_frame(number), card), place)
    latent = draw_card(draw_latent(), side * 34 // 100, ACCENT)
    corner = side * 96 // 100 - latent.width
    motif.alpha_composite(latent, (corner, corner))
    return motif


def draw_frame(number: int) -> Image.Image:
    """The left square of a frame of the sample clip."""
    pixels = (np.clip(render_frame(number), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels[:, :HEIGHT])


def draw_latent() -> Image.Image:
    """The last of the frames in so few colours that one sees them."""
    return draw_frame(FRAMES[-1]).resize((6, 6), Image.Resampling.BOX)


def draw_card(picture: Image.Image, side: int, edge: tuple[int, int, int] = LIGHT) -> Image.Image:
    """The picture as a card with rounded corners and an edge."""
    border, radius = side // 28, side // 12
    card = Image.new("RGBA", (side, side))
    ImageDraw.Draw(card).rounded_rectangle((0, 0, side - 1, side - 1), radius, edge)
    inner = side - 2 * border
    mask = Image.new("L", (inner, inner))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, inner - 1, inner - 1), radius - border, 255)
    resample = Image.Resampling.NEAREST if picture.width < 16 else Image.Resampling.LANCZOS
    card.paste(picture.resize((inner, inner), resample), (border, border), mask)
    return card


def main(folder: Path) -> None:
    """Write both pictures."""
    draw_icon().save(folder / "icon.png", optimize=True)
    draw_banner().save(folder / "banner.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
