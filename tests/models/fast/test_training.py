"""A model for training, compiled or not, has the outputs and gradients of the plain one."""

import copy

import pytest
import torch
from vectors import reference_input

from models import build_criterion, build_upocr
from models.fast import checkpoint_blocks, features_channels_last, for_training
from models.fast.recomputed_attention import RecomputedAttention
from models.swin import SwinBlock
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS as TASKS

IMAGES = reference_input("invariants", (3, 3, 64, 96))


def outputs_and_gradients(model, images) -> list[torch.Tensor]:
    outputs = model(images, TASKS)
    loss = sum(output.square().mean() for output in outputs)
    return [*outputs, *torch.autograd.grad(loss, list(model.parameters()))]


def test_outputs_and_gradients_are_those_of_the_plain_model(tiny_model):
    plain = tiny_model.double().train()  # its weights amplify the rounding of float32
    fast = for_training(copy.deepcopy(plain))
    found = [outputs_and_gradients(model, IMAGES.double()) for model in (plain, fast)]
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)


def test_all_attention_is_swapped():
    kinds = [type(module) for module in for_training(build_upocr("upocr_nano")).modules()]
    assert kinds.count(RecomputedAttention) == kinds.count(SwinBlock) > 0


def test_other_devices_keep_the_plain_model():
    model = for_training(build_upocr("upocr_nano").to("meta"))
    assert not any(isinstance(module, RecomputedAttention) for module in model.modules())


def test_losses_on_a_cpu_keep_their_layout():
    weights = (x for x in features_channels_last(VGG16Features()).parameters() if x.ndim == 4)
    assert all(weight.is_contiguous() for weight in weights)


def test_losses_without_vgg16_have_nothing_to_lay_out():
    criterion = build_criterion(TASKS[1:], None)
    assert features_channels_last(criterion) is criterion


def test_names_order_and_parameters_stay():
    model = build_upocr("upocr_nano")
    parameters, state = list(model.named_parameters()), list(model.state_dict())
    checkpoint_blocks(for_training(model), encoder=True, decoder=True)
    assert list(model.state_dict()) == state
    for (name, old), (same, new) in zip(parameters, model.named_parameters(), strict=True):
        assert name == same
        assert new is old


@pytest.mark.parametrize("halves", [(True, False), (False, True), (True, True)])
def test_gradient_checkpointing_changes_nothing(tiny_model, halves):
    def gradients(model) -> list[torch.Tensor]:
        model.train().zero_grad()
        model(IMAGES, list(TASKS))[-1].square().mean().backward()
        # The coarser heads are not part of this loss.
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    plain = gradients(tiny_model)
    checkpoint_blocks(tiny_model, encoder=halves[0], decoder=halves[1])
    recomputed = gradients(tiny_model)
    assert len(plain) == len(recomputed) > 300
    for a, b in zip(plain, recomputed, strict=True):
        torch.testing.assert_close(a, b)


def test_checkpointed_blocks_save_their_input_alone():
    def saved_bytes(model) -> int:
        known = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = model(IMAGES, TASKS)
        assert outputs[-1].requires_grad
        return sum(storage.nbytes() for key, storage in storages.items() if key not in known)

    model = build_upocr("upocr_nano").train()
    plain = saved_bytes(model)
    checkpoint_blocks(model, encoder=True, decoder=True)
    assert saved_bytes(model) < plain / 3


@pytest.mark.slow
def test_compiles_to_one_graph(counting_backend):
    model = for_training(build_upocr("upocr_nano")).train()
    compiled = torch.compile(model, backend=counting_backend, fullgraph=True)
    assert compiled(IMAGES, TASKS)[-1].requires_grad
    assert counting_backend.graphs == 1


@pytest.mark.slow
@pytest.mark.usefixtures("counting_backend")
def test_compiled_training_has_the_same_gradients():
    torch.manual_seed(0)
    short = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 2, 1]}
    model = for_training(build_upocr("upocr_nano", scratch_init=False, **short)).double().train()
    images = torch.rand(3, 3, 96, 64, dtype=torch.float64)
    compiled = torch.compile(model, backend="aot_eager")
    found = [outputs_and_gradients(network, images) for network in (model, compiled)]
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)
