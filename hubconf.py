"""Entry points of `torch.hub.load`: the model for own images, see `upocr/predictor.py`."""

from typing import Any, cast

from models import VARIANTS
from upocr import UPOCR
from upocr.backends.torch import TorchBackend

dependencies = ["torch", "torchvision", "numpy", "cv2", "PIL", "tifffile", "safetensors"]


def upocr(weights: str | None = None, **options: Any) -> UPOCR:
    """UPOCR with weights of any variant; arguments as of `UPOCR.from_pretrained`."""
    return UPOCR.from_pretrained(weights, **{"backend": "torch"} | options)


def upocr_nano(weights: str | None = None, **options: Any) -> UPOCR:
    """The small variant; without `weights` the shipped ones."""
    model = UPOCR.from_pretrained(weights, **options | {"backend": "torch"})
    # Depths and heads are the file's own.
    width = cast(TorchBackend, model.backend).network.architecture["embed_dim"]
    if width != VARIANTS["upocr_nano"]["embed_dim"]:
        raise ValueError(f"{weights}: not weights of upocr_nano; load them as upocr")
    return model
