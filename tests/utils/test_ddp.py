"""Training in several processes as `wrap_model` sets it up, on a process group of one process.

The fake group of PyTorch answers for the other processes at once, without changing anything.
"""

import pytest
import torch
from torch.testing._internal.distributed.fake_pg import FakeStore

from models import build_upocr
from models.fast import checkpoint_blocks
from tasks import OFFICIAL_TASKS as TASKS
from utils.dist import wrap_model

CPU = torch.device("cpu")
IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SHALLOW = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 1, 1]}


@pytest.fixture
def eight_processes():
    torch.distributed.init_process_group("fake", rank=0, world_size=8, store=FakeStore())
    yield
    torch.distributed.destroy_process_group()


class Sent:
    """Gradients as they are handed over to be averaged: addresses and sizes in bytes.

    `first_come`: whether some were handed over before the backward pass reached the images.
    """

    def __init__(self, network, model) -> None:
        self.buckets: list[tuple[int, int]] = []
        self.first_come = False
        network.register_comm_hook(None, self._note)
        first = model.encoder.backbone.patch_embed.proj.weight
        first.register_post_accumulate_grad_hook(self._reached_the_images)

    def _note(self, _, bucket):
        storage = bucket.buffer().untyped_storage()
        self.buckets.append((storage.data_ptr(), bucket.buffer().nbytes))
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    def _reached_the_images(self, _) -> None:
        self.first_come = bool(self.buckets)


def steps(network, model, sent, number):
    """Backward passes, each of gradients of its own."""
    for _ in range(number):
        model.zero_grad(set_to_none=True)
        sent.buckets.clear()
        sum(output.square().mean() for output in network(IMAGES, list(TASKS))).backward()


@pytest.mark.usefixtures("eight_processes")
@pytest.mark.parametrize("checkpointed", [False, True])
def test_gradients_are_sent_once_as_they_lie_and_while_others_are_computed(checkpointed):
    model = build_upocr("upocr_nano", **SHALLOW).train()
    checkpoint_blocks(model, encoder=checkpointed, decoder=checkpointed)
    network = wrap_model(model, CPU)
    sent = Sent(network, model)
    steps(network, model, sent, 3)  # a static graph orders its buckets after the first
    weights = [parameter.grad for parameter in model.parameters()]
    # All gradients, once: what `benchmarks.plan` counts as communication.
    assert sum(size for _, size in sent.buckets) == sum(gradient.nbytes for gradient in weights)
    # No copy: every gradient is a view of the buffer that is sent.
    addresses = {address for address, _ in sent.buckets}
    assert {x.untyped_storage().data_ptr() for x in weights} == addresses
    assert len(addresses) > 1
    assert sent.first_come
    assert network._get_ddp_logging_data().get("static_graph") == 1
