"""The composite: what may change, and what a region on the command line means."""

import numpy as np
import pytest
from PIL import Image

from upocr.composite import change_mask, parse_region, region_mask


def test_change_mask_is_full_on_text_and_soft_around_it():
    text = np.zeros((40, 40), np.uint8)
    text[20, 20] = 255
    mask = change_mask(text, None)
    assert mask[20, 20] == 255
    assert 0 < mask[20, 14] < 255
    assert mask[20, 12] == 0


@pytest.mark.parametrize("region", [(0, 0, 201, 10), (5, 5, 5, 9), (-1, 0, 4, 4)])
def test_region_outside_the_image(region):
    with pytest.raises(ValueError, match="is not inside the image of 200 x 150"):
        region_mask(region, (150, 200))
    with pytest.raises(ValueError, match="region mask is 4 x 3, the image 200 x 150"):
        region_mask(np.zeros((3, 4), np.uint8), (150, 200))


def test_region_of_the_command_line(tmp_path):
    assert parse_region("1,2,30,4") == (1, 2, 30, 4)
    layer = np.full((40, 70, 4), 255, np.uint8)
    layer[..., 3] = 0
    layer[5:20, 10:30, 3] = 255  # as paint programs save a layer
    Image.fromarray(layer).save(tmp_path / "layer.png")
    region = parse_region(str(tmp_path / "layer.png"), 10_000)
    np.testing.assert_array_equal(region, layer[..., 3])
    for wrong in ("1,2,three,4", "1,2"):
        with pytest.raises(ValueError, match=f"--region {wrong}: expected x1,y1,x2,y2"):
            parse_region(wrong)
