"""What a GPU trains, the plain model, compiles without a graph break; so do the losses."""

import pytest
import torch
from vectors import reference_input

from models import build_criterion, build_upocr
from models.fast import checkpoint_blocks
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS as TASKS
from utils.batch import Batch

pytestmark = pytest.mark.slow

IMAGES = reference_input("invariants", (3, 3, 64, 64))
SHALLOW = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 1, 1]}


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_plain_model_is_one_graph_under_mixed_precision(counting_backend, checkpointed):
    model = build_upocr("upocr_nano", **SHALLOW).train()
    checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
    compiled = torch.compile(model, backend=counting_backend, fullgraph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            assert compiled(IMAGES, list(TASKS))[-1].requires_grad
    assert counting_backend.graphs == 1  # nor is it compiled again


def test_model_and_losses_are_one_graph(counting_backend):
    model = build_upocr("upocr_nano", **SHALLOW).train()
    criterion = build_criterion(TASKS, VGG16Features())

    def loss_of(images, labels, masks):
        batch = Batch(images, labels, masks, list(TASKS), list(TASKS))
        return criterion(model(batch.images, batch.tasks), batch)[0]

    compiled = torch.compile(loss_of, backend=counting_backend, fullgraph=True)
    batch = IMAGES, IMAGES.flip(0), IMAGES[:, :1].round()
    torch.testing.assert_close(compiled(*batch), loss_of(*batch))
    assert counting_backend.graphs == 1


def test_the_loss_of_a_graph_break_is_noticed(counting_backend):
    """The test of the tests: a model that reads its output has no single graph."""
    model = build_upocr("upocr_nano", **SHALLOW)
    model.decoder.register_forward_hook(lambda *_: torch._dynamo.graph_break())
    compiled = torch.compile(model, backend=counting_backend, fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="graph_break"):
        compiled(IMAGES, list(TASKS))
