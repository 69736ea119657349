"""Upload: the processing of a whole picture on its way to the web, forged or not."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from synthesis.photo.encoding import decode, encode_jpeg
from synthesis.photo.postprocess import Postprocess
from synthesis.sampling import coin, log_uniform

_GRID = 8  # pixels between the blocks of JPEG

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, both corners included


@dataclass(frozen=True)
class Upload:
    """One way of a picture to the web: saved, cropped, resized, recoloured, enhanced.

    Only forgeries differ from their surroundings afterwards: what the whole picture has undergone
    says nothing.

    Args:
        postprocess: the last step.
        size: side of the picture afterwards, pixels.
        side: of the crop that is resized to it.
        offset: x and y of the crop; the grid of an earlier JPEG stays aligned at 0.
        quality: of a JPEG file before all else; 0 for none.
        gains: of the three channels.
        gamma: exponent of the brightness.
    """

    postprocess: Postprocess
    size: int
    side: int
    offset: tuple[int, int] = (0, 0)
    quality: int = 0
    gains: tuple[float, ...] = (1.0, 1.0, 1.0)
    gamma: float = 1.0

    @property
    def scale(self) -> float:
        """Pixels afterwards per pixel before."""
        return self.size / self.side

    @property
    def full_side(self) -> int:
        """Side in pixels that a picture must have before the crop."""
        return self.side + _GRID

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """RGB uint8 (full_side, full_side, 3) -> (size, size, 3)."""
        if self.quality:
            picture = decode(encode_jpeg(picture, self.quality, subsampling=True))
        x, y = self.offset
        picture = np.ascontiguousarray(picture[y : y + self.side, x : x + self.side])
        if self.side != self.size:
            method = cv2.INTER_AREA if self.scale < 0.75 else cv2.INTER_CUBIC
            picture = cv2.resize(picture, (self.size, self.size), interpolation=method)
        return self.postprocess.apply(cv2.LUT(picture, self._curves()))

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the picture before, x and y in pixels, in the picture afterwards."""
        return self.scale * (points - np.array(self.offset))

    def box(self, box: Box) -> Box | None:
        """The box in the picture afterwards; None if it is cut off."""
        low, high = self.points(np.array([box[:2], np.add(box[2:], 1)]))
        left, top = np.maximum(np.floor(low), 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(high) - 1, self.size - 1).astype(int).tolist()
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _curves(self) -> np.ndarray:
        """Brightness afterwards by brightness before and channel, uint8 (256, 1, 3)."""
        levels = (np.arange(256) / 255) ** self.gamma * 255
        curves = np.multiply.outer(levels, self.gains)
        return np.clip(curves + 0.5, 0, 255).astype(np.uint8)[:, None]


def draw_upload(rng: Generator, size: int, postprocess: Postprocess) -> Upload:
    """An upload that ends with pictures of `size` pixels and the given postprocess."""
    resized, recoloured, aligned = coin(rng, 0.6), coin(rng, 0.6), coin(rng, 0.4)
    offset = (0, 0) if aligned else tuple(rng.integers(_GRID, size=2).tolist())
    return Upload(
        postprocess,
        size,
        round(size * log_uniform(rng, 0.8, 1.5)) if resized else size,
        offset,
        quality=int(rng.uniform(70, 101)) if coin(rng, 0.4) else 0,
        gains=tuple(rng.uniform(0.88, 1.12, 3).tolist()) if recoloured else (1.0,) * 3,
        gamma=rng.uniform(0.8, 1.25) if recoloured else 1.0,
    )
