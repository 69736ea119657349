"""A model for inference, compiled or not, computes what the plain one does."""

import pytest
import torch

from models import build_upocr
from models.fast import INFERENCE_SWAPS, folded_attention, for_inference, windows
from tasks import OFFICIAL_TASKS as TASKS

SHORT = {"enc_depths": [2, 1, 1, 1], "dec_depths": [1, 1, 1, 2, 1]}  # compiles faster


@pytest.mark.parametrize(
    "swaps", [INFERENCE_SWAPS, *([name] for name in INFERENCE_SWAPS)], ids=list
)
@torch.no_grad()
def test_the_outputs_are_those_of_the_plain_model(swaps):
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", scratch_init=False).eval()  # open lateral connections
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = for_inference(model, swaps=swaps)
    images = torch.rand(3, 3, 64, 96)
    for tasks in (TASKS, [TASKS] * 3):
        for one, other in zip(model(images, tasks), fast(images, tasks), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    kept = model.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in before.items())
    assert (fast.architecture, fast.tasks) == (model.architecture, model.tasks)
    assert not fast.training


def test_unknown_swaps_are_refused():
    with pytest.raises(ValueError, match="unknown swap 'memory', expected one of laterals, "):
        for_inference(build_upocr("upocr_nano"), swaps=["memory"])


# A window or less at a time, and two and a rest.
@pytest.mark.parametrize("chunk_bytes", [1024, 40_000])
@torch.no_grad()
def test_parts_make_the_whole(chunk_bytes, monkeypatch):
    torch.manual_seed(0)
    folded = for_inference(build_upocr("upocr_nano", scratch_init=False))
    images = torch.rand(2, 3, 160, 96)
    with monkeypatch.context() as patch:
        patch.setattr(folded_attention, "pays_in_parts", lambda x: False)
        whole = folded(images, [TASKS] * 2)
    monkeypatch.setattr(windows, "CHUNK_BYTES", chunk_bytes)
    for one, other in zip(folded(images, [TASKS] * 2), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 64, 96), (1, 3, 288, 320)])
@torch.no_grad()
def test_bfloat16_weights_paint_what_autocast_paints(shape):
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", scratch_init=False).eval()
    images = torch.rand(shape)
    exact = model(images, [TASKS] * len(images))[-1]
    folded = for_inference(model, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        usual, found = (m(images, [TASKS] * len(images))[-1].float() for m in (model, folded))
    error, accepted = ((x - exact).square().mean().sqrt() for x in (found, usual))
    assert error <= 1.1 * accepted
    for name, parameter in folded.named_parameters():
        narrow = "norm" not in name and "task_embedding" not in name
        assert parameter.dtype == (torch.bfloat16 if narrow else torch.float32), name


@pytest.mark.slow
@torch.no_grad()
def test_compiles_to_one_graph(counting_backend):
    fast = for_inference(build_upocr("upocr_nano"))
    compiled = torch.compile(fast, backend=counting_backend, fullgraph=True)
    compiled(torch.rand(3, 3, 64, 96), TASKS)
    assert counting_backend.graphs == 1


@pytest.mark.long
@torch.no_grad()
def test_batches_of_all_sizes_compile_once(counting_backend):
    # The predictor cuts pictures into windows of one size; the last batch is smaller.
    folded = for_inference(build_upocr("upocr_nano", **SHORT))
    compiled = torch.compile(folded, backend=counting_backend, fullgraph=True, dynamic=True)
    for batch in (2, 3, 5):
        images = torch.rand(batch, 3, 96, 64)
        rows = torch.arange(batch) % len(TASKS)
        torch.testing.assert_close(compiled(images, rows)[-1], folded(images, rows)[-1])
        assert counting_backend.graphs == 1, batch


@pytest.mark.slow
@pytest.mark.usefixtures("counting_backend")
@torch.no_grad()
def test_compiled_model_paints_the_same():
    torch.manual_seed(0)
    folded = for_inference(build_upocr("upocr_nano", scratch_init=False, **SHORT))
    images = torch.rand(2, 3, 96, 64)
    for one, other in zip(
        folded(images, [TASKS] * 2), torch.compile(folded)(images, [TASKS] * 2), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
