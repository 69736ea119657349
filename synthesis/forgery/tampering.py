"""Tampering: five ways to forge a word in a photograph.

A forgery is made in the finished photograph (after lens, noise and JPEG) and leaves the traces of
its tools: another noise, resampling, a second compression off the grid, blur. Every kind has a
genuine look-alike, see twins.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthesis.forgery.lookalikes import LEAST_HEIGHT, Workshop, near_font, other_text
from synthesis.forgery.patches import blend, bridged, inpainted, matte, resampled, rim_colour
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import blur, draw_camera, through_jpeg
from synthesis.sampling import between, coin, pick
from synthesis.scene.composition import Composer, Habits
from synthesis.scene.scene import GENUINE, Region, SceneWord, clipped, grown, slices, take
from synthesis.text.fonts import covers
from synthesis.text.lettering import paint
from synthesis.text.typesetting import Line, Setting, typeset

_FOREIGN_SIDE = 256  # pixels of the photograph that a word is spliced from


@dataclass(frozen=True)
class Forgery:
    """What was forged.

    Args:
        kind: one of `FORGERS`.
        text: what the place says now.
        box: left, top, right, bottom in pixels, both corners included; every changed pixel lies
            inside.
        replaced: the word that stood there, None where the forgery is an addition.
    """

    kind: str
    text: str
    box: tuple[int, int, int, int]
    replaced: SceneWord | None


def can_be_forged(word: SceneWord) -> bool:
    """Whether a word is legible, large enough, and no twin of another forgery."""
    return word.legible and word.height >= LEAST_HEIGHT and word.label == GENUINE and not word.kind


def forge(workshop: Workshop, kind: str, word: SceneWord) -> Forgery | None:
    """Forge the photograph at (or after the model of) a word; None if there was no room for it."""
    before = workshop.picture.copy()
    result = FORGERS[kind](workshop, word)
    box = _changed_box(before, workshop.picture) if result else None
    if box is None:
        return None
    text, replaced = result
    return Forgery(kind, text, box, replaced)


Result = (
    tuple[str, SceneWord | None] | None
)  # what the place says now, and the word that it replaces


def _copy_move(workshop: Workshop, word: SceneWord) -> Result:
    rng, picture = workshop.rng, workshop.picture
    source = clipped(grown(word.region(), max(2, round(0.15 * word.height))), len(picture))
    patch = picture[slices(source)]
    if coin(rng, 0.5):  # a forger fits the copy to its new place
        patch = resampled(rng, patch, between(rng, 0.85, 1.12), between(rng, -3, 3))
    place = _calmest_place(workshop, patch)
    if place is None:
        return None
    target = picture[slices(place)].astype(np.float32)
    step = (rim_colour(target) - rim_colour(patch.astype(np.float32))) * between(rng, 0.7, 1.0)
    fitted = np.clip(patch + step, 0, 255).astype(np.uint8)
    if coin(rng, 0.5):
        alpha = matte(patch)
        blended = target + alpha[..., None] * (fitted - target)
        fitted = np.clip(blended, 0, 255).astype(np.uint8)
    blend(picture, fitted, place, feather=pick(rng, (1, 2, 3)))
    return word.text, None


def _splice(workshop: Workshop, word: SceneWord) -> Result:
    rng, picture = workshop.rng, workshop.picture
    other = _foreign_word(workshop, word)
    if other is None:
        return None
    text, patch = other
    if coin(rng, 0.5):
        place = clipped(grown(word.region(), max(2, round(0.12 * word.height))), len(picture))
        patch = cv2.resize(
            patch, (place[2] - place[0], place[3] - place[1]), interpolation=cv2.INTER_LINEAR
        )
        replaced = word
    else:
        patch = resampled(rng, patch, between(rng, 0.7, 1.2), 0.0)
        place, replaced = _calmest_place(workshop, patch), None
    if place is None:
        return None
    target = picture[slices(place)].astype(np.float32)
    step = (rim_colour(target) - rim_colour(patch.astype(np.float32))) * between(rng, 0.0, 0.8)
    blend(
        picture, np.clip(patch + step, 0, 255).astype(np.uint8), place, feather=pick(rng, (1, 2, 4))
    )
    return text, replaced


def _near_font_rerender(workshop: Workshop, word: SceneWord) -> Result:
    font = near_font(workshop, word)
    text = word.text if coin(workshop.rng, 0.4) else other_text(workshop, word, font)
    if not covers(font, text):
        return None
    return _rewritten(
        workshop, word, text, font, inpainted, softness=between(workshop.rng, 0.3, 0.8)
    )


def _overwrite(workshop: Workshop, word: SceneWord) -> Result:
    text = other_text(workshop, word)
    return _rewritten(
        workshop, word, text, word.font, bridged, softness=between(workshop.rng, 0.4, 1.0)
    )


def _smooth_patch(workshop: Workshop, word: SceneWord) -> Result:
    rng, picture = workshop.rng, workshop.picture
    region = clipped(grown(word.region(), max(3, round(0.2 * word.height))), len(picture))
    before = picture[slices(region)].copy()
    text = other_text(workshop, word)
    if _rewritten(workshop, word, text, word.font, bridged, softness=0.8) is None:
        return None
    patch = picture[slices(region)].copy()
    picture[slices(region)] = before
    height, width = patch.shape[:2]
    factor = between(rng, 1.5, 2.6)  # the generator works at its own, lower resolution
    small = cv2.resize(patch, (max(4, round(width / factor)), max(4, round(height / factor))))
    small = cv2.bilateralFilter(small, 5, 30, 3)
    patch = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if coin(rng, 0.5):  # the checkerboard that upsampling layers leave
        checks = (np.indices((height, width)).sum(axis=0) % 2 * 2 - 1) * between(rng, 0.4, 1.6)
        patch = np.clip(patch + checks[..., None], 0, 255).astype(np.uint8)
    blend(picture, patch, region, feather=pick(rng, (2, 3, 5)))
    return text, word


FORGERS: dict[str, Callable[[Workshop, SceneWord], Result]] = {
    "copy_move": _copy_move,
    "splice": _splice,
    "near_font": _near_font_rerender,
    "overwrite": _overwrite,
    "smooth_patch": _smooth_patch,
}


def _rewritten(
    workshop: Workshop,
    word: SceneWord,
    text: str,
    font: str,
    erase: Callable[[np.ndarray, np.ndarray], np.ndarray],
    softness: float,
) -> Result:
    """Erase the word and write `text` in its place, plane and colour."""
    rng, picture = workshop.rng, workshop.picture
    margin = max(2, min(word.style.reach(), round(0.2 * word.height)))
    region = clipped(grown(word.region(), margin + 6), len(picture))
    coverage = _coverage_in_place(word, text, font, region)
    if coverage is None:
        return None
    patch = picture[slices(region)]
    hole = _hole(word, region, margin)
    erased = erase(patch, hole)
    colour = _photographed_colour(workshop, word, region)
    plain = replace(word.style.plain(), rim=word.style.rim)
    style = replace(plain, colour=colour, second=colour, texture=0.0, wear=0.0)
    if word.style.outline and coin(rng, 0.5):
        style = replace(style, outline=word.style.outline, outline_colour=word.style.outline_colour)
    written, _ = paint(erased, erased, coverage, style)
    if coin(rng, 0.6):  # a careful forger matches the blur of the photograph
        written = blur(written, workshop.camera)
    else:
        written = cv2.GaussianBlur(written, (0, 0), softness)
    touched = cv2.dilate(cv2.max(hole, (coverage > 4).astype(np.uint8)), np.ones((3, 3), np.uint8))
    written = _traces(rng, written)
    picture[slices(region)] = np.where(touched[..., None] > 0, written, patch)
    return text, word


def _coverage_in_place(word: SceneWord, text: str, font: str, region: Region) -> np.ndarray | None:
    """Another string on the word's baseline and in its plane, squeezed if it is wider."""
    old = word.word
    block = typeset([Line((text,), font)], Setting(old.size / word.scale))
    new, box = block.words[0], old.box
    scale = word.scale / block.scale
    letters = block.coverage[:, max(0, new.box[0]) : new.box[2]]
    width = min(round(letters.shape[1] * scale), box[2] - box[0])
    height = round(letters.shape[0] * scale)
    if width < 2 or height < 2:
        return None
    letters = cv2.resize(letters, (width, height), interpolation=cv2.INTER_LINEAR)
    canvas = np.zeros(word.block_warp.canvas, dtype=np.uint8)
    top = old.baseline - round(new.baseline * scale)
    left = box[0] + (box[2] - box[0] - width) // 2
    rows = slice(max(0, top), min(canvas.shape[0], top + height))
    canvas[rows, left : left + width] = letters[
        rows.start - top : rows.stop - top, : canvas.shape[1] - left
    ]
    return word.block_warp.render(canvas, region)


