"""Lookalikes: genuine texts that resemble forgeries, added to the scene before it is photographed.

A word that occurs twice, a sticker, a line in another font, a label on a flat strip, a word on soft
ground: without them a network would only have to find blur, noise or an edge.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthesis.forgery.context import ForgeryContext
from synthesis.forgery.patches import blend
from synthesis.photo.backgrounds import draw_background
from synthesis.photo.camera import capture, draw_camera
from synthesis.sampling import pick
from synthesis.scene.fitting import WarpedText
from synthesis.scene.regions import Region
from synthesis.scene.scene import SceneWord
from synthesis.scene.signs import Sign
from synthesis.scene.wording import Wording
from synthesis.text.lettering import Style, luma, to_colour
from synthesis.text.typesetting import Line

_MIN_CONTRAST = 45.0  # grey levels between a repeated word's paint and its new surface
_MAX_HEIGHT = 60.0  # pixels
_SHRINKS = (1.0, 0.75, 0.55)  # relative heights, tried in turn
_PADS = {"splice": 0.4, "overwrite": 0.15, "smooth_patch": 0.3, "retexture": 0.3}  # margins in em


def add_lookalike(context: ForgeryContext, kind: str, model: SceneWord) -> list[SceneWord]:
    """Add a genuine text that resembles a forgery of this kind; its words, none without room."""
    for shrink in _SHRINKS:
        height = max(context.min_height, shrink * min(model.height, _MAX_HEIGHT))
        wording = Wording(model.script, _draw_lines(context, kind, model))
        text = context.composer.fit(wording, height, pad=_PADS.get(kind, 0.0))
        text = context.composer.place(text, margin=4 + round(0.1 * height))
        if text:
            words = _WRITERS[kind](_Lookalike(context, model, height, text))
            for word in words:
                word.imitates = kind
            return words
    return []


def _draw_lines(context: ForgeryContext, kind: str, model: SceneWord) -> list[Line]:
    same = Line((model.text,), model.font)
    if kind == "copy_move":
        return [same]
    if kind == "near_font":
        font = context.similar_font(model)
        return [same, Line((context.other_text(model, font),), font)]
    return [Line((context.other_text(model),), model.font)]


@dataclass(frozen=True)
class _Lookalike:
    """A placed text modelled after a word, its letters at most `height` pixels tall."""

    context: ForgeryContext
    model: SceneWord
    height: float
    text: WarpedText

    @property
    def region(self) -> Region:
        return self.text.region(self.context.scene.size)

    def write(self, style: Style | None = None) -> list[SceneWord]:
        return self.context.composer.write(self.text, style=style)

    def write_again(self) -> list[SceneWord]:
        style, factor = self.model.style, self.height / self.model.height
        ground = self.context.scene.clean[self.region.window].mean(axis=(0, 1))
        if abs(luma(style.colour) - luma(ground)) <= min(_MIN_CONTRAST, 0.8 * self.model.contrast):
            return self.write()
        if factor < 0.6:
            style = style.plain()
        elif factor <= 0.9:
            style = replace(style, outline=min(style.outline, 1), shadow=0.0, glow=0.0)
        return self.write(style)

    def write_on_sticker(self) -> list[SceneWord]:
        patch = _foreign_surface(self.context, self.region)
        self._blend_ground(patch, feather=pick(self.context.rng, (1, 2, 4)))
        return self.write()

    def write_on_flat_strip(self) -> list[SceneWord]:
        rng, scene = self.context.rng, self.context.scene
        ground = scene.clean[self.region.window].reshape(-1, 3)
        colour = to_colour(ground.mean(axis=0), 0, 255)
        paint = Style(colour, colour, shading=rng.uniform(0, 0.5), texture=0.0)
        strip = Sign("rectangle", paint, border=0.0, shadow=0.0, grain=rng.uniform(0, 0.5))
        scene.add_sign(rng, strip, self.text.warp)
        return self.write()

    def write_on_soft_ground(self) -> list[SceneWord]:
        rng, scene, window = self.context.rng, self.context.scene, self.region.window
        sigma, feather = rng.uniform(2.0, 5.0), pick(rng, (2, 4, 6))
        self._blend_ground(cv2.GaussianBlur(scene.clean[window], (0, 0), sigma), feather)
        words = self.write()
        softened = cv2.GaussianBlur(scene.image[window], (0, 0), rng.uniform(0.6, 1.2))
        blend(scene.image, softened, self.region, feather)
        return words

    def _blend_ground(self, patch: np.ndarray, feather: int) -> None:
        scene, window = self.context.scene, self.region.window
        blend(scene.clean, patch, self.region, feather)
        scene.image[window] = scene.clean[window]


_WRITERS: dict[str, Callable[[_Lookalike], list[SceneWord]]] = {
    "copy_move": _Lookalike.write_again,
    "splice": _Lookalike.write_on_sticker,
    "near_font": _Lookalike.write,
    "overwrite": _Lookalike.write_on_flat_strip,
    "smooth_patch": _Lookalike.write_on_soft_ground,
    "retexture": _Lookalike.write_on_soft_ground,
}


def _foreign_surface(context: ForgeryContext, region: Region) -> np.ndarray:
    """A piece of another photograph of the region's size, with its own noise."""
    rng = context.rng
    background = draw_background(rng, context.photographs, max(region.width, region.height, 64))
    camera = draw_camera(rng, background.softness)
    return capture(rng, background.pixels, camera)[: region.height, : region.width]
