"""Samples: one picture with exact labels for each of the three tasks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthesis.forgery.lookalikes import Workshop, add_twin
from synthesis.forgery.tampering import FORGERS, Forgery, can_be_forged, forge
from synthesis.photo.backgrounds import Background, draw_background
from synthesis.photo.camera import Camera, draw_camera, expose, through_jpeg
from synthesis.photo.postprocess import Development, draw_development
from synthesis.sampling import between, coin, pick
from synthesis.scene.composition import Composer, Habits
from synthesis.scene.scene import (
    GENUINE,
    GLYPH_COVERAGE,
    TAMPERED,
    Scene,
    SceneWord,
    only,
    take,
    through_lens,
    too_blurred,
)
from synthesis.text.fonts import FontBook

GLYPH, EFFECT, ILLEGIBLE = 100, 200, 255  # values of TextSeg's label files
_MASK_MARGIN = 2  # pixels around a word in the removal mask, as annotators leave them
# Shares that make about as much forged text as genuine: of a minority, a network trained with a
# plain regression loss would learn to call all of it genuine first.
_FORGED_WORDS = (0.95, 1.0)  # least and greatest share of a photograph's words to forge


@dataclass(frozen=True)
class Mix:
    """Shares that a data set is mixed from.

    Args:
        pages, decoys: of scenes, see `Habits`.
        honest: of the photographs for tampered text detection, those without a forgery.
        developed: of the pictures without a forgery, see `Development`.
    """

    pages: float = 0.0
    decoys: float = 0.0
    honest: float = 0.05
    developed: float = 0.0


@dataclass(frozen=True)
class Materials:
    """What scenes are made of.

    Args:
        photographs: paths of the backgrounds.
        fonts: to write with.
        size: side of the pictures in pixels.
        avoid_text: whether crops of photographs with text-like structure are avoided.
        mix: of which kinds.
    """

    photographs: Sequence[Path]
    fonts: FontBook
    size: int
    avoid_text: bool = True
    mix: Mix = Mix()

    def background(self, rng: np.random.Generator) -> Background:
        """A background for one scene."""
        return draw_background(rng, self.photographs, self.size, self.avoid_text)

    def development(self, rng: np.random.Generator) -> Development:
        """How a picture without a forgery is finished."""
        share = self.mix.developed
        return draw_development(rng) if share and coin(rng, share) else Development()

    def composer(self, rng: np.random.Generator, background: Background, **habits: Any) -> Composer:
        """A composer for one scene with the habits of a task."""
        habits = habits | {"pages": self.mix.pages, "decoys": self.mix.decoys}
        return Composer(rng, background, self.fonts, Habits(**habits))


@dataclass(frozen=True)
class RemovalSample:
    """Text removal: `image` and `label` uint8 (S, S, 3), equal where `mask` uint8 (S, S) is 255."""

    image: np.ndarray
    label: np.ndarray
    mask: np.ndarray
    record: dict


@dataclass(frozen=True)
class SegmentationSample:
    """Text segmentation: `image` uint8 (S, S, 3) and `label` uint8 (S, S).

    Where `label` is 0 the image shows the bare background, but for what a `Development` makes of
    the rim of letters. It is still to be compressed with `camera`.
    """

    image: np.ndarray
    label: np.ndarray
    camera: Camera
    record: dict


@dataclass(frozen=True)
class Box:
    """A word's box, left, top, right, bottom in pixels, both corners included."""

    corners: tuple[int, int, int, int]
    label: int

    def line(self) -> str:
        """The line `x1,y1,x2,y2,class` of an annotation file."""
        return ",".join(map(str, (*self.corners, self.label)))


@dataclass(frozen=True)
class DetectionSample:
    """Tampered text detection: `image` and the photograph `before` the forgeries, uint8 (S, S, 3).

    Genuine boxes come first, so that painting the boxes in order leaves every tampered pixel
    tampered. The picture is still to be compressed with JPEG quality `quality`.
    """

    image: np.ndarray
    before: np.ndarray
    boxes: tuple[Box, ...]
    quality: int
    record: dict


def removal_sample(rng: np.random.Generator, materials: Materials) -> RemovalSample:
    """A photograph with text, the same without, and the mask of its words."""
    background = materials.background(rng)
    scene = materials.composer(rng, background, small=0.45).compose()
    camera, development = draw_camera(rng, background.softness), materials.development(rng)
    camera = development.adapted(camera)
    changed = scene.visible(camera) | scene.word_mask(scene.words, _MASK_MARGIN + camera.reach())
    clean, image = expose(rng, through_lens(scene, camera, changed), camera)
    clean, image = (development.apply(through_jpeg(each, camera)) for each in (clean, image))
    # JPEG's ringing around letters reaches beyond the mask; there both are the picture without
    # text.
    image = only(changed, image, clean)
    mask = np.where(changed, np.uint8(0), np.uint8(255))
    record = _record(scene, camera, development, scene.words)
    return RemovalSample(image, clean, mask, record)


def segmentation_sample(rng: np.random.Generator, materials: Materials) -> SegmentationSample:
    """A photograph with text and the class of every pixel, see `segmentation_label`."""
    background = materials.background(rng)
    # TextSeg shows larger text than the others.
    scene = materials.composer(rng, background, illegible=0.08, small=0.2).compose()
    camera, development = draw_camera(rng, background.softness), materials.development(rng)
    camera = development.adapted(camera)
    for word in scene.words:
        word.legible = word.legible and not too_blurred(word, camera)
    label = segmentation_label(scene, camera)
    _, image = through_lens(scene, camera, label != 0)
    image = development.apply(expose(rng, [image], camera)[0])
    record = _record(scene, camera, development, scene.words)
    return SegmentationSample(image, label, camera, record)


