"""Painting: letters of a style over a surface, and the coverage of their effects."""

import cv2
import numpy as np

from synthesis.text.lettering import Colour, Style

# Fainter effects, hardly one grey level, are not painted, so that labels can omit them.
_FAINTEST = 1 / 64
_SHADOW_COLOUR: Colour = (12.0, 12.0, 14.0)

Layer = tuple[np.ndarray, Colour]  # opacity (h, w) float32 and its colour


def paint(
    under: np.ndarray, surface: np.ndarray, coverage: np.ndarray, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """Paint letters over a part of a picture.

    Args:
        under: uint8 (h, w, 3), the picture to paint over.
        surface: uint8 (h, w, 3), the bare surface, whose light and structure the paint follows.
        coverage: uint8 (h, w), the letters.
        style: see `Style`.

    Returns the picture and the coverage of the effects around the letters, uint8 (h, w). The
    picture is unchanged where both coverages are 0.
    """
    ink = coverage.astype(np.float32) / 255
    layers = _effect_layers(ink, style)
    effects = np.max([np.zeros_like(ink), *(opacity for opacity, _ in layers)], axis=0)
    edges = _lit_edges(ink, style.engraving_width) if style.engraving else np.zeros_like(ink)
    effects = np.maximum(effects, np.abs(edges))
    effects[effects < _FAINTEST] = 0
    # Letters cover a small part of the region: only changed pixels are computed, as lists.
    changed = np.flatnonzero(np.maximum(ink, effects))
    if not len(changed):
        return under.copy(), np.zeros_like(coverage)
    picture = under.reshape(-1, 3).copy()
    fill = cv2.subtract(ink, cv2.erode(ink, _disk(style.rim))) if style.rim else ink
    painted = _painted(picture[changed].astype(np.float32), surface, fill, layers, style, changed)
    painted = painted + style.engraving * _at(edges, changed)
    picture[changed] = np.clip(painted + 0.5, 0, 255).astype(np.uint8)
    return picture.reshape(under.shape), np.ceil(effects * 255).astype(np.uint8)


def _painted(
    pixels: np.ndarray,
    surface: np.ndarray,
    ink: np.ndarray,
    layers: list[Layer],
    style: Style,
    changed: np.ndarray,
) -> np.ndarray:
    """Effects and letters over `pixels` (n, 3), which lie at the flat indices `changed`."""
    light, detail = np.ones(1, np.float32), np.zeros(1, np.float32)
    if style.shading or style.texture or style.wear:
        light, detail = (_at(field, changed) for field in _surface_light(surface))
    for opacity, colour in layers:
        pixels = pixels + _at(opacity, changed) * (np.array(colour, np.float32) * light - pixels)
    fill = _fill_colour(ink.shape, style, changed) * (1 + style.shading * (light - 1))
    fill = fill + style.texture * detail
    if style.relief:
        fill = fill + style.relief * _at(ink - np.roll(ink, (2, 2), axis=(0, 1)), changed)
    kept: np.ndarray | float = 1.0
    if style.wear:  # paint comes off where the surface stands out
        limit = np.quantile(detail, 1 - style.wear * 0.6)
        kept = np.clip(1 - (detail - limit) / 6, 0.25, 1).astype(np.float32)
    return pixels + style.opacity * kept * _at(ink, changed) * (fill - pixels)


def _at(field: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Values of a field (h, w) at flat indices, (n, 1) float32."""
    return np.take(field, indices)[:, None].astype(np.float32, copy=False)


def _surface_light(surface: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Light relative to its mean, and fine structure in grey levels, (h, w) each."""
    grey = cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY).astype(np.float32)
    side = max(3, min(31, min(grey.shape) // 2 | 1))
    smooth = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REPLICATE)
    light = np.clip((smooth + 20) / (smooth.mean() + 20), 0.6, 1.5)
    return light, grey - smooth


def _lit_edges(ink: np.ndarray, width: int) -> np.ndarray:
    """Light on raised letters from the upper left, (h, w), -1 at dark edges to 1 at lit ones."""
    soft = cv2.GaussianBlur(ink, (0, 0), max(0.5, 0.5 * width))
    return np.roll(soft, (-width, -width), axis=(0, 1)) - np.roll(soft, (width, width), axis=(0, 1))


def _effect_layers(ink: np.ndarray, style: Style) -> list[Layer]:
    layers: list[Layer] = []
    if style.shadow:
        dark = np.roll(ink, style.shadow_offset[::-1], axis=(0, 1))
        if style.shadow_blur > 0.3:
            dark = cv2.GaussianBlur(dark, (0, 0), style.shadow_blur)
        layers.append((style.shadow * dark, _SHADOW_COLOUR))
    if style.glow:
        grown = cv2.dilate(ink, _disk(max(1, round(style.glow_radius))))
        halo = cv2.GaussianBlur(grown, (0, 0), style.glow_radius)
        layers.append((style.glow * halo, style.outline_colour))
    if style.outline:
        layers.append((cv2.dilate(ink, _disk(style.outline)), style.outline_colour))
    return layers


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _fill_colour(shape: tuple[int, ...], style: Style, indices: np.ndarray) -> np.ndarray:
    """Colour at flat indices of a region, (n, 3), or (3,) without a gradient."""
    first, second = np.array((style.colour, style.second), np.float32)
    if style.colour == style.second:
        return first
    height, width = shape
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(np.cos(style.gradient_angle))
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(np.sin(style.gradient_angle))
    share = _at(np.clip((x + y[:, None]) / 0.8 + 0.5, 0, 1), indices)
    return first * (1 - share) + second * share
