"""Samples: one picture with exact labels for each of the three tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.planning import forge_all, plan_forgeries
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import Camera, capture, draw_camera, expose, through_jpeg
from synthesis.photo.postprocess import Postprocess, draw_postprocess
from synthesis.records import Record, describe, describe_forgery
from synthesis.sampling import coin
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.scene import GLYPH_COVERAGE, Scene, composite, through_lens
from synthesis.text.fonts import FontBook

# Left, top, right, bottom in pixels, both corners included, and the class.
LabelledBox = tuple[int, int, int, int, int]

GLYPH, EFFECT, ILLEGIBLE = 100, 200, 255  # values of TextSeg's label files
GENUINE, TAMPERED = 1, 2  # classes of Tampered-IC13's annotation files
_MASK_MARGIN = 2  # pixels around a word in the removal mask, as annotators leave them


@dataclass(frozen=True)
class SampleSource:
    """Everything that the samples of a split are drawn from.

    Args:
        photographs: paths of the backgrounds.
        fonts: for all text.
        size: side of the pictures in pixels.
        avoid_text: whether to avoid crops of photographs with text-like structure.
        text_free: share of scenes without text.
        pages, distractors: shares of the other scenes, and of all, see `SceneOptions`.
        untampered: share of the photographs for tampered text detection without a forgery.
        postprocessed: share of the pictures without a forgery, see `Postprocess`.
    """

    photographs: Sequence[Path]
    fonts: FontBook
    size: int
    avoid_text: bool = True
    text_free: float = 0.18
    pages: float = 0.0
    distractors: float = 0.0
    untampered: float = 0.05
    postprocessed: float = 0.0

    def draw_postprocess(self, rng: Generator) -> Postprocess:
        """The postprocess of a picture without a forgery."""
        postprocessed = self.postprocessed and coin(rng, self.postprocessed)
        return draw_postprocess(rng) if postprocessed else Postprocess()

    def compose(self, rng: Generator, options: SceneOptions) -> Composer:
        """The composer of one scene, which is finished, with the options of a task."""
        text_free = coin(rng, self.text_free)
        # If photographs may show text, the most text-like crop might be text.
        text_like = text_free and not self.avoid_text
        background = draw_background(rng, self.photographs, self.size, self.avoid_text, text_like)
        options = replace(
            options, text_free=text_free, pages=self.pages, distractors=self.distractors
        )
        composer = Composer(rng, background, self.fonts, options)
        composer.compose()
        return composer


@dataclass(frozen=True)
class RemovalSample:
    """Text removal: `image` and `label` uint8 (S, S, 3), equal where `mask` uint8 (S, S) is 255."""

    image: np.ndarray
    label: np.ndarray
    mask: np.ndarray
    record: Record


@dataclass(frozen=True)
class SegmentationSample:
    """Text segmentation: `image` uint8 (S, S, 3), to be compressed by `camera`, and `label`.

    Where `label`, uint8 (S, S), is 0 the image shows the bare background, but for the rim of
    letters that a postprocess may add.
    """

    image: np.ndarray
    label: np.ndarray
    camera: Camera
    record: Record


@dataclass(frozen=True)
class DetectionSample:
    """Tampered text detection: `image`, to be compressed by JPEG at `quality`, and its boxes.

    `before` is the photograph before the forgeries, both uint8 (S, S, 3). Genuine boxes come first,
    so that painting the boxes in order leaves every tampered pixel tampered.
    """

    image: np.ndarray
    before: np.ndarray
    boxes: list[LabelledBox]
    quality: int
    record: Record


def removal_sample(rng: Generator, source: SampleSource) -> RemovalSample:
    """A photograph with text, the same without, and the mask of its words."""
    composer = source.compose(rng, SceneOptions(small=0.45))
    scene, softness = composer.scene, composer.background.softness
    camera, postprocess = draw_camera(rng, softness), source.draw_postprocess(rng)
    camera = postprocess.adapt(camera)
    changed = scene.visible(camera) | scene.word_mask(scene.words, _MASK_MARGIN + camera.reach())
    pair = expose(rng, through_lens(scene, camera, changed), camera)
    clean, image = (postprocess.apply(through_jpeg(each, camera)) for each in pair)
    # JPEG's ringing around letters extends beyond the mask; there, the pair shares pixels.
    image = composite(changed, image, clean)
    mask = np.where(changed, np.uint8(0), np.uint8(255))
    return RemovalSample(image, clean, mask, describe(scene, camera, postprocess, scene.words))


def segmentation_sample(rng: Generator, source: SampleSource) -> SegmentationSample:
    """A photograph with text and the class of every pixel, see `segmentation_label`."""
    # TextSeg shows larger text than the other data sets.
    composer = source.compose(rng, SceneOptions(illegible=0.08, small=0.2))
    scene, softness = composer.scene, composer.background.softness
    camera, postprocess = draw_camera(rng, softness), source.draw_postprocess(rng)
    camera = postprocess.adapt(camera)
    for word in scene.words:
        word.legible = word.legible and not word.too_blurred(camera)
    label = segmentation_label(scene, camera)
    _, image = through_lens(scene, camera, label != 0)
    image = postprocess.apply(expose(rng, [image], camera)[0])
    record = describe(scene, camera, postprocess, scene.words)
    return SegmentationSample(image, label, camera, record)


def segmentation_label(scene: Scene, camera: Camera) -> np.ndarray:
    """Label (S, S) of a scene seen through a camera: GLYPH, EFFECT, ILLEGIBLE or 0.

    Letters are where ink covers enough of the pixel before the lens blurs it; everything else that
    is visible (shadows, outlines, glows, the soft rim of letters) is an effect.
    """
    label = np.where(scene.visible(camera), np.uint8(EFFECT), np.uint8(0))
    label[scene.ink >= GLYPH_COVERAGE * 255] = GLYPH
    illegible = [word for word in scene.words if not word.legible]
    label[scene.word_mask(illegible, margin=1)] = ILLEGIBLE
    return label


def detection_sample(rng: Generator, source: SampleSource) -> DetectionSample:
    """A photograph with genuine and forged words, and a genuine lookalike of every forgery."""
    composer = source.compose(rng, SceneOptions(upright=True, min_height=11, max_bare_texts=3))
    scene = composer.scene
    camera = draw_camera(rng, composer.background.softness)
    context = ForgeryContext(rng, composer, source.photographs, camera, scene.image)
    plans = plan_forgeries(context)
    before = capture(rng, scene.image, camera)
    context.picture = before.copy()
    # A photograph without forgeries keeps the lookalikes, which must not be mistaken for forgeries.
    untampered = coin(rng, source.untampered)
    postprocess = source.draw_postprocess(rng) if untampered else Postprocess()
    camera = postprocess.adapt(camera)
    if postprocess.graphic:
        before = capture(rng, scene.image, camera)
    if untampered:
        before = context.picture = postprocess.apply(before)
    forgeries = [] if untampered else forge_all(context, plans)
    quality = int(rng.uniform(70, 97))
    replaced = {id(forgery.replaced) for forgery in forgeries}
    genuine = [word for word in scene.words if id(word) not in replaced]
    boxes: list[LabelledBox] = [(*word.box(scene.size), GENUINE) for word in genuine]
    boxes += [(*forgery.box, TAMPERED) for forgery in forgeries]
    record = describe(scene, camera, postprocess, genuine) | {
        "forgeries": [describe_forgery(forgery) for forgery in forgeries],
        "final_jpeg_quality": quality,
    }
    return DetectionSample(context.picture, before, boxes, quality, record)
