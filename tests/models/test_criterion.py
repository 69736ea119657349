"""Invariants of the losses."""

import dataclasses
from types import MappingProxyType

import pytest
import torch
from vectors import fill_by_name, reference_input

from models import LOSSES, TaskLoss, build_criterion, needs_vgg16
from models.criterion import IGNORED, TextSegmentationLoss, gram_matrix, style_loss
from models.vgg import VGG16Features
from tasks import OFFICIAL_TASKS as TASKS
from utils.batch import Batch

# Factors of the trained terms.
LOSS_WEIGHTS = {
    "text_removal/msr": 1.0,
    "text_removal/perceptual": 0.01,
    "text_removal/style": 120.0,
    "tampered_text_detection/smooth_l1": 1.0,
    "text_segmentation/smooth_l1": 1.0,
}


@pytest.fixture(scope="module")
def criterion():
    vgg16 = VGG16Features()
    fill_by_name(vgg16, prefix="vgg16.")
    return build_criterion(TASKS, vgg16)


def make_batch(tasks: list[str], side: int = 32) -> Batch:
    count = len(tasks)
    return Batch(
        images=reference_input("images", (count, 3, side, side)),
        labels=reference_input("labels", (count, 3, side, side)).round(),
        masks=(reference_input("masks", (count, 1, side, side)) > 0.3).float(),
        tasks=tasks,
        names=[str(index) for index in range(count)],
    )


def make_outputs(count: int, side: int = 32) -> list[torch.Tensor]:
    sides = (side // 4, side // 2, side)
    return [reference_input(f"out{s}", (count, 3, s, s)).requires_grad_() for s in sides]


def test_sum_is_the_weighted_terms(criterion):
    total, terms = criterion(make_outputs(6), make_batch([*TASKS, *TASKS]))
    expected = sum(weight * terms[name] for name, weight in LOSS_WEIGHTS.items())
    torch.testing.assert_close(total, expected)
    assert set(terms) - set(LOSS_WEIGHTS) == {
        "text_segmentation/positive",
        "text_segmentation/negative",
    }
    assert not any(term.requires_grad for term in terms.values())


def test_task_weights_scale_all_terms_of_a_task_in_the_sum_only():
    batch, outputs = make_batch([*TASKS]), make_outputs(3)
    plain, terms = build_criterion(TASKS, None)(outputs, batch)
    weights = {TASKS[1]: 3.0, TASKS[2]: 0.0}
    scaled, same = build_criterion(TASKS, None, weights)(outputs, batch)
    assert same == terms
    detection, segmentation = (terms[f"{task}/smooth_l1"] for task in TASKS[1:])
    torch.testing.assert_close(scaled, plain + 2 * detection - segmentation)


def test_image_losses_join_the_sum_of_text_removal():
    batch, outputs = make_batch([*TASKS]), make_outputs(3)
    plain, terms = build_criterion(TASKS, None)(outputs, batch)
    factors = {"gradient": 2.0, "ssim": 0.5}
    total, more = build_criterion(TASKS, None, {TASKS[0]: 3.0}, factors)(outputs, batch)
    assert set(more) - set(terms) == {"text_removal/gradient", "text_removal/ssim"}
    extra = 2 * terms["text_removal/msr"]  # of the task weight
    extra += 3 * sum(factors[name] * more[f"text_removal/{name}"] for name in factors)
    torch.testing.assert_close(total, plain + extra)


def test_image_losses_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="unknown image loss 'x', expected one of gradient, ssim"):
        build_criterion(TASKS, None, image_losses={"x": 1.0})
    with pytest.raises(ValueError, match="losses of text_removal, which is not trained"):
        build_criterion(TASKS[1:], None, image_losses={"ssim": 1.0})


def test_a_weight_of_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="unknown task 'x', expected one of text_removal, "):
        build_criterion(TASKS, None, {"x": 1.0})
    with pytest.raises(ValueError, match="unknown task 'text_removal', expected one of text_seg"):
        build_criterion(["text_segmentation"], None, {"text_removal": 1.0})


def test_a_task_without_a_loss_is_refused():
    with pytest.raises(ValueError, match="unknown task loss 'x', expected one of text_removal, "):
        build_criterion(["x"], None)
    with pytest.raises(ValueError, match="unknown task loss 'x'"):
        needs_vgg16(["x"])


def test_only_text_removal_needs_vgg16():
    assert [needs_vgg16([task]) for task in TASKS] == [True, False, False]
    assert needs_vgg16(TASKS)
    assert not needs_vgg16([])


