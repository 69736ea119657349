"""Tampering: six ways to forge a word in a photograph.

A forgery is made in the finished photograph, after lens, noise and JPEG, and leaves the traces of
its tools: other noise, resampling, a second compression off the grid, blur. Every kind has a
genuine lookalike, see `lookalikes.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from synthesis.forgery import patches
from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.rewriting import rewrite
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import capture, draw_camera
from synthesis.sampling import coin, pick
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.regions import Region
from synthesis.scene.scans import ScanWord
from synthesis.scene.scene import SceneWord
from synthesis.scene.wording import Wording
from synthesis.text.fonts import covers
from synthesis.text.typesetting import Box, Line

_FOREIGN_SIDE = 256  # pixels of the photograph that a word is spliced from
_PLACES_TRIED = 40

# The text after the forgery and the word that it replaces, None for an addition; or no room.
Result = tuple[str, SceneWord | None] | None


@dataclass(frozen=True)
class Forgery:
    """A forged text.

    Args:
        kind: a key of `FORGERS`, or of a forged scan.
        text: the new text.
        box: left, top, right, bottom in pixels, both corners included, around all changed pixels.
        replaced: the word that it replaces, None for an addition.
    """

    kind: str
    text: str
    box: Box
    replaced: SceneWord | ScanWord | None


def forge(context: ForgeryContext, kind: str, word: SceneWord) -> Forgery | None:
    """Forge a word, or add one after its model; None without room."""
    before = context.picture.copy()
    result = FORGERS[kind](context, word)
    box = changed_box(before, context.picture) if result else None
    return Forgery(kind, result[0], box, result[1]) if result and box else None


def _copy_move(context: ForgeryContext, word: SceneWord) -> Result:
    rng, picture = context.rng, context.picture
    patch = picture[context.around(word, max(2, round(0.15 * word.height))).window]
    if coin(rng, 0.5):  # a forger fits the copy to its new place
        patch = patches.resampled(rng, patch, rng.uniform(0.85, 1.12), rng.uniform(-3, 3))
    place = _calmest_place(context, patch)
    if place is None:
        return None
    target = picture[place.window].astype(np.float32)
    fitted = patches.recoloured(patch, target, rng.uniform(0.7, 1.0))
    if coin(rng, 0.5):
        blended = target + patches.matte(patch)[..., None] * (fitted - target)
        fitted = np.clip(blended, 0, 255).astype(np.uint8)
    patches.blend(picture, fitted, place, feather=pick(rng, (1, 2, 3)))
    return word.text, None


def _splice(context: ForgeryContext, word: SceneWord) -> Result:
    rng = context.rng
    foreign = _foreign_word(context, word)
    if foreign is None:
        return None
    text, patch = foreign
    place: Region | None
    if replaces := coin(rng, 0.5):
        place = context.around(word, max(2, round(0.12 * word.height)))
        patch = cv2.resize(patch, (place.width, place.height), interpolation=cv2.INTER_LINEAR)
    else:
        patch = patches.resampled(rng, patch, rng.uniform(0.7, 1.2), 0.0)
        place = _calmest_place(context, patch)
    if place is None:
        return None
    patch = patches.recoloured(patch, context.picture[place.window], rng.uniform(0.0, 0.8))
    patches.blend(context.picture, patch, place, feather=pick(rng, (1, 2, 4)))
    return text, word if replaces else None


def _near_font(context: ForgeryContext, word: SceneWord) -> Result:
    font = context.similar_font(word)
    text = word.text if coin(context.rng, 0.4) else context.other_text(word, font)
    if not covers(font, text):
        return None
    softness = context.rng.uniform(0.3, 0.8)
    return rewrite(context, word, text, font, patches.inpainted, softness)


def _overwrite(context: ForgeryContext, word: SceneWord) -> Result:
    text, softness = context.other_text(word), context.rng.uniform(0.4, 1.0)
    return rewrite(context, word, text, word.font, patches.bridged, softness)


def _smooth_patch(context: ForgeryContext, word: SceneWord) -> Result:
    rng, picture = context.rng, context.picture
    region = context.around(word, max(3, round(0.2 * word.height)))
    before = picture[region.window].copy()
    text = context.other_text(word)
    if not rewrite(context, word, text, word.font, patches.bridged, softness=0.8):
        return None
    patch = picture[region.window].copy()
    picture[region.window] = before
    factor = rng.uniform(1.5, 2.6)  # a generative model works at its own, lower resolution
    size = [max(4, round(side / factor)) for side in (region.width, region.height)]
    small = cv2.bilateralFilter(cv2.resize(patch, size), 5, 30, 3)
    patch = cv2.resize(small, (region.width, region.height), interpolation=cv2.INTER_CUBIC)
    if coin(rng, 0.5):  # the checkerboard that upsampling layers leave
        checks = np.indices(patch.shape[:2]).sum(axis=0) % 2 * 2 - 1
        checks = checks[..., None] * rng.uniform(0.4, 1.6)
        patch = np.clip(patch + checks, 0, 255).astype(np.uint8)
    patches.blend(picture, patch, region, feather=pick(rng, (2, 3, 5)))
    return text, word


def _retexture(context: ForgeryContext, word: SceneWord) -> Result:
    patches.retexture(context.rng, context.picture, word.region(), word.height)
    return word.text, word


FORGERS: dict[str, Callable[[ForgeryContext, SceneWord], Result]] = {
    "copy_move": _copy_move,
    "splice": _splice,
    "near_font": _near_font,
    "overwrite": _overwrite,
    "smooth_patch": _smooth_patch,
    "retexture": _retexture,
}


def _foreign_word(context: ForgeryContext, model: SceneWord) -> tuple[str, np.ndarray] | None:
    """A word from another photograph, with its light, blur, noise and compression."""
    rng = context.rng
    side = min(_FOREIGN_SIDE, context.scene.size)
    background = draw_background(rng, context.photographs, side)
    composer = Composer(rng, background, context.composer.fonts, SceneOptions(upright=True))
    text = context.other_text(model)
    height = float(np.clip(model.height * rng.uniform(0.8, 1.5), context.min_height, 0.4 * side))
    wording = Wording(model.script, [Line((text,), model.font)])
    placed = composer.place(composer.fit(wording, height), margin=4)
    if placed is None:
        return None
    word = composer.write(placed)[0]
    photograph = capture(rng, composer.scene.image, draw_camera(rng, background.softness))
    region = word.region().grown(max(2, round(0.12 * word.height))).clipped(side)
    return text, photograph[region.window]


def _calmest_place(context: ForgeryContext, patch: np.ndarray) -> Region | None:
    """A free place of the patch's size with the most similar rim colour, which is then occupied."""
    height, width = patch.shape[:2]
    places = context.scene.free_places(context.rng, width, height, _PLACES_TRIED)
    if not places:
        return None
    rim = patches.rim_colour(patch.astype(np.float32))

    def difference(place: Region) -> float:
        seen = context.picture[place.window].astype(np.float32)
        return float(np.abs(patches.rim_colour(seen) - rim).sum())

    best = min(places, key=difference)
    context.scene.occupy(best)
    return best


def changed_box(before: np.ndarray, after: np.ndarray) -> Box | None:
    """Box around all pixels that differ between two pictures, uint8 (H, W, 3); None if none do."""
    red, green, blue = cv2.split(cv2.absdiff(before, after))
    left, top, width, height = cv2.boundingRect(cv2.max(cv2.max(red, green), blue))
    return (left, top, left + width - 1, top + height - 1) if width else None
