"""Lettering: the colours and effects of painted text."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.recolouring import hsv_to_rgb
from synthesis.sampling import coin, log_uniform, pick

Colour = tuple[float, float, float]  # RGB, 0-255
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_DARKEST, _LIGHTEST, MAX_CONTRAST = 6.0, 250.0, 200.0  # grey levels
# Most paint is meant to be seen from afar: with contrasts log-uniform from 5 to 200 throughout, a
# network forgot the plain letters of real signs.
_CLEAR, _CLEAR_CONTRAST = 0.6, 60.0  # share, and least grey levels
# Paints of signs: white, black, traffic red, blue, green, yellow, orange, brown, gold.
_SIGN_COLOURS: tuple[Colour, ...] = (
    *((245, 245, 240), (245, 245, 240), (20, 20, 22), (20, 20, 22), (190, 25, 30), (20, 60, 140)),
    *((10, 105, 65), (250, 205, 30), (225, 110, 20), (90, 55, 35), (200, 165, 95)),
)


@dataclass(frozen=True)
class Style:
    """Parameters of painted text; lengths in pixels of the photograph, colours RGB 0-255.

    Args:
        colour: of the fill.
        second: of the other end of a gradient; equal to `colour` without one.
        gradient_angle: direction of the gradient, radians.
        opacity: 0-1, of the fill.
        shading: 0-1, degree to which the paint follows light and shade of the surface.
        texture: 0-1, degree to which fine structure of the surface shows through.
        wear: 0-1, share of the paint that has flaked off where the surface is rough.
        relief: grey levels of the lit and the dark edge of raised letters.
        engraving: grey levels of the lit and the dark edge of letters that need no fill, negative
            if they are cut into the surface; 0 disables it.
        engraving_width: of these edges.
        rim: line width of hollow letters; 0 fills them.
        outline, outline_colour: a width of 0 disables it.
        shadow, shadow_offset, shadow_blur: an opacity of 0 disables it.
        glow, glow_radius: an opacity of 0 disables it; its colour is `outline_colour`.
    """

    colour: Colour
    second: Colour
    gradient_angle: float = 0.0
    opacity: float = 1.0
    shading: float = 1.0
    texture: float = 0.4
    wear: float = 0.0
    relief: float = 0.0
    engraving: float = 0.0
    engraving_width: int = 1
    rim: int = 0
    outline: int = 0
    outline_colour: Colour = (255.0, 255.0, 255.0)
    shadow: float = 0.0
    shadow_offset: tuple[int, int] = (0, 0)
    shadow_blur: float = 0.0
    glow: float = 0.0
    glow_radius: float = 0.0

    def reach(self) -> int:
        """Upper bound, in pixels, on the extent of the effects beyond the ink."""
        shadow = max(map(abs, self.shadow_offset)) + 3 * self.shadow_blur if self.shadow else 0
        glow = 4 * self.glow_radius if self.glow else 0
        engraving = 3 * self.engraving_width if self.engraving else 0
        return int(np.ceil(max(shadow, glow, engraving) + self.outline)) + 2

    def plain(self) -> "Style":
        """The same paint, filled, without effects around the letters."""
        return replace(self, rim=0, outline=0, shadow=0.0, glow=0.0)


def to_colour(channels: np.ndarray, low: float = 4.0, high: float = 250.0) -> Colour:
    """Three channels, clipped, as a colour."""
    red, green, blue = np.clip(channels, low, high).tolist()
    return red, green, blue


def luma(colour: np.ndarray | Colour) -> float:
    """Brightness 0-255 of an RGB colour."""
    return float(np.asarray(colour, dtype=np.float32) @ _LUMA)


def draw_colour(rng: Generator, surface: np.ndarray, least: float) -> Colour:
    """A paint for a surface (h, w, 3), `least` to 200 grey levels lighter or darker.

    Most contrasts are clear. The others are mostly small, though not on an uneven surface, which
    would hide them.
    """
    mean = surface.reshape(-1, 3).mean(axis=0)
    deviation = float(cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY).std())
    if coin(rng, _CLEAR):
        contrast = rng.uniform(max(_CLEAR_CONTRAST, least), MAX_CONTRAST)
    else:
        contrast = log_uniform(rng, least, MAX_CONTRAST)
    contrast = max(contrast, 0.9 * deviation)
    room = {1: _LIGHTEST - luma(mean), -1: luma(mean) - _DARKEST}
    roomy = [side for side in room if room[side] >= contrast]
    side = pick(rng, roomy or [1 if luma(mean) < 128 else -1])
    # Faint paint in another hue would not be faint.
    faint = contrast < 30 and coin(rng, 0.6)
    colour = mean if faint else np.array(_any_colour(rng, surface))
    return _with_luma(colour, float(np.clip(luma(mean) + side * contrast, _DARKEST, _LIGHTEST)))


def _with_luma(colour: np.ndarray, level: float) -> Colour:
    """The colour (3,), darkened, or lightened towards white, to a luma of `level`."""
    before = luma(colour)
    if level <= before:
        return to_colour(colour * (level / before), 0, 255)
    return to_colour(colour + (255 - colour) * ((level - before) / (255 - before)), 0, 255)


def faint_colour(rng: Generator, surface: np.ndarray) -> Colour:
    """A paint that hardly differs from the surface (h, w, 3)."""
    mean = surface.reshape(-1, 3).mean(axis=0)
    step = rng.uniform(1.5, 3.5) * (1 if luma(mean) < 128 else -1)
    return to_colour(mean + step, 0, 255)


def _any_colour(rng: Generator, surface: np.ndarray) -> Colour:
    if coin(rng, 0.3):  # a colour of the scene, lighter or darker
        base = surface[rng.integers(surface.shape[0]), rng.integers(surface.shape[1])]
        return to_colour(base.astype(np.float32) * rng.uniform(0.2, 2.2))
    if coin(rng, 0.15):
        return to_colour(rng.uniform(10, 245, 3))
    return to_colour(pick(rng, _SIGN_COLOURS) + rng.uniform(-18, 18, 3))


def draw_style(rng: Generator, colour: Colour, height: float) -> Style:
    """A style for letters of `height` pixels; smaller letters get fewer effects."""
    second = colour
    if height > 20 and coin(rng, 0.2):
        second = to_colour(np.multiply(colour, rng.uniform(0.55, 1.5, 3)))
    style = Style(
        colour,
        second,
        gradient_angle=rng.uniform(0, 2 * np.pi),
        opacity=rng.uniform(0.55, 0.85) if coin(rng, 0.12) else rng.uniform(0.9, 1.0),
        shading=rng.uniform(0.6, 1.0),
        texture=rng.uniform(0.2, 0.9),
        wear=rng.uniform(0.1, 0.4) if coin(rng, 0.12) else 0.0,
        relief=rng.uniform(15, 60) if height > 24 and coin(rng, 0.2) else 0.0,
    )
    if height > 28 and coin(rng, 0.08):
        return replace(style, rim=max(1, round(height * rng.uniform(0.015, 0.06))), relief=0.0)
    return _with_effects(rng, style, height) if height > 14 and coin(rng, 0.4) else style


def draw_engraving(rng: Generator, surface: np.ndarray, height: float) -> Style:
    """Letters cut into a surface (h, w, 3), raised or embossed: edges, and little or no paint."""
    colour = to_colour(surface.reshape(-1, 3).mean(axis=0) * rng.uniform(0.6, 1.2))
    deviation = float(cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY).std())
    return Style(
        colour,
        colour,
        opacity=rng.uniform(0.1, 0.6) if coin(rng, 0.4) else 0.0,
        engraving=max(log_uniform(rng, 10, 90), 0.9 * deviation) * pick(rng, (-1, 1)),
        engraving_width=max(1, round(height * rng.uniform(0.01, 0.04))),
    )


def draw_neon(rng: Generator, height: float) -> Style:
    """Letters of light: a pale tube or plate in a glow of a saturated colour."""
    hue = rng.uniform(0, 360)
    light = to_colour(hsv_to_rgb(hue, rng.uniform(0.05, 0.6), 1.0), 0, 255)
    return Style(
        light,
        light,
        shading=0.0,
        texture=0.0,
        rim=max(1, round(height * rng.uniform(0.03, 0.07))) if coin(rng, 0.4) else 0,
        outline_colour=to_colour(hsv_to_rgb(hue, rng.uniform(0.7, 1.0), 1.0), 0, 255),
        glow=rng.uniform(0.5, 0.95),
        glow_radius=height * rng.uniform(0.05, 0.11),
    )


def _with_effects(rng: Generator, style: Style, height: float) -> Style:
    contrast = 250.0 if luma(style.colour) < 120 else 15.0
    tint = to_colour(contrast + rng.uniform(-30, 30, 3), 0, 255)
    kind = pick(rng, ("outline", "shadow", "shadow", "glow", "outline+shadow"))
    if "outline" in kind:
        width = max(1, round(height * rng.uniform(0.02, 0.07)))
        style = replace(style, outline=width, outline_colour=tint)
    if "shadow" in kind:
        x, y = (round(height * rng.uniform(0.03, 0.1)) * pick(rng, (-1, 1)) for _ in range(2))
        blur = 0.0 if coin(rng, 0.3) else height * rng.uniform(0.01, 0.06)
        opacity = rng.uniform(0.35, 0.9)
        return replace(style, shadow=opacity, shadow_offset=(x, y), shadow_blur=blur)
    if kind == "glow":
        glow, radius = rng.uniform(0.4, 0.9), height * rng.uniform(0.04, 0.1)
        return replace(style, glow=glow, glow_radius=radius, outline_colour=tint)
    return style
