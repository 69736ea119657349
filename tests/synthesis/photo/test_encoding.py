"""Encoding: PNG keeps every pixel."""

import numpy as np

from synthesis.photo.encoding import decode, encode_png


def test_png_is_lossless():
    picture = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    assert (decode(encode_png(picture)) == picture).all()