def test_a_loss_of_another_task_is_found_by_name(monkeypatch):
    class Brightness(TaskLoss):
        weights = MappingProxyType({"mean": 2.0})

        def forward(self, outputs, batch):
            return {"mean": outputs[-1].mean(), "samples": torch.tensor(float(len(batch)))}

    monkeypatch.setitem(LOSSES, "brightness", Brightness)
    criterion = build_criterion(["brightness", TASKS[2]], None, {"brightness": 3.0})
    outputs = make_outputs(3)
    total, terms = criterion(outputs, make_batch(["brightness", TASKS[2], "brightness"]))
    assert terms["brightness/samples"] == 2
    torch.testing.assert_close(terms["brightness/mean"], outputs[-1][[0, 2]].mean().detach())
    expected = 3 * 2 * terms["brightness/mean"] + terms["text_segmentation/smooth_l1"]
    torch.testing.assert_close(total, expected)


def test_order_in_the_batch_does_not_matter(criterion):
    batch, outputs = make_batch([*TASKS, *TASKS]), make_outputs(6)
    order = [5, 0, 3, 1, 4, 2]
    total, _ = criterion(outputs, batch)
    again, _ = criterion([output[order] for output in outputs], batch[order])
    torch.testing.assert_close(again, total)


@pytest.mark.parametrize("task", TASKS)
def test_perfect_outputs_cost_nothing(criterion, task):
    batch = make_batch([task])
    batch = dataclasses.replace(batch, images=batch.labels)  # nothing to erase
    outputs = [batch.labels[..., ::step, ::step].clone() for step in (4, 2, 1)]
    total, _ = criterion(outputs, batch)
    assert total.item() == pytest.approx(0.0, abs=1e-6)


def test_absent_tasks_keep_the_graph(criterion):
    outputs = make_outputs(1)
    total, terms = criterion(outputs, make_batch(["text_segmentation"]))
    assert all(name.startswith("text_segmentation/") for name in terms)
    total.backward()
    assert all(output.grad.abs().sum() > 0 for output in outputs)


@pytest.mark.parametrize("task", TASKS[1:])
def test_all_ignored_target_is_zero_with_a_graph(criterion, task):
    outputs, batch = make_outputs(1), make_batch([task])
    batch = dataclasses.replace(batch, labels=torch.full_like(batch.labels, IGNORED))
    total, terms = criterion(outputs, batch)
    assert total.item() == 0
    assert all(value.item() == 0 for value in terms.values())
    total.backward()
    assert all(torch.equal(output.grad, torch.zeros_like(output)) for output in outputs)


def test_ignored_pixels_do_not_count():
    loss = TextSegmentationLoss()
    batch = make_batch(["text_segmentation"])
    ignored = torch.tensor(128, dtype=torch.uint8).float().div(255)  # as `Batch.to`
    batch.labels[..., :16, :] = ignored
    outputs = [output.detach() for output in make_outputs(1)]
    changed = [output.clone() for output in outputs]
    for output in changed:
        output[..., : output.shape[-2] // 2, :] += 7.0
    first, second = (loss(o, batch) for o in (outputs, changed))
    assert first["smooth_l1"] > 0
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_only_text_pixels_carry_the_text_weight(criterion):
    batch = make_batch(["text_removal"])
    outputs = [batch.labels[..., ::step, ::step] + 0.5 for step in (4, 2, 1)]
    found = []
    for mask in (torch.ones_like(batch.masks), torch.zeros_like(batch.masks)):
        _, terms = criterion(outputs, dataclasses.replace(batch, masks=mask))
        found.append(terms["text_removal/msr"].item())
    assert found[0] == pytest.approx(0.5 * (0.8 + 1 + 2), rel=1e-5)
    assert found[1] == pytest.approx(0.5 * (5 + 6 + 10), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_style_survives_half_precision(dtype):
    feature = torch.full((2, 64, 128, 128), 100.0, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = style_loss(feature, feature[:1] / 2)
    assert loss.dtype == torch.float32
    # A Gram entry of a constant c is c * c / channels.
    assert loss.item() == pytest.approx((100**2 - 50**2) / 64, rel=1e-3)


def test_gram_matrix_of_orthogonal_channels_is_diagonal():
    features = torch.eye(4).reshape(1, 4, 2, 2)
    assert torch.equal(gram_matrix(features), torch.eye(4)[None] / 16)
