"""Folding and compiling change how a model is computed, not what."""

import pytest
import torch
from models.fast.fold import FoldedLateral, fold_for_inference
from torch import nn

from models import TASKS, attention, build_upocr, swin
from models.decoder import LateralConnection
from models.fast import fold


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 7)])
def test_lateral_connection_is_its_four_convolutions_up_to_its_borders(size):
    torch.manual_seed(0)
    lateral = LateralConnection(6).double()
    for conv in lateral:
        nn.init.normal_(conv.bias)  # large: a bias lost at the border would show
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    found = []
    for function in (nn.Sequential.forward, LateralConnection.forward):
        output = function(lateral, x)
        gradients = torch.autograd.grad(output.square().sum(), lateral.parameters())
        found.append((output, *gradients))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(FoldedLateral(lateral)(x), found[0][0], rtol=1e-12, atol=1e-12)


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


# A window or less at a time, and two and a rest.
@pytest.mark.parametrize("chunk_bytes", [1024, 40_000])
@torch.no_grad()
def test_parts_make_the_whole(chunk_bytes, monkeypatch):
    torch.manual_seed(0)
    folded = fold_for_inference(build_upocr("upocr_nano", scratch_init=False))
    images = torch.rand(2, 3, 160, 96)
    with monkeypatch.context() as patch:
        for module in (fold, swin):
            patch.setattr(module, "pays_in_parts", lambda x: False)
        whole = folded(images, [TASKS] * 2)
    for module in (attention, swin):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    for one, other in zip(folded(images, [TASKS] * 2), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_stochastic_depth_drops_whole_samples_without_gradients_too(monkeypatch):
    monkeypatch.setattr(swin, "CHUNK_BYTES", 1024)
    block = swin.SwinBlock(16, 2, 4, 4, shifted=False, drop_path=0.5).train()
    x = torch.rand(16, 8, 8, 16)
    torch.manual_seed(0)
    changed = (block(x) != x).flatten(1, 2).any(2)  # (B, tokens): whether any channel is new
    assert (changed == changed[:, :1]).all()
    assert len(changed[:, 0].unique()) == 2


@pytest.mark.parametrize("shape", [(2, 3, 64, 96), (1, 3, 288, 320)])
@torch.no_grad()
def test_bfloat16_weights_paint_what_autocast_paints(shape):
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", scratch_init=False).eval()
    images = torch.rand(shape)
    exact = model(images, [TASKS] * len(images))[-1]
    folded = fold_for_inference(model, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        usual, found = (m(images, [TASKS] * len(images))[-1].float() for m in (model, folded))
    error, accepted = ((x - exact).square().mean().sqrt() for x in (found, usual))
    assert error <= 1.1 * accepted
    for name, parameter in folded.named_parameters():
        narrow = "norm" not in name and "task_embedding" not in name
        assert parameter.dtype == (torch.bfloat16 if narrow else torch.float32), name


class CountingBackend:
    """Counts what dynamo hands to a compiler, and compiles nothing."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


@pytest.fixture
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_dynamo")
@pytest.mark.parametrize("training", [False, True])
def test_compiles_to_one_graph(training):
    model = build_upocr("upocr_nano").train(training)
    if not training:
        model = fold_for_inference(model)
    count = CountingBackend()
    with torch.set_grad_enabled(training):
        outputs = torch.compile(model, backend=count, fullgraph=True)(
            torch.rand(3, 3, 64, 96), TASKS
        )
    assert count.graphs == 1
    assert outputs[-1].requires_grad == training


@pytest.mark.usefixtures("fresh_dynamo")
@torch.no_grad()
def test_dynamic_shapes_compile_once():
    # From three windows a side on; maps of one or two are cases of their own, as always in dynamo.
    folded = fold_for_inference(build_upocr("upocr_nano"))
    count = CountingBackend()
    compiled = torch.compile(folded, backend=count, fullgraph=True, dynamic=True)
    for batch, height, width in ((2, 544, 576), (3, 608, 544), (2, 576, 768)):
        images = torch.rand(batch, 3, height, width)
        rows = torch.arange(batch) % len(TASKS)
        torch.testing.assert_close(compiled(images, rows)[-1], folded(images, rows)[-1])
        assert count.graphs == 1, (batch, height, width)


@pytest.mark.usefixtures("fresh_dynamo")
@torch.no_grad()
def test_compiled_model_paints_the_same():
    torch.manual_seed(0)
    short = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 2, 1]}
    folded = fold_for_inference(build_upocr("upocr_nano", scratch_init=False, **short))
    images = torch.rand(2, 3, 96, 64)
    for one, other in zip(
        folded(images, [TASKS] * 2), torch.compile(folded)(images, [TASKS] * 2), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("fresh_dynamo")
def test_compiled_training_has_the_same_gradients():
    torch.manual_seed(0)
    short = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 2, 1]}
    model = build_upocr("upocr_nano", scratch_init=False, **short).double().train()
    images = torch.rand(3, 3, 96, 64, dtype=torch.float64)
    found = []
    for network in (model, torch.compile(model, backend="aot_eager")):
        outputs = network(images, TASKS)
        loss = sum(output.square().mean() for output in outputs)
        found.append((*outputs, *torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-12)
