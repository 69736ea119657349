"""Lettering: colour, gradient, outline, shadow, glow, relief, wear and hollows of painted text."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthesis.sampling import between, coin, pick

Colour = tuple[float, float, float]
# Fainter effects, hardly one grey level, are not painted, so that labels can leave them out.
_FAINTEST = 1 / 64
_LUMA = np.float32([0.299, 0.587, 0.114])
# Paints of signs: white, black, traffic red, blue, green, yellow, orange, brown, gold.
_SIGN_COLOURS: tuple[Colour, ...] = (
    *((245, 245, 240), (245, 245, 240), (20, 20, 22), (20, 20, 22), (190, 25, 30), (20, 60, 140)),
    *((10, 105, 65), (250, 205, 30), (225, 110, 20), (90, 55, 35), (200, 165, 95)),
)


@dataclass(frozen=True)
class Style:
    """How a text is painted; lengths in pixels of the photograph, colours RGB 0-255.

    Args:
        colour: of the fill.
        second: of the gradient's other end; the same as `colour` without a gradient.
        gradient_angle: direction of the gradient, radians.
        opacity: 0-1, of the fill.
        shading: 0-1, how much the paint follows light and shade of the surface.
        texture: 0-1, how much of the surface's fine structure shows through.
        wear: 0-1, share of the paint that has flaked off where the surface is rough.
        relief: grey levels of the lit and the dark edge of raised letters.
        rim: width of the line that hollow letters are drawn with; 0 fills them.
        outline, outline_colour: width 0 is none.
        shadow, shadow_offset, shadow_blur: opacity 0 is none.
        glow, glow_radius: opacity 0 is none; the glow has the colour of `outline_colour`.
    """

    colour: Colour
    second: Colour
    gradient_angle: float = 0.0
    opacity: float = 1.0
    shading: float = 1.0
    texture: float = 0.4
    wear: float = 0.0
    relief: float = 0.0
    rim: int = 0
    outline: int = 0
    outline_colour: Colour = (255.0, 255.0, 255.0)
    shadow: float = 0.0
    shadow_offset: tuple[int, int] = (0, 0)
    shadow_blur: float = 0.0
    glow: float = 0.0
    glow_radius: float = 0.0

    def reach(self) -> int:
        """Pixels that the effects can extend beyond the ink."""
        shadow = max(map(abs, self.shadow_offset)) + 3 * self.shadow_blur if self.shadow else 0
        glow = 4 * self.glow_radius if self.glow else 0
        return int(np.ceil(max(shadow, glow, 0) + self.outline)) + 2

    def plain(self) -> "Style":
        """The same paint without effects around the letters, and filled."""
        return replace(self, rim=0, outline=0, shadow=0.0, glow=0.0)


def luma(colour: np.ndarray | Colour) -> float:
    """Brightness 0-255 of an RGB colour."""
    return float(np.asarray(colour, dtype=np.float32) @ _LUMA)


def draw_colour(rng: np.random.Generator, surface: np.ndarray, contrast: float) -> Colour:
    """A paint at least `contrast` grey levels, and more on an uneven surface (h, w, 3), away."""
    grey = cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY)
    mean, spread = float(grey.mean()), float(grey.std())
    wanted = min(contrast + 0.8 * spread, 110.0)
    for _ in range(12):
        colour = _any_colour(rng, surface)
        if abs(luma(colour) - mean) >= wanted:
            return colour
    extreme = between(rng, 225, 250) if mean < 128 else between(rng, 8, 35)
    return (extreme, extreme, extreme)


def faint_colour(rng: np.random.Generator, surface: np.ndarray) -> Colour:
    """A paint that can hardly be told from the surface."""
    mean = surface.reshape(-1, 3).mean(axis=0)
    step = between(rng, 4, 9) * (1 if luma(mean) < 128 else -1)
    return tuple(float(channel) for channel in np.clip(mean + step, 0, 255))


def _any_colour(rng: np.random.Generator, surface: np.ndarray) -> Colour:
    if coin(rng, 0.3):  # a colour of the scene, lighter or darker
        height, width = surface.shape[:2]
        base = surface[int(rng.integers(height)), int(rng.integers(width))].astype(np.float32)
        return tuple(float(channel) for channel in np.clip(base * between(rng, 0.2, 2.2), 4, 250))
    if coin(rng, 0.15):
        return tuple(between(rng, 10, 245) for _ in range(3))
    return tuple(
        float(np.clip(channel + between(rng, -18, 18), 4, 250))
        for channel in pick(rng, _SIGN_COLOURS)
    )


def draw_style(rng: np.random.Generator, colour: Colour, height: float) -> Style:
    """A style for letters of `height` pixels; the smaller they are, the plainer."""
    second = colour
    if height > 20 and coin(rng, 0.2):
        second = tuple(
            float(np.clip(channel * between(rng, 0.55, 1.5), 4, 250)) for channel in colour
        )
    style = Style(
        colour,
        second,
        gradient_angle=between(rng, 0, 2 * np.pi),
        opacity=between(rng, 0.55, 0.85) if coin(rng, 0.12) else between(rng, 0.9, 1.0),
        shading=between(rng, 0.6, 1.0),
        texture=between(rng, 0.2, 0.9),
        wear=between(rng, 0.1, 0.4) if coin(rng, 0.12) else 0.0,
        relief=between(rng, 15, 60) if height > 24 and coin(rng, 0.2) else 0.0,
    )
    if height > 28 and coin(rng, 0.08):
        return replace(style, rim=max(1, round(height * between(rng, 0.015, 0.06))), relief=0.0)
    return _with_effects(rng, style, height) if height > 14 and coin(rng, 0.4) else style


def _with_effects(rng: np.random.Generator, style: Style, height: float) -> Style:
    other = 250.0 if luma(style.colour) < 120 else 15.0
    tint = tuple(float(np.clip(other + between(rng, -30, 30), 0, 255)) for _ in range(3))
    kind = pick(rng, ("outline", "shadow", "shadow", "glow", "outline+shadow"))
    if "outline" in kind:
        width = max(1, round(height * between(rng, 0.02, 0.07)))
        style = replace(style, outline=width, outline_colour=tint)
    if "shadow" in kind:
        shift = [round(height * between(rng, 0.03, 0.1)) * pick(rng, (-1, 1)) for _ in range(2)]
        blur = 0.0 if coin(rng, 0.3) else height * between(rng, 0.01, 0.06)
        style = replace(
            style, shadow=between(rng, 0.35, 0.9), shadow_offset=tuple(shift), shadow_blur=blur
        )
    if kind == "glow":
        style = replace(
            style,
            glow=between(rng, 0.4, 0.9),
            glow_radius=height * between(rng, 0.04, 0.1),
            outline_colour=tint,
        )
    return style


def paint(
    under: np.ndarray, surface: np.ndarray, coverage: np.ndarray, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Paint letters over a part of a picture.

    `under` (h, w, 3) uint8 is painted over, `surface` (h, w, 3) uint8 is the bare surface,
    `coverage` (h, w) uint8 the letters. Returns the picture, uint8, and the coverage of the effects
    around the letters, uint8 (h, w). Where both coverages are 0 the picture is untouched.
    """
    ink = coverage.astype(np.float32) / 255
    layers = _effect_layers(ink, style)
    effects = np.max([np.zeros_like(ink), *(layer for layer, _ in layers)], axis=0)
    effects[effects < _FAINTEST] = 0
    # Letters cover a small part of the region: only the pixels that change are computed, as lists.
    changed = np.flatnonzero(np.maximum(ink, effects))
    if not len(changed):
        return under.copy(), np.zeros_like(coverage)
    picture = np.ascontiguousarray(under).reshape(-1, 3).copy()
    work = np.take(picture, changed, axis=0).astype(np.float32)  # (n, 3)
    fill = cv2.subtract(ink, _eroded(ink, style.rim)) if style.rim else ink
    work = _painted(work, surface, fill, layers, style, changed)
    picture[changed] = np.clip(work + 0.5, 0, 255).astype(np.uint8)
    return picture.reshape(under.shape), np.ceil(effects * 255).astype(np.uint8)


