"""Folding the lateral connections changes how they are computed, not what."""

import pytest
import torch

from models import TASKS, build_upocr
from models.decoder import lateral_connection
from models.fold import FoldedLateral, fold_for_inference


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 7)])
@torch.no_grad()
def test_folded_lateral_is_the_lateral_up_to_its_borders(size):
    torch.manual_seed(0)
    lateral = lateral_connection(6).double()
    for conv in lateral:
        conv.bias.normal_()  # large: a bias lost at the border would show
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    torch.testing.assert_close(FoldedLateral(lateral)(x), lateral(x), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_folded_model_paints_the_same():
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", scratch_init=False).eval()  # open lateral connections
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_for_inference(model)
    images = torch.rand(3, 3, 64, 96)
    for one, other in zip(model(images, TASKS), folded(images, TASKS), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    kept = model.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in before.items())
    assert folded.architecture == model.architecture
