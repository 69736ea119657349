"""Two convolutions compute the four of a lateral connection."""

import pytest
import torch
from torch import nn

from models.decoder import LateralConnection
from models.fast.lateral import FoldedLateral


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 7)])
def test_lateral_connection_is_its_four_convolutions_up_to_its_borders(size):
    torch.manual_seed(0)
    lateral = LateralConnection(6).double()
    for conv in lateral:
        nn.init.normal_(conv.bias)  # large: a bias lost at the border would show
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(FoldedLateral(lateral)(x), lateral(x), rtol=1e-12, atol=1e-12)