def _painted(
    work: np.ndarray,
    surface: np.ndarray,
    ink: np.ndarray,
    layers: list[tuple[np.ndarray, Colour]],
    style: Style,
    changed: np.ndarray,
) -> np.ndarray:
    """Colours (n, 3) of effects and letters over `work` (n, 3), at the flat places `changed`."""
    light, detail = np.float32(1), np.float32(0)
    if style.shading or style.texture or style.wear:
        light, detail = (_at(field, changed) for field in _surface_light(surface))
    for layer, colour in layers:
        work = work + _at(layer, changed) * (np.float32(colour) * light - work)
    fill = _fill(ink.shape, style, changed) * (1 + style.shading * (light - 1))
    fill = fill + style.texture * detail
    if style.relief:
        fill = fill + style.relief * _at(ink - np.roll(ink, (2, 2), axis=(0, 1)), changed)
    opacity = style.opacity * (_worn(detail, style.wear) if style.wear else 1.0)
    return work + opacity * _at(ink, changed) * (fill - work)


def _at(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a field (h, w) at flat places, (n, 1) float32."""
    return np.take(field, places)[:, None].astype(np.float32, copy=False)


def _surface_light(surface: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Light relative to its mean, and fine structure in grey levels, (h, w) each."""
    grey = cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = max(3, min(31, min(grey.shape) // 2 | 1))
    smooth = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REPLICATE)
    light = np.clip((smooth + 20) / (smooth.mean() + 20), 0.6, 1.5)
    return light, grey - smooth


def _effect_layers(ink: np.ndarray, style: Style) -> list[tuple[np.ndarray, Colour]]:
    layers = []
    if style.shadow:
        dark = np.roll(ink, style.shadow_offset[::-1], axis=(0, 1))
        if style.shadow_blur > 0.3:
            dark = cv2.GaussianBlur(dark, (0, 0), style.shadow_blur)
        layers.append((style.shadow * dark, (12.0, 12.0, 14.0)))
    grown = _dilated(ink, style.outline) if style.outline else ink
    if style.glow:
        halo = cv2.GaussianBlur(
            _dilated(ink, max(1, round(style.glow_radius))), (0, 0), style.glow_radius
        )
        layers.append((style.glow * halo, style.outline_colour))
    if style.outline:
        layers.append((grown, style.outline_colour))
    return layers


def _dilated(ink: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(ink, _disk(radius))


def _eroded(ink: np.ndarray, radius: int) -> np.ndarray:
    return cv2.erode(ink, _disk(radius))


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _worn(detail: np.ndarray, wear: float) -> np.ndarray:
    # Paint comes off where the surface stands out.
    limit = np.quantile(detail, 1 - wear * 0.6)
    return np.clip(1 - (detail - limit) / 6, 0.25, 1).astype(np.float32)


def _fill(shape: tuple[int, int], style: Style, places: np.ndarray) -> np.ndarray:
    """Colour at flat places of a region, (n, 3) or, if it is one colour, (3,)."""
    if style.colour == style.second:
        return np.float32(style.colour)
    x = np.linspace(-0.5, 0.5, shape[1], dtype=np.float32) * np.float32(
        np.cos(style.gradient_angle)
    )
    y = np.linspace(-0.5, 0.5, shape[0], dtype=np.float32) * np.float32(
        np.sin(style.gradient_angle)
    )
    share = np.clip((x + y[:, None]) / 0.8 + 0.5, 0, 1)
    share = _at(share, places)
    return np.float32(style.colour) * (1 - share) + np.float32(style.second) * share
