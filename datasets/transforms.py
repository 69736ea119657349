"""One set of transforms for all tasks: each field declares how it is resampled and filled."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torchvision.transforms import ColorJitter as TorchColorJitter

Images = dict[str, Image.Image]


@dataclass(frozen=True)
class Field:
    """How one image of a sample is treated.

    Args:
        interpolation: Pillow's filter for resizing.
        fill: value of the corners that a rotation uncovers, in the units of the image's mode.
    """

    interpolation: Image.Resampling = Image.Resampling.BICUBIC
    fill: int | tuple[int, int, int] = 0


@dataclass(frozen=True)
class RandomTransform:
    """A transform that happens with a probability; `apply` does it."""

    probability: float

    def __post_init__(self) -> None:
        _check("probability", self.probability, 0, 1)

    def __call__(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        # Official: drawn first in any case, also for a probability of 0 or 1.
        if rng.random() < self.probability:
            return self.apply(images, fields, rng)
        return images

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """The transform itself, the same for every image of the sample."""
        raise NotImplementedError


@dataclass(frozen=True)
class RandomCrop(RandomTransform):
    """Cut a window whose width and height are independent random shares of the image's.

    Args:
        min_ratio, max_ratio: bounds of the share, in (0, 1].
    """

    min_ratio: float
    max_ratio: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("max_ratio", self.max_ratio, 0, 1)
        _check("min_ratio", self.min_ratio, 0, self.max_ratio)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """Draws the width ratio, the height ratio, the left and the top, in this order."""
        width, height = next(iter(images.values())).size
        crop_width = max(1, int(width * rng.uniform(self.min_ratio, self.max_ratio)))
        crop_height = max(1, int(height * rng.uniform(self.min_ratio, self.max_ratio)))
        left = rng.randint(0, width - crop_width)
        top = rng.randint(0, height - crop_height)
        box = (left, top, left + crop_width, top + crop_height)
        return {name: image.crop(box) for name, image in images.items()}


@dataclass(frozen=True)
class RandomHorizontalFlip(RandomTransform):
    """Mirror left and right."""

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """Draws nothing."""
        flip = Image.Transpose.FLIP_LEFT_RIGHT
        return {name: image.transpose(flip) for name, image in images.items()}


@dataclass(frozen=True)
class RandomRotation(RandomTransform):
    """Rotate about the centre on a canvas that grows to hold every pixel.

    Args:
        max_angle: largest angle in degrees, either way.
    """

    max_angle: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("max_angle", self.max_angle, 0, 180)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """Draws the angle."""
        # Official: nearest neighbour for every field, photographs too.
        angle = rng.uniform(-self.max_angle, self.max_angle)
        return {
            name: image.rotate(angle, expand=True, fillcolor=fields[name].fill)
            for name, image in images.items()
        }


@dataclass(frozen=True)
class ColorJitter(RandomTransform):
    """Change the colours of the field `image`, by torchvision on torch's global CPU generator.

    Args:
        brightness, contrast, saturation: largest relative change.
        hue: largest shift, 0 to 0.5 of the colour circle.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("brightness", "contrast", "saturation"):
            _check(name, getattr(self, name), 0, float("inf"))
        _check("hue", self.hue, 0, 0.5)

    def apply(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        """Draws from torch only."""
        jitter = TorchColorJitter(self.brightness, self.contrast, self.saturation, self.hue)
        return images | {"image": jitter(images["image"])}


@dataclass(frozen=True)
class Resize:
    """Resize every image to size x size pixels with its field's interpolation."""

    size: int

    def __call__(self, images: Images, fields: Mapping[str, Field], rng: random.Random) -> Images:
        size = (self.size, self.size)
        return {
            name: image.resize(size, fields[name].interpolation) for name, image in images.items()
        }


Transform = RandomTransform | Resize

# Names in the YAML files.
TRANSFORMS: dict[str, type[Transform]] = {
    "random_crop": RandomCrop,
    "random_horizontal_flip": RandomHorizontalFlip,
    "random_rotation": RandomRotation,
    "color_jitter": ColorJitter,
    "resize": Resize,
}


def transform_images(
    images: Images, fields: Mapping[str, Field], transforms: Sequence[Transform], seed: int | None
) -> Images:
    """Apply the transforms in order; the result is a pure function of the images and the seed.

    Without a seed, in evaluation, random transforms are skipped. Random generators outside are not
    touched.
    """
    if seed is None:
        transforms = [step for step in transforms if not isinstance(step, RandomTransform)]
    rng = random.Random(seed)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed the GPUs' generators, which fork_rng does not restore
        # here.
        torch.default_generator.manual_seed(seed or 0)
        for step in transforms:
            images = step(images, fields, rng)
    return images


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")
