"""Back ends: where the network runs."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from upocr.tasks import Verdict


class Backend(Protocol):
    """A network with its weights.

    Args:
        tasks: that the weights were trained on.
        image_size: side of the training images in pixels.
        verdict: on the tampering of words, calibrated for the weights.
        checksum: of the weights and all that comes with them.
    """

    tasks: tuple[str, ...]
    image_size: int
    verdict: Verdict

    @property
    def checksum(self) -> str: ...

    def predict(self, images: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
        """(B, 3, h, w) float32 in [0, 1], T tasks -> (B, T, 3, h, w) float32, clamped to [0, 1].

        Raises ValueError if the output is not finite.
        """
        ...
