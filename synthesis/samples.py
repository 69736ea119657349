"""Samples: one picture with exact labels for each of the three tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.planning import forge_all, plan_forgeries
from synthesis.forgery.scans import ScanForger
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import Camera, capture, draw_camera, expose, through_jpeg
from synthesis.photo.postprocess import Postprocess, draw_postprocess
from synthesis.photo.upload import draw_upload
from synthesis.records import Record, describe, describe_forgery, describe_scan
from synthesis.sampling import coin
from synthesis.scene.composition import Composer, SceneOptions
from synthesis.scene.regions import Region
from synthesis.scene.scans import draw_scan
from synthesis.scene.scene import GLYPH_COVERAGE, Scene, composite, through_lens
from synthesis.text.fonts import FontBook

# Left, top, right, bottom in pixels, both corners included, and the class.
LabelledBox = tuple[int, int, int, int, int]

GLYPH, EFFECT, ILLEGIBLE = 100, 200, 255  # values of TextSeg's label files
GENUINE, TAMPERED = 1, 2  # classes of Tampered-IC13's annotation files
# Pixels of letters in pictures for detection. Smaller words are never forged: too few pixels tell.
_MIN_LETTERS, _MIN_FORGED = 11.0, 16.0
_MIN_CONTRAST = 14.0  # grey levels; box files cannot say that a word is to be ignored
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
        untampered: share of the pictures for tampered text detection without a forgery.
        postprocessed: share of the pictures, see `Postprocess`.
        min_contrast: minimum contrast of legible text, grey levels.
        scans: real documents with word boxes, for tampered text detection, see `read_scan`.
        scan_share: share of its pictures that show one.
    """

    photographs: Sequence[Path]
    fonts: FontBook
    size: int
    avoid_text: bool = True
    text_free: float = 0.15
    pages: float = 0.0
    distractors: float = 0.0
    untampered: float = 0.05
    postprocessed: float = 0.0
    min_contrast: float = SceneOptions.min_contrast
    scans: Sequence[Path] = ()
    scan_share: float = 0.3

    def draw_postprocess(self, rng: Generator) -> Postprocess:
        """The postprocess of a picture."""
        postprocessed = self.postprocessed and coin(rng, self.postprocessed)
        return draw_postprocess(rng) if postprocessed else Postprocess()

    def compose(self, rng: Generator, options: SceneOptions, size: int | None = None) -> Composer:
        """The composer of one scene, which is finished, with the options of a task.

        `size` is the side of the scene in pixels if it is not that of the pictures.
        """
        text_free = coin(rng, self.text_free)
        # If photographs may show text, the most text-like crop might be text.
        text_like = text_free and not self.avoid_text
        background = draw_background(
            rng, self.photographs, size or self.size, self.avoid_text, text_like
        )
        options = replace(
            options,
            text_free=text_free,
            pages=self.pages,
            distractors=self.distractors,
            min_contrast=max(options.min_contrast, self.min_contrast),
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

    `before` is the same picture without the forgeries, both uint8 (S, S, 3). Genuine boxes come
    first, so that painting the boxes in order leaves every tampered pixel tampered.
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
    record = describe(scene.background, scene.size, camera, postprocess, scene.words)
    return RemovalSample(image, clean, mask, record)


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
    record = describe(scene.background, scene.size, camera, postprocess, scene.words)
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
    """A scene or a real document with genuine and forged words."""
    if source.scans and coin(rng, source.scan_share):
        return _scan_detection_sample(rng, source)
    return _scene_detection_sample(rng, source)


def _scene_detection_sample(rng: Generator, source: SampleSource) -> DetectionSample:
    """A photograph with genuine and forged words, and a genuine lookalike of every forgery."""
    postprocess = source.draw_postprocess(rng)
    upload = draw_upload(rng, source.size, postprocess)
    options = SceneOptions(
        upright=True,
        min_height=_MIN_LETTERS / upload.scale,
        min_contrast=_MIN_CONTRAST,
        max_bare_texts=3,
    )
    composer = source.compose(rng, options, upload.full_side)
    scene = composer.scene
    camera = postprocess.adapt(draw_camera(rng, composer.background.softness))
    smallest = _MIN_FORGED / upload.scale
    context = ForgeryContext(rng, composer, source.photographs, camera, smallest, scene.image)
    # A photograph without forgeries keeps the lookalikes, which must not be mistaken for forgeries.
    plans = plan_forgeries(context)
    before = capture(rng, scene.image, camera)
    context.picture = before.copy()
    quality = int(rng.uniform(70, 101))
    forgeries = [] if coin(rng, source.untampered) else forge_all(context, plans)
    replaced = {id(forgery.replaced) for forgery in forgeries}
    forgeries = [
        replace(forgery, box=box) for forgery in forgeries if (box := upload.box(forgery.box))
    ]
    # Nobody would mark what cannot be seen.
    genuine = [
        replace(word, polygon=upload.points(word.polygon))
        for word in scene.words
        if word.legible and id(word) not in replaced and upload.box(word.box(scene.size))
    ]
    boxes: list[LabelledBox] = [(*word.box(source.size), GENUINE) for word in genuine]
    boxes += [(*forgery.box, TAMPERED) for forgery in forgeries]
    record = describe(scene.background, source.size, camera, postprocess, genuine) | {
        "forgeries": [describe_forgery(forgery) for forgery in forgeries],
        "final_jpeg_quality": quality,
    }
    image, before = upload.apply(context.picture), upload.apply(before)
    return DetectionSample(image, before, boxes, quality, record)


def _scan_detection_sample(rng: Generator, source: SampleSource) -> DetectionSample:
    """A part of a real document, maybe photographed again, with some of its words forged."""
    upload = draw_upload(rng, source.size, source.draw_postprocess(rng))
    scan = draw_scan(rng, source.scans, upload.full_side)
    if coin(rng, 0.5):
        scan = replace(scan, pixels=capture(rng, scan.pixels, draw_camera(rng)))
    before = scan.pixels.copy()
    foreign = draw_scan(rng, source.scans, upload.full_side)
    quality = int(rng.uniform(70, 101))
    forger = ScanForger(rng, scan, foreign, source.fonts, _MIN_FORGED / upload.scale)
    forgeries = [] if coin(rng, source.untampered) else forger.forge()
    forgeries = [
        replace(forgery, box=box) for forgery in forgeries if (box := upload.box(forgery.box))
    ]
    genuine = [
        replace(word, region=Region(*box[:2], box[2] + 1, box[3] + 1))
        for word in scan.words
        if word not in forger.touched and (box := upload.box(word.box))
    ]
    boxes: list[LabelledBox] = [(*word.box, GENUINE) for word in genuine]
    boxes += [(*forgery.box, TAMPERED) for forgery in forgeries]
    record = describe_scan(scan.name, genuine) | {
        "forgeries": [describe_forgery(forgery) for forgery in forgeries],
        "final_jpeg_quality": quality,
    }
    return DetectionSample(upload.apply(scan.pixels), upload.apply(before), boxes, quality, record)