def _hole(word: SceneWord, region: Region, margin: int) -> np.ndarray:
    polygon = np.round(word.polygon - np.array(region[:2])).astype(np.int32)
    hole = np.zeros((region[3] - region[1], region[2] - region[0]), dtype=np.uint8)
    cv2.fillPoly(hole, [polygon], 1)
    return cv2.dilate(hole, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))


def _traces(rng: np.random.Generator, patch: np.ndarray) -> np.ndarray:
    """Another noise or compression than the photograph's, or neither: then noise is missing."""
    if coin(rng, 0.45):
        noise = rng.standard_normal(patch.shape, dtype=np.float32) * between(rng, 0.8, 5.0)
        patch = cv2.add(patch, noise, dtype=cv2.CV_8U)
    return through_jpeg(patch, draw_camera(rng)) if coin(rng, 0.35) else patch


def _photographed_colour(
    workshop: Workshop, word: SceneWord, region: Region
) -> tuple[float, float, float]:
    # The camera has dimmed or lit the paint; a forger picks the colour from the photograph.
    seen = cv2.mean(workshop.picture[slices(region)])
    made = cv2.mean(workshop.scene.image[slices(region)])
    ratios = [min(2.0, (new + 4) / (old + 4)) for new, old in zip(seen[:3], made[:3], strict=True)]
    mixed = zip(word.style.colour, ratios, strict=True)
    return tuple(float(np.clip(channel * ratio, 0, 255)) for channel, ratio in mixed)


