"""Encoding: pictures as JPEG and PNG files, in memory."""

import cv2
import numpy as np

_CHROMA_420 = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
_CHROMA_444 = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
_HAS_FILTERS = hasattr(cv2, "IMWRITE_PNG_FILTER")
# Noisy photographs hardly compress: omitting the search for repetitions makes the file smaller and
# faster to write.
_FAST_PNG = [
    # Choosing the filter needs OpenCV 4.12.
    *((cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG) if _HAS_FILTERS else ()),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY),
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
]


def encode_jpeg(picture: np.ndarray, quality: int, subsampling: bool) -> bytes:
    """JPEG file of an RGB picture, uint8 (H, W, 3); `subsampling` halves the chroma resolution."""
    factor = _CHROMA_420 if subsampling else _CHROMA_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def decode(content: bytes) -> np.ndarray:
    """RGB picture, uint8 (H, W, 3), of a file."""
    picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "only files of this module are decoded"
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def encode_png(picture: np.ndarray) -> bytes:
    """PNG file of a uint8 picture, (H, W, 3) RGB photograph or (H, W) mask."""
    if picture.ndim == 2:
        return cv2.imencode(".png", picture)[1].tobytes()
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _FAST_PNG)[1].tobytes()
