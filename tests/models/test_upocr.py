"""Invariants of the network."""

import pytest
import torch
from vectors import reference_input

from models import build_upocr
from tasks import OFFICIAL_TASKS as TASKS

IMAGES = reference_input("invariants", (3, 3, 64, 96))


@torch.no_grad()
def test_mixed_batch_equals_single_images(tiny_model):
    # In float64: in float32 these weights turn rounding into differences of 1e-3.
    tiny_model.double()
    together = tiny_model(IMAGES.double(), list(TASKS))
    for index, task in enumerate(TASKS):
        alone = tiny_model(IMAGES[index : index + 1].double(), [task])
        for batched, single in zip(together, alone, strict=True):
            torch.testing.assert_close(batched[index], single[0])


@torch.no_grad()
def test_names_and_rows_mean_the_same(tiny_model):
    by_name = tiny_model(IMAGES, list(TASKS))
    by_row = tiny_model(IMAGES, torch.arange(3))
    assert all(torch.equal(a, b) for a, b in zip(by_name, by_row, strict=True))


@torch.no_grad()
def test_outputs_are_three_scales_coarse_to_fine(tiny_model):
    shapes = [tuple(output.shape) for output in tiny_model(IMAGES, list(TASKS))]
    assert shapes == [(3, 3, 16, 24), (3, 3, 32, 48), (3, 3, 64, 96)]


@pytest.mark.parametrize(
    ("shape", "tasks", "message"),
    [
        ((1, 3, 64, 65), ["text_removal"], "64 x 65, expected multiples of 32"),
        ((1, 3, 0, 32), ["text_removal"], "0 x 32"),
        ((3, 64, 64), ["text_removal"], "expected \\(B, 3, H, W\\)"),
        ((1, 1, 64, 64), ["text_removal"], "expected \\(B, 3, H, W\\)"),
        ((1, 3, 32, 32), ["text_erasure"], "trained on text_removal, .*; not on text_erasure"),
        ((1, 3, 32, 32), "text_removal", "expected a list of task names"),
        ((2, 3, 32, 32), ["text_removal"], "1 tasks for a batch of 2"),
        ((1, 3, 32, 32), torch.tensor([3]), "rows 0 to 2"),
        ((1, 3, 32, 32), torch.tensor([-1]), "rows 0 to 2"),
        ((1, 3, 32, 32), torch.tensor([0.0]), "expected int64"),
    ],
)
def test_bad_arguments_are_named(tiny_model, shape, tasks, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(torch.zeros(shape), tasks)


def test_images_with_different_numbers_of_tasks_are_refused():
    model = build_upocr("upocr_nano")
    with pytest.raises(ValueError, match="different numbers of tasks"):
        model(torch.rand(2, 3, 32, 32), [("text_removal",), ("text_removal", "text_removal")])


def test_several_tasks_of_one_image_run_the_encoder_once():
    torch.manual_seed(0)
    model = build_upocr("upocr_nano").eval()
    images = torch.rand(2, 3, 64, 96)
    tasks = [("text_segmentation", "text_removal"), ("tampered_text_detection", "text_removal")]
    calls = []
    model.encoder.register_forward_hook(lambda *call: calls.append(1))
    with torch.inference_mode():
        together = model(images, tasks)
        by_rows = model(images, torch.tensor([[2, 0], [1, 0]]))
        assert len(calls) == 2
        for place in range(2):
            alone = model(images, [names[place] for names in tasks])
            for both, rows, one in zip(together, by_rows, alone, strict=True):
                assert both.shape == (2, 2, *one.shape[1:])
                torch.testing.assert_close(both[:, place], one, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(rows[:, place], one, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_model_of_other_tasks_goes_by_their_names():
    torch.manual_seed(0)
    model = build_upocr("upocr_nano", ("b", "a"))
    images = torch.rand(2, 3, 32, 32)
    by_name, by_row = model(images, ["a", "b"]), model(images, torch.tensor([1, 0]))
    assert all(torch.equal(a, b) for a, b in zip(by_name, by_row, strict=True))
    with pytest.raises(ValueError, match="trained on b, a; not on text_removal"):
        model(images, ["text_removal", "a"])


def test_attention_is_the_same_with_and_without_gradients(tiny_model):
    """PyTorch chooses another kernel."""
    tiny_model.double()  # its weights amplify the rounding of float32
    trained = tiny_model(IMAGES.double(), list(TASKS))
    with torch.no_grad():
        inferred = tiny_model(IMAGES.double(), list(TASKS))
    for a, b in zip(trained, inferred, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


def test_a_model_made_in_inference_mode_runs():
    with torch.inference_mode():
        torch.manual_seed(0)
        model = build_upocr("upocr_nano").eval()
        first = model(IMAGES, list(TASKS))[-1]
        assert torch.equal(first, model(IMAGES, list(TASKS))[-1])


@torch.no_grad()
def test_bfloat16_stays_near_float32(tiny_model):
    expected = tiny_model(IMAGES, list(TASKS))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = tiny_model(IMAGES, list(TASKS))[0].float()
    # Random weights amplify rounding: 6 % here, 140 % for a map that has nothing to do with it.
    assert (actual - expected).abs().mean() < 0.1 * expected.std()
