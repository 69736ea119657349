"""Upload: boxes follow their pixels, and pictures end at their size."""

import numpy as np
import pytest

from synthesis.photo.postprocess import Postprocess
from synthesis.photo.upload import Upload, draw_upload
from synthesis.sampling import generator


@pytest.mark.parametrize("seed", range(6))
def test_a_box_follows_its_pixels(seed: int):
    upload = draw_upload(generator(seed), 128, Postprocess())
    picture = np.zeros((upload.full_side,) * 2 + (3,), np.uint8)
    picture[40:61, 30:91] = 255
    seen = upload.apply(picture)
    assert seen.shape == (128, 128, 3)
    rows, columns = np.nonzero(seen.max(axis=2) > 90)
    found = columns.min(), rows.min(), columns.max(), rows.max()
    assert np.abs(np.subtract(found, upload.box((30, 40, 90, 60)))).max() <= 1


def test_a_box_that_is_cut_off_is_gone():
    upload = Upload(Postprocess(), 128, 128, offset=(7, 0))
    assert upload.box((0, 20, 5, 30)) is None
    assert upload.box((0, 20, 30, 30)) == (0, 20, 23, 30)


def test_without_any_step_the_picture_is_cropped():
    picture = np.random.default_rng(0).integers(256, size=(72, 72, 3), dtype=np.uint8)
    seen = Upload(Postprocess(), 64, 64, offset=(3, 5)).apply(picture)
    assert (seen == picture[5:69, 3:67]).all()
