"""Rewriting: a word of a photograph is erased and another text painted in its place."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.forgery.context import ForgeryContext
from synthesis.photo.camera import blur, draw_camera, through_jpeg
from synthesis.sampling import coin
from synthesis.scene.geometry import polygon_mask
from synthesis.scene.regions import Region
from synthesis.scene.scene import SceneWord
from synthesis.text.lettering import Colour, to_colour
from synthesis.text.painting import paint
from synthesis.text.typesetting import Line, Setting, TextLayout

Eraser = Callable[[np.ndarray, np.ndarray], np.ndarray]  # patch and hole to the filled patch


def rewrite(
    context: ForgeryContext, word: SceneWord, text: str, font: str, erase: Eraser, softness: float
) -> tuple[str, SceneWord] | None:
    """Erase the word and paint `text` in its place, plane and colour; None if it is too small.

    Returns the new text and the word that it replaces. `softness` is the blur in pixels by which a
    careless forger fits the new letters in.
    """
    margin = max(2, min(word.style.reach(), round(0.2 * word.height)))
    region = context.around(word, margin + 6)
    coverage = _coverage_in_place(word, text, font, region)
    if coverage is None:
        return None
    patch = context.picture[region.window]
    hole = polygon_mask(region.height, region.width, [word.polygon - region[:2]], margin)
    written = _write(context, word, erase(patch, hole), coverage, region)
    if coin(context.rng, 0.6):  # a careful forger matches the blur of the photograph
        written = blur(written, context.camera)
    else:
        written = cv2.GaussianBlur(written, (0, 0), softness)
    touched = cv2.dilate(cv2.max(hole, (coverage > 4).astype(np.uint8)), np.ones((3, 3), np.uint8))
    written = with_traces(context.rng, written)
    context.picture[region.window] = np.where(touched[..., None] > 0, written, patch)
    return text, word


def _write(
    context: ForgeryContext,
    word: SceneWord,
    erased: np.ndarray,
    coverage: np.ndarray,
    region: Region,
) -> np.ndarray:
    colour = _photographed_colour(context, word, region)
    style = replace(word.style.plain(), rim=word.style.rim, colour=colour, second=colour)
    style = replace(style, texture=0.0, wear=0.0)
    if word.style.outline and coin(context.rng, 0.5):
        style = replace(style, outline=word.style.outline)
    return paint(erased, erased, coverage, style)[0]


def _coverage_in_place(word: SceneWord, text: str, font: str, region: Region) -> np.ndarray | None:
    """Another string on the word's baseline and in its plane, squeezed if it is wider."""
    old = word.word
    block = TextLayout([Line((text,), font)], Setting(old.size / word.parent.block.scale)).render()
    new, scale = block.words[0], word.parent.block.scale / block.scale
    left, _, right, _ = old.box
    letters = block.coverage[:, max(0, new.box[0]) : new.box[2]]
    width, height = min(round(letters.shape[1] * scale), right - left), round(len(letters) * scale)
    if width < 2 or height < 2:
        return None
    letters = cv2.resize(letters, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas = np.zeros(word.parent.warp.canvas, dtype=np.uint8)
    top = old.baseline - round(new.baseline * scale)
    left += (right - left - width) // 2
    rows = slice(max(0, top), min(len(canvas), top + height))
    visible = letters[rows.start - top : rows.stop - top, : canvas.shape[1] - left]
    canvas[rows, left : left + width] = visible
    return word.parent.warp.render(canvas, region)


def _photographed_colour(context: ForgeryContext, word: SceneWord, region: Region) -> Colour:
    # The camera has dimmed or lit the paint; a forger picks the colour from the photograph.
    seen, painted = (
        np.array(cv2.mean(picture[region.window])[:3])
        for picture in (context.picture, context.scene.image)
    )
    return to_colour(word.style.colour * np.minimum(2.0, (seen + 4) / (painted + 4)), 0, 255)


def with_traces(rng: Generator, patch: np.ndarray) -> np.ndarray:
    """Noise or compression of its own, or neither: then the photograph's noise is missing."""
    if coin(rng, 0.45):
        noise = rng.standard_normal(patch.shape, dtype=np.float32) * rng.uniform(0.8, 5.0)
        patch = cv2.add(patch, noise, dtype=cv2.CV_8U)
    return through_jpeg(patch, draw_camera(rng)) if coin(rng, 0.35) else patch
