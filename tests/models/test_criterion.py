"""Invariants of the losses, and where VGG16 weights come from."""

from urllib.error import URLError

import pytest
import torch
from vectors import fill_by_name, reference_input

from models import TASKS, build_criterion, build_vgg16
from models.criterion import IGNORED, LOSS_WEIGHTS, SegmentationLoss, gram_matrix
from models.vgg import VGG16Features


@pytest.fixture(scope="module")
def criterion():
    vgg16 = VGG16Features()
    fill_by_name(vgg16, prefix="vgg16.")
    return build_criterion(vgg16)


def make_batch(tasks: list[str], side: int = 32) -> dict:
    count = len(tasks)
    labels = reference_input("labels", (count, 3, side, side))
    return {
        "images": reference_input("images", (count, 3, side, side)),
        "labels": labels.round(),
        "masks": (reference_input("masks", (count, 1, side, side)) > 0.3).float(),
        "tasks": tasks,
    }


def make_outputs(count: int, side: int = 32) -> list[torch.Tensor]:
    sides = (side // 4, side // 2, side)
    return [reference_input(f"out{s}", (count, 3, s, s)).requires_grad_() for s in sides]


def test_sum_is_the_weighted_terms(criterion):
    batch = make_batch([*TASKS, *TASKS])
    total, terms = criterion(make_outputs(6), **batch)
    expected = sum(weight * terms[name] for name, weight in LOSS_WEIGHTS.items())
    torch.testing.assert_close(total, expected)
    assert set(terms) - set(LOSS_WEIGHTS) == {
        "text_segmentation/positive",
        "text_segmentation/negative",
    }


def test_task_weights_scale_all_terms_of_a_task_in_the_sum_only():
    batch, outputs = make_batch([*TASKS]), make_outputs(3)
    plain, terms = build_criterion(None)(outputs, **batch)
    scaled, same = build_criterion(None, {TASKS[1]: 3.0, TASKS[2]: 0.0})(outputs, **batch)
    assert same == terms
    detection, segmentation = (terms[f"{task}/smooth_l1"] for task in TASKS[1:])
    torch.testing.assert_close(scaled, plain + 2 * detection - segmentation)


def test_order_in_the_batch_does_not_matter(criterion):
    tasks = [*TASKS, *TASKS]
    batch, outputs = make_batch(tasks), make_outputs(6)
    order = [5, 0, 3, 1, 4, 2]
    shuffled = {k: v[order] for k, v in batch.items() if k != "tasks"}
    shuffled["tasks"] = [tasks[index] for index in order]
    total, _ = criterion(outputs, **batch)
    again, _ = criterion([output[order] for output in outputs], **shuffled)
    torch.testing.assert_close(again, total)


@pytest.mark.parametrize("task", TASKS)
def test_perfect_outputs_cost_nothing(criterion, task):
    batch = make_batch([task])
    batch["images"] = batch["labels"]  # nothing to erase
    outputs = [batch["labels"][..., ::step, ::step].clone() for step in (4, 2, 1)]
    total, _ = criterion(outputs, **batch)
    assert total.item() == pytest.approx(0.0, abs=1e-6)


def test_absent_tasks_keep_the_graph(criterion):
    outputs = make_outputs(1)
    total, terms = criterion(outputs, **make_batch(["text_segmentation"]))
    assert all(name.startswith("text_segmentation/") for name in terms)
    total.backward()
    assert all(output.grad.abs().sum() > 0 for output in outputs)


@pytest.mark.parametrize("task", TASKS[1:])
def test_all_ignored_target_is_zero_with_a_graph(criterion, task):
    outputs, batch = make_outputs(1), make_batch([task])
    batch["labels"] = torch.full_like(batch["labels"], IGNORED)
    total, terms = criterion(outputs, **batch)
    assert total.item() == 0
    assert all(value.item() == 0 for value in terms.values())
    total.backward()
    assert all(torch.equal(output.grad, torch.zeros_like(output)) for output in outputs)


def test_ignored_pixels_do_not_count():
    loss = SegmentationLoss(report_classes=True)
    label = reference_input("label", (1, 3, 32, 32)).round()
    label[..., :16, :] = torch.tensor(128, dtype=torch.uint8).float().div(255)  # as the engine does
    outputs = [output.detach() for output in make_outputs(1)]
    changed = [output.clone() for output in outputs]
    for output in changed:
        output[..., : output.shape[-2] // 2, :] += 7.0
    first, second = (loss(o, label, label, label) for o in (outputs, changed))
    assert first["smooth_l1"] > 0
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_only_text_pixels_carry_the_text_weight(criterion):
    batch = make_batch(["text_removal"])
    batch["masks"] = torch.ones_like(batch["masks"])
    outputs = [batch["labels"][..., ::step, ::step] + 0.5 for step in (4, 2, 1)]
    _, background = criterion(outputs, **batch)
    _, text = criterion(outputs, **(batch | {"masks": torch.zeros_like(batch["masks"])}))
    assert background["text_removal/msr"].item() == pytest.approx(0.5 * (0.8 + 1 + 2), rel=1e-5)
    assert text["text_removal/msr"].item() == pytest.approx(0.5 * (5 + 6 + 10), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_style_survives_half_precision(criterion, dtype):
    removal = criterion.losses["text_removal"]
    feature = torch.full((2, 64, 128, 128), 100.0, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = removal._style_loss(feature, feature[:1] / 2)
    assert loss.dtype == torch.float32
    # A Gram entry of a constant c is c * c / channels.
    assert loss.item() == pytest.approx(2 * (100**2 - 50**2) / 64, rel=1e-3)


def test_gram_matrix_of_orthogonal_channels_is_diagonal():
    features = torch.eye(4).reshape(1, 4, 2, 2)
    assert torch.equal(gram_matrix(features), torch.eye(4)[None] / 16)


def test_imagenet_weights_that_cannot_be_had_are_named(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth") as error:
        build_vgg16("imagenet")
    assert str(tmp_path / "checkpoints") in str(error.value)
    assert "\n" not in str(error.value)


def test_random_weights_warn_and_repeat(caplog):
    first, second = build_vgg16("random"), build_vgg16("random")
    assert "random weights" in caplog.text
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert not any(p.requires_grad for p in first.parameters())


@pytest.mark.parametrize("naming", ["official", "torchvision"])
def test_weights_from_a_file(tmp_path, naming):
    source = build_vgg16("random")
    fill_by_name(source)
    positions = {"enc_1.0": 0, "enc_1.2": 2, "enc_2.0": 5, "enc_2.2": 7}
    positions |= {"enc_3.0": 10, "enc_3.2": 12, "enc_3.4": 14}
    state = {}
    for name, value in source.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        official = naming == "official"
        state[f"vgg16.{name}" if official else f"features.{positions[layer]}.{kind}"] = value
    torch.save({"model": state} if naming == "official" else state, tmp_path / "weights.pth")
    loaded = build_vgg16(str(tmp_path / "weights.pth"))
    for a, b in zip(loaded.parameters(), source.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("content", [None, b"", b"not a file of weights", {"model": {}}])
def test_bad_weight_files_are_named(tmp_path, content):
    path = tmp_path / "vgg.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=r"vgg\.pth: ") as error:
        build_vgg16(str(path))
    assert "\n" not in str(error.value)
