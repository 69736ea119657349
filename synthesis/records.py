"""Records: the manifest's description of a picture."""

from collections.abc import Sequence
from typing import Any

from synthesis.forgery.tampering import Forgery
from synthesis.photo.camera import Camera
from synthesis.photo.postprocess import Postprocess
from synthesis.scene.scans import ScanWord
from synthesis.scene.scene import SceneWord
from synthesis.text.fonts import font_name

Record = dict[str, Any]


def describe(
    background: str,
    size: int,
    camera: Camera,
    postprocess: Postprocess,
    words: Sequence[SceneWord],
) -> Record:
    """Background, camera, postprocess and words of a picture of size x size."""
    return {
        "background": background,
        "camera": {
            "defocus": round(camera.defocus, 2),
            "motion": round(camera.motion[0], 1),
            "read_noise": round(camera.read_noise, 2),
            "jpeg_quality": camera.quality,
        },
        "postprocess": {
            "graphic": postprocess.graphic,
            "denoising": round(postprocess.denoising, 1),
            "sharpening": round(postprocess.sharpening, 2),
        },
        "words": [_describe_word(word, size) for word in words],
    }


def _describe_word(word: SceneWord, size: int) -> Record:
    record = {
        "text": word.text,
        "script": word.script,
        "font": font_name(word.font),
        "box": word.box(size),
        "height": round(word.height, 1),
        "contrast": round(word.contrast, 1),
        "legible": word.legible,
    }
    return record | ({"lookalike_of": word.imitates} if word.imitates else {})


def describe_scan(name: str, words: Sequence[ScanWord]) -> Record:
    """Name of a scan and its genuine words."""
    described = [{"text": word.text, "box": word.box, "height": word.height} for word in words]
    return {"scan": name, "background": name, "words": described}


def describe_forgery(forgery: Forgery) -> Record:
    """Kind, text and box of a forgery, and the text that it replaces."""
    replaced = forgery.replaced.text if forgery.replaced else None
    return {"kind": forgery.kind, "text": forgery.text, "box": forgery.box, "replaced": replaced}
