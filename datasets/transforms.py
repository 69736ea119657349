"""One set of transforms for all tasks: each field declares how it is resampled and filled."""

import dataclasses
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import ColorJitter as TorchColorJitter

from utils.registry import Registry

Images = dict[str, Image.Image]


@dataclass(frozen=True)
class Field:
    """How one image of a sample is transformed.

    Args:
        interpolation: Pillow's filter for resizing.
        fill: value of the corners that a rotation uncovers, in the mode of the image.
    """

    interpolation: Image.Resampling = Image.Resampling.BICUBIC
    fill: int | tuple[int, int, int] = 0


class Transform(ABC):
    """One step from the images of a sample to the images of a sample."""

    @abstractmethod
    def __call__(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """Transform all images alike; every random number comes from `rng` or from torch."""


TRANSFORMS: Registry[type[Transform]] = Registry("transform")


def _between(low: float, high: float) -> Any:
    """A dataclass field with a range."""
    return dataclasses.field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class RandomTransform(Transform):
    """A transform that `apply` performs with a probability; arguments are checked."""

    probability: float = _between(0, 1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field.name, *field.metadata["range"])

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}, expected {low} to {high}")

    def __call__(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        # Official: one number is drawn in any case, even for a probability of 0 or 1.
        if rng.random() < self.probability:
            return self.apply(images, fields, rng)
        return images

    @abstractmethod
    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """The transform itself."""


@TRANSFORMS.register("random_crop")
@dataclass(frozen=True)
class RandomCrop(RandomTransform):
    """Crop a window whose width and height are independent random fractions of the image's.

    Args:
        min_ratio, max_ratio: bounds of the fraction.
    """

    min_ratio: float = _between(0, 1)
    max_ratio: float = _between(0, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("min_ratio", 0, self.max_ratio)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        width, height = next(iter(images.values())).size
        # Official: the order of the four draws.
        crop_width = max(1, int(width * rng.uniform(self.min_ratio, self.max_ratio)))
        crop_height = max(1, int(height * rng.uniform(self.min_ratio, self.max_ratio)))
        left = rng.randint(0, width - crop_width)
        top = rng.randint(0, height - crop_height)
        box = (left, top, left + crop_width, top + crop_height)
        return {name: image.crop(box) for name, image in images.items()}


@TRANSFORMS.register("random_horizontal_flip")
@dataclass(frozen=True)
class RandomHorizontalFlip(RandomTransform):
    """Mirror left and right."""

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        flip = Image.Transpose.FLIP_LEFT_RIGHT
        return {name: image.transpose(flip) for name, image in images.items()}


@TRANSFORMS.register("random_rotation")
@dataclass(frozen=True)
class RandomRotation(RandomTransform):
    """Rotate about the centre on a canvas that grows to hold every pixel.

    Args:
        max_angle: largest angle in degrees, in either direction.
    """

    max_angle: float = _between(0, 180)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        # Official: nearest neighbour for every field, photographs included.
        angle = rng.uniform(-self.max_angle, self.max_angle)
        return {
            name: image.rotate(angle, expand=True, fillcolor=fields[name].fill)
            for name, image in images.items()
        }


@TRANSFORMS.register("color_jitter")
@dataclass(frozen=True)
class ColorJitter(RandomTransform):
    """Change the colours of the field `image`, by torchvision and torch's global CPU generator.

    Args:
        brightness, contrast, saturation: largest relative change.
        hue: largest shift as a fraction of the colour circle.
    """

    brightness: float = _between(0, math.inf)
    contrast: float = _between(0, math.inf)
    saturation: float = _between(0, math.inf)
    hue: float = _between(0, 0.5)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        jitter = TorchColorJitter(self.brightness, self.contrast, self.saturation, self.hue)
        return images | {"image": jitter(images["image"])}


@TRANSFORMS.register("resize")
@dataclass(frozen=True)
class Resize(Transform):
    """Resize every image to size x size pixels with the interpolation of its field."""

    size: int

    def __call__(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        size = (self.size, self.size)
        return {
            name: image.resize(size, fields[name].interpolation) for name, image in images.items()
        }


def transform_images(
    images: Images, fields: Mapping[str, Field], transforms: Sequence[Transform], seed: int | None
) -> Images:
    """Apply the transforms in order; the result is a pure function of the images and the seed.

    Without a seed, in evaluation, random transforms are skipped. Global random generators keep
    their state.
    """
    if seed is None:
        transforms = [step for step in transforms if not isinstance(step, RandomTransform)]
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed GPUs, which fork_rng does not restore here.
        torch.default_generator.manual_seed(seed or 0)
        for step in transforms:
            images = step(images, fields, rng)
    return images
