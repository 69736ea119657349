"""Transforms: pure functions of the seed, the same geometry for every field."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.transforms import (
    ColorJitter,
    Field,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    Resize,
    transform_images,
)
from utils.image import image_to_tensor

FIELDS = {"image": Field(), "label": Field(Image.Resampling.NEAREST, fill=7)}
STEPS = [
    RandomCrop(1, 0.5, 1),
    RandomHorizontalFlip(0.5),
    ColorJitter(1, 0.5, 0.5, 0.5, 0.5),
    RandomRotation(1, 30),
    Resize(32),
]


@pytest.fixture
def images() -> dict[str, Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return {"image": Image.fromarray(pixels), "label": Image.fromarray(pixels[:, :, 0])}


def _tensors(images: dict[str, Image.Image], steps: list, seed: int | None) -> list[torch.Tensor]:
    transformed = transform_images(images, FIELDS, steps, seed)
    return [image_to_tensor(transformed[name]) for name in ("image", "label")]


def test_same_seed_same_images(images) -> None:
    first, second = (_tensors(images, STEPS, seed=3) for _ in range(2))
    assert all(map(torch.equal, first, second))


def test_other_seed_other_images(images) -> None:
    assert not torch.equal(_tensors(images, STEPS, 3)[0], _tensors(images, STEPS, 4)[0])


def test_global_generators_are_not_touched(images) -> None:
    before = random.getstate(), torch.get_rng_state()
    transform_images(images, FIELDS, STEPS, seed=3)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_without_seed_only_the_resize_happens(images) -> None:
    assert all(map(torch.equal, _tensors(images, STEPS, None), _tensors(images, [Resize(32)], 1)))


def test_jitter_leaves_the_label_alone(images) -> None:
    image, label = _tensors(images, STEPS[2:3], seed=0)
    assert not torch.equal(image, image_to_tensor(images["image"]))
    assert torch.equal(label, image_to_tensor(images["label"]))


def test_geometry_is_shared_by_all_fields(images) -> None:
    steps = [RandomCrop(1, 0.5, 0.9), RandomHorizontalFlip(1), RandomRotation(1, 30)]
    image, label = _tensors(images, steps, seed=5)
    inside = label[0] != 7
    assert image.shape[1:] == label.shape[1:]
    assert torch.equal(image[0][inside], label[0][inside])


def test_rotation_grows_the_canvas_and_fills_each_field(images) -> None:
    image, label = _tensors(images, [RandomRotation(1, 30)], seed=1)
    assert image.shape[1] > 40
    assert image.shape[2] > 60
    assert image[:, 0, 0].tolist() == [0, 0, 0]
    assert label[0, 0, 0] == 7


def test_probability_does_not_change_later_draws(images) -> None:
    crop = RandomCrop(1, 0.5, 0.9)
    never, always = RandomHorizontalFlip(0), RandomHorizontalFlip(1)
    once = _tensors(images, [never, crop], seed=2)[0]
    twice = _tensors(images, [always, crop], seed=2)[0]
    assert once.shape == twice.shape


def test_crop_of_one_pixel_stays() -> None:
    dot = {"image": Image.new("RGB", (1, 1))}
    assert transform_images(dot, FIELDS, [RandomCrop(1, 0.1, 0.2)], 0)["image"].size == (1, 1)