def segmentation_label(scene: Scene, camera: Camera) -> np.ndarray:
    """Label (S, S) of a scene seen through a camera: 100 letter, 200 effect, 255 illegible, else 0.

    Letters are where the ink covers enough of the pixel before the lens blurs it; what is visible
    besides (shadows, outlines, glows, and the soft rim of letters) counts as effect.
    """
    glyph = scene.ink >= GLYPH_COVERAGE * 255
    label = np.where(scene.visible(camera), np.uint8(EFFECT), np.uint8(0))
    label[glyph] = GLYPH
    illegible = [word for word in scene.words if not word.legible]
    label[scene.word_mask(illegible, margin=1)] = ILLEGIBLE
    return label


def detection_sample(rng: np.random.Generator, materials: Materials) -> DetectionSample:
    """A photograph with genuine and forged words, and a genuine look-alike for every forgery."""
    background = materials.background(rng)
    composer = materials.composer(rng, background, upright=True, least_height=11, crowd=3)
    scene = composer.compose()
    camera = draw_camera(rng, background.softness)
    workshop = Workshop(rng, composer, materials.photographs, camera)
    plans = _plan_forgeries(workshop)
    before = take(rng, scene.image, camera)
    workshop.picture = before.copy()
    # A photograph without forgeries keeps the look-alikes: they are what it must not be blamed for.
    honest = coin(rng, materials.mix.honest)
    development = materials.development(rng) if honest else Development()
    if honest:
        before = _developed(workshop, development)
        camera = development.adapted(camera)
    found = [] if honest else [_first_forgery(workshop, kinds, word) for kinds, word in plans]
    forgeries = [forgery for forgery in found if forgery]
    quality = int(between(rng, 70, 97))
    boxes = _boxes(scene, forgeries)
    record = _record(scene, camera, development, _remaining(scene.words, forgeries)) | {
        "forgeries": [_forgery_record(forgery) for forgery in forgeries],
        "final_jpeg_quality": quality,
    }
    return DetectionSample(workshop.picture, before, boxes, quality, record)


def _developed(workshop: Workshop, development: Development) -> np.ndarray:
    """The photograph, finished without a forgery."""
    if development.graphic:
        camera = development.adapted(workshop.camera)
        workshop.picture = take(workshop.rng, workshop.scene.image, camera)
    workshop.picture = development.apply(workshop.picture)
    return workshop.picture.copy()


def _plan_forgeries(workshop: Workshop) -> list[tuple[list[str], SceneWord]]:
    """Words to forge, with the kinds to try in turn; a twin of every kind is added to the scene."""
    rng = workshop.rng
    words = [word for word in workshop.scene.words if can_be_forged(word)]
    count = math.ceil(between(rng, *_FORGED_WORDS) * len(words))
    order = rng.permutation(len(words))[:count]
    kinds = [pick(rng, tuple(FORGERS)) for _ in order]
    models = {kind: words[place] for kind, place in reversed(list(zip(kinds, order, strict=True)))}
    imitated = [kind for kind, word in models.items() if add_twin(workshop, kind, word)]
    if len(order) and not imitated:
        # None of their twins found room: any other that does.
        others = rng.permutation([kind for kind in FORGERS if kind not in models]).tolist()
        imitated = [kind for kind in others if add_twin(workshop, kind, words[order[0]])][:1]
    if not imitated:
        return []
    # A kind whose twin found no room, or that cannot be done here, gives way to one with a twin.
    return [
        (sorted(rng.permutation(imitated).tolist(), key=lambda other: other != kind), words[place])
        for kind, place in zip(kinds, order, strict=True)
    ]


def _first_forgery(workshop: Workshop, kinds: Sequence[str], word: SceneWord) -> Forgery | None:
    """The forgery of a word by the first of the kinds for which there is room."""
    return next(filter(None, (forge(workshop, kind, word) for kind in kinds)), None)


def _remaining(words: Sequence[SceneWord], forgeries: Sequence[Forgery]) -> list[SceneWord]:
    gone = {id(forgery.replaced) for forgery in forgeries}
    return [word for word in words if id(word) not in gone]


def _boxes(scene: Scene, forgeries: Sequence[Forgery]) -> tuple[Box, ...]:
    genuine = [Box(word.box(scene.size), GENUINE) for word in _remaining(scene.words, forgeries)]
    return (*genuine, *(Box(forgery.box, TAMPERED) for forgery in forgeries))


def _record(
    scene: Scene, camera: Camera, development: Development, words: Sequence[SceneWord]
) -> dict:
    return {
        "background": scene.background,
        "camera": {
            "defocus": round(camera.defocus, 2),
            "motion": round(camera.motion[0], 1),
            "read_noise": round(camera.read_noise, 2),
            "jpeg_quality": camera.quality,
        },
        "development": {
            "graphic": development.graphic,
            "denoising": round(development.denoising, 1),
            "sharpening": round(development.sharpening, 2),
        },
        "words": [_word_record(word, scene.size) for word in words],
    }


def _word_record(word: SceneWord, size: int) -> dict:
    record = {
        "text": word.text,
        "script": word.script,
        "font": Path(word.font).name or "Pillow built-in",
        "box": word.box(size),
        "height": round(word.height, 1),
        "legible": word.legible,
    }
    return record | ({"twin_of": word.kind} if word.kind else {})


def _forgery_record(forgery: Forgery) -> dict:
    replaced = forgery.replaced.text if forgery.replaced else None
    return {"kind": forgery.kind, "text": forgery.text, "box": forgery.box, "replaced": replaced}
