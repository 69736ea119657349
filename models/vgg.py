"""VGG16 features for the perceptual and the style loss of text removal, and where their weights
come from.
"""

import logging
from itertools import pairwise
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights

from utils.weights import read_file, state_dict_of

logger = logging.getLogger(__name__)

CHANNELS = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256))
# Position of each convolution in torchvision's `vgg16().features`.
TORCHVISION_INDEX = {
    "enc_1.0": 0,
    "enc_1.2": 2,
    "enc_2.0": 5,
    "enc_2.2": 7,
    "enc_3.0": 10,
    "enc_3.2": 12,
    "enc_3.4": 14,
}


def _stage(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(channels):
        layers += [nn.Conv2d(inner, outer, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(kernel_size=2, stride=2))


class VGG16Features(nn.Module):
    """The first three stages of VGG16, each up to and with its pooling; frozen.

    Named as in official checkpoints (`vgg16.enc_1.0.weight`, ...).
    """

    def __init__(self) -> None:
        super().__init__()
        self.enc_1, self.enc_2, self.enc_3 = (_stage(channels) for channels in CHANNELS)
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) RGB in [0, 1] -> features (B, 64 | 128 | 256, H / s, W / s) for s in
        2, 4, 8.

        Official: no normalisation with the ImageNet mean and deviation.
        """
        features = []
        for stage in (self.enc_1, self.enc_2, self.enc_3):
            images = stage(images)
            features.append(images)
        return features


def build_vgg16(weights: str = "imagenet") -> VGG16Features | None:
    """VGG16 features with `imagenet` weights (torchvision's), from a file, or `random` ones; None
    for `none`.

    A file may be torchvision's VGG16 or an official UPOCR checkpoint with `vgg16.*` keys. Raises
    ValueError when the weights cannot be had or do not fit.
    """
    if weights == "random":
        logger.warning(
            "VGG16 has random weights: the perceptual and style losses are not those of the paper"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same in every process and after a resume
            return VGG16Features()
    if weights == "none":
        logger.warning("no VGG16: text removal trains without perceptual and style loss")
        return None
    if weights == "imagenet":
        return vgg16_from_state(_imagenet_state(), "torchvision's VGG16")
    path = Path(weights)
    return vgg16_from_state(state_dict_of(read_file(path), path), weights)


def vgg16_from_state(state: dict[str, Tensor], source: str) -> VGG16Features:
    """VGG16 features from torchvision's, the official or our own parameter names.

    Raises ValueError naming the `source` if one is missing or has another shape.
    """
    model = VGG16Features()
    renamed = {}
    for key, parameter in model.state_dict().items():
        layer, kind = key.rsplit(".", 1)
        names = (f"vgg16.{key}", key, f"features.{TORCHVISION_INDEX[layer]}.{kind}")
        found = next((state[name] for name in names if name in state), None)
        if found is None or found.shape != parameter.shape:
            raise ValueError(f"{source}: no VGG16 weights named {' or '.join(names)}")
        renamed[key] = found
    model.load_state_dict(renamed)
    return model


def _imagenet_state() -> dict[str, Tensor]:
    url = VGG16_Weights.IMAGENET1K_V1.url
    try:
        return torch.hub.load_state_dict_from_url(url, progress=False, map_location="cpu")
    except (URLError, OSError) as error:
        name = url.rsplit("/", 1)[-1]
        raise ValueError(
            f"VGG16 ImageNet weights are not cached and cannot be downloaded ({error}): put {name} "
            f"({url}) into {Path(torch.hub.get_dir()) / 'checkpoints'}, or name a file with "
            "--vgg16_weights PATH, or ask for --vgg16_weights random"
        ) from None
