"""VGG16 features for the perceptual and the style loss of text removal."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import make_layers

from upocr.download import DOWNLOADS, Downloads
from utils.dist import is_main_process
from utils.hub import hub_file, hub_path
from utils.weights import read_file, state_dict_of

logger = logging.getLogger(__name__)

# Convolutions by their channels, M for pooling, and where each stage starts among the layers.
LAYERS: list[str | int] = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M"]
STAGES = {"enc_1": 0, "enc_2": 5, "enc_3": 10}


class VGG16Features(nn.Module):
    """The first three stages of VGG16, each up to and including its pooling; frozen.

    Named as in official checkpoints (`vgg16.enc_1.0.weight`, ...).
    """

    def __init__(self) -> None:
        super().__init__()
        layers = list(make_layers(LAYERS))
        self.enc_1 = nn.Sequential(*layers[:5])
        self.enc_2 = nn.Sequential(*layers[5:10])
        self.enc_3 = nn.Sequential(*layers[10:])
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """images: (B, 3, H, W) RGB in [0, 1] -> (B, C, H / s, W / s) for s in 2, 4, 8.

        C is 64, 128, 256. Official: no normalisation with the mean and deviation of ImageNet.
        """
        features = []
        for stage in (self.enc_1, self.enc_2, self.enc_3):
            images = stage(images)
            features.append(images)
        return features


def build_vgg16(
    weights: str = "imagenet", downloads: Downloads = DOWNLOADS
) -> VGG16Features | None:
    """VGG16 features with torchvision's `imagenet` weights, `random` ones, or those of a file.

    None for `none`. A file is torchvision's VGG16 or an official UPOCR checkpoint with `vgg16.*`
    keys. Raises ValueError if the weights cannot be obtained or do not fit.
    """
    if weights == "random":
        _warn_once(
            "VGG16 has random weights: the perceptual and style losses are not those of the paper"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same in every process and after a resume
            return VGG16Features()
    if weights == "none":
        _warn_once("no VGG16: text removal trains without perceptual and style loss")
        return None
    if weights == "imagenet":
        return vgg16_from_state(_imagenet_state(downloads), "torchvision's VGG16")
    path = Path(weights)
    return vgg16_from_state(state_dict_of(read_file(path), path), weights)


def _warn_once(message: str) -> None:
    """Warn in the main process only: the message is the same in all of them."""
    if is_main_process():
        logger.warning(message)


def vgg16_from_state(state: dict[str, Tensor], source: str) -> VGG16Features:
    """VGG16 features from torchvision's, the official or our own parameter names.

    Raises ValueError naming the `source` if one is missing or has another shape.
    """
    model = VGG16Features()
    renamed = {}
    for key, parameter in model.state_dict().items():
        stage, layer, kind = key.split(".")
        names = (f"vgg16.{key}", key, f"features.{STAGES[stage] + int(layer)}.{kind}")
        found = next((state[name] for name in names if name in state), None)
        if found is None or found.shape != parameter.shape:
            raise ValueError(f"{source}: no VGG16 weights named {' or '.join(names)}")
        renamed[key] = found
    model.load_state_dict(renamed)
    return model


def _imagenet_state(downloads: Downloads) -> dict[str, Tensor]:
    url = VGG16_Weights.IMAGENET1K_V1.url
    try:
        path = hub_file(url, downloads)
    except ValueError as error:
        raise ValueError(
            f"VGG16 ImageNet weights are not cached: {error}: put {hub_path(url).name} into "
            f"{hub_path(url).parent}, or name a file with --vgg16_weights PATH, or use "
            "--vgg16_weights random"
        ) from None
    return state_dict_of(read_file(path), path)