def _foreign_word(workshop: Workshop, model: SceneWord) -> tuple[str, np.ndarray] | None:
    """A word from another photograph, with that one's light, blur, noise and compression."""
    rng = workshop.rng
    side = min(_FOREIGN_SIDE, workshop.scene.size)
    background = draw_background(rng, workshop.photographs, side)
    composer = Composer(rng, background, workshop.composer.fonts, Habits(upright=True))
    text = other_text(workshop, model)
    height = float(np.clip(model.height * between(rng, 0.8, 1.5), LEAST_HEIGHT, 0.4 * side))
    draft = composer.draft((model.script, [Line((text,), model.font)]), height)
    placed = composer.place(draft, margin=4) if draft else None
    if placed is None:
        return None
    word = composer.write(placed)[0]
    camera = draw_camera(rng, background.softness)
    seen = take(rng, composer.scene.image, camera)
    region = clipped(grown(word.region(), max(2, round(0.12 * word.height))), side)
    return text, seen[slices(region)]


def _calmest_place(workshop: Workshop, patch: np.ndarray) -> Region | None:
    """A free place of the patch's size whose rim has the most similar colour; it is then taken."""
    scene, (height, width) = workshop.scene, patch.shape[:2]
    if width > scene.size or height > scene.size:
        return None
    corners = workshop.rng.integers((scene.size - width + 1, scene.size - height + 1), size=(40, 2))
    places = [(int(x), int(y), int(x) + width, int(y) + height) for x, y in corners]
    places = [place for place in places if scene.is_free(place)]
    if not places:
        return None
    rim = rim_colour(patch.astype(np.float32))
    seen = {
        place: rim_colour(workshop.picture[slices(place)].astype(np.float32)) for place in places
    }
    best = min(places, key=lambda place: float(np.abs(seen[place] - rim).sum()))
    scene.occupy(best)
    return best


def _changed_box(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int] | None:
    red, green, blue = cv2.split(cv2.absdiff(before, after))
    left, top, width, height = cv2.boundingRect(cv2.max(cv2.max(red, green), blue))
    return (left, top, left + width - 1, top + height - 1) if width else None
