"""Entry points of `torch.hub.load`: the model ready for pictures, see `upocr/predictor.py`."""

from models import VARIANTS
from upocr.predictor import Predictor

dependencies = ["torch", "torchvision", "numpy", "cv2", "PIL", "tifffile", "safetensors"]


def upocr(weights: str, **options) -> Predictor:
    """UPOCR with the given weights, a path or URL; options as of `Predictor.from_pretrained`."""
    return Predictor.from_pretrained(weights, **options)


def upocr_nano(weights: str | None = None, **options) -> Predictor:
    """The small variant; without `weights` the ones in `pretrained/`."""
    predictor = Predictor.from_pretrained(weights, **options)
    # Heads and blocks are the file's own.
    if predictor.network.architecture["embed_dim"] != VARIANTS["upocr_nano"]["embed_dim"]:
        raise ValueError(f"{weights}: these are not weights of upocr_nano, load them as upocr")
    return predictor
